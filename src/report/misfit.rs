//! What `pack` answers where the layers would be refused.

use super::table::{Column, RenderOptions, long_table};
use crate::pack::{Misfit, Part};
use crate::size::exact;
use crate::tree::path::escaped;

/// Why it does not fit, what would help, and what is large.
pub fn misfit(misfit: &Misfit, render: RenderOptions) -> String {
    let mut text = format!("It does not fit for {} on {}:\n", misfit.runtime, misfit.arch);
    for reason in &misfit.reasons {
        text += &render.folded("  ", &escaped(reason.as_bytes()));
    }
    text += &format!(
        "All of it has {} zipped, {} unzipped. Nothing was written.\n",
        misfit.totals.zipped_bytes, misfit.totals.unzipped_bytes
    );
    text += &render.heading("What would make it fit");
    for way in &misfit.ways {
        text += &format!("  {}: {}\n", way.option, counted(way.layers));
    }
    for file in &misfit.too_large {
        if let Some(stripped) = file.stripped_bytes {
            let path = escaped(file.path.as_bytes());
            text += &format!(
                "  without --no-strip, {path} alone would make a zip of {} bytes\n",
                exact(stripped.0)
            );
        }
    }
    for rule in misfit.rules_off.iter().filter(|rule| rule.fits) {
        text += &format!("  --enable {}: saves up to {} zipped\n", rule.id, rule.zipped_bytes);
    }
    text += "  leaving out what is large with --drop; a container image may have 10 GB\n";
    if !misfit.rules_off.is_empty() {
        text += &render.heading("Rules that are off and would take some of it");
        let rows = misfit.rules_off.iter().map(|rule| {
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
            Column::Left("Fits then"),
            Column::Left("What stops working"),
        ];
        text += &render.table(&columns, rows.collect());
    }
    text += &render.heading("What is large");
    text += &parts("Component", &misfit.components, render);
    text.push('\n');
    text + &parts("File", &misfit.files, render)
}

fn counted(layers: usize) -> String {
    if layers == 1 {
        "1 layer".to_owned()
    } else {
        format!("{layers} layers")
    }
}

fn parts(title: &'static str, parts: &[Part], render: RenderOptions) -> String {
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
