//! How two builds differ: in what they were made from, and in what came out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Resource, Role, Statement};
use crate::manifest::{Manifest, PackedEntry};

/// Something that a build was made from and another was not, or not in this form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChangedInput {
    /// What it is for the build.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// SHA-256 of its content then; `null` if it was not used.
    pub before: Option<String>,
    /// SHA-256 of its content now; `null` if it is not used.
    pub now: Option<String>,
    /// The package that it was of then, as a package URL.
    pub package_before: Option<String>,
    /// The package that it is of now, as a package URL.
    pub package_now: Option<String>,
}

/// What of two builds is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Differing {
    /// The path in the layers.
    pub path: String,
    /// The zip that had it then.
    pub layer_before: Option<String>,
    /// The zip that has it now.
    pub layer_now: Option<String>,
    /// What differs.
    pub what: &'static str,
    /// Why, as far as the two manifests and statements tell.
    pub why: String,
}

/// What two builds were not made from alike, sorted.
pub fn changed_inputs(before: &Statement, now: &Statement) -> Vec<ChangedInput> {
    let by_name = |statement: &Statement| -> BTreeMap<(Role, String), Resource> {
        let inputs = statement.inputs();
        inputs
            .map(|input| {
                // Trees and programs are the same wherever they are.
                let name = match input.role() {
                    Role::Tree | Role::Tool => String::new(),
                    _ => input.name.clone(),
                };
                ((input.role(), name), input.clone())
            })
            .collect()
    };
    let (mut earlier, mut later) = (by_name(before), by_name(now));
    let keys: Vec<_> = earlier.keys().chain(later.keys()).cloned().collect();
    let mut changed: Vec<ChangedInput> = keys
        .iter()
        .filter_map(|key| {
            let (before, now) = (earlier.remove(key), later.remove(key));
            let digest = |input: &Option<Resource>| input.as_ref()?.sha256().map(ToOwned::to_owned);
            let uri = |input: &Option<Resource>| input.as_ref()?.uri.clone();
            let name = before.as_ref().or(now.as_ref())?.name.clone();
            (digest(&before) != digest(&now)).then(|| ChangedInput {
                role: key.0,
                name,
                before: digest(&before),
                now: digest(&now),
                package_before: uri(&before),
                package_now: uri(&now),
            })
        })
        .collect();
    changed.sort();
    changed
}

/// Which files of two packings are not the same, sorted by path, and why.
pub fn differing(before: &Manifest, now: &Manifest, inputs: &[ChangedInput]) -> Vec<Differing> {
    let explain = Explain { before, now, inputs };
    let (earlier, later) = (entries(before), entries(now));
    let mut found = Vec::new();
    for (path, (layer, entry)) in &earlier {
        let (what, why) = match later.get(path) {
            None => ("missing", explain.missing(path)),
            Some((_, other)) if (&entry.crc32, entry.unzipped_bytes) != (&other.crc32, other.unzipped_bytes) => {
                ("content", explain.content(path))
            }
            Some((_, other)) if entry.zipped_bytes != other.zipped_bytes => ("compression", explain.compression()),
            Some((other, _)) if layer != other => (
                "layer",
                "files are distributed over the layers in another way".to_owned(),
            ),
            Some(_) => continue,
        };
        found.push(Differing {
            path: (*path).to_owned(),
            layer_before: Some((*layer).to_owned()),
            layer_now: later.get(path).map(|(layer, _)| (*layer).to_owned()),
            what,
            why,
        });
    }
    for (path, (layer, _)) in later.iter().filter(|(path, _)| !earlier.contains_key(*path)) {
        found.push(Differing {
            path: (*path).to_owned(),
            layer_before: None,
            layer_now: Some((*layer).to_owned()),
            what: "new",
            why: explain.new_file(path),
        });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The entries of all layers by their paths, each with its zip.
fn entries(manifest: &Manifest) -> BTreeMap<&str, (&str, &PackedEntry)> {
    let layers = manifest.layers.iter();
    layers
        .flat_map(|layer| {
            let contents = layer.contents.iter();
            contents.map(|entry| (entry.path.as_str(), (layer.file.as_str(), entry)))
        })
        .collect()
}

/// Finds out why files differ.
struct Explain<'a> {
    before: &'a Manifest,
    now: &'a Manifest,
    inputs: &'a [ChangedInput],
}

impl Explain<'_> {
    /// Why a path is not in the layers any more.
    fn missing(&self, path: &str) -> String {
        if let Some(rule) = removed_by(self.now, path) {
            return format!("rule {rule} removes it now");
        }
        match added_from(self.before, path) {
            Some(from) => format!("it was added from {from}, and nothing adds it now"),
            None => "it is not in the tree".to_owned(),
        }
    }

    /// Why a path is in the layers that was not.
    fn new_file(&self, path: &str) -> String {
        if let Some(rule) = removed_by(self.before, path) {
            return format!("rule {rule} removed it then");
        }
        match added_from(self.now, path) {
            Some(from) => format!("it is added from {from}"),
            None => "it was not in the tree".to_owned(),
        }
    }

    /// Why a file has another content.
    fn content(&self, path: &str) -> String {
        let changes = (changed_by(self.before, path), changed_by(self.now, path));
        let from = (added_from(self.before, path), added_from(self.now, path));
        match from {
            (Some(then), Some(now)) if then != now => return format!("it was added from {then}, and now from {now}"),
            (None, Some(now)) => return format!("it is added from {now} now, and was in the tree"),
            (Some(then), None) => return format!("it was added from {then}, and is in the tree now"),
            (_, Some(now)) if self.has_changed(Role::Library, now) => return format!("{now} has another content"),
            _ if changes.0 != changes.1 => {
                let words = |changes: Vec<&str>| match &changes[..] {
                    [] => "left as it was".to_owned(),
                    changes => format!("changed by {}", changes.join(", ")),
                };
                return format!("it was {} then, and is {} now", words(changes.0), words(changes.1));
            }
            _ => {}
        }
        // Links to other layers and files that repairs write depend on other files of the tree.
        self.of_inputs(&[Role::Tree, Role::Tool, Role::Rules, Role::Runtime, Role::File])
    }

    fn compression(&self) -> String {
        self.of_inputs(&[Role::Tool])
    }

    /// The first input in which the builds differ, in the order in which these are likely to matter.
    fn of_inputs(&self, likely: &[Role]) -> String {
        let changed = |role: &Role| self.inputs.iter().any(|input| input.role == *role);
        let reason = match likely.iter().find(|role| changed(role)) {
            Some(Role::Tree) => "the tree has another content",
            Some(Role::Tool) => "it was packed by another build of this program",
            Some(Role::Rules) => "the built-in rules are others",
            Some(Role::Runtime) => "the data about the runtime are others",
            Some(Role::File) => "a file that an option names has another content",
            _ => "nothing that the statement records explains it",
        };
        reason.to_owned()
    }

    fn has_changed(&self, role: Role, name: &str) -> bool {
        self.inputs
            .iter()
            .any(|input| (input.role, input.name.as_str()) == (role, name))
    }
}

/// The rule that removed a path, itself or with a directory above it.
fn removed_by<'a>(manifest: &'a Manifest, path: &str) -> Option<&'a str> {
    let removes = |removed: &String| match removed.strip_suffix('/') {
        Some(directory) => path == removed || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/')),
        None => removed == path,
    };
    let dropped = manifest
        .dropped
        .iter()
        .find(|dropped| dropped.paths.iter().any(removes));
    dropped.map(|dropped| dropped.rule.as_str())
}

fn added_from<'a>(manifest: &'a Manifest, path: &str) -> Option<&'a str> {
    let added = manifest.added.iter().find(|added| added.path == path);
    added.map(|added| added.from.as_str())
}

fn changed_by<'a>(manifest: &'a Manifest, path: &str) -> Vec<&'a str> {
    let changed = manifest.changed.iter().filter(|changed| changed.path == path);
    changed.map(|changed| changed.by.as_str()).collect()
}
