"""Runs a handler as Lambda's runtime for Python does: a client of the Runtime API, on the standard library alone.

The texts and kinds of errors are those of awslambdaric."""

import decimal
import http.client
import importlib
import json
import logging
import os
import sys
import time
import traceback

API = "/2018-06-01/runtime"


class Fault(Exception):
    """An error that Lambda's runtime has a name for."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind, self.message, self.trace = kind, message, trace or []


class Record:
    """An object with these attributes."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __repr__(self):
        return f"{type(self).__name__}({self.__dict__})"


class LambdaContext:
    def __init__(self, headers):
        environment = os.environ.get
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.log_group_name = environment("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environment("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = environment("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = environment("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = environment("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.tenant_id = None
        self.client_context = None
        self.identity = Record(cognito_identity_id=None, cognito_identity_pool_id=None)
        self._epoch_deadline_time_in_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))


def handler_named(name):
    module_name, dot, function = name.rpartition(".")
    if not dot:
        reason = "not enough values to unpack (expected 2, got 1)"
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': {reason}")
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = f"Cannot use built-in module {module_name} as a handler module"
        raise Fault("Runtime.BuiltInModuleConflict", message)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}")
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", trace)
    try:
        return getattr(module, function)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{module_name}'")


def number(value):
    if isinstance(value, decimal.Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def marshalled(response):
    if isinstance(response, bytes):
        return response, "application/unknown"
    # From 3.12 on Lambda leaves characters as they are.
    plain = sys.version_info >= (3, 12)
    try:
        return json.dumps(response, default=number, ensure_ascii=not plain).encode(), "application/json"
    except Exception as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}")


def described(error, request_id=""):
    """The document about an error."""
    if isinstance(error, Fault):
        kind, message, trace = error.kind, error.message, error.trace
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [at for at, frame in enumerate(frames) if frame.filename != __file__ and "importlib" not in frame.filename]
        kind, message = type(error).__name__, str(error)
        frames = frames[own[0] :] if own else frames
        trace = traceback.format_list([(frame.filename, frame.lineno, frame.name, frame.line) for frame in frames])
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}


def log(document):
    message = f": {document['errorMessage']}" if document["errorMessage"] else ""
    print(f"[ERROR] {document['errorType']}{message}\nTraceback (most recent call last):", flush=True)
    for line in document["stackTrace"]:
        print(line.rstrip("\n"), flush=True)


class LogHandler(logging.Handler):
    def emit(self, record):
        sys.stdout.write(self.format(record))


class RequestId(logging.Filter):
    current = ""

    def filter(self, record):
        record.aws_request_id = self.current
        return True


def set_up_logging():
    handler = LogHandler()
    handler.setFormatter(
        logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S"
        )
    )
    logging.Formatter.converter = time.gmtime
    handler.addFilter(RequestId())
    logging.getLogger().addHandler(handler)


def main():
    sys.stdout.reconfigure(line_buffering=True, write_through=True)
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

    def exchange(method, path, body=None, headers={}):
        connection.request(method, API + path, body, headers)
        response = connection.getresponse()
        return response.headers, response.read()

    def fail(path, document):
        log(document)
        headers = {"Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": document["errorType"]}
        exchange("POST", path, json.dumps(document).encode(), headers)

    set_up_logging()
    try:
        handler = handler_named(os.environ["_HANDLER"])
    except Exception as error:
        fail("/init/error", described(error))
        sys.exit(1)
    while True:
        headers, event = exchange("GET", "/invocation/next")
        request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        RequestId.current = request_id
        os.environ["_X_AMZN_TRACE_ID"] = headers["Lambda-Runtime-Trace-Id"]
        try:
            context = LambdaContext(headers)
            try:
                event = json.loads(event)
            except Exception as error:
                raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}")
            body, kind = marshalled(handler(event, context))
        except Exception as error:
            fail(f"/invocation/{request_id}/error", described(error, request_id))
        else:
            exchange("POST", f"/invocation/{request_id}/response", body, {"Content-Type": kind})


if __name__ == "__main__":
    # The function's code comes first, then layers, then what the runtime has.
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    own = os.path.dirname(os.path.abspath(__file__))
    first = [os.environ["LAMBDA_TASK_ROOT"], f"/opt/python/lib/{version}/site-packages", "/opt/python", own]
    sys.path[:] = first + [path for path in sys.path if path not in first]
    main()
