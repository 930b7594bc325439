prepare <- function() stop("not ready")
prepare()
handler <- function(event) event
