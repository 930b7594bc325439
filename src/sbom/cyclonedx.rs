//! A bill of materials as CycloneDX 1.5 in JSON.

use cyclonedx_bom::external_models::normalized_string::NormalizedString;
use cyclonedx_bom::models::bom::{Bom, SpecVersion, UrnUuid};
use cyclonedx_bom::models::component::{Classification, Component as Entry, Components};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::hash::{Hash as Digest, HashAlgorithm, HashValue, Hashes};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::metadata::Metadata;
use cyclonedx_bom::models::property::{Properties, Property};
use cyclonedx_bom::models::tool::Tools;

use super::{Bill, Component, Kind, Origin};

/// What the names of this program's properties begin with.
const PREFIX: &str = "lambdar-prune";
/// The reference of what the bill is about.
const SUBJECT: &str = "layers";

impl Bill {
    /// The bill as CycloneDX 1.5, in JSON. Its serial number is decided by its contents.
    pub fn cyclonedx(&self) -> String {
        let entries: Vec<Entry> = self.components.iter().map(entry).collect();
        let mut dependencies = vec![Dependency {
            dependency_ref: SUBJECT.to_owned(),
            dependencies: self.components.iter().map(|component| component.id.clone()).collect(),
        }];
        dependencies.extend(self.components.iter().map(|component| Dependency {
            dependency_ref: component.id.clone(),
            dependencies: component.requires.iter().cloned().collect(),
        }));
        let bom = Bom {
            version: 1,
            serial_number: UrnUuid::new(format!("urn:uuid:{}", self.uuid())).ok(),
            metadata: Some(self.metadata()),
            components: Some(Components(entries)),
            services: None,
            external_references: None,
            dependencies: Some(Dependencies(dependencies)),
            compositions: None,
            properties: None,
            vulnerabilities: None,
            signature: None,
            annotations: None,
            formulation: None,
            spec_version: SpecVersion::V1_5,
        };
        let mut text = Vec::new();
        // It is written into memory, and holds nothing that version 1.5 has not: this cannot fail.
        let _ = bom.output_as_json_v1_5(&mut text);
        let mut text = String::from_utf8(text).unwrap_or_default();
        text.push('\n');
        text
    }

    fn metadata(&self) -> Metadata {
        let tool = plain(
            Classification::Application,
            env!("CARGO_PKG_NAME"),
            Some(env!("CARGO_PKG_VERSION")),
        );
        let mut subject = plain(Classification::Application, &self.name, None);
        subject.bom_ref = Some(SUBJECT.to_owned());
        let layers = self.layers.iter().map(|(file, sha256)| {
            let mut layer = plain(Classification::File, file, None);
            layer.hashes = Some(hashes(sha256));
            layer
        });
        let layers: Vec<Entry> = layers.collect();
        subject.components = (!layers.is_empty()).then_some(Components(layers));
        Metadata {
            timestamp: self.moment().and_then(|moment| moment.try_into().ok()),
            tools: Some(Tools::Object {
                services: None,
                components: Some(Components(vec![tool])),
            }),
            component: Some(subject),
            ..Metadata::default()
        }
    }
}

fn plain(classification: Classification, name: &str, version: Option<&str>) -> Entry {
    let mut entry = Entry::new(classification, name, "", None);
    entry.version = version.map(NormalizedString::new);
    entry
}

fn hashes(sha256: &str) -> Hashes {
    Hashes(vec![Digest {
        alg: HashAlgorithm::SHA_256,
        content: HashValue(sha256.to_owned()),
    }])
}

fn entry(component: &Component) -> Entry {
    let classification = match component.kind {
        Kind::Interpreter => Classification::Platform,
        Kind::Package | Kind::Library | Kind::Bundled => Classification::Library,
    };
    let mut entry = plain(classification, &component.name, component.version.as_deref());
    entry.bom_ref = Some(component.id.clone());
    entry.purl = component.purl.as_deref().and_then(|purl| purl.parse().ok());
    entry.hashes = component
        .digest()
        .map(|digest| hashes(&base16ct::lower::encode_string(&digest)));
    let license = match (&component.license.expression, &component.license.declared) {
        (Some(expression), _) => Some(LicenseChoice::expression(expression)),
        (None, Some(declared)) => Some(LicenseChoice::license(declared)),
        (None, None) => None,
    };
    entry.licenses = license.map(|license| Licenses(vec![license]));
    entry.properties = Some(Properties(properties(component)));
    entry
}

fn properties(component: &Component) -> Vec<Property> {
    let property = |name: &str, value: &str| Property::new(format!("{PREFIX}:{name}"), value);
    let mut properties = vec![property("path", &component.path.on_lambda())];
    properties.extend(
        component
            .license
            .declared
            .iter()
            .map(|declared| property("license", declared)),
    );
    properties.extend(component.version_from.iter().map(|from| property("version-from", from)));
    match &component.origin {
        Origin::Tree => {}
        Origin::Host { path, package } => {
            properties.push(property("from", path));
            if let Some(package) = package {
                properties.push(property("package", &format!("{} {}", package.name, package.version)));
            }
        }
        Origin::Bill(path) => properties.push(property("from", &path.on_lambda())),
    }
    if component.files.len() > 1 {
        properties.push(property("files", &component.files.len().to_string()));
        properties.push(property(
            "hash-of",
            "the list that sha256sum prints of the files, sorted by path",
        ));
    }
    properties.extend(component.changed.iter().map(|changed| property("changed", changed)));
    properties
}
