# Attaches every package that can be on Lambda, and prints what each one brings.
packages <- setdiff(list.files(file.path(R.home(), "library")), c("translations", "tcltk"))
for (package in packages) {
    suppressPackageStartupMessages(library(package, character.only = TRUE))
    cat(package, format(packageVersion(package)), length(getNamespaceExports(package)), "exports,",
        length(getLoadedDLLs()[[package]]), packageDescription(package)$Title, "\n")
}
print(search())
print(nrow(installed.packages()[packages, ]) == length(packages))
for (package in packages) cat(package, environmentName(asNamespace(package)), length(ls(asNamespace(package))), "\n")
