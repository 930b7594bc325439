//! Licenses that a project does not want in its layers: `[licenses]` of the configuration.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet};
use serde::Deserialize;

use crate::finding::{Code, Finding};
use crate::licenses;
use crate::sbom::{Component, Kind};
use crate::toml_file::{TomlError, TomlFile};
use toml::Spanned;

/// The table of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenseTable {
    /// Licenses by their SPDX identifiers, or globs such as `AGPL-*`.
    #[serde(default)]
    pub deny: Vec<Spanned<String>>,
}

/// Which licenses are denied.
#[derive(Debug, Clone, Default)]
pub struct LicensePolicy {
    /// The denied ones, as they are written, and what they match.
    denied: Vec<(String, GlobSet)>,
}

impl LicensePolicy {
    /// The policy of a table. A name is an SPDX identifier or a glob.
    pub fn of(file: &TomlFile<'_>, table: LicenseTable) -> Result<Self, TomlError> {
        let mut denied = Vec::new();
        for name in table.deny {
            let text = name.get_ref();
            let unusable = |reason: String| file.error(name.span(), reason);
            let glob = if text.contains('*') {
                text.clone()
            } else {
                one_license(text).map_err(unusable)?
            };
            // Unlike a matcher of one glob, a set does not panic on one that is too long.
            let glob = GlobBuilder::new(&glob)
                .case_insensitive(true)
                .build()
                .and_then(|glob| GlobSet::builder().add(glob).build());
            denied.push((text.clone(), glob.map_err(|error| unusable(error.kind().to_string()))?));
        }
        Ok(Self { denied })
    }

    /// Whether nothing is denied, so that licenses need not be looked at.
    pub fn is_empty(&self) -> bool {
        self.denied.is_empty()
    }

    /// What the policy says of components: which are under a denied license, whichever alternative of theirs is chosen, and of
    /// which nothing can be said. A part of which nothing is said is under the license of what holds it.
    pub fn judge(&self, components: &[Component]) -> Vec<Finding> {
        let holders = components
            .iter()
            .filter(|component| matches!(component.kind, Kind::Package | Kind::Interpreter));
        let parts: BTreeSet<&str> = holders
            .flat_map(|holder| &holder.requires)
            .map(String::as_str)
            .collect();
        let is_part = |component: &Component| {
            component.kind == Kind::Bundled || component.kind == Kind::Library && parts.contains(component.id.as_str())
        };
        components
            .iter()
            .filter_map(|component| self.finding(component, is_part(component)))
            .collect()
    }

    fn finding(&self, component: &Component, is_part: bool) -> Option<Finding> {
        let version = component
            .version
            .as_deref()
            .map(|version| format!(" {version}"))
            .unwrap_or_default();
        let what = format!("{}{version}", component.name);
        let expression = component.license.expression.as_deref();
        let parsed = expression.and_then(|text| licenses::parse(text).ok());
        let finding = if let (Some(text), Some(parsed)) = (expression, parsed) {
            let mut denied = None;
            let is_fine = parsed.evaluate(|required| {
                let found = self.denies(&required.to_string());
                denied = denied.or(found);
                found.is_none()
            });
            if is_fine {
                return None;
            }
            let words = [
                ("what", what.as_str()),
                ("license", text),
                ("denied", denied.unwrap_or_default()),
            ];
            Finding::new(Code::LicenseDenied, &words)
        } else {
            // Whoever holds it has its own finding if that says nothing, either.
            if is_part {
                return None;
            }
            let said = match &component.license.declared {
                Some(declared) => format!("says '{declared}', which is not the name of a license"),
                None => "does not state a license".to_owned(),
            };
            Finding::new(Code::LicenseMissing, &[("what", &what), ("said", &said)])
        };
        Some(finding.at(component.path.shown()))
    }

    /// The denied name that a license matches.
    fn denies(&self, license: &str) -> Option<&str> {
        let denied = self.denied.iter().find(|(_, glob)| glob.is_match(license));
        denied.map(|(name, _)| name.as_str())
    }
}

/// A license by the name that expressions have for it, with its exception.
///
/// # Errors
///
/// What is not the name of one license.
fn one_license(text: &str) -> Result<String, String> {
    let name = licenses::expression(text).unwrap_or_else(|| text.to_owned());
    let parsed = licenses::parse(&name).map_err(|error| {
        let reason = error.reason;
        format!("'{text}' is not an SPDX license: {reason}; see https://spdx.org/licenses")
    })?;
    if parsed.requirements().count() > 1 {
        return Err(format!("'{text}' is several licenses; deny each on its own"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::licenses::License;
    use crate::sbom::Origin;
    use crate::tree::TreePath;

    fn policy(text: &str) -> Result<LicensePolicy, TomlError> {
        let file = TomlFile::parse("c.toml", text)?;
        LicensePolicy::of(&file, file.read::<LicenseTable>()?)
    }

    fn component(license: License) -> Component {
        Component {
            kind: Kind::Package,
            id: "x".to_owned(),
            name: "x".to_owned(),
            version: Some("1".to_owned()),
            version_from: None,
            license,
            purl: None,
            path: TreePath::new("x").unwrap(),
            files: BTreeMap::new(),
            origin: Origin::Tree,
            changed: Vec::new(),
            requires: BTreeSet::new(),
        }
    }

    #[test]
    fn a_license_is_denied_where_no_alternative_is_left() {
        let policy = policy("deny = ['AGPL-*', 'GPL-3.0-or-later']").unwrap();
        for (license, expected) in [
            ("MIT", None),
            ("GPL-3.0-or-later", Some(Code::LicenseDenied)),
            ("GPL-3.0-or-later WITH GCC-exception-3.1", None),
            ("GPL-3.0-or-later OR MIT", None),
            ("GPL-3.0-or-later AND MIT", Some(Code::LicenseDenied)),
            ("AGPL-3.0-only", Some(Code::LicenseDenied)),
            ("Part of my company", Some(Code::LicenseMissing)),
        ] {
            let found = policy.judge(&[component(License::declared(license))]);
            assert_eq!(found.first().map(|finding| finding.code), expected, "{license}");
        }
        assert_eq!(
            policy.judge(&[component(License::default())])[0].code,
            Code::LicenseMissing
        );
    }

    /// A library in a wheel's own directory has no metadata; numpy's license names those that it brings.
    #[test]
    fn a_part_is_under_the_license_of_what_holds_it() {
        let policy = policy("deny = ['AGPL-*']").unwrap();
        let mut package = component(License::declared("BSD-3-Clause"));
        let library = |id: &str| Component {
            kind: Kind::Library,
            id: id.to_owned(),
            ..component(License::default())
        };
        package.requires.insert("held".to_owned());
        let found = policy.judge(&[package, library("held"), library("alone")]);
        let codes: Vec<Code> = found.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [Code::LicenseMissing]);
    }

    #[test]
    fn a_name_that_spdx_does_not_have_is_refused() {
        let error = policy("deny = ['GPL3']").unwrap_err().to_string();
        assert!(
            error.contains("c.toml:1:") && error.contains("'GPL3' is not an SPDX license"),
            "{error}"
        );
        assert!(policy("deny = ['MIT']").is_ok());
        let error = policy("deny = ['MIT OR Apache-2.0']").unwrap_err().to_string();
        assert!(error.contains("deny each on its own"), "{error}");
    }

    /// Case does not matter in identifiers, and `GPL-3.0` was replaced by `GPL-3.0-only`.
    #[test]
    fn licenses_are_denied_by_each_of_their_names() {
        for denied in ["gpl-3.0-only", "GPL-3.0", "gpl-3.0*"] {
            let policy = policy(&format!("deny = ['{denied}']")).unwrap();
            for license in ["GPL-3.0-only", "GPL-3.0", "MIT AND gpl-3.0"] {
                let found = policy.judge(&[component(License::declared(license))]);
                assert_eq!(found[0].code, Code::LicenseDenied, "{denied} {license}");
            }
        }
    }
}
