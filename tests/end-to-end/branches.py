#!/usr/bin/env python3
"""Records handlers of Python, Node and R, packs what they used file by file, and replays them; then sends each an event that takes
a branch for which files were left out.

branches.py PROGRAM [TREE_OF_R] [NAME...]: with the tree that the reference R was unpacked to, R's handlers too; with names, only
those handlers. Exits with 1 if a recording is answered otherwise on the layers, if a new branch differs and nothing is named for it
with its rule and the layer that has it, or if it still differs with that layer attached.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

# The trees: what the handlers use of them for the event "known", and what only for the event "new".
PYTHON_TREE = {
    "python/shapes/__init__.py": "from .square import area\n",
    "python/shapes/square.py": "def area(x): return x * x\n",
    "python/shapes/circle.py": "def area(x): return 3 * x * x\n",
    "python/shapes/lazy.py": "def __getattr__(name):\n    import importlib\n    return importlib.import_module('shapes.' + name)\n",
    "python/shapes/data/units.json": '{"unit": "m"}\n',
    "python/shapes/data/other.json": '{"unit": "ft"}\n',
    "python/shapes/plugins/__init__.py": "",
    "python/shapes/plugins/one.py": "NAME = 'one'\n",
    "python/shapes/plugins/two.py": "NAME = 'two'\n",
    "python/space/left.py": "SIDE = 'left'\n",
    "python/space/right.py": "SIDE = 'right'\n",
    "python/single.py": "VALUE = 1\n",
    "python/other.py": "VALUE = 2\n",
    "python/shapes-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: shapes\nVersion: 1.0\n",
    "python/shapes-1.0.dist-info/entry_points.txt": "[shapes]\none = shapes.plugins.one:NAME\ntwo = shapes.plugins.two:NAME\n",
    "python/shapes-1.0.dist-info/RECORD": "shapes/__init__.py,,\nshapes-1.0.dist-info/METADATA,,\n",
    "share/words.txt": "known\n",
    "share/others.txt": "new\n",
    "bin/tool": "#!/bin/sh\necho tool\n",
    "bin/another": "#!/bin/sh\necho another\n",
}
NEW = "event == 'new'"
PYTHON = {
    "import": f"def handler(event, context):\n    if {NEW}:\n        import other as m\n    else:\n        import single as m\n    return m.VALUE",
    "submodule": f"def handler(event, context):\n    if {NEW}:\n        from shapes import circle as m\n    else:\n        from shapes import square as m\n    return m.area(2)",
    "import-module": "import importlib\ndef handler(event, context): return importlib.import_module({'new': 'other'}.get(event, 'single')).VALUE",
    "dunder-import": f"def handler(event, context): return __import__('other' if {NEW} else 'single').VALUE",
    "falls-back": f"def handler(event, context):\n    try:\n        import single\n        if {NEW}: import other\n        return 'all'\n    except ImportError:\n        return 'some'",
    "lazy-attribute": f"from shapes import lazy\ndef handler(event, context): return (lazy.circle if {NEW} else lazy.square).area(1)",
    "open": f"def handler(event, context): return open('/opt/share/' + ('others' if {NEW} else 'words') + '.txt').read()",
    "exists": f"import os\ndef handler(event, context): return os.path.exists('/opt/share/others.txt') if {NEW} else os.path.exists('/opt/share/words.txt')",
    "get-data": f"import pkgutil\ndef handler(event, context): return pkgutil.get_data('shapes', 'data/' + ('other' if {NEW} else 'units') + '.json').decode()",
    "resources": f"import importlib.resources as r\ndef handler(event, context): return r.files('shapes').joinpath('data', 'other.json' if {NEW} else 'units.json').read_text()",
    "entry-point": f"import importlib.metadata as m\ndef handler(event, context):\n    name = 'two' if {NEW} else 'one'\n    return [e.load() for e in m.entry_points(group='shapes') if e.name == name]",
    "namespace": f"def handler(event, context):\n    if {NEW}:\n        import space.right as m\n    else:\n        import space.left as m\n    return m.SIDE",
    "command": f"import subprocess\ndef handler(event, context): return subprocess.run(['another' if {NEW} else 'tool'], capture_output=True, text=True).stdout",
    "thread": f"import threading\ndef handler(event, context):\n    found = []\n    def work():\n        import single\n        found.append(single.VALUE)\n        if {NEW}:\n            import other\n            found.append(other.VALUE)\n    thread = threading.Thread(target=work)\n    thread.start()\n    thread.join()\n    return found",
    "child": f"import subprocess, sys\ndef handler(event, context): return subprocess.run([sys.executable, '-c', 'import sys; sys.path.insert(0, \"/opt/python\"); import ' + ('other' if {NEW} else 'single') + ' as m; print(m.VALUE)'], capture_output=True, text=True).stdout",
}
NODE_TREE = {
    "nodejs/node_modules/shapes/package.json": '{"name": "shapes", "version": "1.0.0", "main": "index.js"}\n',
    "nodejs/node_modules/shapes/index.js": "exports.square = x => x * x;\nexports.lazy = name => require('./' + name);\n",
    "nodejs/node_modules/shapes/circle.js": "module.exports = x => 3 * x * x;\n",
    "nodejs/node_modules/shapes/line.js": "module.exports = x => x;\n",
    "nodejs/node_modules/shapes/data/units.json": '{"unit": "m"}\n',
    "nodejs/node_modules/shapes/data/other.json": '{"unit": "ft"}\n',
    "nodejs/node_modules/other/package.json": '{"name": "other", "version": "1.0.0"}\n',
    "nodejs/node_modules/other/index.js": "exports.value = 2;\n",
    "nodejs/node_modules/single/package.json": '{"name": "single", "version": "1.0.0"}\n',
    "nodejs/node_modules/single/index.js": "exports.value = 1;\n",
    "nodejs/node_modules/module/package.json": '{"name": "module", "version": "1.0.0", "type": "module", "exports": {".": "./a.mjs", "./b": "./b.mjs"}}\n',
    "nodejs/node_modules/module/a.mjs": "export const value = 'a';\n",
    "nodejs/node_modules/module/b.mjs": "export const value = 'b';\n",
    "share/words.txt": "known\n",
    "share/others.txt": "new\n",
    "bin/tool": "#!/bin/sh\necho tool\n",
    "bin/another": "#!/bin/sh\necho another\n",
}
JS = "event === 'new'"
OPT = "/opt/nodejs/node_modules"
NODE = {
    "require": f"exports.handler = async event => require({JS} ? 'other' : 'single').value;",
    "require-file": f"exports.handler = async event => require({JS} ? 'shapes/circle' : 'shapes/line')(2);",
    "lazy": f"exports.handler = async event => require('shapes').lazy({JS} ? 'circle' : 'line')(2);",
    "falls-back": f"exports.handler = async event => {{ try {{ require('single'); if ({JS}) require('other'); return 'all'; }} catch {{ return 'some'; }} }};",
    "resolve": f"exports.handler = async event => require.resolve({JS} ? 'other' : 'single');",
    "json": f"exports.handler = async event => require({JS} ? 'shapes/data/other.json' : 'shapes/data/units.json');",
    "read-file": f"const fs = require('fs');\nexports.handler = async event => fs.readFileSync('/opt/share/' + ({JS} ? 'others' : 'words') + '.txt', 'utf8');",
    "promises": f"const fs = require('fs/promises');\nexports.handler = async event => fs.readFile('/opt/share/' + ({JS} ? 'others' : 'words') + '.txt', 'utf8');",
    "exists": f"const fs = require('fs');\nexports.handler = async event => fs.existsSync('/opt/share/' + ({JS} ? 'others' : 'words') + '.txt');",
    "stream": f"const fs = require('fs');\nexports.handler = event => new Promise((done, failed) => {{ let text = ''; fs.createReadStream('/opt/share/' + ({JS} ? 'others' : 'words') + '.txt').on('data', d => text += d).on('end', () => done(text)).on('error', failed); }});",
    "callback": f"exports.handler = (event, context, callback) => setImmediate(() => {{ try {{ callback(null, require({JS} ? 'other' : 'single').value); }} catch (error) {{ callback(error); }} }});",
    "dynamic-import": f"exports.handler = async event => (await import('{OPT}/module/' + ({JS} ? 'b' : 'a') + '.mjs')).value;",
    "create-require": f"const {{ createRequire }} = require('module');\nconst own = createRequire('{OPT}/shapes/index.js');\nexports.handler = async event => own({JS} ? './circle' : './line')(1);",
    "command": f"const {{ spawnSync }} = require('child_process');\nexports.handler = async event => String(spawnSync({JS} ? 'another' : 'tool').stdout);",
    "worker": f"const {{ Worker }} = require('worker_threads');\nexports.handler = event => new Promise((done, failed) => new Worker(`require('worker_threads').parentPort.postMessage(require('{OPT}/' + ${{JSON.stringify({JS} ? 'other' : 'single')}}).value)`, {{ eval: true }}).on('message', done).on('error', failed));",
}
R_NEW = 'grepl("new", event)'
R = {
    "library": f"handler <- function(event) {{ if ({R_NEW}) nrow(model.matrix(mgcv::gam(mpg ~ s(wt), data = mtcars))) else nrow(mtcars) }}",
    "recommended": f"handler <- function(event) {{ if ({R_NEW}) class(survival::Surv(1, 1)) else 'none' }}",
    "require": f"handler <- function(event) {{ if ({R_NEW}) suppressWarnings(require(lattice)) else suppressWarnings(require(stats)) }}",
    "require-namespace": f"handler <- function(event) requireNamespace(if ({R_NEW}) 'MASS' else 'stats', quietly = TRUE)",
    "system-file": f"handler <- function(event) nzchar(system.file(if ({R_NEW}) 'DESCRIPTION' else '', package = if ({R_NEW}) 'boot' else 'stats'))",
    "try": f"handler <- function(event) inherits(try(loadNamespace(if ({R_NEW}) 'cluster' else 'stats'), silent = TRUE), 'try-error')",
    "data": f"handler <- function(event) {{ e <- new.env(); data(list = if ({R_NEW}) 'bacteria' else 'mtcars', package = if ({R_NEW}) 'MASS' else 'datasets', envir = e); length(ls(e)) }}",
    "splines": f"handler <- function(event) if ({R_NEW}) dim(splines::bs(1:9)) else dim(as.matrix(1:9))",
    "grid": f"handler <- function(event) if ({R_NEW}) class(grid::unit(1, 'npc')) else class(1)",
    "parallel": f"handler <- function(event) if ({R_NEW}) is.function(parallel::mclapply) else TRUE",
}


def sorted_trees(work, r_tree):
    """Languages with their tree, runtime, file name and handlers, as far as their interpreter is here."""
    found = []
    for name, runtime, files, handlers, file, needs in [
        ("python", "python3.13", PYTHON_TREE, PYTHON, "app.py", "python3.13"),
        ("node", "nodejs20.x", NODE_TREE, NODE, "app.js", "node"),
    ]:
        if not shutil.which(needs):
            print(f"{name}: no {needs} here")
            continue
        tree = f"{work}/tree-{name}"
        for path, text in files.items():
            os.makedirs(os.path.dirname(f"{tree}/{path}"), exist_ok=True)
            with open(f"{tree}/{path}", "w") as out:
                out.write(text)
            os.chmod(f"{tree}/{path}", 0o755 if path.startswith("bin/") else 0o644)
        found.append((name, runtime, tree, file, handlers, []))
    if r_tree:
        found.append(("r", "provided.al2023", r_tree, "app.R", R, ["--with-bootstrap"]))
    return found


class Run:
    def __init__(self, program, work):
        self.program, self.work = program, work

    def __call__(self, *arguments):
        ran = subprocess.run([self.program, *arguments], cwd=self.work, capture_output=True, text=True, timeout=900)
        return ran.returncode, ran.stdout + ran.stderr


def problems_of(run, language, name, runtime, tree, file, source, options):
    """What is wrong with one handler; nothing if all is as it should be."""
    task = f"{run.work}/{language}-{name}"
    os.makedirs(task)
    with open(f"{task}/{file}", "w") as out:
        out.write(source)
    place = lambda kind: f"{task}.{kind}"
    layers = tree
    if options:
        layers = f"{run.work}/{language}-all"
        if not os.path.exists(layers):
            run("pack", tree, "--runtime", runtime, "-o", layers, "-q", *options)
    invoke = ["invoke", layers, "--runtime", runtime, "--handler", "app.handler", "--task", task, "--timeout", "300"]
    for event in ("known", "new"):
        code, said = run(*invoke, "--event", json.dumps(event), "--record", place(event))
        if code == 2:
            return [f"cannot record {event}: {said}"]
    small, rest = place("small"), place("rest")
    packed = run("pack", tree, "--runtime", runtime, "--used", place("known"), "--used-depth", "file", "--rest", rest, "-o", small, "-q", *options)
    if not os.path.exists(f"{small}/layers.json"):
        return [f"does not pack: {packed}"]
    problems = []
    code, said = run("invoke", small, "--replay", place("known"))
    if code:
        problems.append(f"the recording is answered differently: {said}")
    code, said = run("invoke", small, "--replay", place("new"))
    if code != 1:
        problems.append(f"the new branch is not seen ({code})")
    elif not re.search(rf"/opt/\S+ by rule \S+; it is in \S*{re.escape(os.path.basename(rest))}/layer-1\.zip", said):
        problems.append(f"nothing is named for the new branch: {said}")
    code, said = run("invoke", small, rest, "--replay", place("new"))
    if code:
        problems.append(f"the new branch differs with the rest attached: {said}")
    return problems


def main():
    program = os.path.realpath(sys.argv[1])
    words = sys.argv[2:]
    r_tree = os.path.realpath(words.pop(0)) if words and os.path.isdir(words[0]) else None
    failed = count = 0
    with tempfile.TemporaryDirectory() as work:
        os.environ["XDG_CACHE_HOME"] = f"{work}/cache"
        run = Run(program, work)
        for language, runtime, tree, file, handlers, options in sorted_trees(work, r_tree):
            for name, source in handlers.items():
                if words and f"{language}-{name}" not in words:
                    continue
                count += 1
                problems = problems_of(run, language, name, runtime, tree, file, source, options)
                failed += bool(problems)
                print(f"{language}-{name}: {'; '.join(problems) or 'as it should be'}", flush=True)
    print(f"{count} handlers, {failed} not as they should be")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
