#!/usr/bin/env python3
"""Injects faults into single system calls of pack, prune and publish, and tells what is left.

faults.py PROGRAM [EVERY] [SCENARIO...]: needs strace; with EVERY, only each EVERYth call of a kind is tried. The scenarios are
pack, repack, apply, undo and publish; all of them if none is named. Exits with 1 if something is lost.

What has to hold after any one fault:

pack, repack  the directory has the earlier set or the new one, as every command sees it: what is half in place after a kill is
              brought to its end by the next command. The next pack succeeds and leaves the new set and nothing unfinished.
              If a layer that is no longer listed cannot be removed, it is left until then.
apply, undo   every file is in the tree or in the trash, once, with its content and mode. The same command goes on from there,
              and --undo gives the tree that was there before.
publish       every layer has one version on the server after the next run, and the record says which.
"""

import collections
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile

CALLS = {
    "rename": "rename,renameat,renameat2",
    "link": "link,linkat,symlink,symlinkat",
    "unlink": "unlink,unlinkat,rmdir",
    "mkdir": "mkdir,mkdirat",
    "fsync": "fsync,fdatasync",
    "write": "write,pwrite64,writev",
}
FAULTS = ["error=ENOSPC", "error=EIO", "error=EINTR", "error=EACCES", "signal=SIGKILL"]
# Without --seccomp-bpf, which injects no signals.
STRACE = ["strace", "-f"]
# Of writes, the first, the last and so many between them.
WRITES = 50
# strace counts the calls of each thread for itself.
THREADS = ["--threads", "1"]

AWS = '''#!{python} -IS
import hashlib, base64, json, os, sys
state = "{state}"
arguments = sys.argv[1:]
versions = json.load(open(state)) if os.path.exists(state) else {{}}
name = arguments[arguments.index("--layer-name") + 1]
known = versions.setdefault(name, [])
if arguments[1] == "list-layer-versions":
    print(json.dumps({{"LayerVersions": known}}))
elif arguments[1] == "get-layer-version":
    print(json.dumps(known[int(arguments[arguments.index("--version-number") + 1]) - 1]))
else:
    content = open(arguments[arguments.index("--zip-file") + 1].removeprefix("fileb://"), "rb").read()
    arn = "arn:aws:lambda:eu-west-1:123456789012:layer:" + name
    known.append({{
        "LayerArn": arn, "LayerVersionArn": f"{{arn}}:{{len(known) + 1}}", "Version": len(known) + 1,
        "Description": arguments[arguments.index("--description") + 1],
        "Content": {{"CodeSha256": base64.b64encode(hashlib.sha256(content).digest()).decode(), "CodeSize": len(content)}},
        "CompatibleRuntimes": ["provided.al2023"], "CompatibleArchitectures": ["x86_64"],
    }})
    with open(state + ".new", "w") as file:
        json.dump(versions, file)
    os.rename(state + ".new", state)
    print(json.dumps(known[-1]))
'''


def run(arguments, strace=(), **how):
    command = [*strace, PROGRAM, *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, **how)


def digest(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()


def zips(directory):
    return {name: digest(f"{directory}/{name}") for name in os.listdir(directory) if name.endswith(".zip")}


def state(directory, old):
    """`old`, `new` (whole, as its manifest says), `surplus` (with more zips than that), `none`, or `mixed`."""
    if not os.path.isdir(directory):
        return "none"
    there = zips(directory)
    try:
        manifest = open(f"{directory}/layers.json").read()
    except OSError:
        return "mixed" if there else "none"
    if old and there == zips(old) and manifest == open(f"{old}/layers.json").read():
        return "old"
    listed = {layer["file"]: layer["sha256"] for layer in json.loads(manifest)["layers"]}
    if there == listed:
        return "new"
    return "surplus" if listed.items() <= there.items() else "mixed"


def tree(path, files, seed):
    os.makedirs(f"{path}/data")
    for number in range(files):
        open(f"{path}/data/f{number}", "wb").write(random.Random(seed + number).randbytes(60000))
    open(f"{path}/bootstrap", "w").write("#!/bin/sh\n")
    os.chmod(f"{path}/bootstrap", 0o755)


def files(*directories):
    """Every file and link below directories, by its path without that of the directory, with content and mode."""
    found = []
    for directory in directories:
        for root, _, names in os.walk(directory):
            for name in names:
                path = os.path.join(root, name)
                content = os.readlink(path) if os.path.islink(path) else digest(path)
                found.append((os.path.relpath(path, directory), content, os.lstat(path).st_mode))
    return sorted(found)


class Packing:
    """`pack` into a directory that is not there, or over an earlier set of five layers."""

    def __init__(self, over_old):
        tree("before", 5, 0)
        tree("after", 3, 100)
        self.old = "good" if over_old else None
        self.command = ["pack", "after", "--max", "100kB", "--no-cache", "-o", "out", "-q", *THREADS]
        assert run(["pack", "before", "--max", "100kB", "--no-cache", "-o", "good", "-q"]).returncode == 0

    def prepare(self):
        shutil.rmtree("out", ignore_errors=True)
        if self.old:
            shutil.copytree("good", "out")

    def judge(self, ran, was_killed):
        on_disk = state("out", self.old)
        if os.path.isdir("out"):
            run(["check", "out"])
        left = state("out", self.old)
        problems = []
        if left == "mixed" or (left == "none" and self.old):
            problems.append(f"{on_disk} on disk, and {left} after check")
        if on_disk == "mixed" and not was_killed:
            problems.append("half a set without a kill")
        if ran.returncode == 0 and on_disk != "new":
            problems.append(f"it exits with 0 and leaves {on_disk}")
        again = run(self.command)
        then = state("out", self.old)
        unfinished = [name for name in os.listdir("out") if name.startswith(".lambdar")]
        if again.returncode or then != "new" or unfinished:
            problems.append(f"the next pack: {again.returncode} {then} {unfinished} {again.stderr}")
        return on_disk if on_disk == left else f"{on_disk}, then {left}", problems


class Pruning:
    """`prune --apply` of a directory and of single files, or the `--undo` of that."""

    def __init__(self, undoes):
        tree("opt", 2, 0)
        for number in range(3):
            os.makedirs(f"opt/share/doc/p{number}")
            open(f"opt/share/doc/p{number}/x.html", "w").write(f"text {number}\n")
            open(f"opt/data/{number}.txt", "w").write(f"{number}\n")
            os.chmod(f"opt/data/{number}.txt", 0o600 + number)
        os.symlink("0.txt", "opt/data/link.txt")
        self.undoes = undoes
        self.before = files("opt")
        self.apply = ["prune", "opt", "--apply", "--drop", "share/doc", "--drop", "data/*.txt", "-q", *THREADS]
        self.undo = ["prune", "opt", "--undo", "-q", *THREADS]
        self.command = self.undo if undoes else self.apply
        shutil.copytree("opt", "kept", symlinks=True)
        if undoes:
            assert run(self.apply).returncode == 0
        for name in ["opt", "opt.lambdar-prune-trash"]:
            if os.path.exists(name):
                shutil.copytree(name, f"start-{name}", symlinks=True)
        self.after = files("opt") if undoes else None

    def prepare(self):
        for name in ["opt", "opt.lambdar-prune-trash"]:
            shutil.rmtree(name, ignore_errors=True)
            if os.path.exists(f"start-{name}"):
                shutil.copytree(f"start-{name}", name, symlinks=True)

    def judge(self, ran, was_killed):
        trash = "opt.lambdar-prune-trash"
        runs = [f"{trash}/{number}/files" for number in (os.listdir(trash) if os.path.isdir(trash) else [])]
        problems = []
        if files("opt", *runs) != self.before:
            problems.append("a file is neither in the tree nor in the trash, or in both")
        left = "whole" if files("opt") == self.before else "moved" if ran.returncode == 0 else "partly moved"
        shutil.copytree("opt", "second", symlinks=True)
        if os.path.isdir(trash):
            shutil.copytree(trash, "second.lambdar-prune-trash", symlinks=True)
        again = run(self.command)
        if self.undoes:
            is_done = files("opt") == self.before
        else:
            is_done = again.returncode == 0 and not os.path.exists("opt/share/doc/p0/x.html") and not os.path.exists("opt/data/0.txt")
        if not is_done:
            problems.append(f"the same command again: {again.returncode} {again.stderr}")
        # From the same point, all is undone: one run after the other.
        for tree_name in ["opt", "second"]:
            undo = ["prune", tree_name, "--undo", "-q"]
            for _ in range(3):
                if not os.path.isdir(f"{tree_name}.lambdar-prune-trash"):
                    break
                undone = run(undo)
            if files(tree_name) != self.before:
                problems.append(f"--undo of {tree_name}: {undone.returncode} {undone.stderr}")
        for name in ["second", "second.lambdar-prune-trash"]:
            shutil.rmtree(name, ignore_errors=True)
        return left, problems


class Publishing:
    """`publish` of two layers to a server that an aws tool of this script stands for."""

    def __init__(self):
        tree("before", 2, 0)
        assert run(["pack", "before", "--max", "100kB", "--no-cache", "-o", "good", "-q"]).returncode == 0
        os.mkdir("bin")
        self.server = os.path.abspath("versions.json")
        open("bin/aws", "w").write(AWS.format(python=sys.executable, state=self.server))
        os.chmod("bin/aws", 0o755)
        os.environ["PATH"] = os.path.abspath("bin") + ":" + os.environ["PATH"]
        self.command = ["publish", "out", "--name", "x", "-q", *THREADS]

    def prepare(self):
        shutil.rmtree("out", ignore_errors=True)
        shutil.copytree("good", "out")
        if os.path.exists(self.server):
            os.remove(self.server)

    def judge(self, ran, was_killed):
        there = json.load(open(self.server)) if os.path.exists(self.server) else {}
        left = f"{sum(map(len, there.values()))} published"
        problems = []
        if zips("out") != zips("good"):
            problems.append("the layers are not as they were")
        again = run(self.command)
        there = json.load(open(self.server)) if os.path.exists(self.server) else {}
        count = len(zips("good"))
        record = json.load(open("out/published.json")) if os.path.exists("out/published.json") else {"layers": []}
        recorded = [layer["arn"] for layer in record["layers"]]
        if again.returncode or [len(versions) for versions in there.values()] != [1] * count:
            problems.append(f"the next run: {again.returncode} {there.keys()} {again.stderr}")
        if sorted(filter(None, recorded)) != sorted(versions[0]["LayerVersionArn"] for versions in there.values() if versions):
            problems.append(f"the record: {recorded}")
        return left, problems


SCENARIOS = {
    "pack": lambda: Packing(over_old=False),
    "repack": lambda: Packing(over_old=True),
    "apply": lambda: Pruning(undoes=False),
    "undo": lambda: Pruning(undoes=True),
    "publish": Publishing,
}


def numbers(kind, count):
    """Which calls of a kind are tried."""
    if kind != "write" or count <= WRITES + 2:
        return range(1, count + 1)
    return sorted({1 + (count - 1) * step // (WRITES + 1) for step in range(WRITES + 2)})


def main(every, names):
    table, bad = collections.Counter(), []
    for name in names:
        kills = 0
        with tempfile.TemporaryDirectory() as work:
            os.chdir(work)
            scenario = SCENARIOS[name]()
            for kind, calls in CALLS.items():
                scenario.prepare()
                traced = run(scenario.command, strace=[*STRACE, "-o", "trace", "-e", f"trace={calls}"])
                assert traced.returncode == 0, traced.stderr
                count = len(re.findall(r"^\d+ +\w+\(", open("trace").read(), re.M))
                for fault in FAULTS:
                    for number in numbers(kind, count)[::every]:
                        scenario.prepare()
                        inject = f"inject={calls}:{fault}:when={number}"
                        ran = run(
                            scenario.command,
                            strace=[*STRACE, "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject],
                        )
                        kills += ran.returncode == -signal.SIGKILL
                        left, problems = scenario.judge(ran, fault.startswith("signal"))
                        table[name, kind, fault, left] += 1
                        bad.extend((name, inject, ran.returncode, problem) for problem in problems)
            os.chdir("/")
        if not kills:
            bad.append((name, "nothing was killed"))
    for (name, kind, fault, left), number in sorted(table.items()):
        print(f"{name:8} {kind:7} {fault:15} {left:20} {number}")
    for line in bad:
        print("LOST", *line)
    print(f"{sum(table.values())} faults, {len(bad)} of them lost something")
    return 1 if bad else 0


if __name__ == "__main__":
    PROGRAM = os.path.realpath(sys.argv[1])
    sys.exit(main(int(sys.argv[2]) if len(sys.argv) > 2 else 1, sys.argv[3:] or list(SCENARIOS)))
