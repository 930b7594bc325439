//! What a project demands: which findings count, budgets, and growth against a baseline.

use serde_json::Value;

use crate::support::{Ran, Sandbox, testdata};

/// A tree with a dangling link, which is a warning or an error of check's own, and a file that nobody may read.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/a/file", "x")
        .link("opt/a/link", "nowhere")
        .link("opt/b/link", "nowhere")
        .link("opt/loop", "loop");
    sandbox
}

fn check(sandbox: &Sandbox, further: &[&str]) -> Ran {
    // A runtime with a language, which asks for no bootstrap.
    let mut arguments = vec!["check", "opt", "--format", "json", "--runtime", "python3.13"];
    arguments.extend(further);
    sandbox.run(arguments)
}

/// Severity, code and path of each finding, and of each one that is allowed.
fn found(ran: &Ran) -> Vec<String> {
    let report = ran.json();
    let line = |severity: &Value, finding: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        format!(
            "{} {} {}",
            text(severity),
            text(&finding["code"]),
            text(&finding["path"])
        )
    };
    let counting = report["findings"].as_array().unwrap().iter();
    let allowed = report["allowed"].as_array().unwrap().iter();
    let is_error = counting.clone().any(|finding| finding["severity"] == "error");
    assert_eq!(report["ok"], !is_error);
    assert_eq!(ran.status, i32::from(is_error), "{ran:#?}");
    let mut lines: Vec<String> = counting
        .map(|finding| line(&finding["severity"], finding))
        .chain(allowed.map(|finding| line(&Value::from("allowed"), finding)))
        .collect();
    lines.sort();
    lines
}

#[test]
fn the_command_line_says_what_counts() {
    let sandbox = sandbox();
    for (arguments, expected) in [
        (
            &["--deny", "all"][..],
            [
                "error dangling-link a/link",
                "error dangling-link b/link",
                "error link-loop loop",
            ],
        ),
        (
            &["--warn", "dangling-link", "--warn", "link-loop"],
            [
                "warning dangling-link a/link",
                "warning dangling-link b/link",
                "warning link-loop loop",
            ],
        ),
        (
            &["--deny", "all", "--allow", "dangling-link", "--warn", "link-loop"],
            [
                "allowed dangling-link a/link",
                "allowed dangling-link b/link",
                "warning link-loop loop",
            ],
        ),
        // The order of the options counts, and that of the kinds of options does not.
        (
            &[
                "--allow",
                "link-loop",
                "--deny",
                "link-loop",
                "--deny",
                "dangling-link",
                "--warn",
                "dangling-link",
            ],
            [
                "error link-loop loop",
                "warning dangling-link a/link",
                "warning dangling-link b/link",
            ],
        ),
    ] {
        assert_eq!(found(&check(&sandbox, arguments)), expected, "{arguments:?}");
    }
    let ran = check(&sandbox, &["--allow", "dangling-lnk"]).expect_status(2);
    assert!(ran.stderr.contains("did you mean 'dangling-link'?"), "{ran:#?}");
    // Everything is never allowed.
    check(&sandbox, &["--allow", "all"]).expect_status(2);
}

#[test]
fn the_file_says_what_counts_and_the_command_line_beats_it() {
    let sandbox = sandbox();
    sandbox.file(
        "lambdar-prune.toml",
        "[check]\nallow = ['link-loop']\nwarn = ['dangling-link']\n\
         [[check.allow-path]]\ncode = 'dangling-link'\npath = 'a'\nreason = 'made at the first start'\n",
    );
    let allowed = "allowed dangling-link a/link";
    assert_eq!(
        found(&check(&sandbox, &[])),
        [allowed, "allowed link-loop loop", "warning dangling-link b/link"]
    );
    assert_eq!(
        found(&check(&sandbox, &["--deny", "link-loop", "--deny", "dangling-link"])),
        [allowed, "error dangling-link b/link", "error link-loop loop"]
    );
    // `all` is the least specific of all: what the project has looked at stays as it is.
    assert_eq!(
        found(&check(&sandbox, &["--deny", "all"])),
        [allowed, "allowed link-loop loop", "warning dangling-link b/link"]
    );
    let report = check(&sandbox, &[]).json();
    let allowed = report["allowed"].as_array().unwrap();
    let link = allowed.iter().find(|finding| finding["path"] == "a/link").unwrap();
    assert_eq!(link["reason"], "made at the first start", "{report}");
    // Without -v a number, with it the whole.
    let table = sandbox.run(["check", "opt"]).stdout;
    assert!(
        table.contains("2 allowed") && !table.contains("made at the first start"),
        "{table}"
    );
    let table = sandbox.run(["check", "opt", "-v"]).stdout;
    assert!(table.contains("allowed[dangling-link] a/link"), "{table}");
    assert!(table.contains("reason: made at the first start"), "{table}");
}

#[test]
fn an_allow_without_a_finding_is_noted() {
    let sandbox = Sandbox::new();
    sandbox.file("opt/file", "x").file(
        "lambdar-prune.toml",
        "[check]\nallow = ['link-loop']\n\
         [[check.allow-path]]\ncode = 'dangling-link'\npath = 'old/**'\nreason = 'gone long since'\n",
    );
    let ran = check(&sandbox, &["--allow", "zip-near-limit"]);
    assert_eq!(
        found(&ran),
        ["note unused-allow -", "note unused-allow -", "note unused-allow -"]
    );
    for words in [
        "lambdar-prune.toml:2 allows link-loop",
        "lambdar-prune.toml:4 allows dangling-link at old/**",
        "--allow allows zip-near-limit",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {ran:#?}");
    }
    let ran = check(&sandbox, &["--deny", "unused-allow"]);
    assert_eq!(found(&ran), ["error unused-allow -", "error unused-allow -"]);
    let ran = check(&sandbox, &["--allow", "unused-allow"]);
    assert_eq!(found(&ran), ["allowed unused-allow -", "allowed unused-allow -"]);
}

#[test]
fn what_makes_no_sense_in_the_file_is_refused_with_its_place() {
    let sandbox = sandbox();
    for (text, words) in [
        (
            "[check]\ndeny = ['all', 'dangling-lnk']",
            ":2:16: there is no finding 'dangling-lnk'; did you mean 'dangling-link'?",
        ),
        ("[check]\nallow = ['all']", ":2:10: there is no finding 'all'"),
        (
            "[check]\nallow = ['link-loop']\nwarn = ['link-loop']",
            ":2:10: 'link-loop' is listed already, at lambdar-prune.toml:3",
        ),
        (
            "[check]\nalow = []",
            ":2:1: unknown key 'alow' in check; did you mean 'allow'?",
        ),
        (
            "[[check.allow-path]]\ncode = 'link-loop'\npath = 'x'",
            "the key 'reason' is missing",
        ),
        (
            "[[check.allow-path]]\ncode = 'link-loop'\npath = 'x'\nreason = ' '",
            ":4:10: the reason is empty",
        ),
        (
            "[[check.allow-path]]\ncode = 'link-lop'\npath = 'x'\nreason = 'r'",
            ":2:8: there is no finding 'link-lop'",
        ),
        (
            "[[check.allow-path]]\ncode = 'link-loop'\npath = '/x'\nreason = 'r'",
            ":3:8: '/x' is not a glob",
        ),
        ("[[budget]]\nlayer = '*'", ":1:1: the budget has no limit"),
        (
            "[[budget]]\nmax-ziped = '1MB'",
            ":2:1: unknown key 'max-ziped' in budget; did you mean 'max-zipped'?",
        ),
        ("[[budget]]\nmax-zipped = '1M'", ":2:14: '1M' is not a size"),
        ("[[budget]]\nmax-growth = { percent = 5 }", "the key 'bytes' is missing"),
        (
            "[[budget]]\nmax-growth = { percent = -5, bytes = '1B' }",
            ":2:26: '-5' is not a percentage",
        ),
        (
            "[[budget]]\nlayer = 'a'\ncomponent = 'b'\nmax-zipped = '1B'",
            ":3:13: a budget is for layers or for components",
        ),
        (
            "[[budget]]\nlayer = 'a['\nmax-zipped = '1B'",
            ":2:9: 'a[' is not a glob",
        ),
    ] {
        sandbox.file("lambdar-prune.toml", text);
        let ran = check(&sandbox, &[]).expect_status(2);
        assert!(ran.stderr.contains(words), "{text}: {ran:#?}");
    }
    // The patterns that are made of globs have a limit.
    let long = "{a,b}*".repeat(100_000);
    for text in [
        format!("[[budget]]\nlayer = '{long}'\nmax-zipped = '1B'"),
        format!("[licenses]\ndeny = ['{long}']"),
    ] {
        sandbox.file("lambdar-prune.toml", text);
        let ran = check(&sandbox, &[]).expect_status(2);
        assert!(
            ran.stderr.contains("lambdar-prune.toml:") && ran.stderr.len() < 1_000_000,
            "{ran:#?}"
        );
    }
}

/// Packs the tree `opt` of a sandbox.
fn pack(sandbox: &Sandbox, folder: &str) -> Value {
    sandbox
        .run(["pack", "opt", "-o", folder, "--format", "json"])
        .expect_status(0)
        .json()
}

/// Bytes that do not shrink.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(next).collect()
}

fn codes(ran: &Ran) -> Vec<String> {
    found(ran)
        .iter()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn budgets_hold_to_the_byte() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/one/data", noise(5_000))
        .file("opt/two/data", noise(3_000))
        .file("opt/two/spared", noise(700));
    let manifest = pack(&sandbox, "layers");
    let zip = manifest["layers"][0]["zipped_bytes"].as_u64().unwrap();
    // Stored or deflated: one entry of noise is its bytes, two headers and two names (APPNOTE 4.3.7, 4.3.12), and a few.
    let two: u64 = manifest["layers"][0]["contents"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["component"] == "two")
        .map(|entry| entry["zipped_bytes"].as_u64().unwrap())
        .sum();
    assert!(two >= 3_700 + 2 * 76, "{manifest}");
    for (budget, holds, breaks) in [
        ("max-zipped", zip, zip - 1),
        ("max-unzipped", 8_700, 8_699),
        ("layer = 'layer-*'\nmax-zipped", zip, zip - 1),
        ("layer = 'layer-1.zip'\nmax-unzipped", 8_700, 8_699),
        ("component = 'two'\nmax-unzipped", 3_700, 3_699),
        ("component = 'two'\nmax-zipped", two, two - 1),
        ("component = '{one,two}'\nmax-unzipped", 8_700, 8_699),
        ("component = 't*'\nexcept = ['two/spared']\nmax-unzipped", 3_000, 2_999),
        ("except = ['one']\nmax-unzipped", 3_700, 3_699),
        ("layer = '*'\nexcept = ['one/**']\nmax-unzipped", 3_700, 3_699),
    ] {
        for (limit, expected) in [(holds, &[][..]), (breaks, &["error over-budget"])] {
            sandbox.file("lambdar-prune.toml", format!("[[budget]]\n{budget} = '{limit}'\n"));
            let ran = sandbox.run(["check", "--format", "json", "--runtime", "python3.13"]);
            assert_eq!(codes(&ran), expected, "{budget} {limit}");
        }
    }
    // The policy holds for budgets, too.
    let ran = sandbox.run([
        "check",
        "--format",
        "json",
        "--runtime",
        "python3.13",
        "--warn",
        "over-budget",
    ]);
    assert_eq!(codes(&ran), ["warning over-budget"]);
    for (budget, why) in [
        (
            "component = 'three'\nmax-zipped = '1B'",
            "no component is called 'three'",
        ),
        ("layer = 'x'\nmax-zipped = '1B'", "no layer is called 'x'"),
        ("max-growth = { percent = 1, bytes = '1B' }", "there is no baseline"),
    ] {
        sandbox.file("lambdar-prune.toml", format!("[[budget]]\n{budget}\n"));
        let ran = sandbox.run(["check", "--format", "json", "--runtime", "python3.13"]);
        assert_eq!(codes(&ran), ["note unused-budget"], "{budget}");
        assert!(ran.stdout.contains(why), "{ran:#?}");
    }
    sandbox.file("lambdar-prune.toml", "[[budget]]\nmax-zipped = '1B'\n");
    assert_eq!(
        codes(&check(&sandbox, &[])),
        ["note unused-budget"],
        "a tree has no size in zips"
    );
}

#[test]
fn growth_needs_percent_and_bytes_to_fail() {
    let sandbox = Sandbox::new();
    // No two files are the same, or one would become a link to the other.
    let data = |number: u8, more: usize| [vec![number], noise(999 + more)].concat();
    for number in 0..12 {
        sandbox.file(&format!("opt/c{number:02}/data"), data(number, 0));
    }
    pack(&sandbox, "layers");
    fs_err::copy(sandbox.path("layers/layers.json"), sandbox.path("baseline.json")).unwrap();
    for number in 0..12 {
        sandbox.file(
            &format!("opt/c{number:02}/data"),
            data(number, 10 * usize::from(number)),
        );
    }
    pack(&sandbox, "layers");
    // 660 bytes more on 12,000: 5.5 %.
    for (percent, bytes, fails) in [(5, 600, true), (6, 600, false), (5, 660, false), (0, 1, true)] {
        sandbox.file(
            "lambdar-prune.toml",
            format!(
                "[check]\nbaseline = 'baseline.json'\n\
                 [[budget]]\ncomponent = '*'\nmax-growth = {{ percent = {percent}, bytes = '{bytes}B' }}\n"
            ),
        );
        let ran = sandbox.run(["check", "--format", "json", "--runtime", "python3.13"]);
        // Zipped and unzipped.
        let expected: &[&str] = if fails {
            &["error grown-too-much", "error grown-too-much"]
        } else {
            &[]
        };
        assert_eq!(codes(&ran), expected, "{percent} {bytes}");
    }
    let report = sandbox
        .run(["check", "--format", "json", "--runtime", "python3.13"])
        .json();
    let help = report["findings"][0]["help"].as_str().unwrap();
    // The ten that grew most, the largest first.
    assert!(help.contains("these grew most: c11 by 110, c10 by 100, "), "{help}");
    assert!(help.contains("c02 by 20;") && !help.contains("c01"), "{help}");
    assert!(
        report["findings"]
            .to_string()
            .contains("from 12,000 to 12,660 bytes unzipped, by 5.5 %"),
        "{report}"
    );
    let growth = &report["growth"];
    assert_eq!(growth["baseline"], "baseline.json");
    assert_eq!(
        growth["components"].as_array().unwrap().len(),
        11,
        "all that grew: {growth}"
    );
    assert_eq!(growth["components"][0]["name"], "c11");
    // Without a file of that name yet, the file's baseline is a note; a baseline on the command line has to be there.
    fs_err::remove_file(sandbox.path("baseline.json")).unwrap();
    let ran = sandbox.run(["check", "--format", "json", "--runtime", "python3.13"]);
    assert_eq!(codes(&ran), ["note unused-budget"]);
    sandbox.run(["check", "--baseline", "baseline.json"]).expect_status(2);
    // Layers are not their own baseline.
    for own in ["layers", "layers/layers.json", "./layers/../layers"] {
        let ran = sandbox.run(["check", "--baseline", own]).expect_status(2);
        assert!(ran.stderr.contains("so it would never differ"), "{ran:#?}");
    }
}

#[test]
fn the_policy_holds_in_pack_and_publish() {
    let sandbox = Sandbox::new();
    // What asks for a library that is nowhere.
    let opt = testdata("opt").display().to_string();
    let pack = |further: &[&str]| {
        let mut arguments = vec!["pack", &opt, "--no-import", "-o", "layers"];
        arguments.extend(further);
        sandbox.run(arguments)
    };
    let publish = || sandbox.run(["publish", "--name", "r", "--dry-run", "--format", "json"]);
    pack(&[]).expect_status(1);
    assert_eq!(publish().expect_status(1).json()["ok"], false);
    sandbox.file("lambdar-prune.toml", "[check]\nallow = ['missing-library']\n");
    let ran = pack(&["-v"]).expect_status(0);
    assert!(ran.stdout.contains("allowed[missing-library]"), "{ran:#?}");
    let report = publish().expect_status(0).json();
    assert_eq!(report["ok"], true);
    assert_eq!(report["allowed"][0]["code"], "missing-library");
    // Budgets hold before an upload, too.
    sandbox.file(
        "lambdar-prune.toml",
        "[check]\nallow = ['missing-library']\n[[budget]]\nmax-zipped = '1kB'\n",
    );
    assert_eq!(publish().expect_status(1).json()["findings"][0]["code"], "over-budget");
}

#[test]
fn check_alone_does_the_right_thing_where_pack_was_run() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(["check"]).expect_status(2);
    assert!(ran.stderr.contains("create it with `lambdar-prune pack`"), "{ran:#?}");
    sandbox.file("opt/file", "x");
    sandbox
        .run(["pack", "opt", "--runtime", "python3.13", "--arch", "arm64"])
        .expect_status(0);
    let report = sandbox.run(["check", "--format", "json"]).expect_status(0).json();
    assert_eq!(
        (&report["runtime"], &report["arch"]),
        (&"python3.13".into(), &"arm64".into())
    );
    // A runtime that was captured is known by its file alone.
    let captured = sandbox.path("mine.toml").display().to_string();
    // The loader must be an ELF object: any will do.
    let object = fs_err::read(testdata("host/libfar.so.1")).unwrap();
    sandbox.file("root/lib64/ld-linux-x86-64.so.2", object);
    sandbox
        .run(["runtimes", "capture", "root", "--name", "mine", "-o", &captured])
        .expect_status(0);
    sandbox.run(["pack", "opt", "--runtime", &captured]).expect_status(0);
    let ran = sandbox.run(["check"]).expect_status(2);
    assert!(
        ran.stderr.contains("packed for runtime mine") && ran.stderr.contains("--runtime"),
        "{ran:#?}"
    );
    sandbox.run(["check", "--runtime", &captured]).expect_status(0);
}
