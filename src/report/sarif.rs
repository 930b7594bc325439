//! SARIF 2.1.0 (OASIS Standard, "Static Analysis Results Interchange Format"), which code scanning tools read.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Checked, location};
use crate::finding::{Code, Finding, Severity};
use crate::tree::path::escaped;

/// One run with one result a finding; what is allowed is suppressed, with its reason.
pub fn sarif(checked: &Checked) -> String {
    let found = checked.findings.iter();
    let allowed = checked.allowed.iter();
    let codes: BTreeSet<Code> = found
        .clone()
        .chain(allowed.clone().map(|allowed| &allowed.finding))
        .map(|finding| finding.code)
        .collect();
    let results: Vec<Value> = found
        .map(result)
        .chain(allowed.map(|allowed| {
            let mut result = result(&allowed.finding);
            let mut suppression = json!({ "kind": "external", "status": "accepted" });
            if let Some(reason) = &allowed.reason {
                suppression["justification"] = Value::from(escaped(reason.as_bytes()));
            }
            result["suppressions"] = json!([suppression]);
            result
        }))
        .collect();
    super::json(&json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": env!("CARGO_PKG_NAME"),
                    "version": env!("CARGO_PKG_VERSION"),
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": codes.into_iter().map(rule).collect::<Vec<_>>(),
                },
            },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

fn rule(code: Code) -> Value {
    let Some(page) = code.page() else {
        return json!({ "id": code });
    };
    json!({
        "id": code,
        "shortDescription": { "text": page.title },
        "fullDescription": { "text": page.cause },
        "help": { "text": page.cure },
        "defaultConfiguration": { "level": level(page.severity) },
    })
}

fn result(finding: &Finding) -> Value {
    let message = format!(
        "{}\nhelp: {}",
        escaped(finding.message.as_bytes()),
        escaped(finding.help.as_bytes())
    );
    let place = location::path(finding);
    json!({
        "ruleId": finding.code,
        "level": level(finding.severity),
        "message": { "text": message },
        "locations": [{
            "physicalLocation": { "artifactLocation": { "uri": uri(&place) } },
            "logicalLocations": [{ "fullyQualifiedName": place }],
        }],
        "partialFingerprints": { "finding/v1": fingerprint(finding) },
    })
}

/// The levels of SARIF 3.27.10.
fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// A relative reference (RFC 3986, 4.2): whatever is not unreserved is percent-encoded, the slashes between names are not.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

/// By which a tool knows a finding again in the next run.
fn fingerprint(finding: &Finding) -> String {
    let mut hash = Sha256::new();
    for part in [&finding.code.to_string(), &location::path(finding), &finding.message] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let hash: [u8; 32] = hash.finalize().into();
    base16ct::lower::encode_string(&hash)
}
