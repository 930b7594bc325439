//! Bills of materials: what is in layers, with versions, package URLs, digests, licenses, where it came from and what was
//! changed in it.
//!
//! [`collect()`] finds the components of a tree, by what languages, package managers and bills in wheels say. [`Bill::cyclonedx`]
//! and [`Bill::spdx`] write them in forms that scanners read. The same contents give the same bytes.

mod bundled;
mod collect;
mod cyclonedx;
mod embedded;
mod native;
mod read;
mod spdx;
mod url;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

pub use collect::{Described, collect};
pub use read::{Contents, SbomError, contents, text_at};
pub use url::of_host as purl_of_host;

use crate::host::HostPackage;
use crate::licenses::License;
use crate::manifest::{LayerSummary, LicenseUse};
use crate::tree::TreePath;

/// SHA-256 of a file's content.
pub type Hash = [u8; 32];

/// What kind of component something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An interpreter with its standard library.
    Interpreter,
    /// What a package manager of a language installed.
    Package,
    /// A native library in a file of its own.
    Library,
    /// Something that was built into a package, as the package's own bill of materials says.
    Bundled,
}

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The tree that was packed.
    Tree,
    /// A file of the machine that packed it.
    Host {
        /// The file.
        path: String,
        /// Its package, if one owns it.
        package: Option<HostPackage>,
    },
    /// A bill of materials that a package brings, by its path.
    Bill(TreePath),
}

/// A component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Component {
    /// What kind it is.
    pub kind: Kind,
    /// What tells it from all others of its bill.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version, if something tells it.
    pub version: Option<String>,
    /// What tells the version of a native library.
    pub version_from: Option<&'static str>,
    /// Its license.
    pub license: License,
    /// Its package URL, if it is known what it is.
    pub purl: Option<String>,
    /// Its place in the layers.
    pub path: TreePath,
    /// Its files with the digests of their contents, as far as these are known.
    #[serde(skip)]
    pub files: BTreeMap<TreePath, Option<Hash>>,
    /// Where it comes from.
    pub origin: Origin,
    /// What was changed in it on its way into the layers.
    pub changed: Vec<String>,
    /// The ids of components that it needs or holds.
    pub requires: BTreeSet<String>,
}

impl Component {
    /// SHA-256 of its content: that of its only file; of several files, that of the list that `sha256sum` prints of them, sorted
    /// by path. `None` where a digest is missing, or there is no file.
    pub fn digest(&self) -> Option<Hash> {
        let digests: Option<Vec<(&TreePath, &Hash)>> = self
            .files
            .iter()
            .map(|(path, hash)| Some((path, hash.as_ref()?)))
            .collect();
        match digests?[..] {
            [] => None,
            [(_, only)] => Some(*only),
            ref several => {
                let mut list = Sha256::new();
                for (path, hash) in several {
                    list.update(format!("{}  {path}\n", base16ct::lower::encode_string(*hash)));
                }
                Some(list.finalize().into())
            }
        }
    }
}

/// The licenses of components, each with what is under it, sorted.
pub fn licenses(components: &[Component]) -> Vec<LicenseUse> {
    let mut uses: BTreeMap<(Option<&str>, Option<&str>), BTreeSet<String>> = BTreeMap::new();
    for component in components {
        let License { declared, expression } = &component.license;
        let declared = declared.as_deref().filter(|_| expression.is_none());
        let name = match &component.version {
            Some(version) => format!("{} {version}", component.name),
            None => component.name.clone(),
        };
        uses.entry((expression.as_deref(), declared)).or_default().insert(name);
    }
    let uses = uses.into_iter().map(|((expression, declared), components)| LicenseUse {
        expression: expression.map(ToOwned::to_owned),
        declared: declared.map(ToOwned::to_owned),
        components: components.into_iter().collect(),
    });
    uses.collect()
}

/// A bill of materials.
#[derive(Debug, Clone, Serialize)]
pub struct Bill {
    /// What it is about.
    pub name: String,
    /// The zips, if it is about zips: name and SHA-256 in hexadecimal digits.
    pub layers: Vec<(String, String)>,
    /// The components, sorted by kind, name and path.
    pub components: Vec<Component>,
    /// When it counts as made, in seconds since 1970; `None` where that is not to be said.
    #[serde(skip)]
    pub made: Option<i64>,
}

impl Bill {
    /// A bill of what layers hold.
    pub fn new(name: &str, layers: &[LayerSummary], components: Vec<Component>, made: Option<i64>) -> Self {
        Self {
            name: name.to_owned(),
            layers: layers
                .iter()
                .map(|layer| (layer.file.clone(), layer.sha256.clone()))
                .collect(),
            components,
            made,
        }
    }

    /// A UUID that the contents decide (RFC 9562, version 8): another content has another one.
    fn uuid(&self) -> String {
        let mut hash = Sha256::new();
        // Texts, numbers and lists alone: this cannot fail.
        hash.update(serde_json::to_vec(self).unwrap_or_default());
        for component in &self.components {
            hash.update(component.digest().unwrap_or_default());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits = base16ct::lower::encode_string(&bytes);
        let parts = [
            &digits[..8],
            &digits[8..12],
            &digits[12..16],
            &digits[16..20],
            &digits[20..],
        ];
        parts.join("-")
    }

    /// The moment as ISO 8601 has it, in UTC.
    fn moment(&self) -> Option<String> {
        let moment = OffsetDateTime::from_unix_timestamp(self.made?).ok()?;
        Some(format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            moment.year(),
            u8::from(moment.month()),
            moment.day(),
            moment.hour(),
            moment.minute(),
            moment.second()
        ))
    }
}

#[cfg(test)]
mod tests;
