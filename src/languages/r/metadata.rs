//! What DESCRIPTION files say of packages: version, license, where they come from.

use super::description::field;
use crate::languages::{Metadata, PackageSource};
use crate::licenses::{self, License};

/// Reads a DESCRIPTION; `directory` is the name of the package's directory.
pub(super) fn metadata(directory: &str, text: &str) -> Metadata {
    let name = field(text, "Package").unwrap_or_else(|| directory.to_owned());
    let declared = field(text, "License");
    Metadata {
        version: field(text, "Version"),
        license: License {
            expression: declared.as_deref().and_then(expression),
            declared,
        },
        source: source(&name, text),
        bills: Vec::new(),
        name,
    }
}

/// Packages of R itself and those of forges are not CRAN's; those of Bioconductor say what they are about in biocViews.
fn source(name: &str, text: &str) -> PackageSource {
    let of = |kind, namespace: Option<String>, name: &str| PackageSource {
        kind,
        namespace,
        name: name.to_owned(),
    };
    if field(text, "Priority").as_deref() == Some("base") {
        return of("generic", Some("r".to_owned()), name);
    }
    let remote = |key: &str| field(text, key);
    if let (Some("github"), Some(user), Some(repository)) = (
        remote("RemoteType").as_deref(),
        remote("RemoteUsername"),
        remote("RemoteRepo"),
    ) {
        return of("github", Some(user.to_lowercase()), &repository.to_lowercase());
    }
    let kind = if field(text, "biocViews").is_some() {
        "bioconductor"
    } else {
        "cran"
    };
    of(kind, None, name)
}

/// The license of R itself, and so of the packages that are a part of it (<https://www.r-project.org/Licenses>).
pub(super) const OF_R: &str = "GPL-2.0-only OR GPL-3.0-only";

/// A license field as an SPDX expression (Writing R Extensions, section 1.1.2): alternatives are separated by `|`, and what a
/// file adds to a license is the holder of the copyright, or restrictions that have no name.
fn expression(license: &str) -> Option<String> {
    if license.starts_with("Part of R ") {
        return Some(OF_R.to_owned());
    }
    let alternatives: Option<Vec<String>> = license
        .split('|')
        .map(str::trim)
        .filter(|alternative| !alternative.starts_with("file "))
        .map(|alternative| {
            let name = alternative.split('+').next().unwrap_or_default().trim();
            of_version(name).or_else(|| licenses::expression(name))
        })
        .collect();
    let alternatives = alternatives.filter(|all| !all.is_empty())?;
    Some(alternatives.join(" OR "))
}

/// A license of GNU from a version on, such as `GPL (>= 2)`, or of one version alone.
fn of_version(name: &str) -> Option<String> {
    let (license, condition) = name.split_once('(')?;
    let condition = condition.trim().strip_suffix(')')?.trim();
    let (relation, version) = condition.split_at_checked(2)?;
    let suffix = match relation {
        ">=" => "or-later",
        "==" => "only",
        _ => return None,
    };
    let (license, version) = (license.trim(), version.trim());
    if !["GPL", "LGPL", "AGPL"].contains(&license) {
        return None;
    }
    let version = if version.contains('.') {
        version.to_owned()
    } else {
        format!("{version}.0")
    };
    licenses::expression(&format!("{license}-{version}-{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licenses_of_r_have_their_names_in_spdx() {
        for (license, expected) in [
            ("GPL (>= 2)", Some("GPL-2.0-or-later")),
            ("LGPL (>= 2.1)", Some("LGPL-2.1-or-later")),
            ("GPL (== 2)", Some("GPL-2.0-only")),
            ("GPL (< 3)", None),
            ("CC BY-NC-SA 4.0 + file LICENSE", Some("CC-BY-NC-SA-4.0")),
            ("GPL-2 | GPL-3", Some("GPL-2.0-only OR GPL-3.0-only")),
            ("GPL (>= 2) | file LICENCE", Some("GPL-2.0-or-later")),
            ("MIT + file LICENSE", Some("MIT")),
            ("Apache License (>= 2)", Some("Apache-2.0")),
            (
                "BSD_3_clause + file LICENSE | GPL-2",
                Some("BSD-3-Clause OR GPL-2.0-only"),
            ),
            ("Part of R 4.2.2", Some("GPL-2.0-only OR GPL-3.0-only")),
            ("Unlimited", None),
            ("file LICENSE", None),
        ] {
            assert_eq!(expression(license).as_deref(), expected, "{license}");
        }
    }

    #[test]
    fn a_package_comes_from_where_its_description_says() {
        let source = |text: &str| {
            let source = metadata("x", text).source;
            format!("{}/{}", source.kind, source.name)
        };
        assert_eq!(source("Package: stats\nPriority: base\n"), "generic/stats");
        assert_eq!(
            source("Package: MASS\nPriority: recommended\nRepository: CRAN\n"),
            "cran/MASS"
        );
        assert_eq!(source("Package: limma\nbiocViews: Sequencing\n"), "bioconductor/limma");
        let github = "Package: x\nRemoteType: github\nRemoteUsername: A\nRemoteRepo: X\n";
        assert_eq!(source(github), "github/x");
        assert_eq!(metadata("x", "").name, "x");
    }
}
