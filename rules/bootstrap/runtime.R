# Answers the events of an AWS Lambda function with R: the handler test.handler is the function `handler` of test.r or
# test.R, or, where that script defines none, what the script prints. Started by /opt/bootstrap.
#
# Needs package base alone. Scripts run in the global environment and may do with it what they like: nothing here is in it.
eval(quote({

api <- Sys.getenv("AWS_LAMBDA_RUNTIME_API")
# The longest response that Lambda takes: 6 MiB and 100 bytes.
longest <- 6 * 1024^2 + 100

# ---- HTTP/1.1 (RFC 9112) over a socket: no process and no file for a call, and any bytes in a body.

# The response to a request: its status, its headers (names in lower case) and its body as raw bytes. Waits for as long as
# Lambda takes: between two events that may be hours, with the process frozen.
request <- function(method, path, body = raw(), headers = character()) {
    colon <- regexpr(":[0-9]+$", api)
    host <- if (colon > 0) substr(api, 1, colon - 1) else api
    port <- if (colon > 0) as.integer(substring(api, colon + 1)) else 80L
    connection <- socketConnection(host, port, blocking = TRUE, open = "r+b", timeout = 30L * 24L * 3600L)
    on.exit(close(connection))
    head <- c(paste0(method, " /2018-06-01/runtime/", path, " HTTP/1.1"), paste0("Host: ", api), "Connection: close",
              headers, if (method == "POST") paste0("Content-Length: ", length(body)), "", "")
    writeBin(c(charToRaw(paste(head, collapse = "\r\n")), body), connection)

    line <- function() {
        text <- readLines(connection, 1L, warn = FALSE)
        if (!length(text)) stop("the Runtime API closed the connection")
        sub("\r$", "", text)
    }
    bytes <- function(count) {
        parts <- list()
        while (count > 0) {
            part <- readBin(connection, "raw", min(count, 2^20))
            if (!length(part)) if (is.finite(count)) stop("the Runtime API closed the connection") else break
            parts[[length(parts) + 1L]] <- part
            count <- count - length(part)
        }
        if (length(parts) == 1L) parts[[1L]] else c(raw(), unlist(parts))
    }
    status <- 100L
    while (status %/% 100L == 1L) {
        status <- as.integer(sub("^HTTP/[0-9.]+ +([0-9]{3}).*", "\\1", line()))
        found <- character()
        while (nzchar(text <- line())) {
            found[[tolower(sub(":.*", "", text))]] <- sub("^[^:]*:[ \t]*(.*?)[ \t]*$", "\\1", text, perl = TRUE)
        }
    }
    field <- function(name) if (name %in% names(found)) found[[name]] else ""
    body <- if (status == 204L) {
        raw()
    } else if (tolower(field("transfer-encoding")) == "chunked") {
        parts <- list()
        while ((size <- strtoi(sub("[; ].*", "", line()), 16L)) > 0) {
            parts[[length(parts) + 1L]] <- bytes(size)
            line()
        }
        c(raw(), unlist(parts))
    } else {
        bytes(if (nzchar(field("content-length"))) as.numeric(field("content-length")) else Inf)
    }
    list(status = status, field = field, body = body)
}

# ---- Texts and JSON.

log <- function(...) cat(..., "\n", sep = "", file = stderr())

# The bytes as a text, marked as UTF-8 if they are; raw bytes that no text can be (it holds a NUL) stay raw.
as_text <- function(bytes) {
    if (any(bytes == 0)) return(bytes)
    text <- rawToChar(bytes)
    if (validUTF8(text)) Encoding(text) <- "UTF-8"
    text
}

# The bytes of a text in UTF-8; bytes of no known encoding as they are.
as_bytes <- function(text) charToRaw(if (Encoding(text) %in% c("latin1", "UTF-8")) enc2utf8(text) else text)

# Texts as JSON strings (RFC 8259, section 7).
quoted <- function(texts) {
    if (!length(texts)) return(character())
    texts <- enc2utf8(as.character(texts))
    bad <- is.na(texts) | !validUTF8(texts)
    texts[bad] <- iconv(texts[bad], "UTF-8", "UTF-8", sub = "byte")
    texts <- gsub("\\", "\\\\", texts, fixed = TRUE)
    texts <- gsub("\"", "\\\"", texts, fixed = TRUE)
    for (code in 1:31) {
        texts <- gsub(intToUtf8(code), sprintf("\\u%04x", code), texts, fixed = TRUE)
    }
    paste0("\"", texts, "\"")
}

# A value as the response to an event.
as_response <- function(value) {
    if (is.raw(value)) return(value)
    if (is.character(value) && length(value) == 1L && !is.na(value)) return(as_bytes(value))
    if (has_jsonlite) return(as_bytes(paste0(jsonlite::toJSON(value, auto_unbox = TRUE, digits = NA, null = "null", na = "null"))))
    if (is.null(value)) return(charToRaw("null"))
    if (is.atomic(value) && length(value) == 1L && is.null(attributes(value))) {
        if (is.na(value)) return(charToRaw("null"))
        if (is.logical(value)) return(charToRaw(tolower(value)))
        if (is.numeric(value) && is.finite(value)) return(charToRaw(format(value, digits = 15L)))
    }
    stop("the handler returned an object of class ", class(value)[[1L]], ", and package jsonlite is not there to make ",
         "JSON of it: return a string or raw bytes, or put jsonlite into a layer", call. = FALSE)
}

# ---- Errors.

# An error that is not the script's own.
failure <- function(type, ...) {
    structure(class = c(type, "error", "condition"), list(message = paste0(...), call = NULL))
}

# Calls as traceback() shows them, the innermost first, without what runs the user's code and what signals the error.
# A runaway recursion has thousands: the innermost hundred tell.
traced <- function(calls) {
    names <- vapply(calls, function(call) if (is.name(call[[1L]])) as.character(call[[1L]]) else "", "")
    from <- match(FALSE, names %in% c("eval", "source", "withVisible"), length(calls) + 1L)
    to <- length(calls)
    while (to >= from && (names[[to]] %in% c("seen", "h", ".handleSimpleError", "stop") || !nzchar(names[[to]]))) to <- to - 1L
    calls <- rev(calls[seq_len(max(0L, to - from + 1L)) + from - 1L])
    texts <- vapply(calls[seq_len(min(length(calls), 100L))], function(call) deparse(call, nlines = 1L)[[1L]], "")
    if (length(calls) > 100L) c(texts, paste("and", length(calls) - 100L, "more")) else texts
}

# Reports an error to the log and to Lambda.
send_error <- function(path, error) {
    type <- class(error)[[1L]]
    log(type, ": ", conditionMessage(error))
    for (call in error$trace) log("    ", call)
    body <- charToRaw(paste0("{\"errorMessage\":", quoted(conditionMessage(error)), ",\"errorType\":", quoted(type),
                             ",\"stackTrace\":[", paste(quoted(error$trace), collapse = ","), "]}"))
    # The header wants Category.Reason.
    header <- gsub("[^A-Za-z0-9._-]", "", type)
    if (!grepl(".", header, fixed = TRUE)) header <- paste0("Function.", header)
    request("POST", path, body, c("Content-Type: application/json", paste0("Lambda-Runtime-Function-Error-Type: ", header)))
}

# How deep the frames of this file go where code of the user is running; NULL where none is.
ours <- NULL

# The value of an expression, or the error that it ended in, with the calls of the user's that led there.
attempt <- function(expression) {
    calls <- list()
    ours <<- NULL
    seen <- function(error) if (!is.null(ours)) calls <<- as.list(sys.calls())[-seq_len(ours)]
    tryCatch(withCallingHandlers(expression, error = seen), error = function(error) {
        if (is.null(error$trace)) error$trace <- traced(calls)
        structure(list(error = error), class = "lambdar_failed")
    })
}
failed <- function(value) inherits(value, "lambdar_failed")

# ---- The handler.

# Whether code assigns to a name outside of functions, in itself or in a file that it sources by name.
assigns <- function(code, name, depth = 0L) {
    if (is.expression(code)) {
        for (part in as.list(code)) if (assigns(part, name, depth)) return(TRUE)
        return(FALSE)
    }
    if (!is.call(code)) return(FALSE)
    does <- if (is.name(code[[1L]])) as.character(code[[1L]]) else ""
    if (does %in% c("function", "local", "quote", "bquote", "~")) return(FALSE)
    if (does %in% c("<-", "=", "<<-", "assign") && length(code) >= 3L) {
        # A constant is not a function.
        if (as.character(code[[2L]])[[1L]] == name) return(is.language(code[[3L]]))
        return(assigns(code[[3L]], name, depth))
    }
    if (does %in% c("source", "sys.source") && length(code) >= 2L && is.character(code[[2L]]) && depth < 8L) {
        sourced <- tryCatch(parse(code[[2L]], keep.source = FALSE, encoding = "UTF-8"), error = function(error) NULL)
        return(assigns(sourced, name, depth + 1L))
    }
    for (i in seq_along(code)) if (assigns(code[[i]], name, depth)) return(TRUE)
    FALSE
}

# The handler: a list of its script and, if that defines one, the name of its function. Ends in an error if there is none.
find_handler <- function() {
    handler <- Sys.getenv("_HANDLER")
    parts <- regmatches(handler, regexec("^(.+)\\.([^./]+)$", handler))[[1L]]
    if (!length(parts)) {
        stop(failure("Runtime.MalformedHandlerName", "the handler '", handler, "' is not of the form script.function"))
    }
    scripts <- file.path(Sys.getenv("LAMBDA_TASK_ROOT", "/var/task"), paste0(parts[[2L]], c(".r", ".R")))
    script <- scripts[file.exists(scripts)][1L]
    if (is.na(script)) {
        stop(failure("Runtime.ImportModuleError", "the handler '", handler, "' needs ", scripts[[1L]], " or ", scripts[[2L]],
                     ", and neither is there"))
    }
    code <- tryCatch(parse(script, keep.source = FALSE, encoding = "UTF-8"), error = function(error) {
        stop(failure("Runtime.UserCodeSyntaxError", conditionMessage(error)))
    })
    if (!assigns(code, parts[[3L]])) return(list(script = script))
    ours <<- sys.nframe()
    source(script, local = globalenv(), keep.source = FALSE, encoding = "UTF-8")
    ours <<- NULL
    name <- parts[[3L]]
    list(script = script, name = if (exists(name, globalenv(), mode = "function", inherits = FALSE)) name)
}

# What the function answers to an event.
call_handler <- function(name, event, context) {
    if (has_jsonlite && is.character(event) && nzchar(event)) {
        # Lambda takes nothing but JSON; `invoke` takes anything.
        event <- tryCatch(jsonlite::fromJSON(event), error = function(error) event)
    }
    wanted <- formals(args(get(name, globalenv(), mode = "function")))
    takes <- names(wanted)
    second <- length(takes) > 1L && takes[[2L]] != "..." && identical(wanted[[2L]], quote(expr = ))
    call <- if (!length(takes)) call(name)
    else if ("context" %in% takes[-1L]) call(name, quote(event), context = quote(context))
    else if (second) call(name, quote(event), quote(context))
    else call(name, quote(event))
    frame <- list2env(list(event = event, context = context), parent = globalenv())
    ours <<- sys.nframe()
    value <- eval(call, frame)
    ours <<- NULL
    value
}

# What a run of the script prints, with the event on its standard input. Whatever else that takes is in one directory, which
# goes with it.
run_script <- function(script, event) {
    folder <- tempfile("event-")
    dir.create(folder)
    on.exit(unlink(folder, recursive = TRUE))
    inside <- function(name) file.path(folder, name)
    writeBin(event, inside("event"))
    set <- c(LAMBDA_EVENT_FILE = inside("event"), TMPDIR = folder, LAMBDAR_SCRIPT = script, LAMBDAR_ERROR = inside("error"),
             LAMBDAR_TMPDIR = Sys.getenv("TMPDIR"))
    command <- paste(paste0(names(set), "=", shQuote(set), collapse = " "), shQuote(file.path(R.home("bin"), "R")),
                     "--slave --no-save --no-restore --file=/opt/lambdar/script.R <", shQuote(inside("event")))
    output <- pipe(paste0(command, "; echo $? >", shQuote(inside("status"))), "rb")
    parts <- list()
    while (length(part <- readBin(output, "raw", 2^20))) parts[[length(parts) + 1L]] <- part
    close(output)
    status <- if (file.exists(inside("status"))) readLines(inside("status")) else "unknown"
    if (status == "0") return(c(raw(), unlist(parts)))
    if (file.exists(inside("error"))) {
        left <- readRDS(inside("error"))
        stop(structure(class = c(left$type, "error", "condition"),
                       list(message = left$message, call = NULL, trace = traced(left$calls))))
    }
    stop(failure("Runtime.ExitError", basename(script), " ended with exit status ", status))
}

# ---- The loop.

# Answers one event.
serve <- function(handler) {
    event <- request("GET", "invocation/next")
    if (event$status != 200L) stop("the Runtime API answered the call for the next event with status ", event$status)
    id <- event$field("lambda-runtime-aws-request-id")
    deadline <- as.numeric(event$field("lambda-runtime-deadline-ms"))
    context <- list(
        request_id = id,
        deadline_ms = deadline,
        remaining_ms = function() deadline - 1000 * as.numeric(Sys.time()),
        invoked_function_arn = event$field("lambda-runtime-invoked-function-arn"),
        trace_id = event$field("lambda-runtime-trace-id"),
        client_context = event$field("lambda-runtime-client-context"),
        cognito_identity = event$field("lambda-runtime-cognito-identity"))
    Sys.setenv("_X_AMZN_TRACE_ID" = context$trace_id, LAMBDA_REQUEST_ID = id,
               LAMBDA_DEADLINE_MS = event$field("lambda-runtime-deadline-ms"),
               LAMBDA_FUNCTION_ARN = context$invoked_function_arn)
    response <- if (is.null(handler$name)) {
        attempt(run_script(handler$script, event$body))
    } else {
        attempt(as_response(call_handler(handler$name, as_text(event$body), context)))
    }
    path <- paste0("invocation/", id, "/")
    if (failed(response)) {
        send_error(paste0(path, "error"), response$error)
        return()
    }
    answer <- tryCatch(request("POST", paste0(path, "response"), response), error = identity)
    # Who refuses a response for its size need not read it to the end.
    if (inherits(answer, "error") && length(response) <= longest) stop(answer)
    if (inherits(answer, "error") || answer$status == 413L) {
        send_error(paste0(path, "error"), failure("Function.ResponseSizeTooLarge", "Response payload size (", length(response),
                   " bytes) exceeded maximum allowed payload size (6291556 bytes)."))
    } else if (answer$status >= 500L) {
        stop("the Runtime API answered a response with status ", answer$status)
    } else if (answer$status >= 300L) {
        log("the Runtime API refused the response to ", id, " with status ", answer$status)
    }
}

if (!nzchar(api)) {
    log("bootstrap: AWS_LAMBDA_RUNTIME_API is not set: this runs on AWS Lambda, or with `lambdar-prune invoke`")
    quit("no", 1L)
}
# Warnings are otherwise shown when the code that R was started with has ended, which this never does.
if (getOption("warn") == 0L) options(warn = 1L)
if (!l10n_info()[["UTF-8"]]) suppressWarnings(Sys.setlocale("LC_CTYPE", "C.UTF-8"))
# R compiles a function when it is called for the second time: for these that would fall on the first two events.
if (requireNamespace("compiler", quietly = TRUE)) {
    for (name in c("request", "serve", "attempt", "call_handler", "as_text", "as_response", "as_bytes")) {
        assign(name, compiler::cmpfun(get(name)))
    }
}
has_jsonlite <- suppressWarnings(requireNamespace("jsonlite", quietly = TRUE))
handler <- attempt(find_handler())
if (failed(handler)) {
    send_error("init/error", handler$error)
    quit("no", 1L, runLast = FALSE)
}
repeat serve(handler)

}), new.env(parent = baseenv()))
quit("no", 1L, runLast = FALSE)
