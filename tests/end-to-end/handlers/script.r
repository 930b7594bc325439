event <- readBin(Sys.getenv("LAMBDA_EVENT_FILE"), "raw", 1e8)
word <- if (length(event) < 20 && !any(event == 0)) rawToChar(event) else "echo"
f <- function(word) switch(word,
    stop = stop("boom \"quoted\"\n\u00fc"),
    quit = quit(status = 3),
    early = { cat("early"); quit() },
    kill = tools::pskill(Sys.getpid(), 9L),
    deep = f(word))
try(stop("caught"), silent = TRUE)
cat("")
invisible(f(word))
if (word == "print") 1 + 1
if (word == "standard") cat(readLines("stdin", warn = FALSE), Sys.getenv("_X_AMZN_TRACE_ID"))
if (word == "log") { message("to the log"); warning("careful") }
if (word == "tmp") cat(list.files("/tmp", recursive = TRUE, all.files = TRUE), tempfile(), sep = "\n")
if (word == "echo") system("cat")
