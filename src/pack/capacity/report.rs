//! The report on layers that exceed the limits, as a data type.

use std::fmt;

use serde::Serialize;

use crate::manifest::UploadRoute;
use crate::runtime::Arch;
use crate::size::Bytes;
use crate::tree::path::escaped;

/// Version of the schema of [`CapacityReport`].
pub(super) const SCHEMA_VERSION: u32 = 1;

/// The option with which a zip may be larger than a request.
pub(super) const THROUGH_S3: &str = "--via s3";

/// Report on layers that exceed the limits, with options that would make them fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CapacityReport {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// Always false: nothing was written.
    pub ok: bool,
    /// The runtime that the layers were to be for.
    pub runtime: String,
    /// The architecture that they were to be for.
    pub arch: Arch,
    /// The largest zip that was allowed.
    pub max_bytes: Bytes,
    /// How many layers were allowed.
    pub max_layers: usize,
    /// What was allowed unzipped.
    pub max_unzipped_bytes: Bytes,
    /// How the layers were to get to AWS.
    pub via: UploadRoute,
    /// What it comes to.
    pub totals: CapacityTotals,
    /// Each limit that is exceeded, in words.
    pub reasons: Vec<String>,
    /// Files that do not fit into a zip even alone.
    pub too_large: Vec<TooLarge>,
    /// What would make it fit, the least first.
    pub ways: Vec<Alternative>,
    /// Rules that are off and would remove something of it, the one that saves most first.
    pub rules_off: Vec<Saving>,
    /// Packages without which it would be less, the one that saves most first. Only those that nothing else needs.
    pub drops: Vec<PackageSaving>,
    /// Several of these together that make it fit, if one alone does not.
    pub combination: Option<Combination>,
    /// What there is, the largest first.
    pub components: Vec<SizeEntry>,
    /// The largest files.
    pub files: Vec<SizeEntry>,
}

impl std::error::Error for CapacityReport {}

impl fmt::Display for CapacityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it does not fit: {}.", escaped(self.reasons.join("; ").as_bytes()))?;
        if !self.ways.is_empty() {
            let ways: Vec<&str> = self.ways.iter().map(|way| way.option.as_str()).collect();
            write!(f, " It would with {}", ways.join(" or "))?;
            let bucket = self.ways.iter().any(|way| way.option == THROUGH_S3);
            f.write_str(if bucket {
                ", as a zip in an S3 bucket may be larger than a request."
            } else {
                "."
            })?;
        }
        f.write_str(" Nothing was written")
    }
}

/// Sizes of everything that was to be packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CapacityTotals {
    /// The fewest layers that were found; `None` where a file is too large for any.
    pub layers: Option<usize>,
    /// Fewer layers than this are impossible.
    pub lower_bound: Option<usize>,
    /// All entries, compressed, with their headers; `None` where nothing was compressed, because it is too much unzipped.
    pub zipped_bytes: Option<Bytes>,
    /// All entries, unzipped; if nothing was compressed, they may be more.
    pub unzipped_bytes: Bytes,
}

/// A file that does not fit into a zip of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TooLarge {
    /// The file.
    pub path: String,
    /// How long a zip with nothing else would be.
    pub zipped_bytes: Bytes,
    /// How long it would be if the file were stripped, where it was not and that would help.
    pub stripped_bytes: Option<Bytes>,
    /// Rules that are off and would remove it.
    pub rules: Vec<String>,
}

/// A command-line option with which all limits are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Alternative {
    /// The option, as to add it to the command line.
    pub option: String,
    /// How many layers it comes to.
    pub layers: usize,
}

/// What a disabled rule would save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Saving {
    /// Its id.
    pub id: String,
    /// The kind of files.
    pub category: String,
    /// What would be left.
    #[serde(flatten)]
    pub effect: Effect,
    /// What stops working without them.
    pub breaks: String,
}

/// What leaving a package out would save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PackageSaving {
    /// Its name.
    pub component: String,
    /// The options, as they are to be added to the command line.
    pub options: Vec<String>,
    /// What would be left.
    #[serde(flatten)]
    pub effect: Effect,
}

/// Options that make it fit together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Combination {
    /// The options, as they are to be added to the command line.
    pub options: Vec<String>,
    /// What would be left.
    #[serde(flatten)]
    pub effect: Effect,
}

/// What goes with a change, after all that something kept needs has stayed, and what is left then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Effect {
    /// Files and links that go.
    pub files: usize,
    /// What they add to the zips; `None` where nothing was compressed.
    pub zipped_bytes: Option<Bytes>,
    /// What they are unzipped.
    pub unzipped_bytes: Bytes,
    /// Whether all limits would be kept without them; `None` where that depends on how small the rest can be compressed.
    pub fits: Option<bool>,
    /// How many bytes unzipped would still be too much.
    pub too_much_unzipped_bytes: Bytes,
    /// How many layers there would be; `None` where a file is too large for any, and where nothing was compressed.
    pub layers: Option<usize>,
}

/// The sizes of a component or of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SizeEntry {
    /// Its name or path.
    pub name: String,
    /// Files and links.
    pub files: usize,
    /// What it adds to the zips; `None` where nothing was compressed.
    pub zipped_bytes: Option<Bytes>,
    /// What it is unzipped.
    pub unzipped_bytes: Bytes,
}
