//! A bill of materials as SPDX 2.3 in JSON. The crates for it are no longer kept, so that the form is written down here
//! (<https://spdx.github.io/spdx-spec/v2.3>).

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Bill, Component, Kind, Origin};

/// Where nothing is claimed.
const NONE_CLAIMED: &str = "NOASSERTION";
/// What the bill is about.
const SUBJECT: &str = "SPDXRef-layers";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
/// A document has to say when it was made; where that is not said, it is the earliest time of an entry in a zip.
const EARLIEST: &str = "1980-01-01T00:00:00Z";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    #[serde(rename = "documentNamespace")]
    namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Package>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct CreationInfo {
    created: String,
    creators: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<String>,
    #[serde(rename = "packageFileName", skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    license_concluded: &'static str,
    license_declared: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_comments: Option<String>,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
    primary_package_purpose: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
struct ExternalRef {
    #[serde(rename = "referenceCategory")]
    category: &'static str,
    #[serde(rename = "referenceType")]
    kind: &'static str,
    #[serde(rename = "referenceLocator")]
    locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    #[serde(rename = "relationshipType")]
    kind: &'static str,
    related_spdx_element: String,
}

fn relationship(from: &str, kind: &'static str, to: &str) -> Relationship {
    Relationship {
        spdx_element_id: from.to_owned(),
        kind,
        related_spdx_element: to.to_owned(),
    }
}

impl Bill {
    /// The bill as SPDX 2.3, in JSON. Its namespace is decided by its contents.
    pub fn spdx(&self) -> String {
        let ids: BTreeMap<&str, String> = self
            .components
            .iter()
            .enumerate()
            .map(|(number, component)| (component.id.as_str(), format!("SPDXRef-{}", number + 1)))
            .collect();
        let of = |id: &str| ids.get(id).map(String::as_str);
        let mut packages = vec![self.subject()];
        let mut relationships = vec![relationship(DOCUMENT, "DESCRIBES", SUBJECT)];
        for (number, (file, sha256)) in self.layers.iter().enumerate() {
            let id = format!("SPDXRef-zip-{}", number + 1);
            relationships.push(relationship(SUBJECT, "CONTAINS", &id));
            packages.push(Package {
                file_name: Some(file.clone()),
                checksums: checksums(sha256.clone()),
                primary_package_purpose: "ARCHIVE",
                ..named(id, file)
            });
        }
        for component in &self.components {
            let Some(id) = of(&component.id) else { continue };
            relationships.push(relationship(SUBJECT, "CONTAINS", id));
            let required = component.requires.iter().filter_map(|id| of(id));
            relationships.extend(required.map(|required| relationship(id, "DEPENDS_ON", required)));
            packages.push(package(id, component));
        }
        let document = Document {
            spdx_version: "SPDX-2.3",
            data_license: "CC0-1.0",
            id: DOCUMENT,
            name: self.name.clone(),
            namespace: format!("https://spdx.org/spdxdocs/lambdar-prune-{}", self.uuid()),
            creation_info: CreationInfo {
                created: self.moment().unwrap_or_else(|| EARLIEST.to_owned()),
                creators: vec![format!(
                    "Tool: {}-{}",
                    env!("CARGO_PKG_NAME"),
                    env!("CARGO_PKG_VERSION")
                )],
            },
            packages,
            relationships,
        };
        // Texts alone: this cannot fail.
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        text
    }

    fn subject(&self) -> Package {
        named(SUBJECT.to_owned(), &self.name)
    }
}

/// A package of which only the name is known.
fn named(id: String, name: &str) -> Package {
    Package {
        id,
        name: name.to_owned(),
        version_info: None,
        file_name: None,
        download_location: NONE_CLAIMED,
        files_analyzed: false,
        checksums: Vec::new(),
        source_info: None,
        license_concluded: NONE_CLAIMED,
        license_declared: NONE_CLAIMED.to_owned(),
        license_comments: None,
        copyright_text: NONE_CLAIMED,
        comment: None,
        external_refs: Vec::new(),
        primary_package_purpose: "APPLICATION",
    }
}

fn checksums(sha256: String) -> Vec<Checksum> {
    vec![Checksum {
        algorithm: "SHA256",
        checksum_value: sha256,
    }]
}

fn package(id: &str, component: &Component) -> Package {
    let source = match &component.origin {
        Origin::Tree => None,
        Origin::Host { path, package } => {
            let package = package
                .as_ref()
                .map(|package| format!(" of {} {}", package.name, package.version));
            Some(format!("{path}{}", package.unwrap_or_default()))
        }
        Origin::Bill(path) => Some(format!("listed in {}", path.on_lambda())),
    };
    let mut comments = vec![format!("at {}", component.path.on_lambda())];
    if component.files.len() > 1 {
        comments.push(format!(
            "the checksum is that of the list that sha256sum prints of its {} files, sorted by path",
            component.files.len()
        ));
    }
    comments.extend(component.changed.iter().map(|changed| format!("changed by {changed}")));
    let digest = component.digest().map(|digest| base16ct::lower::encode_string(&digest));
    let purl = component.purl.iter().map(|purl| ExternalRef {
        category: "PACKAGE-MANAGER",
        kind: "purl",
        locator: purl.clone(),
    });
    Package {
        version_info: component.version.clone(),
        checksums: digest.map(checksums).unwrap_or_default(),
        source_info: source,
        license_declared: component
            .license
            .expression
            .clone()
            .unwrap_or_else(|| NONE_CLAIMED.to_owned()),
        license_comments: component.license.declared.clone(),
        comment: Some(comments.join("; ")),
        external_refs: purl.collect(),
        primary_package_purpose: match component.kind {
            Kind::Interpreter => "APPLICATION",
            Kind::Package | Kind::Library | Kind::Bundled => "LIBRARY",
        },
        ..named(id.to_owned(), &component.name)
    }
}
