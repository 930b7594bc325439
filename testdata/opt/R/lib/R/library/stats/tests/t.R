stopifnot(mean(1:3) == 2)
