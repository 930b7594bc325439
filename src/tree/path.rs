//! Paths inside a tree, and what they are called on Lambda.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Where Lambda unpacks layers (AWS Lambda developer guide, "Layer paths for each Lambda runtime").
pub const LAYER_ROOT: &str = "/opt";

/// A path inside a tree: relative to its root, `/` between names, never empty names, `.` or `..`.
///
/// It is not a path on disk: the tree may be anywhere, and on Lambda it is at [`LAYER_ROOT`]. Its clones share the text, as
/// large trees are held in several forms at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(transparent))]
pub struct TreePath(Arc<str>);

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl TreePath {
    /// The root of the tree.
    pub fn root() -> Self {
        Self(Arc::from(""))
    }

    /// A path from relative text, or `None` if the text is absolute, climbs with `..`, has empty names or a NUL.
    pub fn new(text: &str) -> Option<Self> {
        let plain = !text.is_empty()
            && !text.contains('\0')
            && text
                .split('/')
                .all(|name| !name.is_empty() && name != "." && name != "..");
        plain.then(|| Self(Arc::from(text)))
    }

    /// The path in the tree of an absolute path on Lambda, such as `/opt/lib/libz.so`.
    pub fn from_lambda(absolute: &str) -> Option<Self> {
        if absolute == LAYER_ROOT {
            return Some(Self::root());
        }
        Self::new(absolute.strip_prefix(LAYER_ROOT)?.strip_prefix('/')?)
    }

    /// The text of the path in the tree of an absolute path on Lambda, as it is written there.
    pub fn text_from_lambda(absolute: &str) -> Option<&str> {
        let rest = absolute.strip_prefix(LAYER_ROOT)?;
        if rest.is_empty() {
            Some(rest)
        } else {
            rest.strip_prefix('/')
        }
    }

    /// The absolute path that this one has on Lambda.
    pub fn on_lambda(&self) -> String {
        if self.0.is_empty() {
            LAYER_ROOT.to_owned()
        } else {
            format!("{LAYER_ROOT}/{}", self.0)
        }
    }

    /// The path as text, `""` for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path in the tree of an absolute path on Lambda, with its `.` and `..` carried out as if no link were on the way;
    /// `None` for one outside of /opt.
    pub fn normal(absolute: &str) -> Option<Self> {
        let mut names: Vec<&str> = Vec::new();
        for name in absolute.split('/') {
            match name {
                "" | "." => {}
                ".." => {
                    names.pop();
                }
                name => names.push(name),
            }
        }
        Self::from_lambda(&format!("/{}", names.join("/")))
    }

    /// This path as it is written in a directory, such as `../b/c` in `a`; `.` in itself.
    pub fn relative_to(&self, directory: &Self) -> String {
        let here: Vec<&str> = directory.names().collect();
        let there: Vec<&str> = self.names().collect();
        let common = here.iter().zip(&there).take_while(|(a, b)| a == b).count();
        let up = std::iter::repeat_n("..", here.len() - common);
        let relative: Vec<&str> = up.chain(there[common..].iter().copied()).collect();
        if relative.is_empty() {
            ".".to_owned()
        } else {
            relative.join("/")
        }
    }

    /// The path as it may be shown; see [`escaped`].
    pub fn shown(&self) -> String {
        escaped(self.to_string().as_bytes())
    }

    /// Whether this is the root of the tree.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The names from the root down.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }

    /// The last name, `""` for the root.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The directory that this path is in; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let parent = self.0.rsplit_once('/').map_or("", |(parent, _)| parent);
        Some(Self(Arc::from(parent)))
    }

    /// This path with a relative path below it. The text must be plain as [`TreePath::new`] wants it.
    pub fn join(&self, below: &str) -> Option<Self> {
        let below = Self::new(below)?;
        Some(if self.is_root() {
            below
        } else {
            Self(format!("{}/{}", self.0, below.0).into())
        })
    }

    /// The path of this name in the same directory.
    pub fn sibling(&self, name: &str) -> Option<Self> {
        self.parent()?.join(name)
    }

    /// The part of this path below `ancestor`, if it is there; `""` for the ancestor itself.
    pub fn below(&self, ancestor: &Self) -> Option<&str> {
        if ancestor.is_root() {
            return Some(&self.0);
        }
        let rest = self.0.strip_prefix(&*ancestor.0)?;
        if rest.is_empty() {
            Some("")
        } else {
            rest.strip_prefix('/')
        }
    }

    /// The directories above this path as text, from its parent up to the root, each with the part of the path below it.
    pub fn splits(&self) -> impl Iterator<Item = (&str, &str)> {
        let inner = self
            .0
            .rmatch_indices('/')
            .map(|(at, _)| (&self.0[..at], &self.0[at + 1..]));
        inner.chain((!self.is_root()).then_some(("", &*self.0)))
    }

    /// The directories above this path, from its parent up to the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }
}

/// A path is found in a map by its text, too. Text that is not a path inside a tree is found in none.
impl Borrow<str> for TreePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.is_root() { "." } else { &self.0 })
    }
}

/// A name as it may be shown: control characters, those that change the direction of what follows, and bytes that are not
/// UTF-8 are escaped, so that a hostile or broken name cannot move the cursor, forge a line of output or read as another.
pub fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || turns_text(character) {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Whether a character has no other use than to set the direction of text (Unicode Standard Annex #9, section 2).
pub(crate) fn turns_text(character: char) -> bool {
    matches!(
        character,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_tree_paths() {
        for text in ["a", "a/b c/ü", "..a", "a/...", "a\nb"] {
            assert!(TreePath::new(text).is_some(), "{text:?}");
        }
        for text in ["", "/a", "a/", "a//b", "./a", "a/..", "..", "a\0b"] {
            assert!(TreePath::new(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn the_tree_lies_at_opt_on_lambda() {
        let path = TreePath::new("lib/libz.so").unwrap();
        assert_eq!(path.on_lambda(), "/opt/lib/libz.so");
        assert_eq!(TreePath::from_lambda("/opt/lib/libz.so"), Some(path));
        assert_eq!(TreePath::from_lambda("/opt"), Some(TreePath::root()));
        assert_eq!(TreePath::from_lambda("/optional/x"), None);
        assert_eq!(TreePath::from_lambda("/usr/lib"), None);
    }

    #[test]
    fn relations_between_paths() {
        let path = TreePath::new("a/b/c").unwrap();
        assert_eq!(path.parent(), TreePath::new("a/b"));
        assert_eq!(path.below(&TreePath::new("a").unwrap()), Some("b/c"));
        assert_eq!(path.below(&path), Some(""));
        assert_eq!(path.below(&TreePath::new("a/bb").unwrap()), None);
        assert_eq!(TreePath::new("ab").unwrap().below(&TreePath::new("a").unwrap()), None);
        assert_eq!(path.ancestors().count(), 3);
        let splits: Vec<_> = path.splits().collect();
        assert_eq!(splits, [("a/b", "c"), ("a", "b/c"), ("", "a/b/c")]);
        assert_eq!(TreePath::root().splits().count(), 0);
        assert_eq!(TreePath::root().join("x"), TreePath::new("x"));
    }

    #[test]
    fn names_are_escaped_for_display() {
        assert_eq!(escaped(b"a\x1b[2Jb\xffc\n"), "a\\u{1b}[2Jb\\xffc\\n");
        assert_eq!(escaped("grün".as_bytes()), "grün");
        assert_eq!(escaped("a\u{202e}oz.bil".as_bytes()), "a\\u{202e}oz.bil");
    }
}
