//! The report of `invoke`: a document for programs, and for people the lines that Lambda itself writes.

use base64::Engine;
use serde::Serialize;

use super::SCHEMA_VERSION;
use super::table::RenderOptions;
use super::text::finding_lines;
use crate::finding::{Finding, Severity};
use crate::invoke::{Failure, Invocation, StandIn, TIMED_OUT, explaining};
use crate::replay::LeftOut;
use crate::runtime::{Arch, Runtime};
use crate::size::Bytes;
use crate::tree::path::escaped;

/// How much of a log is in the document, in bytes; a caller of Lambda gets as much (API reference, Invoke, `LogResult`).
const TAIL: usize = 4096;
/// How many names are shown of those that this machine lacks.
const NAMES: usize = 8;
/// Lambda's MB.
const MB: u64 = 1 << 20;

/// Document of `invoke`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Invoked {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// Whether every event got a response.
    pub ok: bool,
    /// The runtime that the layers ran on.
    pub runtime: String,
    /// The architecture.
    pub arch: Arch,
    /// The handler.
    pub handler: String,
    /// How long the first bootstrap took from its start until it asked for an event, in milliseconds.
    pub init_ms: Option<f64>,
    /// The memory given, in bytes.
    pub memory_bytes: Bytes,
    /// How much memory was used at most.
    pub peak_memory_bytes: Bytes,
    /// The events in their order.
    pub invocations: Vec<InvokedEvent>,
    /// What the runtime has and this machine cannot supply, so that the root did not have it.
    pub missing_on_this_machine: Vec<String>,
    /// The version of glibc that the root had; `None` if an image was the root.
    pub glibc: Option<String>,
    /// Every finding of `check` of severity error, whether or not it showed here.
    pub findings: Vec<Finding>,
    /// What the function looked for and did not find, and the manifest of the layers says was left out, sorted by path. It is known with
    /// `--record`, and where something was left out because no recording used it.
    pub left_out: Vec<LeftOut>,
}

/// One event.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InvokedEvent {
    /// The number under which the runtime got it.
    pub request_id: String,
    /// Where it came from: a file, `-` for standard input, `{}` for the empty event.
    pub event: String,
    /// Whether it got a response.
    pub ok: bool,
    /// From when it was sent until the runtime asked for the next one, in milliseconds.
    pub duration_ms: f64,
    /// How long the bootstrap took to start, if it was started for this event, in milliseconds.
    pub init_ms: Option<f64>,
    /// The response, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// The response in base64, if it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_base64: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The findings that explain the failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub explained_by: Vec<Finding>,
    /// How much memory had been used at most by then.
    pub max_memory_bytes: Bytes,
    /// The end of what the function wrote meanwhile.
    pub log_tail: String,
}

impl Invoked {
    /// The document about a run.
    pub fn new(
        runtime: &Runtime,
        handler: &str,
        memory_mb: u64,
        (missing, glibc): (&[String], Option<&str>),
        invocations: &[Invocation],
        findings: &[Finding],
        left_out: Vec<LeftOut>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            ok: invocations.iter().all(|invocation| invocation.failure.is_none()),
            runtime: runtime.name.clone(),
            arch: runtime.arch,
            handler: handler.to_owned(),
            init_ms: invocations
                .iter()
                .find_map(|invocation| Some(milliseconds(invocation.init?))),
            memory_bytes: Bytes(memory_mb.saturating_mul(MB)),
            peak_memory_bytes: invocations.iter().map(|i| i.peak_memory).max().unwrap_or_default(),
            invocations: invocations
                .iter()
                .map(|invocation| event(invocation, findings))
                .collect(),
            missing_on_this_machine: missing.to_vec(),
            glibc: glibc.map(ToOwned::to_owned),
            findings: errors(findings).cloned().collect(),
            left_out,
        }
    }
}

fn errors(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Error)
}

fn event(invocation: &Invocation, findings: &[Finding]) -> InvokedEvent {
    let text = invocation
        .response
        .as_ref()
        .map(|response| std::str::from_utf8(response));
    let log = &invocation.log_tail;
    InvokedEvent {
        request_id: invocation.request_id.clone(),
        event: invocation.event.clone(),
        ok: invocation.failure.is_none(),
        duration_ms: milliseconds(invocation.duration),
        init_ms: invocation.init.map(milliseconds),
        response: text.and_then(Result::ok).map(ToOwned::to_owned),
        response_base64: invocation
            .response
            .as_ref()
            .filter(|_| matches!(text, Some(Err(_))))
            .map(|response| base64::engine::general_purpose::STANDARD.encode(response)),
        error: invocation.failure.clone(),
        explained_by: explanations(invocation, findings).into_iter().cloned().collect(),
        max_memory_bytes: invocation.peak_memory,
        log_tail: String::from_utf8_lossy(&log[log.len().saturating_sub(TAIL)..]).into_owned(),
    }
}

fn explanations<'a>(invocation: &Invocation, findings: &'a [Finding]) -> Vec<&'a Finding> {
    match &invocation.failure {
        Some(failure) => explaining(findings, failure, &String::from_utf8_lossy(&invocation.log_tail)),
        None => Vec::new(),
    }
}

/// With three decimals, as Lambda reports them.
fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// The lines about one event: Lambda's own, and for a failure what it was, what explains it and what to do.
pub fn invocation(invocation: &Invocation, memory_mb: u64, findings: &[Finding], render: RenderOptions) -> String {
    let mut text = format!(
        "REPORT RequestId: {}\tDuration: {:.2} ms\tMemory Size: {memory_mb} MB\tMax Memory Used: {} MB",
        invocation.request_id,
        milliseconds(invocation.duration),
        invocation.peak_memory.0.div_ceil(MB)
    );
    if let Some(init) = invocation.init {
        text += &format!("\tInit Duration: {:.2} ms", milliseconds(init));
    }
    let Some(failure) = &invocation.failure else {
        return text + "\n";
    };
    let status = if failure.error_type == TIMED_OUT {
        "timeout"
    } else {
        "error"
    };
    text += &format!(
        "\tStatus: {status}\tError Type: {}\n",
        escaped(failure.error_type.as_bytes())
    );
    let name = &invocation.event;
    let lines: Vec<String> = failure
        .error_message
        .lines()
        .map(|line| escaped(line.as_bytes()))
        .collect();
    let message = lines.join("\n  ");
    text += &render.error_line(&format!(
        "event {name}: {}: {message}",
        escaped(failure.error_type.as_bytes())
    ));
    for line in failure.stack_trace.iter().flat_map(|call| call.lines()) {
        text += &format!("  {}\n", escaped(line.as_bytes()));
    }
    if let Some(help) = &failure.help {
        text += &format!("  help: {help}\n");
    }
    text + &finding_lines(explanations(invocation, findings), render)
}

/// Where the sandbox differs from Lambda, one line each.
pub fn invoke_notes(runtime: &Runtime, missing: &[String], glibc: Option<&str>, verbose: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !missing.is_empty() {
        let shown = if verbose {
            missing.len()
        } else {
            missing.len().min(NAMES)
        };
        let more = missing.len() - shown;
        let rest = if more > 0 {
            format!(" and {more} more (-v shows them)")
        } else {
            String::new()
        };
        notes.push(format!(
            "Not available on this machine: {}{rest} ({} has them)",
            missing[..shown].join(", "),
            runtime.name
        ));
    }
    let theirs = runtime.highest_versions.get("GLIBC");
    if let (Some(glibc), Some(theirs)) = (glibc, theirs)
        && glibc != theirs
    {
        notes.push(format!(
            "glibc is {glibc} here and {theirs} on {}: `lambdar-prune check` finds what needs a newer one, a run here does not",
            runtime.name
        ));
    }
    notes
}

/// Which interpreter of this machine stands in for the runtime's own, and what the runtime has besides.
pub fn stand_in_note(stand_in: &StandIn, verbose: bool) -> Option<String> {
    let program = stand_in.program.display();
    let lacks = stand_in
        .lacks
        .map(|what| format!("; {} also has {what}", stand_in.name));
    verbose.then(|| {
        format!(
            "{} is {program} of this machine here{}",
            stand_in.name,
            lacks.unwrap_or_default()
        )
    })
}

/// After a run: what check finds that has not been shown with a failure.
pub fn invoke_end(invocations: &[Invocation], findings: &[Finding]) -> Option<String> {
    let shown: Vec<&Finding> = invocations
        .iter()
        .flat_map(|invocation| explanations(invocation, findings))
        .collect();
    let mut codes: Vec<String> = errors(findings)
        .filter(|finding| !shown.contains(finding))
        .map(|finding| finding.code.to_string())
        .collect();
    let count = codes.len();
    codes.dedup();
    let plural = if count == 1 { "error" } else { "errors" };
    (count > 0).then(|| {
        format!(
            "check finds {count} {plural} in the layers that did not show here ({}): run `lambdar-prune check` before you \
             publish them",
            codes.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::finding::Code;
    use crate::runtime::DEFAULT;

    fn responded(response: &[u8]) -> Invocation {
        Invocation {
            request_id: "8f5".to_owned(),
            event: "event.json".to_owned(),
            duration: Duration::from_micros(12_345),
            init: Some(Duration::from_millis(700)),
            response: Some(response.to_vec()),
            failure: None,
            peak_memory: Bytes(60 * MB + 1),
            log_tail: b"a line\n".to_vec(),
        }
    }

    #[test]
    fn lines_are_as_lambda_has_them() {
        assert_eq!(
            invocation(&responded(b"fine"), 512, &[], RenderOptions::default()),
            "REPORT RequestId: 8f5\tDuration: 12.35 ms\tMemory Size: 512 MB\tMax Memory Used: 61 MB\tInit Duration: 700.00 ms\n"
        );
    }

    #[test]
    fn the_document_holds_text_as_text_and_bytes_in_base64() {
        let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
        let invocations = [responded(b"{\"a\":1}"), responded(b"\xff\x00")];
        let error = Finding::new(Code::MissingLibrary, &[("soname", "libx.so.1")]);
        let warning = Finding::new(Code::MissingCommand, &[("command", "jq")]);
        let invoked = Invoked::new(
            &runtime,
            "a.b",
            512,
            (&[], Some("2.36")),
            &invocations,
            &[error.clone(), warning],
            Vec::new(),
        );
        let value = serde_json::to_value(&invoked).unwrap();
        assert_eq!(value["ok"], true);
        assert_eq!(value["init_ms"], 700.0);
        assert_eq!(value["peak_memory_bytes"], 60 * MB + 1);
        assert_eq!(value["invocations"][0]["response"], "{\"a\":1}");
        assert_eq!(value["invocations"][1]["response_base64"], "/wA=");
        assert_eq!(value["findings"].as_array().unwrap().len(), 1);
        let end = invoke_end(&invocations, &[error]).unwrap();
        assert!(
            end.starts_with("check finds 1 error in the layers that did not show here (missing-library)"),
            "{end}"
        );
        assert_eq!(invoke_end(&invocations, &[]), None);
    }

    #[test]
    fn notes_are_short_unless_all_is_asked_for() {
        let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
        let missing: Vec<String> = (0..10).map(|number| format!("lib{number}.so")).collect();
        let notes = invoke_notes(&runtime, &missing, Some("2.36"), false);
        assert!(
            notes[0].ends_with("lib7.so and 2 more (-v shows them) (provided.al2023 has them)"),
            "{notes:?}"
        );
        assert!(
            notes[1].starts_with("glibc is 2.36 here and 2.34 on provided.al2023"),
            "{notes:?}"
        );
        assert!(
            invoke_notes(&runtime, &missing, Some("2.34"), true)[0].ends_with("lib9.so (provided.al2023 has them)")
        );
    }
}
