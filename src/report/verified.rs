//! The report of `verify`: whether layers come out the same when they are packed again.

use serde::Serialize;

use super::SCHEMA_VERSION;
use super::table::{Column, RenderOptions, counted};
use crate::provenance::{ChangedInput, Differing, Role};
use crate::tree::path::escaped;

/// How many files are shown that differ.
const SHOWN: usize = 20;

/// Document of `verify`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Verified {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// Whether every zip came out the same, and those at hand are the statement's.
    pub ok: bool,
    /// The tree that was packed again.
    pub tree: String,
    /// The zips, sorted by name.
    pub layers: Vec<VerifiedLayer>,
    /// What the layers were made from then and are not now. It need not make a difference.
    pub inputs: Vec<ChangedInput>,
    /// Whether the manifest of then was there, without which single files cannot be compared.
    pub compared_files: bool,
    /// The files that differ, sorted by path.
    pub files: Vec<Differing>,
}

/// A zip, then and now.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VerifiedLayer {
    /// Its name.
    pub file: String,
    /// Whether it came out the same.
    pub same: bool,
    /// SHA-256 in hexadecimal digits, by the statement; `null` if it does not have it.
    pub sha256: Option<String>,
    /// SHA-256 of what was packed now; `null` if there is no such zip.
    pub sha256_now: Option<String>,
    /// Whether the zip next to the statement is the one that it is about; `null` if there is none.
    pub intact: Option<bool>,
}

impl Verified {
    /// The document about a comparison.
    pub fn new(
        tree: String,
        layers: Vec<VerifiedLayer>,
        inputs: Vec<ChangedInput>,
        compared_files: bool,
        files: Vec<Differing>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            ok: layers.iter().all(|layer| layer.same && layer.intact != Some(false)),
            tree,
            layers,
            inputs,
            compared_files,
            files,
        }
    }
}

/// The report as text.
pub fn verified(verified: &Verified, render: RenderOptions) -> String {
    let shown = |text: &str| escaped(text.as_bytes());
    let rows = verified.layers.iter().map(|layer| {
        let result = match (layer.same, layer.sha256.is_some(), layer.sha256_now.is_some()) {
            (true, ..) => "identical",
            (_, true, true) => "differs",
            (_, true, false) => "no longer produced",
            (_, false, _) => "not in the statement",
        };
        let at_hand = match layer.intact {
            None => "",
            Some(true) => "matches the statement",
            Some(false) => "differs from the statement",
        };
        vec![shown(&layer.file), result.to_owned(), at_hand.to_owned()]
    });
    let columns = ["Layer", "Rebuilt", "Existing zip"].map(Column::Left);
    let mut text = render.table(&columns, rows.collect());
    if verified.layers.iter().any(|layer| !layer.same) {
        text += &inputs(&verified.inputs, render);
        text += &files(verified, render);
    }
    let same = verified.layers.iter().filter(|layer| layer.same).count();
    text + &format!("{} of {} identical.\n", same, counted(verified.layers.len(), "layer"))
}

fn inputs(inputs: &[ChangedInput], render: RenderOptions) -> String {
    if inputs.is_empty() {
        return String::new();
    }
    let mut text = render.heading("Inputs that changed");
    for input in inputs {
        let name = escaped(input.name.as_bytes());
        let what = match input.role {
            Role::Tree => format!("the tree {name}"),
            Role::Rules => "the built-in rules".to_owned(),
            Role::Runtime => format!("the data about runtime {name}"),
            Role::Tool => "this program: another build".to_owned(),
            Role::File | Role::Library | Role::Other => name,
        };
        let how = match (&input.before, &input.now) {
            (None, _) => "; not used then".to_owned(),
            (_, None) => "; not used now".to_owned(),
            _ => match (&input.package_before, &input.package_now) {
                (Some(then), Some(now)) if then != now => {
                    format!(
                        ", of {} then and {} now",
                        escaped(then.as_bytes()),
                        escaped(now.as_bytes())
                    )
                }
                _ => String::new(),
            },
        };
        text += &format!("{what}{how}\n");
    }
    text
}

fn files(verified: &Verified, render: RenderOptions) -> String {
    let mut text = render.heading("Files that differ");
    if !verified.compared_files {
        return text + "unknown: the layers.json of then is not next to the statement\n";
    }
    if verified.files.is_empty() {
        return text + "none: only dates, permissions or the order of entries differ\n";
    }
    let limit = if render.verbose { usize::MAX } else { SHOWN };
    for file in verified.files.iter().take(limit) {
        text += &format!(
            "{} ({}): {}\n",
            escaped(file.path.as_bytes()),
            file.what,
            escaped(file.why.as_bytes())
        );
    }
    if verified.files.len() > limit {
        text += &format!("and {} more (-v shows them)\n", verified.files.len() - limit);
    }
    text
}
