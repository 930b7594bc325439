"""Runs the packed bootstrap against a Runtime API: bootstrap.py IN_AL2023 ROOT OPT TASK [OPT_WITH_JSONLITE]."""

import json
import sys

from runtime_api import run

in_al2023, root, opt, task = sys.argv[1:5]
with_jsonlite = sys.argv[5] if len(sys.argv) > 5 else None


def start(handler, events, opt=opt, environment=(), **options):
    def command(address):
        return [in_al2023, root, opt, task, "--", "env", f"AWS_LAMBDA_RUNTIME_API={address}", f"_HANDLER={handler}",
                *environment, "/opt/bootstrap"]
    return run(command, events, **options)


def say(text):
    print("==", text, flush=True)


def errors(result):
    return [json.loads(answer.body) if answer.kind == "error" else None for answer in result.answers]


every_byte = bytes(range(256)) * 3
six_mb = b'{"text":"' + b"x" * (6 * 1024 * 1024 - 11) + b'"}'
assert len(six_mb) == 6 * 1024 * 1024

say("a script is run for each event")
result = start("test.handler", [b"{}"] * 2)
assert [answer[:2] for answer in result.answers] == [("response", b"Hello from planet lambdar!")] * 2, result

say("a function answers 100 events in one process")
result = start("model.handler", [b"{}"] * 100)
answers = [json.loads(answer.body) for answer in result.answers]
assert len(answers) == 100 and len({answer["pid"] for answer in answers}) == 1, result
assert {answer["slope"] for answer in answers} == {-5.344472}, answers[0]
assert [answer["id"] for answer in answers] == [f"id-{n}" for n in range(1, 101)]
assert [answer["trace"] for answer in answers] == [f"Root=1-2-{n}" for n in range(1, 101)]
later = sorted(answer.seconds for answer in result.answers[1:])
print(f"init {result.init_seconds:.3f} s, first {result.answers[0].seconds:.4f} s, later {later[0]:.4f} to {later[-1]:.4f} s, "
      f"median {later[49]:.4f} s")

say("what a function ends in")
words = "stop condition base deep warning log tmp null number list large tmp quit".split()
result = start("cases.handler", [word.encode() for word in words], chunked=True)
found = dict(zip(words, zip(errors(result), result.answers)))
assert result.status == 3 and len(result.answers) == 12 and result.init_error is None, result
assert found["stop"][0] == {"errorMessage": "boom \"quoted\"\nü", "errorType": "simpleError",
                            "stackTrace": ["inner(event)", "handler(event)"]}, found["stop"]
assert found["stop"][1].type == "Function.simpleError"
assert found["condition"][0]["errorType"] == "ownError" and found["condition"][0]["errorMessage"] == "own"
assert "log(-1:\"a\")" in str(found["base"]) or "inner(event)" in found["base"][0]["stackTrace"], found["base"]
assert "Error" in found["deep"][0]["errorType"], found["deep"]
assert found["list"][0]["errorMessage"].startswith("the handler returned an object of class list"), found["list"]
assert found["large"][0]["errorType"] == "Function.ResponseSizeTooLarge", found["large"]
for word, expected in {"warning": b"warned", "log": b"logged", "tmp": b"", "null": b"null", "number": b"1.5"}.items():
    assert found[word][1][:2] == ("response", expected), found[word]
for line in ("to the log", "and this", "careful", "simpleError: boom"):
    assert line in result.log, result.log

say("any bytes come back from a function")
events = [every_byte, bytes(range(1, 256)), "é".encode(), b"", six_mb]
result = start("cases.handler", events, chunked=True)
assert [answer.body for answer in result.answers] == events
result = start("cases.handler", ["é".encode()], environment=["LANG=C"])
assert result.answers[0].body == "é".encode(), result

say("what a script ends in")
words = "stop quit early kill deep print standard log tmp".split()
result = start("script.handler", [word.encode() for word in words] + [every_byte, six_mb], chunked=True)
found = dict(zip(words, zip(errors(result), result.answers)))
assert found["stop"][0] == {"errorMessage": "boom \"quoted\"\nü", "errorType": "simpleError", "stackTrace": ["f(word)"]}, found
assert found["quit"][0] == {"errorMessage": "script.r ended with exit status 3", "errorType": "Runtime.ExitError", "stackTrace": []}
assert found["quit"][1].type == "Runtime.ExitError"
assert "exit status 137" in found["kill"][0]["errorMessage"] and "Error" in found["deep"][0]["errorType"], found
for word, expected in {"early": b"early", "print": b"[1] 2\n", "standard": b"standard Root=1-2-7", "log": b""}.items():
    assert found[word][1][:2] == ("response", expected), found[word]
left = found["tmp"][1].body.decode().split("\n")
assert len({path.split("/event-")[1].split("/")[0] for path in left if "/event-" in path}) == 1, left
assert [answer.body for answer in result.answers[-2:]] == [every_byte, six_mb]
assert "to the log" in result.log and "careful" in result.log, result.log

say("a function from a file that the script sources")
result = start("sourced.handler", [b"1"])
assert result.answers[0].body == b"sourced 1", result

say("what the start ends in")
for handler, kind, words in (
    ("unfinished.handler", "Runtime.UserCodeSyntaxError", "unexpected end of input"),
    ("stops.handler", "simpleError", "not ready"),
    ("none.handler", "Runtime.ImportModuleError", "/var/task/none.r"),
    ("below/none.handler", "Runtime.ImportModuleError", "/var/task/below/none.r"),
    ("test", "Runtime.MalformedHandlerName", "'test'"),
):
    result = start(handler, [b"{}"])
    assert result.status == 1 and not result.answers and result.init_error, result
    error, header = result.init_error
    assert error["errorType"] == kind and words in error["errorMessage"], error
    assert header == (kind if "." in kind else f"Function.{kind}"), header
    assert handler != "stops.handler" or error["stackTrace"] == ["prepare()"], error

if with_jsonlite:
    say("JSON in and out with jsonlite")
    result = start("json.handler", [b'{"x":[1,2,3.5],"name":"J\xc3\xbcrgen"}', b"{}"], opt=with_jsonlite)
    assert json.loads(result.answers[0].body) == {
        "sum": 6.5, "name": "Jürgen", "id": "id-1", "nothing": None, "missing": None,
        "cars": [{"speed": 4, "dist": 2}, {"speed": 4, "dist": 10}]}, result
else:
    print("no package jsonlite here: JSON in and out is not shown")
