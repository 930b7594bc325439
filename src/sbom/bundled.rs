//! Bills of materials that packages bring (PEP 770), in the form of CycloneDX or SPDX.

use std::collections::BTreeSet;

use cyclonedx_bom::models::bom::Bom;
use cyclonedx_bom::models::component::{Component, Scope};
use cyclonedx_bom::models::license::{LicenseChoice, LicenseIdentifier};
use serde::Deserialize;

use crate::licenses::License;

/// More components than any wheel is made of.
const MOST: usize = 10_000;

/// Something that is built into a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bundled {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) purl: Option<String>,
    pub(super) license: License,
}

/// What a bill lists besides what it is about; nothing for a bill in another form. What was only needed to build the package is
/// left out.
pub(super) fn bundled(text: &str) -> Vec<Bundled> {
    let Ok(bom) = Bom::parse_from_json(text.as_bytes()) else {
        return serde_json::from_str(text).map(of_spdx).unwrap_or_default();
    };
    let subject = bom.metadata.and_then(|metadata| metadata.component);
    let is_subject = |component: &Component| {
        let about = subject.as_ref();
        about.is_some_and(|subject| (&subject.name, &subject.purl) == (&component.name, &component.purl))
    };
    let listed = bom.components.map(|components| components.0).unwrap_or_default();
    listed
        .into_iter()
        .take(MOST)
        .filter(|component| component.scope != Some(Scope::Excluded) && !is_subject(component))
        .map(read)
        .collect()
}

/// A document of SPDX 2 in JSON, as far as it is read here (SPDX 2.3, clauses 7 and 11).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxDocument {
    #[serde(rename = "spdxVersion")]
    _version: String,
    #[serde(default)]
    packages: Vec<SpdxPackage>,
    #[serde(default)]
    document_describes: Vec<String>,
    #[serde(default)]
    relationships: Vec<SpdxRelationship>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    version_info: Option<String>,
    license_concluded: Option<String>,
    license_declared: Option<String>,
    #[serde(default)]
    external_refs: Vec<SpdxReference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxReference {
    reference_type: String,
    reference_locator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxRelationship {
    spdx_element_id: String,
    relationship_type: String,
    related_spdx_element: String,
}

/// What a bill in SPDX lists beside what it is about, and beside what only built that.
fn of_spdx(document: SpdxDocument) -> Vec<Bundled> {
    let mut left_out: BTreeSet<String> = document.document_describes.into_iter().collect();
    for relationship in document.relationships {
        match relationship.relationship_type.as_str() {
            "DESCRIBES" => left_out.insert(relationship.related_spdx_element),
            "BUILD_TOOL_OF" | "BUILD_DEPENDENCY_OF" | "DEV_DEPENDENCY_OF" | "TEST_DEPENDENCY_OF" => {
                left_out.insert(relationship.spdx_element_id)
            }
            _ => continue,
        };
    }
    let packages = document.packages.into_iter().take(MOST);
    let packages = packages.filter(|package| !left_out.contains(&package.id));
    let said = |text: Option<String>| text.filter(|text| !["", "NOASSERTION", "NONE"].contains(&text.as_str()));
    packages
        .map(|package| {
            let mut references = package.external_refs.into_iter();
            let license = said(package.license_concluded).or(said(package.license_declared));
            Bundled {
                name: package.name,
                version: said(package.version_info),
                purl: references
                    .find(|reference| reference.reference_type == "purl")
                    .map(|reference| reference.reference_locator),
                license: license.as_deref().map(License::declared).unwrap_or_default(),
            }
        })
        .collect()
}

fn read(component: Component) -> Bundled {
    let licenses = component.licenses.map(|licenses| licenses.0).unwrap_or_default();
    let names: Vec<String> = licenses
        .into_iter()
        .map(|choice| match choice {
            LicenseChoice::Expression(expression) => expression.to_string(),
            LicenseChoice::License(license) => match license.license_identifier {
                LicenseIdentifier::SpdxId(id) => id.to_string(),
                LicenseIdentifier::Name(name) => name.to_string(),
            },
        })
        .collect();
    Bundled {
        name: component.name.to_string(),
        version: component
            .version
            .map(|version| version.to_string())
            .filter(|version| !version.is_empty()),
        purl: component.purl.map(|purl| purl.to_string()),
        license: if names.is_empty() {
            License::default()
        } else {
            License::declared(&names.join(" AND "))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the form in which auditwheel 6.7 writes it.
    #[test]
    fn what_auditwheel_bundled_is_read() {
        let text = r#"{"bomFormat": "CycloneDX", "specVersion": "1.4", "version": 1,
            "metadata": {"component": {"type": "library", "bom-ref": "a", "name": "scikit_learn", "version": "1.9.1", "purl": "pkg:pypi/scikit_learn@1.9.1?file_name=x.whl"}},
            "components": [
            {"type": "library", "bom-ref": "a", "name": "scikit_learn", "version": "1.9.1", "purl": "pkg:pypi/scikit_learn@1.9.1?file_name=x.whl"},
            {"type": "library", "bom-ref": "b", "name": "libgomp", "version": "8.5.0-28.el8_10.alma.1", "purl": "pkg:rpm/almalinux/libgomp@8.5.0-28.el8_10.alma.1"},
            {"type": "library", "bom-ref": "c", "name": "autocfg", "version": "1.3.0", "scope": "excluded", "licenses": [{"expression": "MIT"}]},
            {"type": "library", "bom-ref": "d", "name": "libc", "version": "0.2.1", "licenses": [{"expression": "MIT OR Apache-2.0"}]}
        ]}"#;
        let found = bundled(text);
        let names: Vec<&str> = found.iter().map(|bundled| bundled.name.as_str()).collect();
        assert_eq!(names, ["libgomp", "libc"]);
        assert_eq!(
            found[0].purl.as_deref(),
            Some("pkg:rpm/almalinux/libgomp@8.5.0-28.el8_10.alma.1")
        );
        assert_eq!(found[1].license.expression.as_deref(), Some("MIT OR Apache-2.0"));
        assert_eq!(bundled("{\"spdxVersion\": \"SPDX-2.3\"}"), []);
        assert_eq!(bundled("{\"packages\": [{\"SPDXID\": \"a\", \"name\": \"x\"}]}"), []);
        assert_eq!(bundled("not json"), []);
    }

    #[test]
    fn what_a_bill_in_spdx_lists_is_read() {
        let text = r#"{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "packages": [
            {"SPDXID": "SPDXRef-w", "name": "wheel-of-it", "versionInfo": "1.0"},
            {"SPDXID": "SPDXRef-z", "name": "zlib", "versionInfo": "1.3.1", "licenseConcluded": "NOASSERTION", "licenseDeclared": "Zlib",
             "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:generic/zlib@1.3.1"}]},
            {"SPDXID": "SPDXRef-c", "name": "cmake"}],
            "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-w"},
            {"spdxElementId": "SPDXRef-c", "relationshipType": "BUILD_TOOL_OF", "relatedSpdxElement": "SPDXRef-w"}]}"#;
        let found = bundled(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].name.as_str(), found[0].version.as_deref()),
            ("zlib", Some("1.3.1"))
        );
        assert_eq!(found[0].purl.as_deref(), Some("pkg:generic/zlib@1.3.1"));
        assert_eq!(found[0].license.expression.as_deref(), Some("Zlib"));
    }
}
