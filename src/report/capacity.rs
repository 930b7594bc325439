//! The report of `pack` if the layers exceed the limits.

use super::table::{Column, RenderOptions, long_table};
use crate::pack::{CapacityReport, Effect, PackageSaving, Saving, SizeEntry};
use crate::size::{Bytes, exact};
use crate::tree::path::escaped;

/// Why it does not fit, what would help, and what is large.
pub fn over_capacity(over_capacity: &CapacityReport, render: RenderOptions) -> String {
    if render.quiet {
        // The error on stderr says it in a line.
        return String::new();
    }
    let mut text = format!(
        "The layers exceed the limits for {} on {}:\n",
        over_capacity.runtime, over_capacity.arch
    );
    for reason in &over_capacity.reasons {
        text += &render.folded("  ", &escaped(reason.as_bytes()));
    }
    let total = match over_capacity.totals.zipped_bytes {
        Some(zipped) => format!(
            "In total {zipped} zipped, {} unzipped. Nothing was written.",
            over_capacity.totals.unzipped_bytes
        ),
        None => format!(
            "In total {} unzipped. Nothing was compressed or written.",
            over_capacity.totals.unzipped_bytes
        ),
    };
    text += &render.folded("", &total);
    text += &render.heading("What makes it fit");
    text += &what_fits(over_capacity, render);
    text += &rules_off(&over_capacity.rules_off, render);
    text += &drops(&over_capacity.drops, render);
    text += &render.heading("Largest files and components");
    text += &parts("Component", &over_capacity.components, render);
    text.push('\n');
    text + &parts("File", &over_capacity.files, render)
}

/// What makes it fit by itself or together.
fn what_fits(over_capacity: &CapacityReport, render: RenderOptions) -> String {
    let mut text = String::new();
    for way in &over_capacity.ways {
        text += &format!("  {}: {}\n", way.option, counted(way.layers));
    }
    for file in &over_capacity.too_large {
        if let Some(stripped) = file.stripped_bytes {
            let path = escaped(file.path.as_bytes());
            text += &format!(
                "  without --no-strip, {path} alone would make a zip of {} bytes\n",
                exact(stripped.0)
            );
        }
    }
    let rules = over_capacity.rules_off.iter();
    let rules = rules.map(|rule| (format!("--enable {}", rule.id), &rule.effect));
    let drops = over_capacity
        .drops
        .iter()
        .map(|drop| (drop.options.join(" "), &drop.effect));
    let combination = over_capacity.combination.iter();
    let combination = combination.map(|combination| (combination.options.join(" "), &combination.effect));
    for (options, effect) in rules.chain(drops).chain(combination) {
        if effect.fits == Some(true) {
            let options = escaped(options.as_bytes());
            text += &render.folded("  ", &format!("{options}: saves {}", saved(effect)));
        }
    }
    text + &render.folded("  ", "--drop GLOB for large files; a container image may have 10 GB")
}

fn saved(effect: &Effect) -> String {
    match effect.zipped_bytes {
        Some(zipped) => format!("{zipped} zipped, {} unzipped", effect.unzipped_bytes),
        None => format!("{} unzipped", effect.unzipped_bytes),
    }
}

/// The columns of what is left.
fn effect_columns(first: &'static str) -> Vec<Column> {
    vec![
        Column::Left(first),
        Column::Right("Files"),
        Column::Right("Zipped"),
        Column::Right("Unzipped"),
        Column::Left("Would fit"),
    ]
}

fn effect_cells(effect: &Effect) -> Vec<String> {
    vec![
        exact(effect.files as u64),
        effect
            .zipped_bytes
            .map_or_else(String::new, |zipped| zipped.to_string()),
        effect.unzipped_bytes.to_string(),
        match (effect.fits, effect.too_much_unzipped_bytes, effect.layers) {
            (Some(true), ..) => "yes".to_owned(),
            (None, ..) => "if it can be compressed".to_owned(),
            (Some(false), Bytes(0), Some(layers)) => format!("no, {}", counted(layers)),
            (Some(false), Bytes(0), None) => "no, a file is too large".to_owned(),
            (Some(false), too_much, _) => format!("no, {too_much} too much"),
        },
    ]
}

fn rules_off(rules: &[Saving], render: RenderOptions) -> String {
    if rules.is_empty() {
        return String::new();
    }
    let rows = rules.iter().map(|rule| {
        let mut row = vec![rule.id.clone()];
        row.extend(effect_cells(&rule.effect));
        row.push(rule.breaks.clone());
        row
    });
    let mut columns = effect_columns("Rule");
    columns.push(Column::Left("Lost without it"));
    render.heading("Disabled rules that would remove some of it") + &render.table(&columns, rows.collect())
}

fn drops(drops: &[PackageSaving], render: RenderOptions) -> String {
    if drops.is_empty() {
        return String::new();
    }
    let rows = drops.iter().map(|drop| {
        let mut row = vec![escaped(drop.component.as_bytes())];
        row.extend(effect_cells(&drop.effect));
        row.push(escaped(drop.options.join(" ").as_bytes()));
        row
    });
    let mut columns = effect_columns("Package");
    columns.push(Column::Left("Options"));
    render.heading("Packages that nothing else in the tree needs") + &long_table(render, &columns, rows.collect())
}

fn counted(layers: usize) -> String {
    if layers == 1 {
        "1 layer".to_owned()
    } else {
        format!("{layers} layers")
    }
}

fn parts(title: &'static str, parts: &[SizeEntry], render: RenderOptions) -> String {
    let rows = parts.iter().map(|part| {
        vec![
            escaped(part.name.as_bytes()),
            exact(part.files as u64),
            part.zipped_bytes.map_or_else(String::new, |zipped| zipped.to_string()),
            part.unzipped_bytes.to_string(),
        ]
    });
    let columns = [
        Column::Left(title),
        Column::Right("Files"),
        Column::Right("Zipped"),
        Column::Right("Unzipped"),
    ];
    long_table(render, &columns, rows.collect())
}
