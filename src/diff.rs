//! What has changed between two inventories.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::inventory::{Inventory, Sizes};
use crate::size::Bytes;

/// Version of the document's JSON schema; it rises when a field changes its meaning.
const SCHEMA_VERSION: u32 = 1;

/// How something has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It was not there.
    Added,
    /// It is no longer there.
    Removed,
    /// It is larger unzipped, or else zipped.
    Grew,
    /// It is smaller unzipped, or else zipped.
    Shrank,
    /// It has another content of the same size.
    Changed,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// A change in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Difference {
    /// What has happened.
    pub change: Change,
    /// The size in the zip before; `null` for what lay in no zip.
    pub before_zipped_bytes: Option<Bytes>,
    /// The size in the zip now; `null` for what is in no zip.
    pub after_zipped_bytes: Option<Bytes>,
    /// The size unzipped before.
    pub before_unzipped_bytes: Bytes,
    /// The size unzipped now.
    pub after_unzipped_bytes: Bytes,
}

/// The change of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LayerDifference {
    /// The zip's file name.
    pub file: String,
    /// What has changed.
    #[serde(flatten)]
    pub difference: Difference,
}

/// The change of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentDifference {
    /// The component.
    pub name: String,
    /// What has changed.
    #[serde(flatten)]
    pub difference: Difference,
}

/// The change of one file, link or empty directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FileDifference {
    /// Its path in the layers.
    pub path: String,
    /// The component that it belongs to.
    pub component: String,
    /// What has changed.
    #[serde(flatten)]
    pub difference: Difference,
}

/// How many files have changed, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Counts {
    /// Those that were not there.
    pub added: usize,
    /// Those that are no longer there.
    pub removed: usize,
    /// Those that are larger.
    pub grew: usize,
    /// Those that are smaller.
    pub shrank: usize,
    /// Those with another content of the same size.
    pub changed: usize,
    /// Those that are as they were.
    pub unchanged: usize,
}

/// Everything that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Everything together; `None` if nothing has changed.
    pub total: Option<Difference>,
    /// The files by what has happened to them.
    pub counts: Counts,
    /// The zips that have changed, by name.
    pub layers: Vec<LayerDifference>,
    /// The components that have changed, the largest change first.
    pub components: Vec<ComponentDifference>,
    /// The files that have changed, the largest change first.
    pub files: Vec<FileDifference>,
}

/// Report of `diff`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Diff {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// What was compared with, as it was given.
    pub old: String,
    /// What was compared, as it was given.
    pub new: String,
    /// Everything together; `null` if nothing has changed.
    pub total: Option<Difference>,
    /// How many files have changed, and how.
    pub counts: Counts,
    /// The zips that have changed, by name.
    pub layers: Vec<LayerDifference>,
    /// The components that have changed, the largest change first.
    pub components: Vec<ComponentDifference>,
    /// The files that have changed, the largest change first.
    pub files: Vec<FileDifference>,
}

impl Diff {
    /// Compares two inventories, which have these names.
    pub fn new(old: String, new: String, comparison: Comparison) -> Self {
        let Comparison {
            total,
            counts,
            layers,
            components,
            files,
        } = comparison;
        Self {
            schema_version: SCHEMA_VERSION,
            old,
            new,
            total,
            counts,
            layers,
            components,
            files,
        }
    }
}

impl Difference {
    /// The change from one state to another, either of which may be that it is not there; `None` if there is no change.
    /// `same` says whether the content is.
    fn between(before: Option<Sizes>, after: Option<Sizes>, same: bool) -> Option<Self> {
        // What is not there has the size of nothing in the zips of the other side, if there are zips.
        let nothing = |other: Sizes| Sizes {
            zipped: other.zipped.map(|_| Bytes(0)),
            ..Sizes::NOTHING
        };
        let (change, before, after) = match (before, after) {
            (None, None) => return None,
            (None, Some(after)) => (Change::Added, nothing(after), after),
            (Some(before), None) => (Change::Removed, before, nothing(before)),
            (Some(before), Some(after)) => {
                let zipped = before.zipped.zip(after.zipped);
                let order = after
                    .unzipped
                    .cmp(&before.unzipped)
                    .then(zipped.map_or(std::cmp::Ordering::Equal, |(before, after)| after.cmp(&before)));
                let change = match order {
                    std::cmp::Ordering::Greater => Change::Grew,
                    std::cmp::Ordering::Less => Change::Shrank,
                    std::cmp::Ordering::Equal if same => return None,
                    std::cmp::Ordering::Equal => Change::Changed,
                };
                (change, before, after)
            }
        };
        Some(Self {
            change,
            before_zipped_bytes: before.zipped,
            after_zipped_bytes: after.zipped,
            before_unzipped_bytes: before.unzipped,
            after_unzipped_bytes: after.unzipped,
        })
    }

    /// How much larger it is unzipped, in bytes.
    pub fn unzipped(&self) -> i128 {
        i128::from(self.after_unzipped_bytes.0) - i128::from(self.before_unzipped_bytes.0)
    }

    /// How much larger it is zipped, in bytes, where both sizes are known.
    pub fn zipped(&self) -> Option<i128> {
        let (before, after) = self.before_zipped_bytes.zip(self.after_zipped_bytes)?;
        Some(i128::from(after.0) - i128::from(before.0))
    }

    /// By what growth is ordered: the size in the zip where it is known, then that unzipped.
    pub fn growth(&self) -> (i128, i128) {
        (self.zipped().unwrap_or_else(|| self.unzipped()), self.unzipped())
    }

    fn magnitude(&self) -> Reverse<(i128, i128)> {
        Reverse((self.unzipped().abs(), self.zipped().unwrap_or_default().abs()))
    }
}

/// One path over all layers: Lambda takes the last, and all count.
struct Whole<'a> {
    component: &'a str,
    sizes: Vec<Sizes>,
    crc32: Option<u32>,
}

/// Compares two inventories.
pub fn compare(old: &Inventory, new: &Inventory) -> Comparison {
    let (old_files, new_files) = (by_path(old), by_path(new));
    let mut files = Vec::new();
    let mut counts = Counts::default();
    // Components in which a file has another content.
    let mut touched: BTreeSet<&str> = BTreeSet::new();
    for path in keys(&old_files, &new_files) {
        let (before, after) = (old_files.get(path), new_files.get(path));
        let crc32 = |file: Option<&Whole<'_>>| file.and_then(|file| file.crc32);
        let same = crc32(before)
            .zip(crc32(after))
            .is_none_or(|(before, after)| before == after);
        let sizes = |file: Option<&Whole<'_>>| file.map(|file| file.sizes.iter().copied().sum());
        let component = after.or(before).map_or("", |file| file.component);
        let Some(difference) = Difference::between(sizes(before), sizes(after), same) else {
            counts.unchanged += 1;
            continue;
        };
        *match difference.change {
            Change::Added => &mut counts.added,
            Change::Removed => &mut counts.removed,
            Change::Grew => &mut counts.grew,
            Change::Shrank => &mut counts.shrank,
            Change::Changed => &mut counts.changed,
        } += 1;
        touched.extend([before, after].into_iter().flatten().map(|file| file.component));
        files.push(FileDifference {
            path: path.to_owned(),
            component: component.to_owned(),
            difference,
        });
    }
    files.sort_by(|a, b| {
        let order = a.difference.magnitude().cmp(&b.difference.magnitude());
        order.then_with(|| a.path.cmp(&b.path))
    });
    let total = Difference::between(Some(old.total()), Some(new.total()), files.is_empty());
    Comparison {
        layers: layers(old, new),
        components: components(old, new, &touched),
        total,
        counts,
        files,
    }
}

fn by_path(inventory: &Inventory) -> BTreeMap<&str, Whole<'_>> {
    let mut files: BTreeMap<&str, Whole<'_>> = BTreeMap::new();
    for ((_, path), item) in &inventory.items {
        let file = files.entry(path).or_insert(Whole {
            component: &item.component,
            sizes: Vec::new(),
            crc32: None,
        });
        file.sizes.push(item.sizes);
        file.component = &item.component;
        file.crc32 = item.crc32;
    }
    files
}

fn components(old: &Inventory, new: &Inventory, touched: &BTreeSet<&str>) -> Vec<ComponentDifference> {
    let (old, new) = (old.components(), new.components());
    let mut components: Vec<ComponentDifference> = keys(&old, &new)
        .into_iter()
        .filter_map(|name| {
            let (before, after) = (old.get(name).copied(), new.get(name).copied());
            Some(ComponentDifference {
                name: name.to_owned(),
                difference: Difference::between(before, after, !touched.contains(name))?,
            })
        })
        .collect();
    components.sort_by(|a, b| {
        let order = a.difference.magnitude().cmp(&b.difference.magnitude());
        order.then_with(|| a.name.cmp(&b.name))
    });
    components
}

/// The zips that have changed; none where one side has no zips at all.
fn layers(old: &Inventory, new: &Inventory) -> Vec<LayerDifference> {
    if old.layers.is_empty() || new.layers.is_empty() {
        return Vec::new();
    }
    let names: BTreeSet<&str> = old
        .layers
        .iter()
        .chain(&new.layers)
        .map(|layer| layer.file.as_str())
        .collect();
    names
        .into_iter()
        .filter_map(|file| {
            let same = old.items_of(Some(file)).eq(new.items_of(Some(file)));
            Some(LayerDifference {
                file: file.to_owned(),
                difference: Difference::between(old.layer(file), new.layer(file), same)?,
            })
        })
        .collect()
}

fn keys<'a, A, B>(a: &BTreeMap<&'a str, A>, b: &BTreeMap<&'a str, B>) -> BTreeSet<&'a str> {
    a.keys().chain(b.keys()).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::LayerSize;
    use crate::inventory::Item;

    /// An inventory with one zip, from paths with zipped and unzipped size and content.
    fn inventory(files: &[(&str, u64, u64, u32)]) -> Inventory {
        let items = files.iter().map(|(path, zipped, unzipped, crc32)| {
            let item = Item {
                component: path.split('/').next().unwrap_or_default().to_owned(),
                sizes: Sizes {
                    zipped: Some(Bytes(*zipped)),
                    unzipped: Bytes(*unzipped),
                },
                crc32: Some(*crc32),
            };
            ((Some("layer-1.zip".to_owned()), (*path).to_owned()), item)
        });
        Inventory {
            layers: vec![LayerSize {
                file: "layer-1.zip".to_owned(),
                zipped_bytes: Bytes(22 + files.iter().map(|file| file.1).sum::<u64>()),
                unzipped_bytes: files.iter().map(|file| Bytes(file.2)).sum(),
                entries: files.len(),
            }],
            items: items.collect(),
        }
    }

    #[test]
    fn each_kind_of_change_is_told() {
        let old = inventory(&[
            ("a/gone", 10, 100, 1),
            ("a/larger", 10, 100, 2),
            ("b/smaller", 10, 100, 3),
            ("b/other", 10, 100, 4),
            ("c/same", 10, 100, 5),
            ("c/repacked", 10, 100, 6),
        ]);
        let new = inventory(&[
            ("a/larger", 10, 103, 12),
            ("b/smaller", 10, 98, 13),
            ("b/other", 10, 100, 14),
            ("c/same", 10, 100, 5),
            ("c/repacked", 9, 100, 6),
            ("d/new", 10, 100, 7),
        ]);
        let comparison = compare(&old, &new);
        let files: Vec<String> = comparison
            .files
            .iter()
            .map(|file| {
                format!(
                    "{} {} {}",
                    file.difference.change,
                    file.path,
                    file.difference.unzipped()
                )
            })
            .collect();
        assert_eq!(
            files,
            [
                "removed a/gone -100",
                "added d/new 100",
                "grew a/larger 3",
                "shrank b/smaller -2",
                "shrank c/repacked 0",
                "changed b/other 0",
            ]
        );
        let components: Vec<String> = comparison
            .components
            .iter()
            .map(|component| format!("{} {}", component.difference.change, component.name))
            .collect();
        assert_eq!(components, ["added d", "shrank a", "shrank b", "shrank c"]);
        assert_eq!(comparison.counts.unchanged, 1);
        assert_eq!(comparison.total.map(|total| total.zipped()), Some(Some(-1)));
        assert_eq!(comparison.layers.len(), 1);
    }

    #[test]
    fn what_is_the_same_has_no_difference_and_what_is_turned_round_the_opposite_one() {
        let old = inventory(&[("a/x", 10, 100, 1), ("b/y", 7, 70, 2)]);
        let new = inventory(&[("a/x", 12, 100, 9), ("c/z", 5, 7, 3)]);
        let none = compare(&old, &old);
        assert_eq!((none.total, none.files, none.counts.unchanged), (None, Vec::new(), 2));
        assert_eq!((none.layers, none.components), (Vec::new(), Vec::new()));
        let (there, back) = (compare(&old, &new), compare(&new, &old));
        let sum =
            |comparison: &Comparison| -> i128 { comparison.files.iter().map(|file| file.difference.unzipped()).sum() };
        assert_eq!(sum(&there), -sum(&back));
        assert_eq!(Some(sum(&there)), there.total.map(|total| total.unzipped()));
        assert_eq!(there.counts.added, back.counts.removed);
    }
}
