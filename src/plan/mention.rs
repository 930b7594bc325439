//! Whether a text, such as a script, speaks of a path of the tree: written out, or by its last name behind a `/` and something
//! that only a run of the script could tell. What may be the path counts as it: better a file too many is kept than one too
//! few.

use crate::root::{Place, Root};
use crate::tree::TreePath;

/// How far a path is read back from its last name, in bytes. One that is longer counts as not written out.
const LONGEST_WORD: usize = 512;

/// Whether a text names a path or the folder that it lies in.
pub(super) fn names(root: Root<'_>, text: &str, path: &TreePath) -> bool {
    is_there(root, text, path, |_, after| ends(after))
        || path.parent().is_some_and(|folder| {
            // A folder at the root has a name as common as `bin`, and counts where it is written out.
            is_there(root, text, &folder, |is_written_out, after| {
                ends(after) && (is_written_out || folder.names().count() > 1)
            })
        })
}

/// Whether a text puts the folder of a command on `PATH`, where it may come before others.
pub(super) fn searches(root: Root<'_>, text: &str, command: &TreePath) -> bool {
    let sets = |variable: &str| {
        text.match_indices(variable)
            .any(|(at, _)| !text[..at].ends_with(is_of_name))
    };
    let is_before = |folder: TreePath| is_there(root, text, &folder, |_, after| after.starts_with(':'));
    sets("PATH=") && command.parent().is_some_and(is_before)
}

/// Whether one of the places where a text has a path's last name behind a `/` may mean the path. `counts` is told whether it
/// is written out there from the root on, and what comes after it.
fn is_there(root: Root<'_>, text: &str, path: &TreePath, counts: impl Fn(bool, &str) -> bool) -> bool {
    let name = path.file_name();
    !name.is_empty()
        && memchr::memmem::find_iter(text.as_bytes(), name).any(|at| {
            if !text[..at].ends_with('/') {
                return false;
            }
            let word = word_before(text, at);
            let is_written_out = word.starts_with('/') && !word.contains(['$', '"', '\'', '*', '?', '[']);
            let may_be_meant = !is_written_out || matches!(root.resolve(&format!("{word}{name}")), Ok(Place::Tree(_)));
            may_be_meant && counts(is_written_out, &text[at + name.len()..])
        })
}

/// What is written before a place without a gap, opening quotes left out.
fn word_before(text: &str, at: usize) -> &str {
    let nearest = (at.saturating_sub(LONGEST_WORD)..at).find(|start| text.is_char_boundary(*start));
    let start = nearest.unwrap_or(at);
    let word = match text[start..at].rsplit_once(is_between_words) {
        Some((_, word)) => word,
        None if start > 0 => "",
        None => &text[..at],
    };
    word.trim_start_matches(['"', '\''])
}

fn ends(after: &str) -> bool {
    !after.starts_with(|next| is_of_name(next) || ['-', '.', '/'].contains(&next))
}

fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_between_words(character: char) -> bool {
    character.is_whitespace() || "=:;(|&`<>,".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Arch, DEFAULT, Runtime};
    use crate::size::Bytes;
    use crate::tree::{Content, Entry, File, Mode, Tree};

    fn in_a_tree(path: &str, check: impl Fn(Root<'_>, &TreePath)) {
        let path = TreePath::new(path).unwrap();
        let mut tree = Tree::default();
        let file = File {
            bytes: Bytes(1),
            mode: Mode::EXECUTABLE,
            content: Content::Data,
        };
        tree.insert(path.clone(), Entry::File(file));
        let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
        let root = Root {
            tree: &tree,
            runtime: &runtime,
        };
        check(root, &path);
    }

    #[test]
    fn a_path_is_named_in_full_or_behind_what_only_a_run_tells() {
        in_a_tree("bin/curl", |root, path| {
            for text in [
                "/opt/bin/curl -o x y",
                "CURL=/opt/bin/curl\n",
                "x=\"$(dirname \"$0\")/../bin/curl\"",
                "\"$prefix\"/bin/curl",
                "$bin/curl x",
                "cd \"$prefix/bin\" && ./curl x",
                "'/opt/bin/curl'",
                "exec bin/curl",
                "/opt/bin/../bin/curl",
                "cd /opt/bin\n./curl",
                "PATH=/usr/bin:/opt/bin",
            ] {
                assert!(names(root, text, path), "{text}");
            }
            for text in [
                "curl",
                "/usr/bin/curl",
                "\"/usr/bin/curl\"",
                "CURL=/bin/curl",
                "/opt/bin/curl-config",
                "/opt/bin/curl/x",
                "$prefix/bin",
                "/usr/bin",
                "",
            ] {
                assert!(!names(root, text, path), "{text}");
            }
        });
        in_a_tree("lib/modules/legacy.so", |root, path| {
            assert!(names(root, "MODULES=/opt/lib/modules", path));
            assert!(names(root, "MODULES=$root/lib/modules\n", path));
            assert!(!names(root, "/opt/lib", path));
            assert!(!names(root, "$root/lib/modules/other.so", path));
        });
        in_a_tree("curl", |root, path| {
            assert!(names(root, "/opt/curl", path));
            assert!(!names(root, "/usr/bin/curl", path));
        });
        in_a_tree("bin/curl", |root, path| {
            let long = |unit: &str| unit.repeat(LONGEST_WORD);
            assert!(names(root, &(long("/ü") + "/curl"), path));
            assert!(!names(root, &(long("/ü ") + "/usr/bin/curl"), path));
            assert!(!names(root, &long("/curlü"), path));
        });
    }

    #[test]
    fn a_command_is_searched_where_its_folder_is_put_in_front() {
        in_a_tree("bin/curl", |root, path| {
            for text in ["export PATH=/opt/bin:$PATH", "PATH=\"$here/bin:$PATH\" curl x"] {
                assert!(searches(root, text, path), "{text}");
            }
            for text in [
                "export PATH=$PATH:$here/bin",
                "PATH=/usr/bin:$PATH",
                "JAVA_PATH=$JAVA_HOME/bin:x",
                "$here/bin:",
            ] {
                assert!(!searches(root, text, path), "{text}");
            }
        });
    }
}
