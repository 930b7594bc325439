//! The report of `pack` if the layers exceed the limits.

use super::table::{Column, RenderOptions, long_table};
use crate::pack::{CapacityReport, SizeEntry};
use crate::size::exact;
use crate::tree::path::escaped;

/// Why it does not fit, what would help, and what is large.
pub fn over_capacity(over_capacity: &CapacityReport, render: RenderOptions) -> String {
    let mut text = format!(
        "The layers exceed the limits for {} on {}:\n",
        over_capacity.runtime, over_capacity.arch
    );
    for reason in &over_capacity.reasons {
        text += &render.folded("  ", &escaped(reason.as_bytes()));
    }
    text += &format!(
        "In total {} zipped, {} unzipped. Nothing was written.\n",
        over_capacity.totals.zipped_bytes, over_capacity.totals.unzipped_bytes
    );
    text += &render.heading("What makes it fit");
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
    for rule in over_capacity.rules_off.iter().filter(|rule| rule.fits) {
        text += &format!("  --enable {}: saves up to {} zipped\n", rule.id, rule.zipped_bytes);
    }
    text += "  --drop GLOB for large files; a container image may have 10 GB\n";
    if !over_capacity.rules_off.is_empty() {
        text += &render.heading("Disabled rules that would remove some of it");
        let rows = over_capacity.rules_off.iter().map(|rule| {
            vec![
                rule.id.clone(),
                exact(rule.files as u64),
                rule.zipped_bytes.to_string(),
                rule.unzipped_bytes.to_string(),
                if rule.fits { "yes" } else { "no" }.to_owned(),
                rule.breaks.clone(),
            ]
        });
        let columns = [
            Column::Left("Rule"),
            Column::Right("Files"),
            Column::Right("Zipped"),
            Column::Right("Unzipped"),
            Column::Left("Fits"),
            Column::Left("Lost without it"),
        ];
        text += &render.table(&columns, rows.collect());
    }
    text += &render.heading("Largest files and components");
    text += &parts("Component", &over_capacity.components, render);
    text.push('\n');
    text + &parts("File", &over_capacity.files, render)
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
            part.zipped_bytes.to_string(),
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
