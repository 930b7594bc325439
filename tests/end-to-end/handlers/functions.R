handler <- function(event) paste("sourced", event)
