//! Tables as people read them.

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};
use console::measure_text_width;

use crate::finding::Severity;
use crate::size::exact;
use crate::tree::path::escaped;

/// How many rows of a long list are shown without `-v`.
pub(super) const ROWS: usize = 12;

/// How text output looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct RenderOptions {
    /// Whether there is color.
    pub color: bool,
    /// The width to keep to; `None` in a pipe, where nothing is cut or folded.
    pub width: Option<u16>,
    /// Whether lists are shown whole.
    pub verbose: bool,
    /// Whether only the verdict is shown.
    pub quiet: bool,
}

/// What stands in a cell, and how.
pub(super) enum Column {
    Left(&'static str),
    Right(&'static str),
}

impl Column {
    fn name(&self) -> &'static str {
        match self {
            Self::Left(name) | Self::Right(name) => name,
        }
    }
}

/// The space on both sides of a cell.
const PADDING: usize = 2;

/// The width that each column needs so that no word is cut, and no number from its unit.
fn least_widths(columns: &[Column], rows: &[Vec<String>]) -> Vec<usize> {
    let longest_word = |text: &str| {
        text.split_whitespace()
            .map(measure_text_width)
            .max()
            .unwrap_or_default()
    };
    columns
        .iter()
        .enumerate()
        .map(|(number, column)| {
            let cells = rows.iter().filter_map(|row| row.get(number));
            let cells = cells.map(|cell| match column {
                Column::Left(_) => longest_word(cell),
                Column::Right(_) => measure_text_width(cell),
            });
            cells.chain([longest_word(column.name())]).max().unwrap_or_default() + PADDING
        })
        .collect()
}

impl RenderOptions {
    /// A table with its headings and rows. In a narrow terminal texts are folded between words; if that is not enough to keep
    /// words and numbers whole, each row becomes a paragraph.
    pub(super) fn table(self, columns: &[Column], rows: Vec<Vec<String>>) -> String {
        let least = least_widths(columns, &rows);
        // Between two columns stands a space.
        let whole = least.iter().sum::<usize>() + columns.len().saturating_sub(1);
        if self.width.is_some_and(|width| whole > usize::from(width)) {
            return self.paragraphs(columns, &rows);
        }
        let mut table = Table::new();
        table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
        match self.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_width(width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        table.set_header(columns.iter().map(|column| match column {
            Column::Left(name) => Cell::new(name),
            Column::Right(name) => Cell::new(name).set_alignment(CellAlignment::Right),
        }));
        for row in rows {
            table.add_row(row.into_iter().zip(columns).map(|(text, column)| match column {
                Column::Left(_) => Cell::new(text),
                Column::Right(_) => Cell::new(text).set_alignment(CellAlignment::Right),
            }));
        }
        if self.width.is_some() {
            table.set_constraints(
                least.iter().map(|width| {
                    ColumnConstraint::LowerBoundary(Width::Fixed(u16::try_from(*width).unwrap_or(u16::MAX)))
                }),
            );
        }
        format!("{}\n", table.trim_fmt())
    }

    /// The rows one below the other: the first cell, and below it the others with their headings.
    fn paragraphs(self, columns: &[Column], rows: &[Vec<String>]) -> String {
        let mut text = String::new();
        for row in rows {
            for (number, (column, cell)) in columns.iter().zip(row).enumerate() {
                if number == 0 {
                    text += &self.folded("", cell);
                } else if !cell.is_empty() {
                    text += &self.folded(&format!("  {}: ", column.name()), cell);
                }
            }
        }
        text
    }

    /// A severity, in color if there is color (ECMA-48, "Select Graphic Rendition").
    pub(super) fn severity(self, severity: Severity) -> String {
        if !self.color {
            return severity.to_string();
        }
        let code = match severity {
            Severity::Error => 31,
            Severity::Warning => 33,
            Severity::Note => 36,
        };
        format!("\u{1b}[1;{code}m{severity}\u{1b}[0m")
    }

    /// A line that tells of an error.
    pub(super) fn error_line(self, text: &str) -> String {
        format!("{}: {text}\n", self.severity(Severity::Error))
    }

    /// A name on a line of its own.
    pub(super) fn title(self, text: &str) -> String {
        if self.color {
            format!("\u{1b}[1m{text}\u{1b}[0m\n")
        } else {
            format!("{text}\n")
        }
    }

    /// A text behind a label, folded between words where the terminal is narrow, each line indented as the first.
    pub(super) fn folded(self, label: &str, text: &str) -> String {
        let indent = measure_text_width(label);
        let width = self
            .width
            .map_or(usize::MAX, |width| usize::from(width).max(indent + 20));
        let mut folded = label.to_owned();
        let mut column = indent;
        for (number, word) in text.split(' ').enumerate() {
            let length = measure_text_width(word);
            if number > 0 && column + 1 + length > width {
                folded = format!("{}\n{:indent$}", folded.trim_end(), "");
                column = indent;
            } else if number > 0 {
                folded.push(' ');
                column += 1;
            }
            folded.push_str(word);
            column += length;
        }
        folded.push('\n');
        folded
    }

    /// A heading.
    pub(super) fn heading(self, text: &str) -> String {
        if self.color {
            format!("\n\u{1b}[1m{text}\u{1b}[0m\n")
        } else {
            format!("\n{text}\n")
        }
    }
}

/// A text of several lines, each folded between words if the terminal is narrower than it is.
pub fn folded(text: &str, width: Option<u16>) -> String {
    let render = RenderOptions {
        width,
        ..RenderOptions::default()
    };
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| {
            let words = line.trim_start_matches(' ');
            let indent = &line[..line.len() - words.len()];
            render.folded(indent, words).trim_end_matches('\n').to_owned()
        })
        .collect();
    lines.join("\n")
}

/// A table of which only the first rows are shown unless the user wants all.
pub(super) fn long_table(render: RenderOptions, columns: &[Column], mut rows: Vec<Vec<String>>) -> String {
    let hidden = if render.verbose {
        0
    } else {
        rows.len().saturating_sub(ROWS)
    };
    rows.truncate(rows.len() - hidden);
    let mut text = render.table(columns, rows);
    if hidden > 0 {
        text += &format!("{hidden} more with -v\n");
    }
    text
}

pub(super) fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut some: Vec<String> = names.iter().take(SHOWN).map(|name| escaped(name.as_bytes())).collect();
    if names.len() > SHOWN {
        some.push(format!("{} more", names.len() - SHOWN));
    }
    some.join(", ")
}

/// A number with what it counts: `1 file`, `2,293 files`.
pub(super) fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", exact(number as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_word_is_cut() {
        let columns = [
            Column::Left("Rule"),
            Column::Left("State"),
            Column::Right("Size"),
            Column::Left("Lost without it"),
        ];
        let rows: Vec<Vec<String>> = [
            [
                "unix-static-libraries",
                "on",
                "15.6 MB",
                "linking programs, for which Lambda has no linker",
            ],
            [
                "node-aws-sdk",
                "off",
                "3.35 MB",
                "require(\"@aws-sdk/...\") where the runtime has none",
            ],
        ]
        .iter()
        .map(|row| row.iter().map(ToString::to_string).collect())
        .collect();
        for width in 50..=120 {
            let render = RenderOptions {
                width: Some(width),
                ..RenderOptions::default()
            };
            let text = render.table(&columns, rows.clone());
            for line in text.lines() {
                assert!(measure_text_width(line) <= usize::from(width), "{width}: {text}");
            }
            for word in rows.iter().flatten().flat_map(|cell| cell.split(' ')) {
                assert!(text.contains(word), "{width}: {word} is cut: {text}");
            }
        }
    }
}
