//! The report of `sbom`: what is in layers, with versions and licenses.

use std::collections::BTreeMap;

use serde::Serialize;

use super::SCHEMA_VERSION;
use super::table::{Column, RenderOptions};
use crate::licenses::License;
use crate::sbom::{Bill, Component, Origin};
use crate::size::exact;
use crate::tree::path::escaped;

/// Report of `sbom`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Materials {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// What is in the layers, sorted by kind, name and path.
    pub components: Vec<Material>,
}

/// One component.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Material {
    /// Its name.
    pub name: String,
    /// Its version, if something tells it.
    pub version: Option<String>,
    /// Its license.
    pub license: License,
    /// Its package URL, if it is known what it is.
    pub purl: Option<String>,
    /// Its place in the layers.
    pub path: String,
    /// Where it comes from, if that is not the tree.
    pub from: Option<String>,
    /// SHA-256 of its content, or of the list of its files.
    pub sha256: Option<String>,
    /// How many files it has.
    pub files: usize,
    /// What was changed in it.
    pub changed: Vec<String>,
}

impl Materials {
    /// What there is to say of a bill.
    pub fn of(bill: &Bill) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            components: bill.components.iter().map(material).collect(),
        }
    }
}

fn material(component: &Component) -> Material {
    Material {
        name: component.name.clone(),
        version: component.version.clone(),
        license: component.license.clone(),
        purl: component.purl.clone(),
        path: component.path.to_string(),
        from: match &component.origin {
            Origin::Tree => None,
            Origin::Host { path, package } => Some(match package {
                Some(package) => format!("{path} of {} {}", package.name, package.version),
                None => path.clone(),
            }),
            Origin::Bill(path) => Some(path.to_string()),
        },
        sha256: component.digest().map(|digest| base16ct::lower::encode_string(&digest)),
        files: component.files.len(),
        changed: component.changed.clone(),
    }
}

/// The components, and how often each license is there.
pub fn materials(materials: &Materials, render: RenderOptions) -> String {
    let shown = |text: &str| escaped(text.as_bytes());
    let license = |material: &Material| {
        let license = &material.license;
        shown(
            license
                .expression
                .as_ref()
                .or(license.declared.as_ref())
                .map_or("", String::as_str),
        )
    };
    if materials.components.is_empty() {
        return "No packages or native libraries found.\n".to_owned();
    }
    let rows = materials.components.iter().map(|material| {
        vec![
            shown(&material.name),
            shown(material.version.as_deref().unwrap_or_default()),
            license(material),
            shown(&material.path),
            shown(material.from.as_deref().unwrap_or_default()),
        ]
    });
    let columns = ["Name", "Version", "License", "Path", "From"].map(Column::Left);
    let mut text = render.table(&columns, rows.collect());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for material in &materials.components {
        let name = match license(material) {
            none if none.is_empty() => "unknown".to_owned(),
            name => name,
        };
        *counts.entry(name).or_default() += 1;
    }
    text += &render.heading("Licenses");
    let rows = counts.into_iter().map(|(name, count)| vec![name, exact(count as u64)]);
    text += &render.table(&[Column::Left("License"), Column::Right("Components")], rows.collect());
    text
}
