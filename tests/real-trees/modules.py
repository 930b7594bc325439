"""modules.py TREE: prints each module below TREE/python that can be imported; those of one top-level package in one process.

Left out are tests, and what cannot be imported by its name at all. A process that dies is started again behind the module at
which it died.
"""

import os
import subprocess
import sys

IMPORT = """
import importlib, os, sys
out = os.dup(1)
os.dup2(2, 1)
sys.path.insert(0, sys.argv[1])
for name in sys.stdin.read().split():
    os.write(out, b"? %s\\n" % name.encode())
    try:
        importlib.import_module(name)
        os.write(out, b"+ %s\\n" % name.encode())
    except BaseException:
        pass
os._exit(0)
"""


def modules(top):
    for directory, folders, files in os.walk(top):
        folders[:] = sorted(f for f in folders if f.isidentifier() and f not in ("tests", "__pycache__"))
        package = os.path.relpath(directory, top).replace(os.sep, ".")
        for file in sorted(files):
            stem = file.split(".")[0]
            if not file.endswith((".py", ".so")) or not stem.isidentifier() or stem == "__main__":
                continue
            if package == ".":
                yield stem
            else:
                yield package if stem == "__init__" else f"{package}.{stem}"


def main():
    top = os.path.join(sys.argv[1], "python")
    groups = {}
    for name in modules(top):
        groups.setdefault(name.split(".")[0], {})[name] = None
    for names in groups.values():
        left = list(names)
        while left:
            try:
                run = subprocess.run(
                    [sys.executable, "-S", "-c", IMPORT, top],
                    input="\n".join(left), capture_output=True, text=True, timeout=900, cwd="/",
                )
                lines = run.stdout.splitlines()
            except subprocess.TimeoutExpired as expired:
                lines = (expired.stdout or b"").decode().splitlines()
            for line in lines:
                if line.startswith("+ "):
                    print(line[2:], flush=True)
            begun = [line[2:] for line in lines if line.startswith("? ")]
            left = left[left.index(begun[-1]) + 1 :] if begun else []


main()
