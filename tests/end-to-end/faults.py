#!/usr/bin/env python3
"""Injects faults into single system calls of pack, and tells what is left: a whole set, whatever fails, and after a kill at
most a set that check refuses and the next pack completes. If a layer that is no longer listed cannot be removed, it is left
beside the new set until the next pack.

faults.py PROGRAM [EVERY]: needs strace; with EVERY, only each EVERYth call of a kind is tried. Exits with 1 if something is
lost.
"""

import collections
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

PROGRAM = os.path.realpath(sys.argv[1])
EVERY = int(sys.argv[2]) if len(sys.argv) > 2 else 1
CALLS = ["rename,renameat,renameat2", "link,linkat", "unlink,unlinkat", "mkdir,mkdirat", "fsync,fdatasync"]
FAULTS = ["error=ENOSPC", "error=EIO", "error=EINTR", "error=EACCES", "signal=SIGKILL"]


def run(*arguments, strace=()):
    command = [*strace, PROGRAM, *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def zips(directory):
    names = [name for name in os.listdir(directory) if name.endswith(".zip")]
    return {name: hashlib.sha256(open(f"{directory}/{name}", "rb").read()).hexdigest() for name in names}


def state(directory, old):
    """`old`, `new` (whole, as its manifest says), `surplus` (with more zips than that), or `mixed`."""
    try:
        manifest = open(f"{directory}/layers.json").read()
    except OSError:
        return "mixed"
    if zips(directory) == zips(old) and manifest == open(f"{old}/layers.json").read():
        return "old"
    listed = {layer["file"]: layer["sha256"] for layer in json.loads(manifest)["layers"]}
    if zips(directory) == listed:
        return "new"
    return "surplus" if listed.items() <= zips(directory).items() else "mixed"


def tree(path, files, seed):
    os.makedirs(f"{path}/data")
    for number in range(files):
        open(f"{path}/data/f{number}", "wb").write(random.Random(seed + number).randbytes(60000))
    open(f"{path}/bootstrap", "w").write("#!/bin/sh\n")
    os.chmod(f"{path}/bootstrap", 0o755)


def main():
    bad = []
    table = collections.Counter()
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        tree("before", 5, 0)
        tree("after", 3, 100)
        pack = ["pack", "after", "--max", "100kB", "--no-cache", "-o", "out", "-q"]
        assert run("pack", "before", "--max", "100kB", "--no-cache", "-o", "good", "-q").returncode == 0
        shutil.copytree("good", "out")
        for calls in CALLS:
            trace = run(*pack, strace=["strace", "-f", "-o", "trace", "-e", f"trace={calls}"])
            assert trace.returncode == 0, trace.stderr
            count = len(re.findall(r"^\d+ +\w+\(", open("trace").read(), re.M))
            shutil.rmtree("out")
            shutil.copytree("good", "out")
            for fault in FAULTS:
                for number in range(1, count + 1, EVERY):
                    inject = f"inject={calls}:{fault}:when={number}"
                    ran = run(*pack, strace=["strace", "-f", "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject])
                    left = state("out", "good")
                    is_refused = left in ("old", "new") or run("check", "out").returncode == 1
                    again = run(*pack)
                    then = state("out", "good")
                    leftovers = [name for name in os.listdir("out") if name.startswith(".lambdar")]
                    killed = fault.startswith("signal")
                    table[calls.split(",")[0], fault, left] += 1
                    if (left == "mixed" and not killed) or not is_refused or again.returncode or then != "new" or leftovers:
                        bad.append((inject, ran.returncode, left, is_refused, again.returncode, then, leftovers, again.stderr))
                    shutil.rmtree("out")
                    shutil.copytree("good", "out")
    for (call, fault, left), number in sorted(table.items()):
        print(f"{call:8} {fault:15} {left:6} {number}")
    for line in bad:
        print("LOST", *line)
    print(f"{sum(table.values())} faults, {len(bad)} of them lost something")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
