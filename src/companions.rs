//! What libraries open by path (`rules/companions.toml`): no loader asks for it, and without it they fail when they are used.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use globset::{Glob, GlobBuilder, GlobMatcher};
use serde::Deserialize;

use crate::elf::Object;
use crate::loader::Graph;
use crate::root::Root;
use crate::tree::TreePath;
use crate::tree::path::LAYER_ROOT;

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
    /// that came in, or with several such paths between colons.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Files that this program writes along with them, by their paths below `/opt`.
    #[serde(default)]
    pub written: BTreeMap<String, String>,
    /// Those of the files, by globs of their paths below `/opt`, whose text names the directories that came in; it then names
    /// those below `/opt`.
    #[serde(default)]
    moved: Vec<String>,
    /// Functions: if there are any, the library opens the files only for an object that calls one of them.
    #[serde(default)]
    asked_by: Vec<String>,
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
pub struct MissingCompanion<'a> {
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
    pub fn value<'p>(&self, below: &'p str, places: &[&'p str]) -> Option<&'p str> {
        if !below.contains('*') {
            let is_there = |place: &&str| {
                let rest = place.strip_prefix(below);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let is_known = self.written.contains_key(below) || places.iter().any(is_there);
            return is_known.then_some(below);
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

    /// The text of a file that came in from a path of this machine, if it names directories that now lie elsewhere.
    pub fn moved(&self, place: &str, from: &Path, read: impl Fn(&Path) -> Option<Vec<u8>>) -> Option<String> {
        let mut globs = self.moved.iter().filter_map(|glob| plain_glob(glob));
        if !globs.any(|glob| glob.compile_matcher().is_match(place)) {
            return None;
        }
        let below = place.strip_prefix("lib/")?;
        let directory = from.to_str()?.strip_suffix(below)?;
        let text = String::from_utf8(read(from)?).ok()?;
        Some(text.replace(directory, &format!("{LAYER_ROOT}/lib/")))
    }

    fn is_asked_for(&self, root: Root<'_>) -> bool {
        let calls = |object: &Object| {
            let undefined = object.symbols.as_ref().map(|symbols| symbols.undefined.iter());
            let mut undefined = undefined.into_iter().flatten();
            undefined.any(|symbol| self.asked_by.iter().any(|function| *function == *symbol.name))
        };
        self.asked_by.is_empty() || root.tree.objects().any(|(_, object)| calls(object))
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
pub fn missing_companions<'a>(root: Root<'a>, graph: &'a Graph) -> Vec<MissingCompanion<'a>> {
    let mut missing = Vec::new();
    for (library, _) in graph.loaded_objects() {
        let Some(soname) = root.tree.object(library).and_then(|object| object.soname.as_deref()) else {
            continue;
        };
        let companions = built_in().iter().filter(|companion| companion.belongs_to(soname));
        missing.extend(
            companions
                .filter(|companion| !companion.is_in(root) && companion.is_asked_for(root))
                .map(|companion| MissingCompanion {
                    library,
                    soname,
                    companion,
                }),
        );
    }
    missing
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
            // A variable names something that comes along, or a directory that holds it.
            for value in companion.variables.values().flat_map(|value| value.split(':')) {
                let comes_along = companion.places().any(|place| {
                    let file = match place {
                        CompanionPath::Prefix(file) => file.to_owned(),
                        CompanionPath::OwnDirectory(file) => format!("lib/{file}"),
                    };
                    value.starts_with(&file) || file.starts_with(&format!("{value}/"))
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
    fn a_list_of_modules_names_where_they_went() {
        let companion = built_in()
            .iter()
            .find(|companion| companion.belongs_to("libgdk_pixbuf-2.0.so.0"))
            .unwrap();
        let host = "/usr/lib/x86_64-linux-gnu/";
        let list = "gdk-pixbuf-2.0/2.10.0/loaders.cache";
        let text = format!("\"{host}gdk-pixbuf-2.0/2.10.0/loaders/a.so\"\n\"a\" 4\n");
        let read = |_: &Path| Some(text.clone().into_bytes());
        let moved = |below: &str| companion.moved(&format!("lib/{below}"), Path::new(&format!("{host}{below}")), read);
        let expected = "\"/opt/lib/gdk-pixbuf-2.0/2.10.0/loaders/a.so\"\n\"a\" 4\n";
        assert_eq!(moved(list).as_deref(), Some(expected));
        assert_eq!(moved("gdk-pixbuf-2.0/2.10.0/loaders/a.so"), None);
    }

    #[test]
    fn a_variable_leads_to_what_came_in() {
        let places = [
            "lib/Magick-6.9/modules-Q16/coders/png.so",
            "lib/Magick-6.9/modules-Q16/filters/x.so",
        ];
        let proj = built_in()
            .iter()
            .find(|companion| companion.belongs_to("libproj.so.25"));
        let value = |below| proj.unwrap().value(below, &places);
        assert_eq!(
            value("lib/Magick-6*/modules-*/coders"),
            Some("lib/Magick-6.9/modules-Q16/coders")
        );
        assert_eq!(value("lib/Magick-7*/modules-*/coders"), None);
        assert_eq!(value("lib/Magick-6*/modules-*/coders/png.so/x"), None);
        assert_eq!(value("lib/Magick-6.9/modules-Q16"), Some("lib/Magick-6.9/modules-Q16"));
        assert_eq!(value("lib/Magick"), None);
    }
}
