#!/usr/bin/env bash
# R on packed layers, as Lambda would run it: responses, errors, ends, limits, and what is missing.
#
# usage: invoke.sh SHARED; see common.sh.
# Needs bubblewrap, python3, and the libraries libgfortran5, libquadmath0 and libtirpc3.
. "$(dirname "$(readlink -f "$0")")/common.sh"

say "pack with the bootstrap"
# The tree was built with a newer glibc than provided.al2023 has: check finds that, and nothing else.
"$program" pack tree --with-bootstrap -o layers -q >/dev/null || [[ $? == 1 ]]
"$program" check --format json >check.json || [[ $? == 1 ]]
python3 -c 'import json
codes = {f["code"] for f in json.load(open("check.json"))["findings"] if f["severity"] == "error"}
assert codes <= {"symbol-version-missing"}, codes'

say "the recipe's example"
mkdir recipe
echo 'cat("Hello from planet lambdar!")' >recipe/test.r
[[ $("$program" invoke --handler test.handler --task recipe -q) == "Hello from planet lambdar!" ]] || fail "no greeting"

say "a model, a hundred times in one process"
mkdir model
cat >model/test.R <<'R'
handler <- function(event) {
    fit <- lm(mpg ~ wt + hp, data = datasets::mtcars)
    sprintf('{"pid": %d, "coefficients": [%s]}', Sys.getpid(), paste(format(coef(fit), digits = 6), collapse = ", "))
}
R
events=()
for number in $(seq 100); do
    echo "{\"number\": $number}" >"event-$number"
    events+=(--event "event-$number")
done
"$program" invoke --handler test.handler --task model "${events[@]}" --format json -q >model.json
python3 - <<'PYTHON'
import json
run = json.load(open("model.json"))
invocations = run["invocations"]
answers = [json.loads(invocation["response"]) for invocation in invocations]
assert run["ok"] and len(answers) == 100
assert len({answer["pid"] for answer in answers}) == 1
# What R prints for this model, in ?lm's own data: 37.22727, -3.87783, -0.03177.
for found, expected in zip(answers[0]["coefficients"], (37.22727, -3.87783, -0.03177)):
    assert abs(found - expected) < 1e-4, answers[0]
later = [invocation["duration_ms"] for invocation in invocations[1:]]
assert invocations[0]["init_ms"] == run["init_ms"] and all(i["init_ms"] is None for i in invocations[1:])
print(f"init {run['init_ms']} ms, first {invocations[0]['duration_ms']} ms, later {min(later)} to {max(later)} ms")
# One of a hundred may be held up by whatever else the machine does.
assert sorted(later)[-2] < run["init_ms"] / 10, (run["init_ms"], sorted(later)[-5:])
PYTHON

say "what goes wrong, each followed by an event that is served"
mkdir cases
cat >cases/test.R <<'R'
handler <- function(event) {
    word <- if (is.character(event)) event[1L] else "other"
    word <- gsub('[^a-z]', "", substr(word, 1L, 40L))
    switch(word,
        stop = stop("no such luck"),
        quit = quit(status = 3),
        hang = repeat Sys.sleep(1),
        log = { cat(strrep(paste0(strrep("l", 63), "\n"), 16384), file = stderr()); "logged" },
        paste("fine", Sys.getpid()))
}
R
events=()
for word in fine stop fine quit fine hang fine log fine; do
    echo -n "\"$word\"" >"$word.json"
    events+=(--event "$word.json")
done
status=0
"$program" invoke --handler test.handler --task cases "${events[@]}" --timeout 3 --format json >cases.json 2>log || status=$?
[[ $status == 1 ]] || fail "exit status $status"
python3 - <<'PYTHON'
import json
run = json.load(open("cases.json"))
invocations = run["invocations"]
for invocation in invocations:
    print(invocation["event"], invocation.get("response", invocation.get("error")))
fine = [i["response"] for i in invocations if i["event"] == "fine.json"]
assert len(fine) == 5 and all(text.startswith("fine ") for text in fine), fine
# After an error of the handler the same process goes on; after an end or a timeout there is a new one.
assert fine[0] == fine[1] and len(set(fine)) == 3 and fine[3] == fine[4], fine
error = {i["event"]: i["error"] for i in invocations if "error" in i}
assert error["stop.json"]["errorMessage"].endswith("no such luck"), error
assert error["quit.json"]["errorType"] == "Runtime.ExitError"
assert error["quit.json"]["errorMessage"].endswith(" Error: Runtime exited with error: exit status 3"), error
assert error["hang.json"]["errorType"] == "Sandbox.Timedout"
assert error["hang.json"]["errorMessage"].endswith(" Error: Task timed out after 3.00 seconds"), error
assert [i["init_ms"] is not None for i in invocations] == [True, False, False, False, True, False, True, False, False]
assert invocations[7]["response"] == "logged"
assert open("log").read().count("l" * 63 + "\n") == 16384
PYTHON

say "6 MB, and every byte"
mkdir echo
cat >echo/test.r <<'R'
bytes <- readBin(Sys.getenv("LAMBDA_EVENT_FILE"), "raw", 1e7)
out <- pipe("cat", "wb")
writeBin(bytes, out)
close(out)
R
python3 - <<'PYTHON'
open("large.json", "wb").write(b'"' + b"x" * (6 * 1024 * 1024 - 2) + b'"')
open("bytes.bin", "wb").write(bytes(range(256)))
PYTHON
"$program" invoke --handler test.handler --task echo --event large.json --event bytes.bin --event fine.json --format json \
    -q >echo.json 2>/dev/null
python3 - <<'PYTHON'
import base64, json
large, every, fine = json.load(open("echo.json"))["invocations"]
assert large["response"] == open("large.json").read(), large["response"][:100]
assert base64.b64decode(every["response_base64"]) == bytes(range(256)), every
assert fine["response"] == '"fine"', fine
PYTHON

say "without libgfortran it fails with the loader's message, and the finding beside it"
# R itself needs libtirpc, without which it would not come as far as libgfortran.
cp -L "$(ldconfig -p | sed -n 's/.*libtirpc\.so\.3 .*=> //p' | head -n 1)" tree/lib/
"$program" pack tree --with-bootstrap --no-import -o lacking -q >/dev/null 2>&1 || [[ $? == 1 ]]
mkdir lacking-task
echo 'handler <- function(event) stats::coef(stats::lm(mpg ~ wt, data = datasets::mtcars))[[1]]' >lacking-task/test.R
if "$program" invoke lacking --handler test.handler --task lacking-task >out 2>log; then fail "it answered: $(cat out)"; fi
cat log
grep -q "libgfortran.so.5: cannot open shared object file" log || fail "no message of the loader"
grep -q "^error\[missing-library\]" log || fail "no finding"
"$program" invoke lacking --handler test.handler --task lacking-task --format json -q 2>/dev/null >lacking.json || [[ $? == 1 ]]
python3 - <<'PYTHON'
import json
run = json.load(open("lacking.json"))
found = [(finding["code"], finding["message"].split()[0]) for finding in run["invocations"][0]["explained_by"]]
assert ("missing-library", "libgfortran.so.5") in found, run["invocations"][0]
PYTHON
echo "invoke: all passed"
