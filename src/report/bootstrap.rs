//! The report of `bootstrap`.

use serde::Serialize;

use super::SCHEMA_VERSION;
use super::table::{Column, RenderOptions};
use super::text::finding_lines;
use crate::finding::Finding;
use crate::size::Bytes;
use crate::tree::GeneratedFile;
use crate::tree::TreePath;

/// What was written for which R.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Bootstrapped {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// The R that it starts, by its directory in the tree.
    pub r_home: String,
    /// The files, sorted by path.
    pub files: Vec<BootstrapFile>,
    /// What the runtime lacks for them.
    pub findings: Vec<Finding>,
}

/// One file of the bootstrap.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BootstrapFile {
    /// Its path in the tree.
    pub path: String,
    /// Its length.
    pub bytes: Bytes,
    /// Whether it was written; if not, it was there already.
    pub written: bool,
}

impl Bootstrapped {
    /// Makes the report from the files and whether each had to be written.
    pub fn new(home: &TreePath, files: &[GeneratedFile], written: &[bool], findings: Vec<Finding>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            r_home: home.to_string(),
            files: files
                .iter()
                .zip(written)
                .map(|(file, written)| BootstrapFile {
                    path: file.path.to_string(),
                    bytes: Bytes(file.text.len() as u64),
                    written: *written,
                })
                .collect(),
            findings,
        }
    }
}

/// The report as text.
pub fn bootstrapped(answer: &Bootstrapped, tree: &str, render: RenderOptions) -> String {
    let rows = answer.files.iter().map(|file| {
        vec![
            file.path.clone(),
            file.bytes.to_string(),
            if file.written { "written" } else { "was there already" }.to_owned(),
        ]
    });
    let columns = [Column::Left("Path"), Column::Right("Size"), Column::Left("State")];
    let mut text = render.table(&columns, rows.collect());
    text += &format!(
        "{tree} is a runtime for the R in {} now. Its handlers: test.handler is the function handler in test.r or test.R, or \
         the script itself.\n",
        answer.r_home
    );
    if !answer.findings.is_empty() {
        text += &render.heading("Findings");
        text += &finding_lines(&answer.findings, render);
    }
    text
}
