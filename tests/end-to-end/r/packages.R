# Solves a matrix and loads every package that is left; stops at the first that fails.
m <- matrix(c(2, 1, 1, 3), 2)
print(m)
print(solve(m, c(1, 2)))
packages <- list.files(file.path(R.home(), "library"))
packages <- setdiff(packages, "translations")
for (package in packages) library(package, character.only = TRUE, quietly = TRUE)
cat("loaded", length(packages), "packages\n")
