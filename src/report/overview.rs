//! The analysis of a tree as text: the verdict first, then what is large, what can be removed, libraries and findings.

use super::analysis::{Analysis, MissingLibrary, Resolution, RuleEffect};
use super::table::{Column, RenderOptions, counted, long_table, some_of};
use super::text::{finding_lines, state};
use crate::finding::{Finding, Severity, any_error};
use crate::pack::Estimate;
use crate::size::Bytes;
use crate::tree::path::escaped;

/// The longest bar, in columns.
const BAR: usize = 20;

/// The analysis of a tree, for people. `again` is what a command about the same tree for the same runtime is called with, as a
/// shell reads it.
pub fn analysis(analysis: &Analysis, tree: &str, again: &str, render: RenderOptions) -> String {
    let mut text = render.folded("", &verdict(analysis, tree));
    if render.quiet {
        return text;
    }
    if let Some(estimate) = &analysis.estimate {
        text += &limits(estimate);
    }
    text += &render.heading("What is large");
    text += &components(analysis, render);
    text += &render.heading("Removable");
    text += &rules(analysis, render);
    text += &render.heading("Shared libraries");
    text += &libraries(analysis, render);
    let is_shown = |finding: &&Finding| finding.severity != Severity::Note || render.verbose;
    let findings: Vec<&Finding> = analysis.findings.iter().filter(is_shown).collect();
    let notes = analysis.findings.len() - findings.len();
    if !analysis.findings.is_empty() {
        text += &render.heading("Findings");
        text += &finding_lines(findings, render);
        if notes > 0 {
            text += &format!("{} with -v\n", counted(notes, "note"));
        }
    }
    text += &render.heading("Next");
    text + &next(analysis, again, render)
}

/// The result in a line: how many layers of which size, and whether anything is wrong with them.
fn verdict(analysis: &Analysis, tree: &str) -> String {
    format!("{}: {}", escaped(tree.as_bytes()), state_and_sizes(analysis))
}

/// The same without the name of the tree.
pub(super) fn state_and_sizes(analysis: &Analysis) -> String {
    let mut state = state(&analysis.findings, "the layers would not run", &analysis.runtime);
    if let Some(excess) = analysis.estimate.as_ref().and_then(excess) {
        state = if any_error(&analysis.findings) {
            format!("Does not fit: {excess}. {state}")
        } else {
            format!("Does not fit: {excess}")
        };
    }
    let size = analysis.estimate.as_ref().map_or_else(String::new, |estimate| {
        format!(
            "about {} zipped in {}, {} unzipped, ",
            estimate.zipped_bytes,
            counted(estimate.layers, "layer"),
            estimate.unzipped_bytes,
        )
    });
    format!("{size}for {} on {}. {state}.", analysis.runtime, analysis.arch)
}

/// By how much layers exceed the limits; `None` if they keep to them.
fn excess(estimate: &Estimate) -> Option<String> {
    let layers = (estimate.layers > estimate.max_layers).then(|| {
        let layers = counted(estimate.layers, "layer");
        format!("{layers} where {} are allowed", estimate.max_layers)
    });
    let (unzipped, allowed) = (estimate.unzipped_bytes, estimate.max_unzipped_bytes);
    let unzipped = (unzipped > allowed).then(|| format!("{unzipped} unzipped where {allowed} are allowed"));
    let all: Vec<String> = layers.into_iter().chain(unzipped).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// How much of Lambda's limits is used.
fn limits(estimate: &Estimate) -> String {
    let all = Bytes(estimate.max_bytes.0.saturating_mul(estimate.layers.max(1) as u64));
    let mut text = String::new();
    for (what, used, limit) in [
        ("zipped", estimate.zipped_bytes, all),
        ("unzipped", estimate.unzipped_bytes, estimate.max_unzipped_bytes),
    ] {
        text += &format!("  {what:<9} {}  {} of {}\n", bar(used, used, limit), used, limit);
    }
    text
}

/// A bar: full for what is kept, light for what is removed, of the largest.
fn bar(kept: Bytes, all: Bytes, largest: Bytes) -> String {
    let columns = |bytes: Bytes| {
        let part = u128::from(bytes.0.min(largest.0)) * BAR as u128;
        usize::try_from(part.div_ceil(u128::from(largest.0.max(1)))).unwrap_or(BAR)
    };
    let (kept, all) = (columns(kept), columns(all));
    let light = all.saturating_sub(kept);
    format!(
        "{}{}{}",
        "█".repeat(kept),
        "░".repeat(light),
        " ".repeat(BAR - kept - light)
    )
}

fn components(analysis: &Analysis, render: RenderOptions) -> String {
    let largest = analysis
        .components
        .iter()
        .map(|component| component.size.bytes)
        .max()
        .unwrap_or_default();
    let rows = analysis.components.iter().map(|component| {
        vec![
            escaped(component.size.name.as_bytes()),
            bar(component.kept_bytes, component.size.bytes, largest)
                .trim_end()
                .to_owned(),
            component.size.bytes.to_string(),
            component.kept_bytes.to_string(),
        ]
    });
    let columns = [
        Column::Left("Component"),
        Column::Left("Kept █ removed ░"),
        Column::Right("Before"),
        Column::Right("After"),
    ];
    let totals = (analysis.totals, analysis.kept);
    long_table(render, &columns, rows.collect())
        + &render.folded(
            "",
            &format!(
                "{} in {} before, {} in {} after (unzipped, before stripping).",
                totals.0.unzipped_bytes,
                counted(totals.0.files, "file"),
                totals.1.unzipped_bytes,
                counted(totals.1.files, "file"),
            ),
        )
}

fn rules(analysis: &Analysis, render: RenderOptions) -> String {
    let mut rules: Vec<&RuleEffect> = analysis.rules.iter().filter(|rule| rule.files > 0).collect();
    if rules.is_empty() {
        return "No rule matches anything here.\n".to_owned();
    }
    rules.sort_by(|a, b| {
        b.enabled
            .cmp(&a.enabled)
            .then(b.bytes.cmp(&a.bytes))
            .then_with(|| a.id.cmp(&b.id))
    });
    let sum = |enabled: bool| -> Bytes {
        let rules = rules.iter().filter(|rule| rule.enabled == enabled);
        rules.map(|rule| rule.bytes).sum()
    };
    let (on, off) = (sum(true), sum(false));
    let rows = rules.into_iter().map(|rule| {
        vec![
            rule.id.clone(),
            if rule.enabled { "on" } else { "off" }.to_owned(),
            rule.bytes.to_string(),
            if render.verbose {
                rule.breaks.clone()
            } else {
                phrase(&rule.breaks).to_owned()
            },
        ]
    });
    let columns = [
        Column::Left("Rule"),
        Column::Left("State"),
        Column::Right("Size"),
        Column::Left("Lost without it"),
    ];
    let table = render.table(&columns, rows.collect());
    let rest = if off.0 > 0 {
        format!(" Rules that are off would remove {off} more: --enable RULE.")
    } else {
        String::new()
    };
    table + &render.folded("", &format!("Rules that are on remove {on}.{rest}"))
}

/// The beginning of a text, up to the first part that can stand alone.
fn phrase(text: &str) -> &str {
    text.split_once("; ").map_or(text, |(first, _)| first)
}

/// What to do after this.
fn next(analysis: &Analysis, again: &str, render: RenderOptions) -> String {
    let first_error = analysis
        .findings
        .iter()
        .find(|finding| finding.severity == Severity::Error);
    let mut lines = Vec::new();
    if let Some(error) = first_error {
        lines.push(format!(
            "lambdar-prune check --explain {}   # what the first error means",
            error.code
        ));
    }
    if analysis.estimate.as_ref().is_some_and(|estimate| !estimate.fits()) {
        lines.push(format!("lambdar-prune pack {again}   # what would make it fit"));
    } else {
        lines.push(format!(
            "lambdar-prune pack {again}   # writes ./layers and checks them"
        ));
    }
    lines.push(format!(
        "lambdar-prune init {again}   # a lambdar-prune.toml for this tree"
    ));
    let width = lines
        .iter()
        .filter_map(|line| line.find("   #"))
        .max()
        .unwrap_or_default();
    lines
        .iter()
        .map(|line| {
            let (command, comment) = line.split_once("   #").unwrap_or((line, ""));
            let whole = format!("  {command:width$}  #{comment}");
            match render.width {
                Some(columns) if whole.chars().count() > usize::from(columns) => format!("  {command}\n"),
                _ => whole + "\n",
            }
        })
        .collect()
}

fn libraries(analysis: &Analysis, render: RenderOptions) -> String {
    let libraries = &analysis.libraries;
    let mut text = render.folded(
        "",
        &format!(
            "Libraries needed: {} ({} in the tree, {} provided by {}, {} missing).",
            libraries.needed,
            libraries.bundled,
            libraries.provided,
            analysis.runtime,
            libraries.missing.len(),
        ),
    );
    if !libraries.missing.is_empty() {
        text += &missing_table(&libraries.missing, render);
        text.push('\n');
    }
    if !libraries.shadowed.is_empty() {
        let rows = libraries.shadowed.iter().map(|shadowed| {
            vec![
                escaped(shadowed.path.as_bytes()),
                shadowed.bytes.to_string(),
                shadowed.by.clone(),
            ]
        });
        text += &render.table(
            &[
                Column::Left("Shadowed"),
                Column::Right("Size"),
                Column::Left("The runtime's own copy is found first"),
            ],
            rows.collect(),
        );
    }
    let copies: Vec<String> = libraries.duplicates.iter().map(|copy| copy.paths.join(" = ")).collect();
    for (what, paths) in [
        (
            "Used by nothing else (but a program may open them with dlopen)",
            &libraries.unneeded,
        ),
        ("The same content more than once", &copies),
        ("Links that only a linker needs", &libraries.development_links),
    ] {
        if !paths.is_empty() {
            let shown = if render.verbose {
                paths.join(", ")
            } else {
                some_of(paths)
            };
            text += &render.folded("", &format!("{what}: {shown}."));
        }
    }
    if render.verbose {
        text += &object_table(analysis, render);
    }
    text
}

fn missing_table(missing: &[MissingLibrary], render: RenderOptions) -> String {
    let rows = missing.iter().map(|missing| {
        vec![
            match &missing.copy_of {
                Some(outdated) => format!(
                    "newer {} (as {})",
                    escaped(outdated.as_bytes()),
                    escaped(missing.soname.as_bytes())
                ),
                None => escaped(missing.soname.as_bytes()),
            },
            some_of(&missing.needed_by),
            missing.host_path.clone().unwrap_or_else(|| "not found".to_owned()),
        ]
    });
    let columns = [
        Column::Left("Missing"),
        Column::Left("Needed by"),
        Column::Left("Found at (pack adds it)"),
    ];
    render.table(&columns, rows.collect())
}

/// Every object with what it needs and where the loader finds that.
fn object_table(analysis: &Analysis, render: RenderOptions) -> String {
    let rows = analysis.objects.iter().flat_map(|object| {
        object.needed.iter().map(|need| {
            let resolution = match need.resolution {
                Resolution::Bundled => "bundled",
                Resolution::Provided => "provided",
                Resolution::Missing => "missing",
            };
            vec![
                escaped(object.path.as_bytes()),
                escaped(need.soname.as_bytes()),
                resolution.to_owned(),
                need.path.clone().unwrap_or_default(),
                need.via.unwrap_or_default().to_owned(),
            ]
        })
    });
    let columns = [
        Column::Left("Object"),
        Column::Left("Needs"),
        Column::Left("Resolution"),
        Column::Left("Found at"),
        Column::Left("By"),
    ];
    render.table(&columns, rows.collect())
}
