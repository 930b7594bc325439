//! JUnit's XML, in the form that GitLab, Jenkins and others read (testmoapp's collection of what they take, and the schema
//! of Jenkins' xUnit plugin).

use std::collections::BTreeMap;
use std::io;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use super::{Checked, location};
use crate::finding::{Code, Finding, Severity};
use crate::tree::path::escaped;

/// What the report calls findings that are about all layers together.
const EVERYTHING: &str = "all layers";

/// One test case for each layer and code, so that a case keeps its name from run to run. Errors are failures; warnings and
/// notes pass and say what they are; what is allowed is skipped, with the reason. A layer without any finding is a case
/// that passes.
pub fn junit(checked: &Checked) -> String {
    let mut cases: BTreeMap<(&str, Code), Vec<&Finding>> = BTreeMap::new();
    for finding in &checked.findings {
        cases
            .entry((layer_of(finding), finding.code))
            .or_default()
            .push(finding);
    }
    let mut fine: Vec<&str> = checked.layers.iter().map(|layer| layer.file.as_str()).collect();
    fine.push(EVERYTHING);
    fine.retain(|layer| !cases.keys().any(|(found, _)| found == layer));
    let failures = cases.values().filter(|findings| is_failure(findings)).count();
    let counts = [
        ("tests", cases.len() + fine.len() + checked.allowed.len()),
        ("failures", failures),
        ("errors", 0),
        ("skipped", checked.allowed.len()),
    ]
    .map(|(name, count)| (name, count.to_string()));
    let mut out = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec();
    let mut writer = Writer::new_with_indent(&mut out, b' ', 2);
    let written = writer
        .create_element("testsuites")
        .with_attributes(counts.iter().map(|(name, count)| (*name, count.as_str())))
        .write_inner_content(|writer| {
            writer
                .create_element("testsuite")
                .with_attribute(("name", "lambdar-prune check"))
                .with_attributes(counts.iter().map(|(name, count)| (*name, count.as_str())))
                .write_inner_content(|writer| {
                    for layer in &fine {
                        case(writer, layer, "check").write_empty()?;
                    }
                    for ((layer, code), findings) in &cases {
                        finding_case(writer, layer, *code, findings)?;
                    }
                    for allowed in &checked.allowed {
                        let finding = &allowed.finding;
                        let name = format!("{} at {}", finding.code, location::path(finding));
                        let reason = xml(allowed.reason.as_deref().unwrap_or("allowed"));
                        case(writer, layer_of(finding), &name).write_inner_content(|writer| {
                            let skipped = writer.create_element("skipped");
                            skipped.with_attribute(("message", reason.as_str())).write_empty()?;
                            Ok(())
                        })?;
                    }
                    Ok(())
                })?;
            Ok(())
        });
    // Writing to memory cannot fail.
    debug_assert!(written.is_ok());
    out.push(b'\n');
    String::from_utf8(out).unwrap_or_default()
}

fn layer_of(finding: &Finding) -> &str {
    finding.layer.as_deref().unwrap_or(EVERYTHING)
}

fn is_failure(findings: &[&Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

fn case<'w, W: io::Write>(
    writer: &'w mut Writer<W>,
    layer: &str,
    name: &str,
) -> quick_xml::writer::ElementWriter<'w, W> {
    writer
        .create_element("testcase")
        .with_attribute(("classname", xml(layer).as_str()))
        .with_attribute(("name", xml(name).as_str()))
}

fn finding_case<W: io::Write>(
    writer: &mut Writer<W>,
    layer: &str,
    code: Code,
    findings: &[&Finding],
) -> io::Result<()> {
    let lines: Vec<String> = findings
        .iter()
        .map(|finding| {
            format!(
                "{}: {}: {}\n  help: {}",
                finding.severity,
                location::path(finding),
                escaped(finding.message.as_bytes()),
                escaped(finding.help.as_bytes())
            )
        })
        .collect();
    let text = xml_lines(&lines.join("\n"));
    let first = findings.first().map_or("", |finding| finding.message.as_str());
    let message = match findings.len() {
        1 => xml(first),
        count => xml(&format!("{count} findings; the first: {first}")),
    };
    let is_failure = is_failure(findings);
    case(writer, layer, &code.to_string()).write_inner_content(|writer| {
        if is_failure {
            writer
                .create_element("failure")
                .with_attribute(("message", message.as_str()))
                .with_attribute(("type", code.to_string().as_str()))
                .write_text_content(BytesText::new(&text))?;
        } else {
            writer
                .create_element("system-out")
                .write_text_content(BytesText::new(&text))?;
        }
        Ok(())
    })?;
    Ok(())
}

/// A text in one line, without what XML cannot hold.
fn xml(text: &str) -> String {
    xml_lines(&escaped(text.as_bytes()))
}

/// A text without the characters that an XML document cannot hold, even as references (XML 1.0, production 2, "Char").
fn xml_lines(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => c,
            _ => char::REPLACEMENT_CHARACTER,
        })
        .collect()
}
