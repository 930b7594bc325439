//! The formats of a report, and that no name breaks out of one.

use std::process::{Command, Stdio};

use proptest::prelude::*;
use serde_json::Value;

use super::{CheckTotals, Checked, RenderOptions};
use crate::check::LayerSize;
use crate::finding::{Code, Finding, Severity};
use crate::gate::Allowed;
use crate::report;
use crate::runtime::Arch;
use crate::size::Bytes;

#[path = "../../tests/it/github.rs"]
mod runner;

use runner::command;

/// What a file can be called to break out of a form.
const HOSTILE: [&str; 14] = [
    "a\n::error::pwned",
    "a\r\n::set-output name=x::y",
    "%0A::error::pwned%0D%25",
    "]]><failure/>",
    "a|b||c",
    "<script>alert(1)</script>",
    "&lt;b&gt;&amp;",
    "\u{1b}[2J\u{9b}31m\u{7f}\u{0}",
    "`code` ``more`` `",
    "[link](javascript:x) ![i](y) https://example.com www.example.com @someone :smile: $x$ *b* _i_ ~s~ #1",
    "a,b:c\"d'e\\f\\|g",
    "\u{fffe}\u{ffff}\u{202e}",
    "##[add-mask]x ##[error]y",
    " ",
];

fn finding(severity: Severity, name: &str) -> Finding {
    Finding {
        severity,
        ..Finding::new(Code::BadName, &[("what", name)])
            .at(name)
            .in_layer(Some(name))
    }
}

fn checked(findings: Vec<Finding>, allowed: Vec<Allowed>) -> Checked {
    Checked {
        schema_version: report::SCHEMA_VERSION,
        ok: false,
        runtime: "provided.al2023".to_owned(),
        arch: Arch::X86_64,
        findings,
        allowed,
        growth: None,
        layers: vec![LayerSize {
            file: "fine.zip".to_owned(),
            zipped_bytes: Bytes(10),
            unzipped_bytes: Bytes(20),
            entries: 1,
        }],
        totals: CheckTotals {
            layers: 1,
            zipped_bytes: Bytes(10),
            unzipped_bytes: Bytes(20),
        },
    }
}

fn hostile(names: &[&str]) -> Checked {
    let severities = [Severity::Error, Severity::Warning, Severity::Note];
    let findings = severities
        .iter()
        .flat_map(|severity| names.iter().map(|name| finding(*severity, name)));
    let allowed = names.iter().map(|name| Allowed {
        finding: finding(Severity::Error, name),
        reason: Some((*name).to_owned()),
    });
    checked(findings.collect(), allowed.collect())
}

/// A name as every form shows it.
fn shown(name: &str) -> String {
    crate::tree::path::escaped(name.as_bytes())
}

#[test]
fn github_reads_one_annotation_a_finding() {
    let checked = hostile(&HOSTILE);
    let text = report::github(&checked);
    assert_eq!(text.lines().count(), checked.findings.len());
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    for (line, finding) in text.lines().zip(&checked.findings) {
        let (name, properties, data) = command(line).unwrap();
        let expected = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        assert_eq!(name, expected);
        let keys: Vec<&str> = properties.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["file", "title"], "{line}");
        let path = finding.path.as_deref().unwrap();
        assert_eq!(properties[0].1, format!("{}/{}", shown(path), shown(path)), "{line}");
        assert_eq!(
            data,
            format!("{}\nhelp: {}", shown(&finding.message), shown(&finding.help))
        );
    }
}

/// What another program makes of a text; `None` where the machine does not have it.
fn python(script: &str, input: &str) -> Option<String> {
    let child = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
        {
            eprintln!("python3 is not on this machine: what it would show is not tested");
        }
        return None;
    };
    let mut pipe = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut pipe, input.as_bytes()).unwrap();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Python's expat reads the document, and gives it back as JSON.
const READ_XML: &str = "
import sys, json, xml.etree.ElementTree as tree
def plain(e): return {'tag': e.tag, 'attributes': e.attrib, 'text': e.text or '', 'children': [plain(c) for c in e]}
print(json.dumps(plain(tree.fromstring(sys.stdin.buffer.read()))))
";

#[test]
fn junit_is_read_by_another_parser() {
    let checked = hostile(&HOSTILE);
    let text = report::junit(&checked);
    let Some(read) = python(READ_XML, &text) else { return };
    let suites: Value = serde_json::from_str(&read).unwrap();
    assert_eq!(suites["tag"], "testsuites");
    let suite = &suites["children"][0];
    let cases = suite["children"].as_array().unwrap();
    let count = |tag: &str| {
        let cases = cases.iter().flat_map(|case| case["children"].as_array().unwrap());
        cases.filter(|child| child["tag"] == tag).count()
    };
    for (attribute, number) in [
        ("tests", cases.len()),
        ("failures", count("failure")),
        ("skipped", count("skipped")),
        ("errors", 0),
    ] {
        for element in [&suites, suite] {
            assert_eq!(element["attributes"][attribute], number.to_string());
        }
    }
    // One case for each layer and code: three findings of different severity are one that fails.
    assert_eq!(count("failure"), HOSTILE.len());
    assert_eq!(count("skipped"), HOSTILE.len());
    assert!(cases.iter().all(|case| case["tag"] == "testcase"));
    let fine: Vec<&Value> = cases
        .iter()
        .filter(|case| case["children"].as_array().unwrap().is_empty())
        .map(|case| &case["attributes"]["classname"])
        .collect();
    assert_eq!(fine, ["fine.zip", "all layers"]);
    let text = suite.to_string();
    assert!(
        text.contains("]]><failure/>") && text.contains("<script>alert(1)</script>"),
        "{text}"
    );
    // Warnings alone do not fail.
    let warnings = checked_with(Severity::Warning);
    assert!(report::junit(&warnings).contains("failures=\"0\""));
    assert!(report::junit(&warnings).contains("<system-out>"));
}

fn checked_with(severity: Severity) -> Checked {
    checked(vec![finding(severity, "x")], Vec::new())
}

#[test]
fn json_and_sarif_are_read_by_another_parser() {
    let checked = hostile(&HOSTILE);
    for text in [report::json(&checked), report::sarif(&checked)] {
        let ours: Value = serde_json::from_str(&text).unwrap();
        let script = "import sys, json; print(json.dumps(json.load(sys.stdin.buffer)))";
        let Some(theirs) = python(script, &text) else { return };
        assert_eq!(ours, serde_json::from_str::<Value>(&theirs).unwrap());
    }
}

/// What SARIF 2.1.0 demands of the properties that are used (sections 3.13, 3.14, 3.19, 3.27, 3.28, 3.29, 3.35, 3.49).
#[test]
fn sarif_has_what_the_standard_demands() {
    let checked = hostile(&HOSTILE);
    let log: Value = serde_json::from_str(&report::sarif(&checked)).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "lambdar-prune");
    let rules = driver["rules"].as_array().unwrap();
    for rule in rules {
        assert!(rule["id"].is_string() && rule["help"]["text"].is_string(), "{rule}");
        assert!(
            rule["shortDescription"]["text"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), checked.findings.len() + checked.allowed.len());
    for result in results {
        assert!(rules.iter().any(|rule| rule["id"] == result["ruleId"]), "{result}");
        let level = result["level"].as_str().unwrap();
        assert!(["error", "warning", "note"].contains(&level), "{result}");
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let uri = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        let uri = uri.as_str().unwrap();
        // RFC 3986: no character that is not unreserved, a slash or the sign of an encoded one, and no scheme.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/%".contains(c);
        assert!(uri.chars().all(plain), "{uri}");
    }
    let suppressed = results.iter().filter(|result| !result["suppressions"].is_null());
    assert_eq!(suppressed.count(), checked.allowed.len());
    // The schema itself, where one is at hand.
    let Some(path) = std::env::var_os("SARIF_SCHEMA") else {
        return;
    };
    // Some versions of it have a pattern that is not a regular expression: a bracket too many.
    let text = fs_err::read_to_string(path).unwrap().replace("{2}]?$", "{2}$");
    let schema: Value = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&log).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Text, cells and everything else that is not text of a Markdown document.
fn read_markdown(text: &str) -> (Vec<Vec<String>>, Vec<String>) {
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
    let (mut rows, mut others) = (Vec::new(), Vec::new());
    let mut cell: Option<String> = None;
    for event in Parser::new_ext(
        text,
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_MATH,
    ) {
        match event {
            Event::Start(Tag::TableRow | Tag::TableHead) => rows.push(Vec::new()),
            Event::Start(Tag::TableCell) => cell = Some(String::new()),
            Event::End(TagEnd::TableCell) => {
                let row: &mut Vec<String> = rows.last_mut().unwrap();
                row.extend(cell.take());
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some(cell) = &mut cell {
                    cell.push_str(&text);
                }
            }
            Event::Start(Tag::Table(_) | Tag::Paragraph | Tag::Heading { .. }) | Event::End(_) => {}
            other => others.push(format!("{other:?}")),
        }
    }
    (rows, others)
}

fn check_markdown(names: &[&str]) {
    let checked = hostile(names);
    let (rows, others) = read_markdown(&report::markdown(&checked));
    assert_eq!(others, [""; 0], "something but text: {names:?}");
    let findings: Vec<&Vec<String>> = rows
        .iter()
        .filter(|row| row.len() == 5 && row[0] != "Severity")
        .collect();
    assert_eq!(findings.len(), checked.findings.len());
    for (row, finding) in findings.iter().zip(&checked.findings) {
        let name = shown(finding.path.as_deref().unwrap());
        assert_eq!(row[1], "bad-name");
        let message = shown(&finding.message);
        // A cell loses the spaces around it, and one space in code is like several of it.
        assert_eq!(row[3], message.trim_matches(' '), "{names:?}");
        let place = format!("{name}: {name}");
        assert_eq!(row[2].trim_matches(' '), place.trim_matches(' '), "{names:?}");
    }
}

#[test]
fn markdown_shows_names_and_nothing_else() {
    check_markdown(&HOSTILE);
    // Autolinks are not part of the parser above: what begins one is escaped.
    let text = report::markdown(&hostile(&["https://example.com www.example.com a@example.com"]));
    let outside_code: String = text.split('`').step_by(2).collect();
    assert!(
        !outside_code.contains("https://") && !outside_code.contains("www.example"),
        "{outside_code}"
    );
}

proptest! {
    #[test]
    fn no_name_breaks_out(name in "[\\PC\n\r\u{1b}|`<>&\\\\\\[\\]*_~$%:,]{1,20}") {
        check_markdown(&[&name]);
        let checked = hostile(&[&name]);
        prop_assert_eq!(report::github(&checked).lines().count(), 3);
        let junit = report::junit(&checked);
        let mut reader = quick_xml::Reader::from_str(&junit);
        let mut cases = 0;
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Eof => break,
                quick_xml::events::Event::Start(tag) if tag.name().as_ref() == "testcase" => cases += 1,
                _ => {}
            }
        }
        prop_assert_eq!(cases, 2);
        let table = report::checked(&checked, RenderOptions { verbose: true, ..RenderOptions::default() });
        prop_assert!(table.chars().all(|c| c == '\n' || !c.is_control()));
    }
}

/// Several things that are wrong with one file are not several files.
#[test]
fn findings_of_one_file_are_told_as_of_one() {
    let words = [("symbols", "f"), ("symbol", "f"), ("cure", "")];
    let of = |path: &str, symbol: &str| {
        let words = [("symbols", symbol), words[1], words[2]];
        Finding::new(Code::UndefinedSymbol, &words)
            .at(path)
            .because_of("one".to_owned(), Vec::new(), &words)
    };
    let options = RenderOptions::default();
    let one = report::finding_lines(&[of("lib/a.so", "f"), of("lib/a.so", "g")], options);
    assert!(one.contains("it needs ") && !one.contains("file"), "{one}");
    let two = report::finding_lines(&[of("lib/a.so", "f"), of("lib/b.so", "g")], options);
    assert!(two.contains("2 files need "), "{two}");
}
