# S4 classes, generics and validity; reference classes; R's own object system.
setClass("Shape", representation("VIRTUAL", name = "character"))
setClass("Circle", contains = "Shape", representation(radius = "numeric"),
    validity = function(object) if (object@radius < 0) "negative radius" else TRUE)
setClass("Square", contains = "Shape", representation(side = "numeric"))
setGeneric("area", function(shape, ...) standardGeneric("area"))
setMethod("area", "Circle", function(shape, ...) pi * shape@radius^2)
setMethod("area", "Square", function(shape, ...) shape@side^2)
setMethod("show", "Shape", function(object) cat("<", class(object), object@name, area(object), ">\n"))
setMethod("+", signature("Square", "Square"), function(e1, e2) new("Square", name = "sum", side = e1@side + e2@side))
setMethod("summary", "Circle", function(object, ...) list(radius = object@radius))
shapes <- list(new("Circle", name = "c", radius = 2), new("Square", name = "s", side = 3))
for (shape in shapes) print(shape)
print(shapes[[2]] + shapes[[2]])
print(summary(shapes[[1]]))
cat(tryCatch(new("Circle", name = "x", radius = -1), error = conditionMessage), "\n")
cat(tryCatch(area(1), error = conditionMessage), "\n")
showMethods("area")
print(existsMethod("area", "Circle"))
print(is(shapes[[1]], "Shape"))
setClassUnion("NumberOrText", c("numeric", "character"))
print(is(1, "NumberOrText"))
getClass("Circle")
Account <- setRefClass("Account", fields = list(balance = "numeric"), methods = list(
    deposit = function(x) {
        "Adds to the balance."
        balance <<- balance + x
        invisible(.self)
    },
    show = function() cat("balance", balance, "\n")))
Savings <- setRefClass("Savings", contains = "Account", fields = list(rate = "numeric"),
    methods = list(year = function() deposit(balance * rate)))
savings <- Savings$new(balance = 100, rate = 0.05)
savings$deposit(10)$deposit(5)
savings$year()
print(savings)
copy <- savings$copy()
copy$deposit(1)
print(c(savings$balance, copy$balance))
Account$methods()
print.thing <- function(x, ...) cat("a thing\n")
format.thing <- function(x, ...) "thing"
print(structure(list(), class = "thing"))
print(inherits(structure(1, class = c("a", "b")), "b", which = TRUE))
