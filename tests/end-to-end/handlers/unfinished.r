handler <- function(event) {
