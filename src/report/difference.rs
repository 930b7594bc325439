//! The report of `diff` as tables.

use super::table::{Column, RenderOptions, counted, long_table};
use crate::diff::{Diff, Difference};
use crate::size::Bytes;
use crate::tree::path::escaped;

/// What is said of a change, behind what has changed.
pub(super) const CHANGE_COLUMNS: [Column; 5] = [
    Column::Left("Change"),
    Column::Right("Before"),
    Column::Right("After"),
    Column::Right("Unzipped"),
    Column::Right("Zipped"),
];

/// The cells for [`CHANGE_COLUMNS`].
pub(super) fn change_cells(difference: &Difference) -> [String; 5] {
    [
        difference.change.to_string(),
        difference.before_unzipped_bytes.to_string(),
        difference.after_unzipped_bytes.to_string(),
        signed(difference.unzipped()),
        difference.zipped().map_or_else(|| "?".to_owned(), signed),
    ]
}

/// A size with its sign.
fn signed(bytes: i128) -> String {
    let size = Bytes(u64::try_from(bytes.unsigned_abs()).unwrap_or(u64::MAX));
    match bytes {
        0 => "0 B".to_owned(),
        1.. => format!("+{size}"),
        _ => format!("-{size}"),
    }
}

/// Report of `diff`.
pub fn difference(diff: &Diff, render: RenderOptions) -> String {
    let mut text = String::new();
    let mut section = |title: &str, first: &'static str, rows: Vec<Vec<String>>| {
        if rows.is_empty() {
            return;
        }
        text += &render.heading(title);
        let mut columns = vec![Column::Left(first)];
        columns.extend(CHANGE_COLUMNS);
        text += &long_table(render, &columns, rows);
    };
    let row = |name: &str, difference: &Difference| {
        let mut row = vec![escaped(name.as_bytes())];
        row.extend(change_cells(difference));
        row
    };
    let layers = diff.layers.iter().map(|layer| row(&layer.file, &layer.difference));
    section("Layers", "Layer", layers.collect());
    let components = diff.components.iter();
    let components = components.map(|component| row(&component.name, &component.difference));
    section("Components", "Component", components.collect());
    let files = diff.files.iter().map(|file| row(&file.path, &file.difference));
    section("Files", "Path", files.collect());
    text.push('\n');
    text += &render.folded("", &sum(diff));
    text.trim_start_matches('\n').to_owned()
}

/// How many files have changed, and by how much all together.
pub(super) fn sum(diff: &Diff) -> String {
    let counts = &diff.counts;
    if diff.files.is_empty() {
        return format!(
            "{} and {} have the same contents: {}.",
            escaped(diff.old.as_bytes()),
            escaped(diff.new.as_bytes()),
            counted(counts.unchanged, "file"),
        );
    }
    let sum = diff.total.as_ref().map_or_else(String::new, |total| {
        let zipped = total
            .zipped()
            .map_or_else(String::new, |zipped| format!(", {} zipped", signed(zipped)));
        format!(" {} unzipped{zipped}.", signed(total.unzipped()))
    });
    format!(
        "{} added, {} removed, {} grew, {} shrank, {} changed, {} unchanged.{sum}",
        counts.added, counts.removed, counts.grew, counts.shrank, counts.changed, counts.unchanged,
    )
}
