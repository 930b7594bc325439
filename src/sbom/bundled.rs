//! Bills of materials that packages bring (PEP 770), in the form of CycloneDX or SPDX.

use std::collections::BTreeSet;

use purl::GenericPurl;
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
    let found = match serde_json::from_str(text) {
        Ok(document) => of_cyclonedx(document),
        Err(_) => serde_json::from_str(text).map(of_spdx).unwrap_or_default(),
    };
    let with_purl = |bundled: Bundled| Bundled {
        purl: bundled.purl.filter(|purl| purl.parse::<GenericPurl<String>>().is_ok()),
        ..bundled
    };
    found.into_iter().map(with_purl).collect()
}

/// A document of CycloneDX in JSON, as far as it is read here, which is the same in all versions (CycloneDX 1.2 to 1.7).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CycloneDxDocument {
    #[serde(rename = "bomFormat")]
    _form: String,
    #[serde(default)]
    metadata: CycloneDxMetadata,
    #[serde(default)]
    components: Vec<CycloneDxComponent>,
}

#[derive(Default, Deserialize)]
struct CycloneDxMetadata {
    component: Option<CycloneDxComponent>,
}

#[derive(Deserialize)]
struct CycloneDxComponent {
    name: String,
    version: Option<String>,
    purl: Option<String>,
    scope: Option<String>,
    #[serde(default)]
    licenses: Vec<CycloneDxLicense>,
    /// What it is assembled of.
    #[serde(default)]
    components: Vec<Self>,
}

#[derive(Deserialize)]
struct CycloneDxLicense {
    license: Option<CycloneDxName>,
    expression: Option<String>,
}

#[derive(Deserialize)]
struct CycloneDxName {
    id: Option<String>,
    name: Option<String>,
}

impl CycloneDxLicense {
    fn text(self) -> Option<String> {
        let name = self.license.and_then(|license| license.id.or(license.name));
        self.expression.or(name)
    }
}

/// What a bill in CycloneDX lists beside what it is about.
fn of_cyclonedx(document: CycloneDxDocument) -> Vec<Bundled> {
    let subject = document.metadata.component;
    let is_subject = |component: &CycloneDxComponent| {
        let about = subject.as_ref();
        about.is_some_and(|subject| (&subject.name, &subject.purl) == (&component.name, &component.purl))
    };
    let mut found = Vec::new();
    let mut open: Vec<CycloneDxComponent> = document.components.into_iter().rev().collect();
    while let Some(mut component) = open.pop() {
        if component.scope.as_deref() == Some("excluded") {
            continue;
        }
        open.extend(std::mem::take(&mut component.components).into_iter().rev());
        if !is_subject(&component) && found.len() < MOST {
            found.push(read(component));
        }
    }
    found
}

fn read(component: CycloneDxComponent) -> Bundled {
    let names: Vec<String> = component
        .licenses
        .into_iter()
        .filter_map(CycloneDxLicense::text)
        .collect();
    Bundled {
        name: component.name,
        version: component.version.filter(|version| !version.is_empty()),
        purl: component.purl,
        license: match &names[..] {
            [] => License::default(),
            [name] => License::declared(name),
            // All of them hold.
            names => License::declared(&format!("({})", names.join(") AND ("))),
        },
    }
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

    /// With what no version before 1.6 has, and a component within another.
    #[test]
    fn bills_of_later_versions_and_parts_of_parts_are_read() {
        let text = r#"{"bomFormat": "CycloneDX", "specVersion": "1.7", "citations": [], "components": [
            {"type": "cryptographic-asset", "name": "outer", "version": "2", "tags": ["x"], "purl": "not a purl",
             "licenses": [{"license": {"id": "MIT", "acknowledgement": "declared"}}, {"license": {"name": "zlib"}}],
             "components": [{"type": "library", "name": "inner", "version": "3", "purl": "pkg:cargo/inner@3"}]},
            {"type": "library", "name": "tool", "scope": "excluded", "components": [{"type": "library", "name": "of-tool"}]},
            {"type": "library", "name": "last"}]}"#;
        let found = bundled(text);
        let names: Vec<&str> = found.iter().map(|bundled| bundled.name.as_str()).collect();
        assert_eq!(names, ["outer", "inner", "last"]);
        assert_eq!(found[0].purl, None);
        assert_eq!(found[0].license.expression.as_deref(), Some("(MIT) AND (Zlib)"));
        assert_eq!(found[1].purl.as_deref(), Some("pkg:cargo/inner@3"));
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
