//! How long AWS takes care of the runtimes: what the commands say, and whether the data are those of the public sources.

use std::collections::BTreeMap;
use std::path::Path;

use lambdar_prune::runtime::{Lifecycle, built_in, lifecycles};
use serde_json::Value;

use crate::handmade::{FILE, member, zip};
use crate::support::{Sandbox, output, testdata};

/// Midnight in UTC of 2026-11-27 and of 2027-02-01, when functions with nodejs20.x can no longer be created; by date(1).
const DEPRECATED: &str = "1795737600";
const BLOCKED: &str = "1801440000";

#[test]
fn a_deprecated_runtime_is_a_warning_once_per_command() {
    let sandbox = Sandbox::new();
    sandbox
        .file("a.zip", zip(&[member("x", FILE, "x")]))
        .file("b.zip", zip(&[member("y", FILE, "x")]))
        .file("tree/x", "x");
    let found = |arguments: &[&str], moment: &str| {
        let ran = sandbox.run_with([arguments, &["--format", "json"]].concat(), |command| {
            command.env("SOURCE_DATE_EPOCH", moment);
        });
        let findings = ran.expect_status(0).json()["findings"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let severities = findings
            .iter()
            .filter(|finding| finding["code"] == "runtime-deprecated")
            .map(|finding| finding["severity"].as_str().unwrap().to_owned());
        severities.collect::<Vec<_>>()
    };
    let check = ["check", "a.zip", "b.zip", "--runtime", "nodejs20.x"];
    assert_eq!(found(&check, "1777507199"), [""; 0], "the second before");
    assert_eq!(found(&check, DEPRECATED), ["warning"]);
    assert_eq!(found(&check, BLOCKED), ["warning"], "never an error here");
    let analyze = ["analyze", "tree", "--runtime", "nodejs20.x"];
    assert_eq!(found(&analyze, DEPRECATED), ["warning"]);
    let pack = ["pack", "tree", "--runtime", "nodejs20.x", "--no-cache"];
    assert_eq!(found(&pack, BLOCKED), ["warning"]);
    let manifest = fs_err::read_to_string(sandbox.path("layers/layers.json")).unwrap();
    assert!(
        !manifest.contains("runtime-deprecated"),
        "what depends on the day is not recorded"
    );

    let listed = |moment: &str| {
        let ran = sandbox.run_with(["runtimes", "--format", "json"], |command| {
            command.env("SOURCE_DATE_EPOCH", moment);
        });
        let list = ran.expect_status(0).json();
        let all = list["runtimes"].as_array().unwrap().clone();
        let node = all.into_iter().find(|runtime| runtime["name"] == "nodejs20.x").unwrap();
        (list["day"].clone(), node["state"].clone(), node["successor"].clone())
    };
    assert_eq!(
        listed(DEPRECATED),
        ("2026-11-27".into(), "deprecated".into(), "nodejs24.x".into())
    );
    assert_eq!(
        listed(BLOCKED),
        ("2027-02-01".into(), "create-blocked".into(), "nodejs24.x".into())
    );
    let ran = sandbox
        .run(["check", "a.zip", "--runtime", "nodejs4.3"])
        .expect_status(2);
    assert!(
        ran.stderr.contains("retired") && ran.stderr.contains("nodejs24.x"),
        "{}",
        ran.stderr
    );
}

/// The samples have the form of the sources; what is expected of them is written by hand.
#[test]
fn the_script_makes_the_data_from_the_sources() {
    let sandbox = Sandbox::new();
    let sample = |name: &str| testdata(&format!("refresh/{name}")).display().to_string();
    sandbox.file("lambda.toml", fs_err::read(sample("lambda.toml")).unwrap());
    sandbox.file(
        "lifecycle.toml",
        "[runtimes.\"python3.14\"]\nlaunched = \"2025-11-01\"\n",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/refresh-runtimes");
    let command = format!(
        "{} --botocore {} --cfn-lint {} --endoflife {} --dumps {} --day 2026-11-27 --to {}; echo $?",
        script.display(),
        sample("botocore"),
        sample("LmbdRuntimeLifecycle.json"),
        sample("aws-lambda.md"),
        sample("dumps"),
        sandbox.path("").display()
    );
    let Some(_) = output("python3", &["--version"]) else {
        return;
    };
    let printed = output("bash", &["-c", &format!("({command}) 2>&1")]).unwrap();
    assert!(
        printed.starts_with("python3.99 is new: add its title and base") && printed.ends_with("\n1\n"),
        "{printed}"
    );

    let parsed = |name: &str| -> toml::Table { fs_err::read_to_string(sandbox.path(name)).unwrap().parse().unwrap() };
    let lifecycle = parsed("lifecycle.toml");
    assert_eq!(lifecycle["recorded"].as_str(), Some("2026-11-27"));
    let expected = r#"
        "nodejs4.3" = { deprecated = "2020-03-05", create-blocked = "2020-02-03", update-blocked = "2020-03-05", successor = "nodejs24.x" }
        "java21" = { launched = "2023-11-17" }
        "python3.14" = { launched = "2025-11-01", deprecated = "2029-06-30", create-blocked = "2029-07-31", update-blocked = "2029-08-31" }
        "dotnet8" = { deprecated = "2026-11-10", create-blocked = "2027-02-01", update-blocked = "2027-03-03", successor = "dotnet10" }
        "python3.99" = {}
    "#;
    assert_eq!(
        lifecycle["runtimes"].as_table().unwrap(),
        &expected.parse::<toml::Table>().unwrap()
    );
    let files = r#"
        "java21" = { libraries = { "/var/lang/lib" = ["libjava.so", "libjsvml.so"], "/var/runtime/lib" = ["rapid_client.so"] }, commands = { "/var/lang/bin" = ["java"] } }
        "dotnet8" = { commands = { "/var/lang/bin" = ["dotnet"] } }

        ["python3.14"]
        libraries = { "/var/lang/lib" = ["libcrypt.so.2", "libpython3.so"] }
        arch.x86_64.libraries = { "/var/lang/lib" = ["libcrypt.so.1"] }
        commands = { "/var/lang/bin" = ["python3", "python3.14"] }
        # What is within a package, as the copies that pip has, is not found by its name.
        installed = [
            { language = "python", name = "python_dateutil", version = "2.9.0.post0", directory = "/var/lang/lib/python3.14/site-packages/python_dateutil-2.9.0.post0.dist-info" },
            { language = "python", name = "simplejson", version = "3.17.2", directory = "/var/runtime/simplejson-3.17.2-py3.14.egg-info" },
        ]
        arch.x86_64.installed = [
            { language = "python", name = "boto3", version = "1.40.4", directory = "/var/lang/lib/python3.14/site-packages/boto3-1.40.4.dist-info" },
        ]
        arch.arm64.installed = [
            { language = "python", name = "boto3", version = "1.42.97", directory = "/var/lang/lib/python3.14/site-packages/boto3-1.42.97.dist-info" },
        ]
    "#;
    let made = parsed("language-files.toml");
    assert_eq!(
        made["runtimes"].as_table().unwrap(),
        &files.parse::<toml::Table>().unwrap()
    );

    // 90 days later they are not old yet; a day later they are.
    for (moment, is_old) in [("1803513600", false), ("1803600000", true)] {
        let age = format!(
            "SOURCE_DATE_EPOCH={moment} {} --age --to {} 2>&1",
            script.display(),
            sandbox.path("").display()
        );
        assert_eq!(
            output("bash", &["-c", &age]).unwrap().contains("are 91 days old"),
            is_old,
            "{moment}"
        );
    }
}

/// Needs a Python with botocore and cfn-lint, named by `LAMBDAR_PRUNE_PYTHON`.
#[test]
fn the_data_are_those_of_botocore_and_cfn_lint() {
    let Ok(python) = std::env::var("LAMBDAR_PRUNE_PYTHON") else {
        #[expect(clippy::print_stderr, reason = "a test that is passed over says so")]
        {
            eprintln!("LAMBDAR_PRUNE_PYTHON names no Python with botocore and cfn-lint: nothing is compared with them");
        }
        return;
    };
    let program = r#"
import gzip, json, pathlib, botocore, cfnlint
model = pathlib.Path(botocore.__file__).parent / "data/lambda/2015-03-31/service-2.json.gz"
lint = pathlib.Path(cfnlint.__file__).parent / "data/AdditionalSpecs/LmbdRuntimeLifecycle.json"
print(json.dumps({"names": json.loads(gzip.decompress(model.read_bytes()))["shapes"]["Runtime"]["enum"],
                  "lifecycles": json.loads(lint.read_text())}))
"#;
    let sources: Value = serde_json::from_str(&output(&python, &["-c", program]).unwrap()).unwrap();
    let ours = lifecycles().unwrap();
    let day = "2026-11-27".parse().unwrap();
    let with_data: Vec<String> = built_in(day).unwrap().into_iter().map(|summary| summary.name).collect();
    for name in sources["names"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        let planned = &sources["lifecycles"][name];
        // A customer-managed runtime is none of AWS's.
        if name == "custom" {
            continue;
        }
        let blocked = planned["create-block"]
            .as_str()
            .is_some_and(|begin| begin <= "2026-11-27");
        assert!(
            with_data.iter().any(|known| known == name) || blocked,
            "{name} has no data"
        );
        let lifecycle = ours.get(name).unwrap_or_else(|| panic!("{name} is not known"));
        let days: BTreeMap<&str, Option<String>> = BTreeMap::from([
            ("deprecated", lifecycle.deprecated.map(|day| day.to_string())),
            ("create-block", lifecycle.create_blocked.map(|day| day.to_string())),
            ("update-block", lifecycle.update_blocked.map(|day| day.to_string())),
            ("successor", lifecycle.successor.clone()),
        ]);
        for (key, value) in days {
            assert_eq!(value.as_deref(), planned[key].as_str(), "{key} of {name}");
        }
    }
    let unplanned = Lifecycle {
        launched: ours["java21"].launched,
        ..Lifecycle::default()
    };
    assert_ne!(ours["java21"], unplanned, "the comparison sees something");
}
