//! What libraries open by path (`rules/companions.toml`): no loader asks for it, and without it they fail when they are used.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use globset::{Glob, GlobBuilder, GlobMatcher};
use serde::Deserialize;

use crate::loader::Graph;
use crate::root::Root;
use crate::tree::TreePath;

const TEXT: &str = include_str!("../rules/companions.toml");

/// What stands for the directory of the library in [`Companion::files`].
const OWN_DIRECTORY: &str = "{lib}/";

/// Files that a library opens by path.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Companion {
    /// What they are, in a few words.
    pub name: String,
    sonames: Vec<String>,
    files: Vec<String>,
    marker: String,
    /// The variables that say where they are, each with a path below `/opt`, in names of which globs may stand for the names
    /// that came in.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Files that this program writes along with them, by their paths below `/opt`.
    #[serde(default)]
    pub written: BTreeMap<String, String>,
    #[serde(default)]
    optional: bool,
    /// The package that has them on Debian.
    pub package: String,
    #[serde(rename = "source")]
    _source: String,
    #[serde(skip)]
    matchers: Vec<GlobMatcher>,
    #[serde(skip)]
    marker_matcher: Option<GlobMatcher>,
}

/// A library that opens files which are not in the tree.
#[derive(Debug)]
pub struct Lonely<'a> {
    /// The library.
    pub library: &'a TreePath,
    /// The name under which it is needed.
    pub soname: &'a str,
    /// What it opens.
    pub companion: &'static Companion,
}

/// Where a part of a companion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompanionPath<'a> {
    /// Below the prefix of the library.
    Prefix(&'a str),
    /// Below the directory of the library itself.
    OwnDirectory(&'a str),
}

impl Companion {
    /// The files and directories that belong to it, as globs.
    pub fn places(&self) -> impl Iterator<Item = CompanionPath<'_>> {
        self.files.iter().map(|file| match file.strip_prefix(OWN_DIRECTORY) {
            Some(below) => CompanionPath::OwnDirectory(below),
            None => CompanionPath::Prefix(file),
        })
    }

    /// The path whose end tells that it is there.
    pub fn marker(&self) -> &str {
        &self.marker
    }

    /// Whether the library does without it as well.
    pub fn is_optional(&self) -> bool {
        self.optional
    }

    fn belongs_to(&self, soname: &str) -> bool {
        self.matchers.iter().any(|matcher| matcher.is_match(soname))
    }

    /// Whether a path is one that tells that it is there.
    pub fn is_marker(&self, path: &str) -> bool {
        let matcher = self.marker_matcher.as_ref();
        matcher.is_some_and(|matcher| matcher.is_match(path.trim_start_matches('/')))
    }

    /// The value of a variable: where a path, of which names may be globs, leads to among files that came in.
    pub fn value<'p>(below: &'p str, places: &[&'p str]) -> Option<&'p str> {
        if !below.contains('*') {
            return Some(below);
        }
        let matcher = plain_glob(below)?.compile_matcher();
        let names = below.split('/').count();
        let heads = places
            .iter()
            .filter_map(|place| match place.match_indices('/').nth(names - 1) {
                Some((end, _)) => place.get(..end),
                None => Some(*place),
            });
        heads.filter(|head| matcher.is_match(head)).min()
    }

    fn is_in(&self, root: Root<'_>) -> bool {
        root.tree.iter().any(|(path, _)| self.is_marker(path.as_str()))
            || root.runtime.entries().any(|(path, _)| self.is_marker(&path))
    }
}

/// A glob in which `*` stays within a name.
fn plain_glob(glob: &str) -> Option<Glob> {
    GlobBuilder::new(glob).literal_separator(true).build().ok()
}

/// Every companion that is known. Empty only if the built-in file were broken, which a test rules out.
fn built_in() -> &'static [Companion] {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Data {
        companion: Vec<Companion>,
    }
    static COMPANIONS: LazyLock<Vec<Companion>> = LazyLock::new(|| {
        let mut companions = toml::from_str::<Data>(TEXT).map_or_else(|_| Vec::new(), |data| data.companion);
        for companion in &mut companions {
            let globs = companion.sonames.iter().filter_map(|soname| Glob::new(soname).ok());
            companion.matchers = globs.map(|glob| glob.compile_matcher()).collect();
            let marker = plain_glob(&format!("{{**/,}}{}", companion.marker));
            companion.marker_matcher = marker.map(|glob| glob.compile_matcher());
        }
        companions
    });
    &COMPANIONS
}

/// The libraries of a tree that some process may load and that open files which are neither in the tree nor in the runtime,
/// sorted by path.
pub fn lonely_libraries<'a>(root: Root<'a>, graph: &'a Graph) -> Vec<Lonely<'a>> {
    let mut lonely = Vec::new();
    for (library, _) in graph.loaded_objects() {
        let Some(soname) = root.tree.object(library).and_then(|object| object.soname.as_deref()) else {
            continue;
        };
        let companions = built_in().iter().filter(|companion| companion.belongs_to(soname));
        lonely.extend(
            companions
                .filter(|companion| !companion.is_in(root))
                .map(|companion| Lonely {
                    library,
                    soname,
                    companion,
                }),
        );
    }
    lonely
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_can_be_read_and_says_where_its_files_are() {
        assert!(!built_in().is_empty());
        for companion in built_in() {
            assert_eq!(companion.matchers.len(), companion.sonames.len(), "{}", companion.name);
            assert!(companion.places().next().is_some(), "{}", companion.name);
            assert!(companion.marker_matcher.is_some(), "{}", companion.name);
            // A variable names something that comes along.
            for value in companion.variables.values() {
                let comes_along = companion.places().any(|place| match place {
                    CompanionPath::Prefix(file) => value.starts_with(file) || file.starts_with(&format!("{value}/")),
                    CompanionPath::OwnDirectory(file) => value.starts_with(&format!("lib/{file}")),
                });
                assert!(
                    comes_along || companion.written.contains_key(value),
                    "{}: {value}",
                    companion.name
                );
            }
        }
        let proj: Vec<&Companion> = built_in()
            .iter()
            .filter(|companion| companion.belongs_to("libproj.so.25"))
            .collect();
        assert_eq!(proj.len(), 1);
        assert!(!built_in().iter().any(|companion| companion.belongs_to("libc.so.6")));
        assert!(proj[0].is_marker("share/proj/proj.db") && proj[0].is_marker("/usr/share/proj/proj.db"));
        assert!(!proj[0].is_marker("share/proj/proj.db/x") && !proj[0].is_marker("share/myproj/proj.db"));
    }

    #[test]
    fn a_variable_leads_to_what_came_in() {
        let places = [
            "lib/Magick-6.9/modules-Q16/coders/png.so",
            "lib/Magick-6.9/modules-Q16/filters/x.so",
        ];
        let value = |below| Companion::value(below, &places);
        assert_eq!(
            value("lib/Magick-6*/modules-*/coders"),
            Some("lib/Magick-6.9/modules-Q16/coders")
        );
        assert_eq!(value("lib/Magick-7*/modules-*/coders"), None);
        assert_eq!(value("lib/Magick-6*/modules-*/coders/png.so/x"), None);
        assert_eq!(value("share/proj"), Some("share/proj"));
    }
}
