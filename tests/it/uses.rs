//! What rules leave because code that stays refers to it, in each language and in each way of saying it; and what they take
//! because nothing does. That the code needs the file follows from the language: it fails without it.

use crate::support::Sandbox;

/// Each row: what is written in the code, and whether the file has to stay.
type Row<'a> = (&'a str, bool);

/// Checks for each row whether `prune` keeps files of a tree in which one file has the code of the row.
fn check(runtime: &str, files: &[(&str, &str)], code: &str, kept: &[&str], rows: &[Row<'_>]) {
    for (text, stays) in rows {
        let s = Sandbox::new();
        for (path, content) in files {
            s.file(&format!("t/{path}"), content);
            if content.starts_with("#!") {
                s.mode(&format!("t/{path}"), 0o755);
            }
        }
        s.file(&format!("t/{code}"), text);
        if text.starts_with("#!") {
            s.mode(&format!("t/{code}"), 0o755);
        }
        let runtime = (!runtime.is_empty()).then_some(["--runtime", runtime]);
        let arguments = ["prune", "t", "--to", "copy"]
            .into_iter()
            .chain(runtime.into_iter().flatten());
        s.run(arguments).expect_status(0);
        for path in kept {
            assert_eq!(s.path(&format!("copy/{path}")).exists(), *stays, "{text}: {path}");
        }
    }
}

const METADATA: &str = "Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n";
const HELPER: [&str; 2] = ["python/pkg/tests/__init__.py", "python/pkg/tests/helper.py"];
const DATA: [&str; 1] = ["python/pkg/tests/data.json"];
const PYTHON: [(&str, &str); 5] = [
    ("python/pkg-1.0.dist-info/METADATA", METADATA),
    ("python/pkg-1.0.dist-info/RECORD", "pkg/__init__.py,,\n"),
    (HELPER[0], ""),
    (HELPER[1], "x = 1\n"),
    (DATA[0], "{}"),
];

#[test]
fn python_modules_are_kept_however_they_are_named() {
    check(
        "python3.13",
        &PYTHON,
        "python/pkg/__init__.py",
        &HELPER,
        &[
            ("from .tests import helper\n", true),
            ("import os, pkg.tests.helper as h\n", true),
            ("def f():\n    from pkg.tests.helper import x\n", true),
            (
                "import importlib\nm = importlib.import_module('.tests.helper', __package__)\n",
                true,
            ),
            ("import runpy\nrunpy.run_module('pkg.tests.helper')\n", true),
            ("_lazy = {'x': '.tests.helper'}\n", true),
            ("_import_structure = {'tests.helper': ['x']}\n", true),
            ("m = importlib.import_module(f'pkg.tests.{n}')\n", true),
            ("m = importlib.import_module('pkg.tests.' + n)\n", true),
            ("m = importlib.import_module('%s.tests.%s' % (__name__, n))\n", true),
            ("m = importlib.import_module('{}.tests.{}'.format(__name__, n))\n", true),
            ("m = importlib.import_module(f'.{n}', __name__)\n", false),
            ("# from .tests import helper\n", false),
            (
                "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .tests import helper\n",
                false,
            ),
            ("x = 'tests'\n", false),
        ],
    );
    check(
        "python3.13",
        &[&PYTHON[..], &[("python/pkg/__init__.py", "")]].concat(),
        "python/pkg-1.0.dist-info/entry_points.txt",
        &HELPER,
        &[
            ("[plugins]\na = pkg.tests.helper:x\n", true),
            ("[console_scripts]\na = pkg.tests.helper:x\n", false),
        ],
    );
    check(
        "provided.al2023",
        &[&PYTHON[..], &[("python/pkg/__init__.py", "")]].concat(),
        "bootstrap",
        &HELPER,
        &[
            ("#!/bin/sh\nexec python3 -m pkg.tests.helper\n", true),
            ("#!/bin/sh\nexec python3 -m pkg\n", false),
        ],
    );
}

#[test]
fn files_beside_python_modules_are_kept_however_their_paths_are_put_together() {
    check(
        "python3.13",
        &PYTHON,
        "python/pkg/__init__.py",
        &DATA,
        &[
            (
                "p = os.path.join(os.path.dirname(__file__), 'tests', 'data.json')\n",
                true,
            ),
            ("p = os.path.dirname(__file__) + '/tests/data.json'\n", true),
            ("p = f'{os.path.dirname(__file__)}/tests/{name}.json'\n", true),
            ("p = os.path.join(here, 'tests', name)\n", true),
            ("p = Path(__file__).parent / 'tests' / 'data.json'\n", true),
            ("p = pkgutil.get_data('pkg.tests', 'data.json')\n", true),
            ("p = files('pkg.tests').joinpath('data.json')\n", true),
            ("from . import tests\np = read_text(tests, 'data.json')\n", true),
            ("p = Path(__file__).parent.glob('tests/*.json')\n", true),
            (
                "p = open(os.path.join(os.path.dirname(__file__), 'tests') + name)\n",
                true,
            ),
            ("p = 'data.json'\n", false),
            ("left_out = ['**/tests/**']\n", false),
        ],
    );
    check(
        "python3.13",
        &[&PYTHON[..], &[("python/pkg/kernel.cu.h", "x")]].concat(),
        "python/pkg/__init__.py",
        &["python/pkg/kernel.cu.h"],
        &[
            ("p = open(os.path.join(here, f'{n}.cu.h'))\n", true),
            ("p = '{}.cu.h'.format(n)\n", true),
            ("p = glob('*.h')\n", true),
            ("p = glob('*.c')\n", false),
        ],
    );
}

/// Directories of which code has the names only when it runs. Python itself finds nothing in them without the files.
#[test]
fn what_is_in_directories_is_kept_that_python_lists() {
    check(
        "python3.13",
        &PYTHON,
        "python/pkg/__init__.py",
        &HELPER,
        &[
            (
                "NAMES = os.listdir(os.path.join(os.path.dirname(__file__), 'tests'))\n",
                true,
            ),
            (
                "HERE = os.path.dirname(__file__)\nD = os.path.join(HERE, 'tests')\nos.listdir(D)\n",
                true,
            ),
            (
                "HERE = Path(__file__).parent\nfor path in (HERE / 'tests').iterdir(): pass\n",
                true,
            ),
            ("for path in Path(__file__).parent.rglob('*.py'): pass\n", true),
            // Whoever wants all modules of a package does not want its tests, and misses nothing without them.
            (
                "for m in pkgutil.walk_packages(__path__, 'pkg.'): import_module(m.name)\n",
                false,
            ),
            (
                "from . import tests\nfor m in pkgutil.walk_packages(tests.__path__): pass\n",
                true,
            ),
            (
                "from . import tests\nfor m in pkgutil.iter_modules(tests.__path__): pass\n",
                true,
            ),
            ("for path in files('pkg.tests').iterdir(): pass\n", true),
            ("unittest.defaultTestLoader.discover(__path__[0] + '/tests')\n", true),
            ("for a, b, c in os.walk(os.path.dirname(__file__)): pass\n", true),
            (
                "P = ('tests', 'helper.py')\nq = os.path.join(os.path.dirname(__file__), *P)\nfrom . import tests\n",
                true,
            ),
            ("os.listdir(path)\n", false),
            ("os.listdir(os.path.join(os.path.dirname(__file__), 'data'))\n", false),
            (
                "HERE = Path(__file__).parent\nfor path in HERE.glob('*.json'): pass\n",
                false,
            ),
            (
                "LEFT_OUT = ['*/pkg/tests/helper.py', '*/pkg/tests/__init__.py']\n",
                false,
            ),
        ],
    );
    check(
        "python3.13",
        &[&PYTHON[..], &[("python/pkg/__init__.py", "")]].concat(),
        "python/pkg/settings.toml",
        &HELPER,
        &[
            ("plugin = 'pkg.tests.helper:X'\n", true),
            ("plugin = 'pkg.tests_helper'\n", false),
        ],
    );
    check(
        "python3.13",
        &[&PYTHON[..], &[("python/pkg/__init__.py", "")]].concat(),
        "python/pkg/pyproject.toml",
        &HELPER,
        &[("plugin = 'pkg.tests.helper:X'\n", false)],
    );
}

/// A cache that another version of Python wrote, whatever keeps the directory that it is in.
#[test]
fn byte_code_of_other_versions_goes_always() {
    check(
        "python3.13",
        &[
            &PYTHON[..],
            &[("python/pkg/tests/__pycache__/helper.cpython-311.pyc", "x")],
        ]
        .concat(),
        "python/pkg/__init__.py",
        &["python/pkg/tests/__pycache__/helper.cpython-311.pyc"],
        &[("for path in Path(__file__).parent.rglob('*'): pass\n", false)],
    );
}

#[test]
fn what_node_modules_read_from_their_own_place_is_kept() {
    let files = [
        (
            "nodejs/node_modules/m/package.json",
            r#"{"name": "m", "version": "1.0.0", "main": "i.js", "exports": {"./t/*": "./examples/*.js"}}"#,
        ),
        ("nodejs/node_modules/m/docs/a.md", "a"),
        ("nodejs/node_modules/m/test/b.js", ""),
        ("nodejs/node_modules/m/examples/c.js", ""),
    ];
    let check = |kept: &str, rows: &[Row<'_>]| {
        check("nodejs22.x", &files, "nodejs/node_modules/m/i.js", &[kept], rows);
    };
    check(
        "nodejs/node_modules/m/docs/a.md",
        &[
            ("fs.readdirSync(`${__dirname}/docs`)\n", true),
            (
                "const here = __dirname; fs.readFileSync(path.join(here, 'docs', 'a.md'))\n",
                true,
            ),
            (
                "const root = path.dirname(__filename); fs.readFileSync(path.join(root, 'docs/a.md'))\n",
                true,
            ),
            (
                "const P = ['docs', 'a.md']; fs.readFileSync(path.join(__dirname, ...P))\n",
                true,
            ),
            (
                "fs.readFileSync(path.join(path.dirname(require.resolve('m/package.json')), 'docs', 'a.md'))\n",
                true,
            ),
            ("fs.readdirSync(path.join(__dirname, 'data'))\n", false),
            ("fs.readdirSync(name)\n", false),
        ],
    );
    check(
        "nodejs/node_modules/m/test/b.js",
        &[
            (
                "for (const name of fs.readdirSync(path.join(__dirname, 'test'))) require('./test/' + name)\n",
                true,
            ),
            (
                "const root = path.resolve(__dirname, '..', 'm'); fs.readdirSync(path.join(root, 'test'))\n",
                true,
            ),
            ("const d = 'test'; module.exports = d\n", false),
        ],
    );
    check("nodejs/node_modules/m/examples/c.js", &[("module.exports = 1\n", true)]);
}

#[test]
fn directories_are_kept_that_scripts_and_settings_name() {
    let headers = [("include/x.h", "x"), ("bootstrap", "#!/bin/sh\n")];
    check(
        "provided.al2023",
        &headers,
        "bin/run",
        &["include/x.h"],
        &[
            ("#!/bin/sh\nfind /opt/include -name '*.h'\n", true),
            ("#!/bin/sh\ncat \"$(dirname \"$0\")/../include/x.h\"\n", true),
            ("#!/bin/sh\ncd \"$(dirname \"$0\")/../include\" && cat x.h\n", true),
            ("#!/bin/sh\nTOP=/opt\nINC=$TOP/include\ncat $INC/x.h\n", true),
            ("#!/bin/sh\nINC=/opt/include\nexport INC\n", false),
            ("#!/bin/sh\nfind /opt/includes /usr/include\n", false),
        ],
    );
    check(
        "provided.al2023",
        &headers,
        "etc/settings.json",
        &["include/x.h"],
        &[
            (r#"{"header": "../include/x.h"}"#, true),
            (r#"{"directory": "/opt/include"}"#, true),
            (r#"{"header": "./include/x.h"}"#, false),
        ],
    );
}

/// Of a directory into which a script changes it uses what it names from there.
#[test]
fn files_are_kept_that_scripts_name_from_where_they_change_to() {
    let sandbox = Sandbox::new();
    sandbox.file("opt/x/tool", "#!/bin/sh\n").file("opt/x/other", "");
    for (script, is_kept) in [
        ("cd /opt/x && ./tool", true),
        ("cd /opt/x\nsh tool", true),
        ("(cd \"$(dirname \"$0\")/../x\"; . ./tool)", true),
        ("if pushd /opt/x; then exec ./tool; fi", true),
        ("DIR=/opt/x\ncd \"$DIR\"\n./tool", true),
        ("cd -P -- /opt/x || exit 1\necho starts\nexec ./tool \"$@\"", true),
        ("cd /opt && (cd x; ./tool)", true),
        ("pushd /opt/x >/dev/null; popd >/dev/null; pushd x; ./tool", false),
        ("case $1 in a) cd /opt/y;; *) cd /opt/x;; esac\n./tool", true),
        ("if [ \"$1\" = start ]; then cd /opt/x; else cd /tmp; fi\n./tool", true),
        ("run() { cd /opt/x; ./tool; }\n\"$@\"", true),
        ("cd \"$MY_HOME/x\" && ./tool", true),
        ("cd \"${MY_HOME:-/opt}/x\" && ./tool", true),
        ("bash -ec 'cd /opt/x; ./tool'", true),
        ("env --chdir=/opt/x ./tool", true),
        ("trap 'cd /opt/x; ./tool' EXIT", true),
        ("cd /opt/x; sed p <tool", true),
        ("CDPATH=/opt; cd x; ./tool", true),
        ("su nobody -c 'cd /opt/x; ./tool'", true),
        ("cd /opt/x; T=tool; for name in a \"$T\"; do sh \"$name\"; done", true),
        ("cd /opt; sed p --file=x/tool", true),
        ("cd /opt/x; for name in t*; do . \"./$name\"; done", true),
        ("./tool; cd /opt/x", false),
        ("(cd /opt/x); ./tool", false),
        ("cd /opt/x; cd ..; ./tool", false),
        ("cd /opt/x && ./tools # tool", false),
        ("cd /opt/y && ./tool", false),
    ] {
        sandbox.file("opt/bin/run", format!("#!/bin/bash\n{script}\n"));
        let ran = sandbox.run(["prune", "opt", "--drop", "x/tool"]).expect_status(0);
        assert_eq!(
            ran.stdout.contains("would remove 0 of 3 files"),
            is_kept,
            "{script}: {ran:#?}"
        );
    }
}

/// The documentation of R's functions says what they read.
#[test]
fn what_r_reads_by_topic_is_kept() {
    let package = [
        (
            "R/library/p/DESCRIPTION",
            "Package: p\nVersion: 1\nBuilt: R 4.2.2; ; 2023-01-01; unix\n",
        ),
        ("R/library/p/demo/d.R", "1\n"),
        ("R/library/p/doc/v.html", "v"),
        ("bootstrap", "#!/bin/sh\n"),
    ];
    check(
        "provided.al2023",
        &package,
        "R/x.R",
        &["R/library/p/demo/d.R"],
        &[
            ("demo('d', package = 'p')\n", true),
            ("demo('e', package = 'p')\n", false),
        ],
    );
    check(
        "provided.al2023",
        &package,
        "R/x.R",
        &["R/library/p/doc/v.html"],
        &[
            ("utils::vignette('v', package = 'p')\n", true),
            ("utils::data('v', package = 'p')\n", false),
        ],
    );
}

/// A package whose modules are imported by names from a table.
#[test]
fn modules_are_kept_that_a_table_of_names_has() {
    let table = |name: &str| {
        format!("NAMES = ['{name}']\ndef __getattr__(n):\n    return importlib.import_module('.' + n, __name__)\n")
    };
    check(
        "python3.13",
        &PYTHON,
        "python/pkg/__init__.py",
        &HELPER[..1],
        &[(&table("tests"), true), (&table("other"), false)],
    );
}

/// What is to be dropped is named by its directory alone.
#[test]
fn a_drop_of_all_files_of_a_package_that_code_imports_is_not_obeyed() {
    let s = Sandbox::new();
    s.file("t/python/tool/__init__.py", "x = 1\n")
        .file("t/python/keep.py", "import tool\n")
        .file("t/nodejs/node_modules/tool/package.json", r#"{"name": "tool"}"#)
        .file("t/nodejs/node_modules/tool/index.js", "1")
        .file("t/nodejs/node_modules/other/package.json", r#"{"name": "other"}"#)
        .file("t/nodejs/node_modules/other/index.js", "require('tool')")
        .file("t/ruby/gems/3.3.0/specifications/tool-1.0.gemspec", "")
        .file("t/ruby/gems/3.3.0/gems/tool-1.0/lib/tool.rb", "")
        .file("t/ruby/lib/keep.rb", "require 'tool'\n");
    for (glob, runtime) in [
        ("python/tool/**", "python3.13"),
        ("nodejs/node_modules/tool/**", "nodejs22.x"),
        ("ruby/gems/3.3.0/gems/tool-1.0/**", "ruby3.3"),
    ] {
        let ran = s.run(["prune", "t", "--runtime", runtime, "--drop", glob]);
        assert!(format!("{ran:?}").contains("drop-not-obeyed"), "{ran:?}");
    }
}

/// pip lists the scripts of `--target` where they are not.
#[test]
fn scripts_go_with_the_package_that_pip_wrote_them_for() {
    let s = Sandbox::new();
    s.file("t/python/tool/__init__.py", "def main(): pass\n")
        .file(
            "t/python/bin/tool",
            "#!/usr/bin/python3\nfrom tool import main\nmain()\n",
        )
        .file("t/python/tool-1.0.dist-info/METADATA", "Name: tool\nVersion: 1.0\n")
        .file(
            "t/python/tool-1.0.dist-info/RECORD",
            "tool/__init__.py,,\n../../bin/tool,,\n",
        )
        .file("t/python/keep.py", "x = 1\n");
    let drop = ["--drop", "python/tool/**", "--drop", "python/tool-*"];
    let arguments = ["prune", "t", "--to", "copy", "--runtime", "python3.13"];
    s.run(arguments.iter().chain(&drop)).expect_status(0);
    for path in ["python/tool", "python/bin/tool", "python/tool-1.0.dist-info"] {
        assert!(!s.path("copy").join(path).exists(), "{path}");
    }
    assert!(s.path("copy/python/keep.py").exists());
}

#[test]
fn files_are_kept_whose_paths_code_joins_to_opt() {
    let header = [
        ("include/api.h", "#define X"),
        ("python/other.py", ""),
        ("nodejs/other.js", ""),
    ];
    let check = |code: &str, runtime: &str, rows: &[Row<'_>]| check(runtime, &header, code, &["include/api.h"], rows);
    check(
        "python/m.py",
        "python3.13",
        &[
            ("p = os.path.join('/opt', 'include', 'api.h')\n", true),
            ("p = os.path.join('/usr', 'include', 'api.h')\n", false),
        ],
    );
    check(
        "nodejs/m.js",
        "nodejs22.x",
        &[
            ("fs.readFileSync(path.join('/opt', 'include', 'api.h'))", true),
            ("fs.readFileSync(path.join('/usr', 'include', 'api.h'))", false),
        ],
    );
    check(
        "ruby/lib/m.rb",
        "ruby3.3",
        &[("File.read(File.join('/opt', 'include', 'api.h'))\n", true)],
    );
    check(
        "R/x.R",
        "",
        &[
            ("readLines(file.path(\"/opt\", \"include\", \"api.h\"))\n", true),
            ("readLines(file.path(\"/usr\", \"include\", \"api.h\"))\n", false),
        ],
    );
    check(
        "bootstrap",
        "",
        &[
            ("#!/bin/sh\ncat \"$(dirname \"$0\")/include/api.h\"\n", true),
            ("#!/bin/sh\n# cat $D/include/api.h\n", false),
        ],
    );
}

#[test]
fn node_modules_are_kept_however_their_paths_are_put_together() {
    let policy = "nodejs/node_modules/m/test/policy.js";
    check(
        "nodejs22.x",
        &[
            (
                "nodejs/node_modules/m/package.json",
                "{\"name\":\"m\",\"main\":\"index.js\"}",
            ),
            (policy, "module.exports = 1"),
        ],
        "nodejs/node_modules/m/index.js",
        &[policy],
        &[
            ("require('./test/policy')", true),
            ("require(require('path').join(__dirname, 'test', 'policy'))", true),
            ("function f(n) { return require('./test/' + n) }", true),
            ("const f = (n) => import(`./test/${n}.js`)", true),
            ("var e = require; e('./test/policy')", true),
            ("fs.readdirSync(path.join(__dirname, 'test'))", true),
            ("fs.readFileSync(`${__dirname}/test/${n}`)", true),
            ("new Worker(new URL('./test/policy.js', import.meta.url))", true),
            ("// require('./test/policy')", false),
            ("const test = './tests/policy'", false),
        ],
    );
}

#[test]
fn ruby_code_and_what_lies_beside_it_are_kept() {
    let support = "ruby/gems/3.3.0/gems/g-1.0/spec/support.rb";
    check(
        "ruby3.3",
        &[
            ("ruby/gems/3.3.0/specifications/g-1.0.gemspec", "Gem::Specification.new"),
            (support, "X = 1"),
        ],
        "ruby/gems/3.3.0/gems/g-1.0/lib/g.rb",
        &[support],
        &[
            ("require_relative '../spec/support'\n", true),
            ("require File.expand_path('../../spec/support', __FILE__)\n", true),
            ("load File.join(__dir__, '..', 'spec', \"#{name}.rb\")\n", true),
            ("# require_relative '../spec/support'\n", false),
            ("require 'support'\n", false),
        ],
    );
}

#[test]
fn commands_are_kept_that_code_may_call() {
    let config = ("bin/foo-config", "#!/bin/sh\necho -lfoo\n");
    let check =
        |code: &str, runtime: &str, rows: &[Row<'_>]| check(runtime, &[config], code, &["bin/foo-config"], rows);
    check(
        "python/m.py",
        "python3.13",
        &[
            ("subprocess.run(['foo-config', '--libs'])\n", true),
            ("os.system('foo-config --libs')\n", true),
            ("# foo-config\n", false),
            ("x = 'my-foo-config'\n", false),
        ],
    );
    check(
        "R/x.R",
        "",
        &[("system2('foo-config', '--libs')\n", true), ("x <- 1\n", false)],
    );
    check("ruby/lib/x.rb", "ruby3.3", &[("`foo-config --libs`\n", true)]);
    check("nodejs/x.js", "nodejs22.x", &[("execFileSync('foo-config')", true)]);
    check(
        "bin/tool",
        "",
        &[("#!/usr/bin/awk -f\nBEGIN { system(\"foo-config\") }\n", true)],
    );
}
