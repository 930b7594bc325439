//! The report of `check` as text.

use std::collections::{BTreeMap, BTreeSet};

use super::difference::{CHANGE_COLUMNS, change_cells};
use super::table::{Column, RenderOptions, counted, long_table, some_of};
use super::{Checked, location, table};
use crate::finding::{Code, Finding, Severity};
use crate::gate::{Allowed, Growth};
use crate::limits;
use crate::size::{Bytes, exact};
use crate::tree::path::escaped;

/// Report of `check`.
pub fn checked(checked: &Checked, render: RenderOptions) -> String {
    if render.quiet {
        return sum(checked, render);
    }
    let mut text = finding_lines(&checked.findings, render);
    text += &allowed_lines(&checked.allowed, render);
    if let Some(growth) = &checked.growth {
        text += &render.heading(&format!("Changed since {}", escaped(growth.baseline.as_bytes())));
        if growth.components.is_empty() {
            text += "No component has another size.\n";
        } else {
            let mut columns = vec![Column::Left("Component")];
            columns.extend(CHANGE_COLUMNS);
            text += &long_table(render, &columns, growth_rows(growth));
        }
        text.push('\n');
    }
    if !checked.layers.is_empty() {
        let rows = checked.layers.iter().map(|layer| {
            vec![
                escaped(layer.file.as_bytes()),
                layer.zipped_bytes.to_string(),
                layer.unzipped_bytes.to_string(),
                exact(layer.entries as u64),
            ]
        });
        let columns = [
            Column::Left("Layer"),
            Column::Right("Zipped"),
            Column::Right("Unzipped"),
            Column::Right("Entries"),
        ];
        text += &render.table(&columns, rows.collect());
    }
    text + &sum(checked, render)
}

/// The verdict, and what is left for the function.
fn sum(checked: &Checked, render: RenderOptions) -> String {
    let left = limits::UNZIPPED_BYTES.saturating_sub(checked.totals.unzipped_bytes.0 + 1);
    let sum = format!(
        "{}. {} unzipped, which leaves {} for the function.",
        verdict(checked),
        checked.totals.unzipped_bytes,
        Bytes(left),
    );
    render.folded("", &sum)
}

/// The verdict with the number of findings, as one sentence without its period.
pub(super) fn verdict(checked: &Checked) -> String {
    let Checked { runtime, arch, .. } = checked;
    let counts = counts(checked);
    if checked.ok {
        return format!("OK: {counts}, for {runtime} on {arch}");
    }
    let what = if checked.layers.is_empty() {
        "this tree"
    } else {
        "these layers"
    };
    let errors = || {
        checked
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
    };
    // A budget or a denied warning fails the check of layers that would run.
    let own = |finding: &Finding| {
        let is_budget = matches!(finding.code, Code::OverBudget | Code::GrownTooMuch);
        is_budget || finding.code.page().is_some_and(|page| page.severity != Severity::Error)
    };
    if errors().all(own) {
        format!("{counts}: {what} did not pass the project's own policy, for {runtime} on {arch}")
    } else {
        format!("{counts}: {what} will not run on {runtime} ({arch})")
    }
}

/// What findings mean for layers: "OK", with the number of warnings if there are any, or the number of errors and that the layers
/// fail, as `failing` says of them, on the runtime.
pub(super) fn state(findings: &[Finding], failing: &str, runtime: &str) -> String {
    match (causes(findings, Severity::Error), causes(findings, Severity::Warning)) {
        (0, 0) => "OK".to_owned(),
        (0, warnings) => format!("OK, {}", counted(warnings, "warning")),
        (errors, _) => format!("{}: {failing} on {runtime}", counted(errors, "error")),
    }
}

/// How many findings there are of each kind.
pub(super) fn counts(checked: &Checked) -> String {
    let count = |severity| causes(&checked.findings, severity);
    let allowed = match checked.allowed.len() {
        0 => String::new(),
        number => format!(", {} allowed", exact(number as u64)),
    };
    format!(
        "{}, {}{allowed}",
        counted(count(Severity::Error), "error"),
        counted(count(Severity::Warning), "warning")
    )
}

/// The components that have changed, one a row.
pub(super) fn growth_rows(growth: &Growth) -> Vec<Vec<String>> {
    growth
        .components
        .iter()
        .map(|component| {
            let mut row = vec![escaped(component.name.as_bytes())];
            row.extend(change_cells(&component.difference));
            row
        })
        .collect()
}

/// Findings of one severity, code and cause, which people are told once.
type SameCause<'a> = (Severity, Code, Option<&'a str>);

fn same_cause(finding: &Finding) -> SameCause<'_> {
    let key = finding.cause.as_ref().map(|cause| cause.key.as_str());
    (finding.severity, finding.code, key)
}

/// How many things are the matter: findings that share a cause count once.
fn causes(findings: &[Finding], severity: Severity) -> usize {
    let of_severity = || findings.iter().filter(|finding| finding.severity == severity);
    let alone = of_severity().filter(|finding| finding.cause.is_none()).count();
    let shared: BTreeSet<SameCause<'_>> = of_severity()
        .filter(|finding| finding.cause.is_some())
        .map(same_cause)
        .collect();
    alone + shared.len()
}

/// Findings: what, where, and what to do. Those that share a cause are said once, unless lists are shown whole.
pub fn finding_lines<'a>(findings: impl IntoIterator<Item = &'a Finding>, render: table::RenderOptions) -> String {
    let findings: Vec<&Finding> = findings.into_iter().collect();
    let mut shared: BTreeMap<SameCause<'_>, Vec<&Finding>> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| finding.cause.is_some()) {
        shared.entry(same_cause(finding)).or_default().push(finding);
    }
    let mut text = String::new();
    for finding in findings {
        let alike = match shared.get(&same_cause(finding)) {
            Some(alike) if alike.len() > 1 && !render.verbose => {
                if alike.first().is_some_and(|first| !std::ptr::eq(*first, finding)) {
                    continue;
                }
                alike.as_slice()
            }
            _ => &[],
        };
        text += &finding_line(finding, alike, render);
    }
    text
}

/// One finding, which stands for those that are alike, if there are any.
fn finding_line(finding: &Finding, alike: &[&Finding], render: table::RenderOptions) -> String {
    let speaker = alike
        .iter()
        .max_by_key(|finding| finding.cause.as_ref().map(|cause| &cause.rank))
        .copied()
        .unwrap_or(finding);
    let mut text = format!("{}[{}]", render.severity(finding.severity), finding.code);
    let places = [&speaker.layer, &speaker.path];
    for (number, place) in places.into_iter().flatten().enumerate() {
        text += if number == 0 { " " } else { ": " };
        text += &escaped(place.as_bytes());
    }
    text.push('\n');
    let files: BTreeSet<&String> = alike.iter().filter_map(|finding| finding.path.as_ref()).collect();
    let message = match &speaker.cause {
        Some(cause) if files.len() > 1 => {
            let names: Vec<String> = files.iter().map(|path| (*path).clone()).collect();
            cause.says(&counted(files.len(), "file"), &some_of(&names))
        }
        _ => escaped(speaker.message.as_bytes()),
    };
    text += &render.folded("  ", &message);
    text += &render.folded("  help: ", &escaped(speaker.help.as_bytes()));
    text
}

/// What is allowed, where lists are shown whole.
pub fn allowed_lines(allowed: &[Allowed], render: RenderOptions) -> String {
    let mut text = String::new();
    for Allowed { finding, reason } in allowed.iter().filter(|_| render.verbose) {
        let place = location::shown(finding);
        text += format!("allowed[{}] {place}", finding.code).trim_end();
        text.push('\n');
        text += &render.folded("  ", &escaped(finding.message.as_bytes()));
        if let Some(reason) = reason {
            text += &render.folded("  reason: ", &escaped(reason.as_bytes()));
        }
    }
    text
}
