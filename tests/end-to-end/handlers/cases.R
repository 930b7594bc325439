inner <- function(event) {
    if (is.raw(event) || !event %in% cases) return(event)
    switch(event,
        stop = stop("boom \"quoted\"\n\u00fc"),
        condition = stop(structure(class = c("ownError", "error", "condition"), list(message = "own", call = NULL))),
        base = log(-1:"a"),
        deep = inner(event),
        warning = { warning("careful"); "warned" },
        log = { cat("to the log\n"); message("and this"); "logged" },
        tmp = { unlink(tempfile()); paste(setdiff(list.files("/tmp", all.files = TRUE, no.. = TRUE), basename(tempdir())), collapse = " ") },
        null = NULL,
        number = 1.5,
        list = list(a = 1L, b = NA),
        large = strrep("x", 7e6),
        quit = quit(status = 3))
}
cases <- c("stop", "condition", "base", "deep", "warning", "log", "tmp", "null", "number", "list", "large", "quit")
handler <- function(event) inner(event)
