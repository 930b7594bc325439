//! What layers hold, file by file, with sizes: from their manifest, from the zips themselves, or from a tree.

mod read;

use std::collections::BTreeMap;

pub use read::{InventoryError, read_inventory};

use crate::check::{Layer, LayerSize};
use crate::languages::components::Components;
use crate::manifest::Manifest;
use crate::size::Bytes;
use crate::tree::{Entry, Tree, TreePath};

/// Files, links and empty directories of one or more layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The zips; none for a tree.
    pub layers: Vec<LayerSize>,
    /// What is in them, by layer and path. That of an empty directory ends with `/`.
    pub items: BTreeMap<(Option<String>, String), Item>,
}

/// One file, link or empty directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The component that it belongs to.
    pub component: String,
    /// Its sizes.
    pub sizes: Sizes,
    /// CRC-32 of its content, that of a link's target; `None` where it was not read.
    pub crc32: Option<u32>,
}

/// How large something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// In the zip; `None` for what is in no zip.
    pub zipped: Option<Bytes>,
    /// Unzipped.
    pub unzipped: Bytes,
}

impl Sizes {
    /// The size of nothing.
    pub const NOTHING: Self = Self {
        zipped: Some(Bytes(0)),
        unzipped: Bytes(0),
    };
}

impl std::iter::Sum for Sizes {
    /// Unknown as soon as a part is.
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::NOTHING, |mut sum, next| {
            sum.unzipped += next.unzipped;
            sum.zipped = sum
                .zipped
                .zip(next.zipped)
                .map(|(a, b)| [a, b].into_iter().sum::<Bytes>());
            sum
        })
    }
}

impl Inventory {
    /// What a manifest says.
    pub fn of_manifest(manifest: &Manifest) -> Self {
        let items = manifest.layers.iter().flat_map(|layer| {
            layer.contents.iter().map(|entry| {
                let item = Item {
                    component: entry.component.clone(),
                    sizes: Sizes {
                        zipped: Some(entry.zipped_bytes),
                        unzipped: entry.unzipped_bytes,
                    },
                    crc32: u32::from_str_radix(&entry.crc32, 16).ok(),
                };
                ((Some(layer.file.clone()), entry.path.clone()), item)
            })
        });
        Self {
            layers: manifest
                .layers
                .iter()
                .map(|layer| LayerSize {
                    file: layer.file.clone(),
                    zipped_bytes: layer.zipped_bytes,
                    unzipped_bytes: layer.unzipped_bytes,
                    entries: layer.entries,
                })
                .collect(),
            items: items.collect(),
        }
    }

    /// What was read of zips and trees.
    pub fn of_layers(layers: &[Layer]) -> Self {
        let mut merged = Tree::default();
        for layer in layers {
            for (path, entry) in layer.tree.iter() {
                merged.insert(path.clone(), entry.clone());
            }
        }
        let components = Components::of(&merged);
        let mut inventory = Self::default();
        for layer in layers {
            let file = layer.zip_bytes.map(|_| layer.file.clone());
            if let Some(size) = layer.size() {
                inventory.layers.push(size);
            }
            for (path, entry) in layer.tree.iter() {
                if let Some((name, item)) = item(layer, path, entry, &components) {
                    inventory.items.insert((file.clone(), name), item);
                }
            }
        }
        inventory
    }

    /// The items of one zip, or with `None` those of trees, by path.
    pub fn items_of<'a>(&'a self, file: Option<&'a str>) -> impl Iterator<Item = (&'a str, &'a Item)> {
        self.items
            .iter()
            .filter(move |((layer, _), _)| layer.as_deref() == file)
            .map(|((_, path), item)| (path.as_str(), item))
    }

    /// The sizes of each component.
    pub fn components(&self) -> BTreeMap<&str, Sizes> {
        let mut components: BTreeMap<&str, Sizes> = BTreeMap::new();
        for item in self.items.values() {
            let sizes = components.entry(&item.component).or_insert(Sizes::NOTHING);
            *sizes = [*sizes, item.sizes].into_iter().sum();
        }
        components
    }

    /// The sizes of one zip; `None` if there is none of that name.
    pub fn layer(&self, file: &str) -> Option<Sizes> {
        let layer = self.layers.iter().find(|layer| layer.file == file)?;
        Some(Sizes {
            zipped: Some(layer.zipped_bytes),
            unzipped: layer.unzipped_bytes,
        })
    }

    /// The sizes of everything.
    pub fn total(&self) -> Sizes {
        Sizes {
            zipped: self
                .items
                .keys()
                .all(|(layer, _)| layer.is_some())
                .then(|| self.layers.iter().map(|layer| layer.zipped_bytes).sum()),
            unzipped: self.items.values().map(|item| item.sizes.unzipped).sum(),
        }
    }
}

/// `None` for a directory that holds something: it is there through what it holds.
fn item(layer: &Layer, path: &TreePath, entry: &Entry, components: &Components) -> Option<(String, Item)> {
    let (name, crc32) = match entry {
        Entry::Directory(_) if layer.tree.below(path).next().is_some() => return None,
        Entry::Directory(_) => (format!("{path}/"), Some(crc32fast::hash(b""))),
        Entry::Symlink(target) => (path.to_string(), Some(crc32fast::hash(target.as_bytes()))),
        Entry::File(_) => (path.to_string(), layer.crc32(path)),
    };
    let sizes = Sizes {
        zipped: layer.in_zip.get(path).and_then(|known| known.zipped),
        unzipped: entry.unzipped(),
    };
    let component = components.name(path).to_owned();
    Some((
        name,
        Item {
            component,
            sizes,
            crc32,
        },
    ))
}
