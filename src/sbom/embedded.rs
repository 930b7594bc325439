//! Versions that libraries hold as text. The knowledge is in `rules/embedded-versions.toml`.

use std::sync::LazyLock;

use globset::{GlobSet, GlobSetBuilder};
use memchr::memmem;
use serde::Deserialize;

use super::native::{stem, version_in_name};

/// No release of a library has a longer version, in bytes.
const LONGEST: usize = 32;

static DATA: LazyLock<Result<Vec<Library>, String>> = LazyLock::new(|| {
    let data: LibrariesFile =
        toml::from_str(include_str!("../../rules/embedded-versions.toml")).map_err(|error| error.to_string())?;
    let library = |form: LibraryTable| {
        let mut names = GlobSetBuilder::new();
        for name in &form.names {
            names.add(globset::Glob::new(name).map_err(|error| error.to_string())?);
        }
        Ok(Library {
            names: names.build().map_err(|error| error.to_string())?,
            form,
        })
    };
    data.library.into_iter().map(library).collect()
});

struct Library {
    names: GlobSet,
    form: LibraryTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LibrariesFile {
    library: Vec<LibraryTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LibraryTable {
    names: Vec<String>,
    project: String,
    after: String,
    #[serde(default)]
    starts: String,
    #[serde(default)]
    before: String,
    #[serde(rename = "source")]
    _source: String,
}

/// What the content of a library tells of its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedVersion {
    /// What its releases are called.
    pub(super) project: String,
    /// The version.
    pub(super) version: String,
    /// What tells it.
    pub(super) from: &'static str,
}

/// The version that a library holds as text, by its file name: where upstream puts it, or the one in the file name if the library
/// holds that as well. By itself, a file name says nothing: with libtool, libcurl.so.4.8.0 is of curl 7.88.1 (libtool manual,
/// "Versioning").
pub(super) fn embedded(file_name: &str, bytes: &[u8]) -> Option<EmbeddedVersion> {
    let name = stem(file_name);
    let libraries = DATA.as_ref().ok()?;
    let known = libraries.iter().find(|library| library.names.is_match(name));
    if let Some((library, version)) = known.and_then(|library| Some((library, library.form.version(bytes)?))) {
        return Some(EmbeddedVersion {
            project: library.form.project.clone(),
            version,
            from: "text in the library",
        });
    }
    let version = version_in_name(file_name)?;
    let text = format!("\0{version}\0");
    memmem::find(bytes, text.as_bytes())?;
    Some(EmbeddedVersion {
        project: name.to_owned(),
        version: version.to_owned(),
        from: "file name",
    })
}

impl LibraryTable {
    fn version(&self, bytes: &[u8]) -> Option<String> {
        memmem::find_iter(bytes, self.after.as_bytes()).find_map(|at| {
            let text = bytes[at + self.after.len()..].trim_ascii_start();
            let text = &text[..text.len().min(LONGEST + self.before.len())];
            let is_of_version = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.';
            let end = text.iter().position(|byte| !is_of_version(byte)).unwrap_or(text.len());
            let version = std::str::from_utf8(&text[..end]).ok()?;
            let is_number = version.starts_with(|first: char| first.is_ascii_digit()) && version.contains('.');
            let is_it =
                is_number && version.starts_with(&self.starts) && text[end..].starts_with(self.before.as_bytes());
            is_it.then(|| version.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are those of Debian 12's libraries and of wheels, as strings(1) shows them.
    #[test]
    fn versions_are_read_where_upstream_puts_them() {
        for (file, text, expected) in [
            (
                "libz.so.1.2.13",
                " deflate 1.2.13 Copyright 1995-2022 Jean-loup Gailly",
                Some(("zlib", "1.2.13")),
            ),
            (
                "libcrypto-8ad0c0b6.so.1.1",
                "OpenSSL 1.1.1w  11 Sep 2023",
                Some(("openssl", "1.1.1w")),
            ),
            ("libbz2.so.1.0.4", "1.0.8, 13-Jul-2019", Some(("bzip2", "1.0.8"))),
            ("libcurl.so.4.8.0", "libcurl/7.88.1", Some(("curl", "7.88.1"))),
            ("libpcre2-8.so.0.11.2", "10.42 2022-12-11", Some(("pcre2", "10.42"))),
            (
                "libpng16-c770ec27.so.16.58.0",
                " libpng version 1.6.58",
                Some(("libpng", "1.6.58")),
            ),
            ("libsqlite3.so.0.8.6", "3.40.1", Some(("sqlite", "3.40.1"))),
            ("libexpat.so.1.8.10", "expat_2.5.0", Some(("expat", "2.5.0"))),
            (
                "libtiff-20b7e810.so.6.3.0",
                "LIBTIFF, Version 4.7.2",
                Some(("libtiff", "4.7.2")),
            ),
            // The text of another library: libcurl says with which zlib it was built.
            ("libcurl.so.4.8.0", "1.2.13", None),
            // The numbers of libtool are not the release.
            ("libgdbm.so.6.0.0", "GDBM version 1.23.", None),
            // A file name counts where the library has the same.
            ("liblzma.so.5.4.1", "5.4.1", Some(("liblzma", "5.4.1"))),
            ("libzstd.so.1.5.4", "11.5.4", None),
        ] {
            let bytes = format!("x\0{text}\0y");
            let found = embedded(file, bytes.as_bytes());
            let found = found
                .as_ref()
                .map(|found| (found.project.as_str(), found.version.as_str()));
            assert_eq!(found, expected, "{file}: {text}");
        }
        assert_eq!(embedded("libz.so.1", b"deflate 1"), None);
        assert_eq!(embedded("libz.so.1", b"deflate "), None);
    }
}
