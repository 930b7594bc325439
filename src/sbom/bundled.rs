//! Bills of materials that packages bring (PEP 770), in the form of CycloneDX.

use cyclonedx_bom::models::bom::Bom;
use cyclonedx_bom::models::component::{Component, Scope};
use cyclonedx_bom::models::license::{LicenseChoice, LicenseIdentifier};

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
        return Vec::new();
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
        assert_eq!(bundled("not json"), []);
    }
}
