//! Where the time of a run went, as people read it.

use super::table::{Column, RenderOptions};
use crate::size::Bytes;
use crate::timings::Timings;

/// A table of the phases: those within another one are indented, and what is in none is the rest.
pub fn timings(timings: &Timings, render: RenderOptions) -> String {
    let seconds = |microseconds: u64| {
        let milliseconds = microseconds.div_ceil(1000);
        format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
    };
    let mut rows: Vec<Vec<String>> = timings
        .phases
        .iter()
        .map(|row| {
            vec![
                format!("{}{}", "· ".repeat(row.depth), row.phase),
                seconds(row.wall_microseconds),
                seconds(row.processor_microseconds),
                row.bytes.map(|bytes| Bytes(bytes).to_string()).unwrap_or_default(),
                row.bytes_per_second()
                    .map(|bytes| Bytes(bytes).to_string())
                    .unwrap_or_default(),
            ]
        })
        .collect();
    let outer = || timings.phases.iter().filter(|row| row.depth == 0);
    let rest = |all: u64, part: u64| seconds(all.saturating_sub(part));
    rows.push(vec![
        "rest".to_owned(),
        rest(
            timings.wall_microseconds,
            outer().map(|row| row.wall_microseconds).sum(),
        ),
        rest(
            timings.processor_microseconds,
            outer().map(|row| row.processor_microseconds).sum(),
        ),
        String::new(),
        String::new(),
    ]);
    rows.push(vec![
        "total".to_owned(),
        seconds(timings.wall_microseconds),
        seconds(timings.processor_microseconds),
        String::new(),
        String::new(),
    ]);
    let columns = [
        Column::Left("Phase"),
        Column::Right("Wall s"),
        Column::Right("Processor s"),
        Column::Right("Bytes"),
        Column::Right("Per second"),
    ];
    render.table(&columns, rows)
}
