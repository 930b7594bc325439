# Runs a script that has no handler function as Rscript would, and leaves the message, the type and the calls of an error
# that ends it to lambdar/runtime.R, which starts this anew for each event.
eval(quote({

given <- Sys.getenv(c("LAMBDAR_SCRIPT", "LAMBDAR_ERROR", "LAMBDAR_TMPDIR"))
# What the script starts in turn finds what it would find without this.
Sys.unsetenv(names(given))
if (nzchar(given[[3L]])) Sys.setenv(TMPDIR = given[[3L]]) else Sys.unsetenv("TMPDIR")
# Warnings would otherwise wait for the end of this file.
if (getOption("warn") == 0L) options(warn = 1L)
if (!l10n_info()[["UTF-8"]]) suppressWarnings(Sys.setlocale("LC_CTYPE", "C.UTF-8"))

run <- function(script) {
    for (part in as.list(parse(script, keep.source = FALSE, encoding = "UTF-8"))) {
        ours <<- sys.nframe()
        result <- withVisible(eval(part, globalenv()))
        if (result$visible) print(result$value)
    }
}
ours <- 0L
calls <- list()
seen <- function(error) calls <<- as.list(sys.calls())[-seq_len(ours)]
tryCatch(withCallingHandlers(run(given[[1L]]), error = seen), error = function(error) {
    saveRDS(list(message = conditionMessage(error), type = class(error)[[1L]], calls = calls), given[[2L]])
    quit("no", 1L, runLast = FALSE)
})

}), new.env(parent = baseenv()))
