//! Package URLs (purl-spec).

use purl::GenericPurlBuilder;

use crate::host::{HostPackage, PackageManager};
use crate::languages::PackageSource;

/// The URL of a package of a language.
pub(super) fn of_package(source: &PackageSource, version: Option<&str>) -> Option<String> {
    let mut builder = GenericPurlBuilder::new(source.kind.to_owned(), source.name.as_str());
    if let Some(namespace) = &source.namespace {
        builder = builder.with_namespace(namespace.as_str());
    }
    if let Some(version) = version {
        builder = builder.with_version(version);
    }
    written(builder)
}

/// The URL of a package of a distribution.
pub fn of_host(package: &HostPackage) -> Option<String> {
    let kind = match package.manager {
        PackageManager::Deb => "deb",
        PackageManager::Rpm => "rpm",
        PackageManager::Apk => "apk",
    };
    // The epoch of an RPM is a qualifier; that of a Debian package is a part of its version.
    let (epoch, version) = match package.version.split_once(':') {
        Some((epoch, version)) if package.manager == PackageManager::Rpm => (Some(epoch), version),
        _ => (None, package.version.as_str()),
    };
    let distribution = package.distribution.as_deref();
    let mut builder = GenericPurlBuilder::new(kind.to_owned(), package.name.as_str()).with_version(version);
    if let Some(distribution) = distribution {
        builder = builder.with_namespace(distribution);
    }
    let distro = distribution
        .zip(package.release.as_deref())
        .map(|(name, release)| format!("{name}-{release}"));
    let qualifiers = [
        ("arch", Some(package.arch.as_str()).filter(|arch| !arch.is_empty())),
        ("distro", distro.as_deref()),
        ("epoch", epoch),
        ("upstream", package.source.as_deref()),
    ];
    for (name, value) in qualifiers {
        if let Some(value) = value {
            builder = builder.with_qualifier(name, value).ok()?;
        }
    }
    written(builder)
}

/// A URL in its canonical form, which encodes all but letters, digits and `.-_~:/` (ECMA-427, "Character encoding"); the crate leaves
/// `+` as it is.
fn written(builder: GenericPurlBuilder<String>) -> Option<String> {
    Some(builder.build().ok()?.to_string().replace('+', "%2B"))
}

/// The URL of something that no package manager knows.
pub(super) fn generic(name: &str, version: &str) -> Option<String> {
    let builder = GenericPurlBuilder::new("generic".to_owned(), name).with_version(version);
    written(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected URLs are in the form of the examples of purl-spec, as packageurl-python writes them.
    #[test]
    fn packages_have_the_urls_of_their_types() {
        let mut package = HostPackage {
            manager: PackageManager::Deb,
            name: "libgfortran5".to_owned(),
            version: "12.2.0-14+deb12u1".to_owned(),
            arch: "amd64".to_owned(),
            source: Some("gcc-12".to_owned()),
            distribution: Some("debian".to_owned()),
            release: Some("12".to_owned()),
            license: None,
        };
        assert_eq!(
            of_host(&package).unwrap(),
            "pkg:deb/debian/libgfortran5@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=gcc-12"
        );
        package.manager = PackageManager::Rpm;
        package.version = "1:3.5.5-1.amzn2023".to_owned();
        package.source = None;
        assert_eq!(
            of_host(&package).unwrap(),
            "pkg:rpm/debian/libgfortran5@3.5.5-1.amzn2023?arch=amd64&distro=debian-12&epoch=1"
        );
        let scoped = PackageSource {
            kind: "npm",
            namespace: Some("@babel".to_owned()),
            name: "core".to_owned(),
        };
        assert_eq!(
            of_package(&scoped, Some("7.0.0")).unwrap(),
            "pkg:npm/%40babel/core@7.0.0"
        );
        assert_eq!(generic("libz", "1.2.13").unwrap(), "pkg:generic/libz@1.2.13");
    }
}
