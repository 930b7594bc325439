//! The report of `pack`.

use std::collections::BTreeMap;

use super::table::{Column, RenderOptions, counted, long_table, some_of};
use super::text::{allowed_lines, finding_lines, state};
use crate::finding::any_error;
use crate::gate::Allowed;
use crate::limits;
use crate::manifest::{ChangedFile, Dropped, LayerChange, LicenseUse, Manifest, NotLinked, Recompressed};
use crate::pack::Packed;
use crate::size::{Bytes, exact};
use crate::tree::path::escaped;

/// The report of `pack` as text; `allowed` are the findings that the project allows.
pub fn packed(packed: &Packed, allowed: &[Allowed], output: &str, render: RenderOptions) -> String {
    if render.quiet {
        return render.folded("", &sum(packed, output));
    }
    let mut text = String::new();
    if !packed.manifest.added.is_empty() {
        text += &render.heading("Added from this machine");
        let rows = packed.manifest.added.iter().map(|added| {
            vec![
                escaped(added.path.as_bytes()),
                added.from.clone(),
                some_of(&added.needed_by),
            ]
        });
        text += &render.table(
            &[Column::Left("Path"), Column::Left("From"), Column::Left("Needed by")],
            rows.collect(),
        );
    }
    text += &dropped(&packed.manifest.dropped, render);
    if !packed.manifest.changed.is_empty() {
        text += &render.heading("Changed");
        text += &changed_table(&packed.manifest.changed, render);
    }
    for file in &packed.manifest.not_stripped {
        let path = escaped(file.path.as_bytes());
        text += &render.folded("", &format!("{path} is as it was: {}", file.reason));
    }
    text += &not_linked(&packed.manifest.not_linked, render);
    if render.verbose {
        text += &licenses(&packed.manifest.licenses, render);
    }
    let findings = finding_lines(&packed.findings, render) + &allowed_lines(allowed, render);
    if !findings.is_empty() {
        text += &render.heading("Findings");
        text += &findings;
    }
    text += &render.heading("Layers");
    text += &layers(&packed.manifest, render);
    text += &render.folded("", &sum(packed, output));
    text += &proof(&packed.manifest, render);
    if !any_error(&packed.findings) && packed.manifest.proof.as_ref().is_none_or(|proof| proof.ok) {
        let all_have_names = packed.manifest.layers.iter().all(|layer| layer.name.is_some());
        let name = if all_have_names { "" } else { " --name NAME" };
        text += &render.folded("", &format!("Next: lambdar-prune publish {output}{name}"));
    }
    text.trim_start_matches('\n').to_owned()
}

/// The verdict: whether the layers will run, and how large they are.
pub(super) fn sum(packed: &Packed, output: &str) -> String {
    let Manifest {
        totals, runtime, arch, ..
    } = &packed.manifest;
    let state = state(&packed.findings, "these layers will not run", runtime);
    format!(
        "{} in {output} for {runtime} on {arch}, {} zipped, {} unzipped. {state}.",
        counted(totals.layers, "layer"),
        totals.zipped_bytes,
        totals.unzipped_bytes,
    )
}

/// What each rule removed.
fn dropped(dropped: &[Dropped], render: RenderOptions) -> String {
    if dropped.is_empty() {
        return String::new();
    }
    let rows = dropped.iter().map(|dropped| {
        vec![
            dropped.rule.clone(),
            exact(dropped.files as u64),
            dropped.bytes.to_string(),
        ]
    });
    let columns = [Column::Left("Rule"), Column::Right("Files"), Column::Right("Size")];
    render.heading("Removed") + &long_table(render, &columns, rows.collect())
}

/// The licenses, with what is under them.
fn licenses(licenses: &[LicenseUse], render: RenderOptions) -> String {
    let rows = licenses.iter().map(|license| {
        let name = license.expression.as_ref().or(license.declared.as_ref());
        vec![
            escaped(name.map_or("unknown", String::as_str).as_bytes()),
            escaped(license.components.join(", ").as_bytes()),
        ]
    });
    let columns = ["License", "Components"].map(Column::Left);
    render.heading("Licenses") + &render.table(&columns, rows.collect())
}

/// Files that are there more than once, with why.
fn not_linked(files: &[NotLinked], render: RenderOptions) -> String {
    if files.is_empty() {
        return String::new();
    }
    let more = |files: &NotLinked| Bytes(files.bytes.0 * (files.paths.len() as u64 - 1));
    let mut sorted: Vec<&NotLinked> = files.iter().collect();
    sorted.sort_by_key(|files| std::cmp::Reverse(more(files)));
    let rows = sorted.into_iter().map(|files| {
        vec![
            more(files).to_string(),
            escaped(some_of(&files.paths).as_bytes()),
            files.reason.clone(),
        ]
    });
    let columns = [
        Column::Right("Extra"),
        Column::Left("Files"),
        Column::Left("Why not linked"),
    ];
    render.heading("Duplicate files") + &long_table(render, &columns, rows.collect())
}

/// How many of the paths that a replay missed are shown.
const TAKEN_BACK_SHOWN: usize = 10;

/// Where what no recording used is, and what replaying the recordings on the layers showed.
fn proof(manifest: &Manifest, render: RenderOptions) -> String {
    let mut text = String::new();
    if let Some(rest) = &manifest.rest {
        let unzipped: Bytes = rest.layers.iter().map(|layer| layer.unzipped_bytes).sum();
        let zipped: Bytes = rest.layers.iter().map(|layer| layer.zipped_bytes).sum();
        let line = format!(
            "What no recording used is in {} in {}, {zipped} zipped, {unzipped} unzipped: attach them if the function needs it.",
            counted(rest.layers.len(), "layer"),
            rest.directory
        );
        text += &render.folded("", &line);
    }
    let Some(proof) = &manifest.proof else { return text };
    let rounds = counted(proof.rounds, "round");
    let line = if proof.ok {
        format!("Proven: every recorded event is answered as recorded, after {rounds}.")
    } else {
        format!(
            "Not proven: after {rounds} an event is still answered differently, and nothing that was left out is looked for."
        )
    };
    text += &render.folded("", &line);
    if !proof.taken_back.is_empty() {
        let shown = if render.verbose { usize::MAX } else { TAKEN_BACK_SHOWN };
        let paths = proof.taken_back.iter().map(|path| escaped(path.as_bytes()));
        let paths: Vec<String> = paths.take(shown).collect();
        let more = match proof.taken_back.len() - paths.len() {
            0 => String::new(),
            more => format!(" and {more} more (-v shows them)"),
        };
        text += &render.folded(
            "",
            &format!("Taken back because a replay missed it: {}{more}.", paths.join(", ")),
        );
    }
    text
}

/// What changed files on their way into the layers, with sums.
fn changed_table(changed: &[ChangedFile], render: RenderOptions) -> String {
    let mut sums: BTreeMap<&str, (u64, Bytes, Bytes)> = BTreeMap::new();
    for file in changed {
        let (files, before, after) = sums.entry(&file.by).or_default();
        *files += 1;
        *before += file.before_bytes;
        *after += file.after_bytes;
    }
    let rows = sums
        .into_iter()
        .map(|(by, (files, before, after))| vec![by.to_owned(), exact(files), before.to_string(), after.to_string()]);
    let columns = [
        Column::Left("By"),
        Column::Right("Files"),
        Column::Right("Before"),
        Column::Right("After"),
    ];
    render.table(&columns, rows.collect())
}

/// The layers that were packed, how many there are and what became of those before.
fn layers(manifest: &Manifest, render: RenderOptions) -> String {
    let Manifest { layers, totals, .. } = manifest;
    let rows = layers.iter().map(|layer| {
        vec![
            layer.file.clone(),
            layer.change.map_or("", change).to_owned(),
            layer.zipped_bytes.to_string(),
            layer.unzipped_bytes.to_string(),
            exact(layer.entries as u64),
            escaped(some_of(&layer.components).as_bytes()),
        ]
    });
    let columns = [
        Column::Left("Layer"),
        Column::Left("Change"),
        Column::Right("Zipped"),
        Column::Right("Unzipped"),
        Column::Right("Entries"),
        Column::Left("Components"),
    ];
    let mut text = render.table(&columns, rows.collect());
    let bound = if totals.optimal {
        "This is the minimum number of layers.".to_owned()
    } else {
        format!("At least {} are needed.", counted(totals.lower_bound, "layer"))
    };
    text += &render.folded("", &bound);
    if let Some(layers) = totals.layers_at_limit {
        let way = format!(
            "With --max {} (just under 50 MiB, all that Lambda takes in a request) it would be {layers}.",
            limits::ZIPPED_BYTES
        );
        text += &render.folded("", &way);
    }
    let recompressed = &manifest.recompressed;
    if !recompressed.is_empty() {
        let saved = |file: &Recompressed| Bytes(file.before_bytes.0.saturating_sub(file.after_bytes.0));
        let again = format!(
            "{} compressed once more, as with --effort max: {} less, which saves a layer.",
            counted(recompressed.len(), "file"),
            recompressed.iter().map(saved).sum::<Bytes>(),
        );
        text += &render.folded("", &again);
    }
    if !manifest.removed_layers.is_empty() {
        text += &format!("No longer there: {}.\n", some_of(&manifest.removed_layers));
    }
    text
}

fn change(change: LayerChange) -> &'static str {
    match change {
        LayerChange::New => "new",
        LayerChange::Changed => "changed",
        LayerChange::Unchanged => "unchanged",
    }
}
