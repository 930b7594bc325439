#!/usr/bin/env python3
"""Runs handlers in a root with AWS's own client of the Runtime API under /var/runtime, as an unpacked image of a runtime has it.

rootfs.py PROGRAM DIRECTORY: DIRECTORY holds the clients, or gets them (see clients.py). Records handlers of Python and Node there, packs
what they used file by file, replays them, and sends each an event that takes a new branch. Exits with 1 if something is not as
it should be, and with 2 if neither client can be had.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile

import clients

PYTHON_HANDLER = """
import sys
def handler(event, context):
    if event == "raise": raise KeyError("no")
    if event == "exit": sys.exit(3)
    module = __import__("two" if event == "new" else "one")
    return [module.VALUE, open("/etc/of-the-root").read(), "awslambdaric" in sys.modules]
"""
NODE_HANDLER = """
const fs = require("fs");
exports.handler = async (event) => {
  if (event === "raise") throw new TypeError("no");
  if (event === "exit") process.exit(3);
  const value = require(event === "new" ? "two" : "one").VALUE;
  return [value, fs.readFileSync("/etc/of-the-root", "utf8"), process.argv[1].includes("aws-lambda-ric")];
};
"""


class Root:
    """The root of an image, made of programs of this machine with the libraries that they load."""

    def __init__(self, path):
        self.path = path
        for directory in ["etc", "proc", "dev", "tmp", "opt", "var/task", "var/runtime", "var/lang/bin", "usr/bin", "usr/lib", "usr/lib64"]:
            os.makedirs(f"{path}/{directory}")
        for link in ["bin", "lib", "lib64"]:
            os.symlink(f"usr/{link}", f"{path}/{link}")
        self.text("etc/of-the-root", "of the root\n")
        for command in ["sh", "env"]:
            self.program(shutil.which(command), f"usr/bin/{command}")

    def text(self, place, text, mode=0o644):
        with open(f"{self.path}/{place}", "w") as file:
            file.write(text)
        os.chmod(f"{self.path}/{place}", mode)

    def program(self, program, place):
        shutil.copy(os.path.realpath(program), f"{self.path}/{place}")
        self.libraries_of(program)

    def libraries_of(self, file):
        said = subprocess.run(["ldd", file], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", said):
            place = self.path + re.sub(r"^/(lib|lib64)/", r"/usr/\1/", library)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shutil.copy(os.path.realpath(library), place)

    def directory(self, source, place, *left_out):
        shutil.copytree(source, f"{self.path}/{place}", ignore=shutil.ignore_patterns("__pycache__", *left_out))
        for above, _, files in os.walk(f"{self.path}/{place}"):
            for file in files:
                if ".so" in file:
                    self.libraries_of(f"{above}/{file}")


def root_of_python(directory, path):
    root, version = Root(path), "%d.%d" % sys.version_info[:2]
    root.program(sys.executable, f"var/lang/bin/python{version}")
    root.directory(sysconfig.get_path("stdlib"), f"var/lang/lib/python{version}", "site-packages", "dist-packages", "test", "config-*")
    for name in os.listdir(packages := f"{directory}/venv/lib/python{version}/site-packages"):
        if name.startswith(("awslambdaric", "runtime_client", "simplejson", "snapshot_restore")):
            place = f"var/runtime/{name}"
            if os.path.isdir(f"{packages}/{name}"):
                root.directory(f"{packages}/{name}", place)
            else:
                root.program(f"{packages}/{name}", place)
    start = f'export PYTHONPATH=/var/runtime:/opt/python:/var/task\nexec /var/lang/bin/python{version} -m awslambdaric "$_HANDLER"\n'
    root.text("var/runtime/bootstrap", f"#!/bin/sh\n{start}", 0o755)
    return f"python{version}"


def root_of_node(directory, path):
    root = Root(path)
    node = shutil.which("node")
    root.program(node, "var/lang/bin/node")
    root.program(shutil.which("curl"), "usr/bin/curl")
    root.directory(f"{directory}/node_modules/aws-lambda-ric", "var/runtime/node_modules/aws-lambda-ric", "deps", "build")
    root.text("var/runtime/native.cjs", clients.NATIVE)
    # With this it asks for events without the part that is made of C++.
    start = "export AWS_LAMBDA_NODEJS_USE_ALTERNATIVE_CLIENT_1=true NODE_PATH=/opt/nodejs/node_modules:/var/runtime/node_modules\n"
    start += "exec /var/lang/bin/node --require /var/runtime/native.cjs "
    start += '/var/runtime/node_modules/aws-lambda-ric/bin/index.mjs "$_HANDLER"\n'
    root.text("var/runtime/bootstrap", f"#!/bin/sh\n{start}", 0o755)
    major = subprocess.run([node, "-p", "process.versions.node.split('.')[0]"], capture_output=True, text=True, check=True).stdout
    return f"nodejs{major.strip()}.x"


LANGUAGES = {
    "python": (root_of_python, "app.py", PYTHON_HANDLER, {"python/one.py": "VALUE = 1\n", "python/two.py": "VALUE = 2\n"}, "two.py"),
    "node": (
        root_of_node,
        "app.js",
        NODE_HANDLER,
        {f"nodejs/node_modules/{name}/index.js": f"exports.VALUE = {value};\n" for name, value in [("one", 1), ("two", 2)]},
        "two",
    ),
}


def problems_of(program, directory, language, work):
    make, file, handler, files, missed = LANGUAGES[language]
    runtime = make(directory, f"{work}/root")
    for path, text in [(f"function/{file}", handler), *((f"tree/{path}", text) for path, text in files.items())]:
        os.makedirs(os.path.dirname(f"{work}/{path}"), exist_ok=True)
        with open(f"{work}/{path}", "w") as out:
            out.write(text)

    def run(*arguments):
        ran = subprocess.run([program, *arguments], cwd=work, capture_output=True, text=True, timeout=300, check=False)
        return ran.returncode, ran.stdout, ran.stdout + ran.stderr

    fixed = ["--runtime", runtime, "--handler", "app.handler", "--task", "function", "--timeout", "60", "--rootfs", "root"]
    events = ["--event", '"known"', "--event", '"raise"', "--event", '"exit"']
    code, answer, said = run("invoke", "tree", *fixed, *events, "--record", "r.json")
    problems = []
    if code != 1 or json.loads(answer.splitlines()[0] if answer else "null") != [1, "of the root\n", True]:
        return [f"recorded {code}: {said}"]
    with open(f"{work}/r.json") as recording:
        errors = [event["error"] and event["error"]["error_type"] for event in json.load(recording)["events"]]
    expected = [None, "KeyError" if language == "python" else "TypeError", "Runtime.ExitError"]
    if errors != expected:
        problems.append(f"errors {errors} instead of {expected}")
    code, _, said = run("invoke", "tree", *fixed, "--event", '"new"', "--record", "new.json")
    packed = run("pack", "tree", "--runtime", runtime, "--used", "r.json", "--used-depth", "file", "--rest", "rest", "-o", "small")
    if code or packed[0]:
        return [*problems, f"new {code}: {said}", f"pack: {packed[2]}"]
    if (ran := run("invoke", "small", "--replay", "r.json", "--rootfs", "root"))[0]:
        problems.append(f"the recording is answered differently: {ran[2]}")
    code, _, said = run("invoke", "small", "--replay", "new.json", "--rootfs", "root")
    if code != 1 or not re.search(rf"/{re.escape(missed)}\S* by rule unused; it is in rest/layer-1\.zip", said):
        problems.append(f"the new branch is not named ({code}): {said}")
    if (ran := run("invoke", "small", "rest", "--replay", "new.json", "--rootfs", "root"))[0]:
        problems.append(f"the new branch differs with the rest attached: {ran[2]}")
    return problems


def main():
    program, directory = (os.path.realpath(word) for word in sys.argv[1:])
    os.makedirs(directory, exist_ok=True)
    found = clients.installed(directory)
    if not found:
        print("neither awslambdaric nor aws-lambda-ric can be installed")
        return 2
    failed = 0
    for language in found:
        with tempfile.TemporaryDirectory() as work:
            os.chmod(work, 0o755)
            os.environ["XDG_CACHE_HOME"] = f"{work}/cache"
            problems = problems_of(program, directory, language, work)
        failed += bool(problems)
        print(f"{language} in a root with AWS's client: {'; '.join(problems) or 'as it should be'}", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
