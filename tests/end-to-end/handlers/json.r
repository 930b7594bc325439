handler <- function(event, context) {
    list(sum = sum(event$x), name = event$name, id = context$request_id, nothing = NULL, missing = NA, cars = head(cars, 2))
}
