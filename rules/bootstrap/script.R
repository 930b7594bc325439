# Read by R before it runs a script that has no handler function, in place of the user's own profile, which is read in turn:
# leaves the message, the type and the calls of an error that ends the script to lambdar/runtime.R.
eval(quote({

left <- Sys.getenv("LAMBDAR_ERROR")
profile <- Sys.getenv("LAMBDAR_R_PROFILE_USER")
# What the script starts in turn finds what it would find without this.
restore <- function(name, value) {
    if (nzchar(value)) do.call(Sys.setenv, structure(list(value), names = name)) else Sys.unsetenv(name)
}
restore("R_PROFILE_USER", profile)
restore("TMPDIR", Sys.getenv("LAMBDAR_TMPDIR"))
Sys.unsetenv(c("LAMBDAR_ERROR", "LAMBDAR_R_PROFILE_USER", "LAMBDAR_TMPDIR"))

last <- NULL
# R has this since 4.0.0.
if (exists("globalCallingHandlers")) globalCallingHandlers(error = function(error) last <<- error)
options(error = function() {
    calls <- sys.calls()
    message <- if (is.null(last)) sub("^Error[^:]*: *", "", sub("\n$", "", geterrmessage())) else conditionMessage(last)
    names <- vapply(calls, function(call) if (is.name(call[[1L]])) as.character(call[[1L]]) else "", "")
    to <- length(calls)
    while (to > 0L && (names[[to]] %in% c("stop", ".handleSimpleError") || !nzchar(names[[to]]))) to <- to - 1L
    saveRDS(list(message = message, type = if (is.null(last)) "simpleError" else class(last)[[1L]],
                 calls = as.list(calls)[seq_len(to)]), left)
    quit("no", 1L, runLast = FALSE)
})

files <- if (nzchar(profile)) profile else c(".Rprofile", path.expand("~/.Rprofile"))
for (file in files[file.exists(files)][1L]) if (!is.na(file)) sys.source(file, globalenv())

}), new.env(parent = baseenv()))
