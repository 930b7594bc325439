//! Layers that a project gives a name: which entries are in which of them.

use globset::GlobSet;

use super::PackError;
use super::bins::Capacity;
use super::prepare::Ready;
use super::zip::END_SIZE;
use crate::manifest::LayerName;
use crate::rules::{RuleError, path_globs};
use crate::size::Bytes;
use crate::tree::TreePath;
use crate::tree::path::escaped;

/// The glob that takes what is left.
const REST: &str = "**";

/// A layer with a name of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedLayer {
    /// The name.
    pub name: LayerName,
    /// Globs for what is in it, apart from what an earlier layer takes.
    pub paths: Vec<String>,
}

impl NamedLayer {
    /// Matches what is in it, apart from what an earlier layer takes.
    pub fn globs(&self) -> Result<GlobSet, RuleError> {
        path_globs(&self.paths, "[[layer]]")
    }
}

/// Which entries are in which named layer.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    /// For each entry the number of its layer, if it has one.
    pub(super) layer_of: Vec<Option<usize>>,
    /// What the user may not expect.
    pub(super) notes: Vec<String>,
}

impl Assignment {
    /// Gives each entry to the first layer that has a glob for it.
    pub(super) fn new(paths: &[&TreePath], layers: &[NamedLayer]) -> Result<Self, RuleError> {
        let mut assignment = Self {
            layer_of: vec![None; paths.len()],
            notes: Vec::new(),
        };
        for (number, layer) in layers.iter().enumerate() {
            assignment.assign(paths, number, layers, layer)?;
        }
        Ok(assignment)
    }

    fn assign(
        &mut self,
        paths: &[&TreePath],
        number: usize,
        layers: &[NamedLayer],
        layer: &NamedLayer,
    ) -> Result<(), RuleError> {
        let mut taken_before: Vec<Vec<&str>> = vec![Vec::new(); number];
        let mut is_empty = true;
        for text in &layer.paths {
            let glob: GlobSet = path_globs(std::slice::from_ref(text), "[[layer]]")?;
            let mut has_matched = false;
            for (path, layer_of) in paths.iter().zip(&mut self.layer_of) {
                if !glob.is_match(path.as_str()) {
                    continue;
                }
                has_matched = true;
                match *layer_of {
                    None => *layer_of = Some(number),
                    Some(before) if before < number && text != REST => taken_before[before].push(path.as_str()),
                    Some(_) => {}
                }
                is_empty &= *layer_of != Some(number);
            }
            if !has_matched {
                let text = escaped(text.as_bytes());
                self.notes.push(format!(
                    "'{text}' of layer {} matches nothing that is packed",
                    layer.name
                ));
            }
        }
        for (before, mut paths) in taken_before.into_iter().enumerate() {
            paths.sort_unstable();
            paths.dedup();
            if let Some(first) = paths.first() {
                let what = match paths.len() - 1 {
                    0 => format!("{}: it is", escaped(first.as_bytes())),
                    more => format!("{} and {more} more: they are", escaped(first.as_bytes())),
                };
                self.notes.push(format!(
                    "layers {before} and {} both match {what} in {before}, which comes first",
                    layer.name,
                    before = layers[before].name,
                ));
            }
        }
        if is_empty {
            self.notes
                .push(format!("layer {} is empty and is not written", layer.name));
        }
        Ok(())
    }

    /// Fails if a named layer does not fit into one zip.
    pub(super) fn check(
        &self,
        ready: &[Ready],
        layers: &[NamedLayer],
        capacity: Capacity,
        max: Bytes,
    ) -> Result<(), PackError> {
        for (number, NamedLayer { name, .. }) in layers.iter().enumerate() {
            let assigned = ready.iter().zip(&self.layer_of);
            let inside: Vec<&Ready> = assigned
                .filter(|(_, layer)| **layer == Some(number))
                .map(|(ready, _)| ready)
                .collect();
            let weight: u64 = inside.iter().map(|ready| ready.weight()).sum();
            if weight > capacity.weight || inside.len() > capacity.items {
                let mut largest = inside.clone();
                largest.sort_by(|a, b| b.weight().cmp(&a.weight()).then_with(|| a.path.cmp(&b.path)));
                return Err(PackError::NamedLayer {
                    name: name.clone(),
                    bytes: Bytes(weight + END_SIZE),
                    entries: inside.len(),
                    max,
                    largest: largest.iter().take(3).map(|ready| ready.path.to_string()).collect(),
                });
            }
        }
        Ok(())
    }
}
