#!/usr/bin/env python3
"""Compares this program's clients of the Runtime API with those of AWS, on the same handlers and events.

clients.py DIRECTORY [HANDLER...]: installs awslambdaric (PyPI) and aws-lambda-ric (npm) into DIRECTORY, unless they are there, and exits with
1 if one handler is answered with another document, and with 2 if neither client can be had. Of traces only what concerns the
function's own code is compared.
"""

import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import runtime_api

# awslambdaric sends the calls that led to an error once more in a header, which may be longer than Python's server takes.
http.client._MAXLINE = 1 << 20

CLIENTS = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../rules/clients"))
EVENT = {"a": [1, 2.5, "é", None, True], "b": {"c": "\u2028"}}

# Each is a module `app` with a function `handler`, unless it says otherwise.
PYTHON = {
    "event": "def handler(event, context): return event",
    "nothing": "def handler(event, context): pass",
    "text": "def handler(event, context): return 'é\\u2028\\U0001f600'",
    "bytes": "def handler(event, context): return b'\\x00\\xffabc'",
    "numbers": "from decimal import Decimal as D\ndef handler(event, context): return [D('1.5'), D('3'), D('1E+2'), 1e300, float('inf')]",
    "not-a-number": "from decimal import Decimal as D\ndef handler(event, context): return [float('nan'), D('NaN')]",
    "keys": "def handler(event, context): return {1: 2, None: 3, True: 4, 1.5: 5}",
    "tuple-key": "def handler(event, context): return {(1, 2): 3}",
    "set": "def handler(event, context): return {1, 2}",
    "object": "class A: pass\ndef handler(event, context): return A()",
    "circle": "def handler(event, context):\n    x = []\n    x.append(x)\n    return x",
    "surrogate": "def handler(event, context): return '\\ud800'",
    "raise": "def handler(event, context):\n    raise ValueError('no é')",
    "raise-nested": "def inner():\n    raise KeyError('x')\ndef handler(event, context):\n    try:\n        inner()\n    except KeyError as e:\n        raise RuntimeError('outer') from e",
    "raise-own": "class Mine(Exception):\n    def __str__(self): return 'my\\nown'\ndef handler(event, context): raise Mine(1)",
    "raise-empty": "def handler(event, context): raise Exception",
    "raise-group": "def handler(event, context): raise ExceptionGroup('g', [ValueError(1)])",
    "assert": "def handler(event, context): assert event['a'] == 1, 'differs'",
    "exit": "import sys\ndef handler(event, context): sys.exit(3)",
    "recursion": "def handler(event, context): return handler(event, context)",
    "context": "def handler(event, context): return [context.aws_request_id, context.function_name, context.memory_limit_in_mb, context.invoked_function_arn, context.client_context, context.identity.cognito_identity_id, 0 < context.get_remaining_time_in_millis() < 60001]",
    "environment": "import os\ndef handler(event, context): return [os.environ.get('_X_AMZN_TRACE_ID'), os.environ.get('_HANDLER')]",
    "logging": "import logging\ndef handler(event, context):\n    logging.getLogger().warning('x')\n    return len(logging.getLogger().handlers)",
    "coroutine": "async def handler(event, context): return 1",
    "not-callable": "handler = 3",
    "two-arguments": "def handler(event): return event",
    "missing": "def other(event, context): pass",
    "import-error": "import no_such_module\ndef handler(event, context): pass",
    "syntax-error": "def handler(event, context)\n    return 1",
    "fails-while-loading": "raise RuntimeError('at import')",
    "exits-while-loading": "import sys\nsys.exit(4)",
    "no-dot": ("def handler(event, context): pass", "app"),
    "no-module": ("x = 1", "none.handler"),
    "built-in": ("x = 1", "sys.handler"),
    "in-directory": ("def handler(event, context): return __name__", "sub/app.handler"),
    "attribute": ("class A:\n    def f(event, context): return 1", "app.A.f"),
    "bad-event": ("def handler(event, context): return event", "app.handler", b"text"),
    "no-event": ("def handler(event, context): return event", "app.handler", b""),
    "null-event": ("def handler(event, context): return [event]", "app.handler", b"null"),
}

# Each is a file `index.js`, or `index.mjs` if it has an `export`, unless it says otherwise.
NODE = {
    "event": "exports.handler = async (event) => event",
    "nothing": "exports.handler = async () => {}",
    "no-promise": "exports.handler = () => 5",
    "callback": "exports.handler = (event, context, done) => done(null, { x: 1 })",
    "callback-later": "exports.handler = (event, context, done) => { setTimeout(() => done(null, 'later'), 30) }",
    "callback-error": "exports.handler = (event, context, done) => done(new TypeError('no'))",
    "callback-text": "exports.handler = (event, context, done) => done('a text')",
    "callback-object": "exports.handler = (event, context, done) => done({ name: 'N', message: 'm' })",
    "callback-waits": "exports.handler = (event, context, done) => { setTimeout(() => {}, 50); done(null, 1) }",
    "callback-no-wait": "exports.handler = (event, context, done) => { context.callbackWaitsForEmptyEventLoop = false; done(null, 2) }",
    "succeed": "exports.handler = (event, context) => context.succeed({ a: 1 })",
    "fail": "exports.handler = (event, context) => context.fail(new Error('failed'))",
    "done": "exports.handler = (event, context) => context.done(null, 'done')",
    "throw": "exports.handler = async () => { throw new RangeError('r é') }",
    "throw-sync": "exports.handler = () => { throw new Error('sync') }",
    "throw-text": "exports.handler = async () => { throw 'text' }",
    "throw-number": "exports.handler = async () => { throw 7 }",
    "throw-null": "exports.handler = async () => { throw null }",
    "throw-undefined": "exports.handler = async () => { throw undefined }",
    "throw-own": "class Mine extends Error {}\nexports.handler = async () => { throw new Mine('m') }",
    "throw-named": "exports.handler = async () => { const e = new Error('m'); e.name = 'Named'; e.code = 5; throw e }",
    "throw-cause": "exports.handler = async () => { throw new Error('m', { cause: new Error('c') }) }",
    "reject": "exports.handler = () => Promise.reject(new Error('rejected'))",
    "thenable": "exports.handler = () => ({ then(resolve) { resolve('then') } })",
    "circle": "exports.handler = async () => { const x = {}; x.x = x; return x }",
    "big-integer": "exports.handler = async () => 10n",
    "buffer": "exports.handler = async () => Buffer.from('abc')",
    "date": "exports.handler = async () => [new Date(0), NaN, undefined, Infinity, new Map([[1, 2]])]",
    "to-json": "exports.handler = async () => ({ toJSON() { return 'json' } })",
    "context": "exports.handler = async (e, c) => [c.awsRequestId, c.functionName, c.memoryLimitInMB, c.invokedFunctionArn, typeof c.getRemainingTimeInMillis(), c.clientContext === undefined, Object.keys(c).sort()]",
    "environment": "exports.handler = async () => [process.env._X_AMZN_TRACE_ID, process.env._HANDLER]",
    "es-module": "export const handler = async (event) => [event.a, import.meta.url.endsWith('index.mjs')]",
    "es-default": "export default { handler: async () => 'default' }",
    "top-level-await": "const x = await Promise.resolve(3)\nexport const handler = async () => x",
    "stream": "exports.handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('a'); stream.write('é'); stream.end() })",
    "stream-type": "exports.handler = awslambda.streamifyResponse(async (event, stream) => { stream.setContentType('text/plain'); stream.write('x'); stream.end() })",
    "stream-prelude": "exports.handler = awslambda.streamifyResponse(async (event, stream) => { stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 }); stream.write('x'); stream.end() })",
    "stream-error": "exports.handler = awslambda.streamifyResponse(async () => { throw new Error('before') })",
    "stream-error-later": "exports.handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('x'); throw new Error('after') })",
    "not-callable": "exports.handler = 5",
    "missing": "exports.other = 5",
    "import-error": "require('no_such_module')",
    "syntax-error": "exports.handler = (",
    "fails-while-loading": "throw new Error('at load')",
    "throws-text-while-loading": "throw 'text'",
    "nested": ("exports.a = { b: async () => 'nested' }", "index.a.b"),
    "no-dot": ("exports.handler = 1", "index"),
    "no-module": ("exports.handler = 1", "none.handler"),
    "parent": ("exports.handler = 1", "../index.handler"),
    "bad-event": ("exports.handler = async (event) => event", "index.handler", b"{"),
    "null-event": ("exports.handler = async (event) => [event]", "index.handler", b"null"),
}

# Stands for the part of aws-lambda-ric that is made of C++: it sends documents, and its maker's compiler is not needed for that.
NATIVE = """
const Module = require('module'), { spawnSync } = require('child_process');
const send = (id, kind, body) => spawnSync('curl', ['-s', '-X', 'POST', '-H', 'Content-Type: application/json', '--data-binary', '@-',
  `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/${id}/${kind}`], { input: body ?? '' });
const load = Module._load;
Module._load = function (name, ...rest) {
  if (!name.endsWith('rapid-client.node')) return load.call(this, name, ...rest);
  return { initializeClient() {}, done: (id, body) => send(id, 'response', body), error: (id, body) => send(id, 'error', body) };
};
"""


def installed(directory):
    """The commands of AWS's clients, by language; a language is left out if its client cannot be had."""
    commands = {}
    python = f"{directory}/venv/bin/python"
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", f"{directory}/venv"], check=False)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "awslambdaric"], check=False)
    if not subprocess.run([python, "-c", "import awslambdaric"], check=False, stderr=subprocess.DEVNULL).returncode:
        commands["python"] = (python, lambda name: [python, "-m", "awslambdaric", name])
    if shutil.which("npm") and shutil.which("curl"):
        package = f"{directory}/node_modules/aws-lambda-ric"
        if not os.path.exists(package):
            words = ["npm", "install", "--silent", "--ignore-scripts", "--no-save", "--no-audit", "--no-fund"]
            subprocess.run([*words, "--prefix", directory, "aws-lambda-ric"], check=False)
        if os.path.exists(package):
            native = f"{directory}/native.cjs"
            open(native, "w").write(NATIVE)
            node = shutil.which("node")
            commands["node"] = (node, lambda name: [node, "--require", native, f"{package}/bin/index.mjs", name])
    return commands


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return text if isinstance(text, str) else base64.b64encode(text).decode()


def own_trace(document, task):
    """A document about an error, with what its trace says of the function's own code."""
    if not isinstance(document, dict):
        return document
    for name in ["stackTrace", "trace"]:
        if name in document:
            lines = [line.strip().replace("file://", "") for line in document[name]]
            # Who calls the handler, and as what, is the client's own business.
            lines = [re.sub(r"^at [\w.]+ \((.*)\)$", r"at \1", line) for line in lines]
            own = [line for line in lines if task in line or not re.match(r"at |File ", line)]
            # How deep a recursion may be depends on what has called the handler.
            document[name] = [re.sub(r"repeated \d+ more", "repeated more", line) for line in own]
    return document


def ran(command, task, handler, events):
    """What comes to the Runtime API from a client."""
    environment = {
        "_HANDLER": handler, "LAMBDA_TASK_ROOT": task, "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_LOG_GROUP_NAME": "g", "AWS_LAMBDA_LOG_STREAM_NAME": "s",
        "AWS_LAMBDA_NODEJS_USE_ALTERNATIVE_CLIENT_1": "true", "AWS_REGION": "eu-west-1",
    }
    words = ["env", "-C", task, *(f"{name}={value}" for name, value in environment.items())]
    run = runtime_api.run(lambda address: [*words, f"AWS_LAMBDA_RUNTIME_API={address}", *command(handler)], events, timeout=60)
    answers = []
    for answer in run.answers:
        trailers = {name: value for name, value in answer.trailers.items() if name.startswith("lambda")}
        error = trailers.get("lambda-runtime-function-error-body")
        if error:
            trailers["lambda-runtime-function-error-body"] = own_trace(json.loads(base64.b64decode(error)), task)
        content_type = answer.content_type if answer.kind == "response" else None
        answers.append((answer.kind, own_trace(parsed(answer.body), task), content_type, answer.mode, trailers))
    init = run.init_error and (own_trace(run.init_error[0], task), run.init_error[1])
    # How a process that has failed ends is Lambda's own business; that it ends is not.
    return answers, init, run.status not in (None, 0)


def main():
    directory = os.path.realpath(sys.argv[1])
    os.makedirs(directory, exist_ok=True)
    commands = installed(directory)
    if not commands:
        print("neither awslambdaric nor aws-lambda-ric can be installed")
        return 2
    different = 0
    for language, (program, theirs) in commands.items():
        handlers, end = (PYTHON, "py") if language == "python" else (NODE, "js")
        client = f"{CLIENTS}/client.{end}"
        for name, what in handlers.items():
            if sys.argv[2:] and name not in sys.argv[2:]:
                continue
            code, handler, *event = what if isinstance(what, tuple) else (what, "app.handler" if end == "py" else "index.handler")
            events = [event[0] if event else json.dumps(EVENT).encode()] * 2
            results = []
            for command in [theirs, lambda _: [program, client]]:
                with tempfile.TemporaryDirectory() as task:
                    module = "app.py" if end == "py" else "index.mjs" if "export " in code else "index.js"
                    for place in [task, f"{task}/sub"]:
                        os.makedirs(place, exist_ok=True)
                        open(f"{place}/{module}", "w").write(code + "\n")
                    found = ran(command, task, handler, events)
                    text = json.dumps(found).replace(task, "TASK")
                    for own in [client, f"{directory}/node_modules/aws-lambda-ric/dist/index.mjs"]:
                        text = text.replace(own, "CLIENT")
                    results.append(json.loads(text))
            if results[0] != results[1]:
                different += 1
                print(f"{language} {name}\n  AWS's: {json.dumps(results[0])}\n  ours:  {json.dumps(results[1])}")
        print(f"{language}: {len(handlers)} handlers")
    missing = {"python", "node"} - set(commands)
    print(f"{different} handlers are answered otherwise" + (f"; no client of AWS's for {', '.join(missing)}" if missing else ""))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
