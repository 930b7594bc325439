//! The root file system as a function's process sees it: the tree at /opt, the runtime everywhere else.

mod files;

use crate::elf::Object;
use crate::runtime::Runtime;
use crate::tree::{Entry, Tree, TreePath};

/// How many links are followed in one path before it counts as a loop (path_resolution(7): 40 on Linux).
const MAX_LINKS: usize = 40;

/// The tree laid over the runtime.
#[derive(Debug, Clone, Copy)]
pub struct Root<'a> {
    /// What is at /opt.
    pub tree: &'a Tree,
    /// What is everywhere else.
    pub runtime: &'a Runtime,
}

/// What a path leads to once every link in it is followed. Two paths that lead to the same place are the same file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    /// Something in the tree, its root included.
    Tree(TreePath),
    /// Something of the runtime, by its absolute path.
    Runtime(String),
}

impl Location {
    /// The absolute path on Lambda.
    pub fn on_lambda(&self) -> String {
        match self {
            Self::Tree(path) => path.on_lambda(),
            Self::Runtime(path) => path.clone(),
        }
    }
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// There is nothing in the tree at this absolute path.
    NotInTree(String),
    /// The path leads out of /opt, to where the runtime is not known to have anything.
    NotInRuntime(String),
    /// The links in the path lead in a circle.
    Loop,
}

impl<'a> Root<'a> {
    /// Follows every link of an absolute path, the last name's included.
    pub fn resolve(&self, absolute: &str) -> Result<Location, Unresolved> {
        self.walk(absolute, |_| ())
    }

    /// As [`Root::resolve`], and tells of every link of the tree on the way.
    pub fn walk(&self, absolute: &str, mut passed: impl FnMut(TreePath)) -> Result<Location, Unresolved> {
        let mut pending: Vec<&str> = absolute.rsplit('/').collect();
        // Where the walk is: an absolute path, empty for the root.
        let mut here = String::with_capacity(absolute.len());
        let mut links = 0;
        while let Some(name) = pending.pop() {
            match name {
                "" | "." => continue,
                ".." => {
                    go_up(&mut here);
                    continue;
                }
                _ => {
                    here.push('/');
                    here.push_str(name);
                }
            }
            let link = match TreePath::text_from_lambda(&here) {
                Some(path) => match self.tree.at(path) {
                    Some(Entry::Symlink(target)) => {
                        TreePath::new(path).into_iter().for_each(&mut passed);
                        Some(target.as_str())
                    }
                    Some(Entry::File(_)) if !pending.is_empty() => {
                        return Err(Unresolved::NotInTree(here));
                    }
                    Some(_) => None,
                    None if path.is_empty() => None,
                    None => return Err(Unresolved::NotInTree(here)),
                },
                None => match self.runtime.entry(&here) {
                    Some(Entry::Symlink(target)) => Some(target.as_str()),
                    // An unknown directory of the runtime may hold the rest of the path all the same: judged at the end.
                    _ => None,
                },
            };
            if let Some(target) = link {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Unresolved::Loop);
                }
                if target.starts_with('/') {
                    here.clear();
                } else {
                    go_up(&mut here);
                }
                pending.extend(target.rsplit('/'));
            }
        }
        if here.is_empty() {
            return Ok(Location::Runtime("/".to_owned()));
        }
        match TreePath::from_lambda(&here) {
            Some(path) => Ok(Location::Tree(path)),
            None if self.runtime.entry(&here).is_some() => Ok(Location::Runtime(here)),
            None => Err(Unresolved::NotInRuntime(here)),
        }
    }

    /// The ELF object at a place.
    pub fn object(&self, place: &Location) -> Option<&'a Object> {
        match place {
            Location::Tree(path) => self.tree.object(path),
            Location::Runtime(path) => match self.runtime.entry(path) {
                Some(Entry::File(file)) => file.content.object(),
                _ => None,
            },
        }
    }
}

/// The absolute path that a link of the tree stands for.
pub fn link_target(link: &TreePath, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let directory = link.parent().unwrap_or_else(TreePath::root);
    format!("{}/{target}", directory.on_lambda())
}

impl Root<'_> {
    /// The directory at an absolute path, links followed; one of which nothing is known counts as none.
    pub fn directory(&self, absolute: &str) -> Option<Location> {
        let place = self.resolve(absolute).ok()?;
        let is_directory = match &place {
            Location::Tree(path) => path.is_root() || matches!(self.tree.get(path), Some(Entry::Directory(_))),
            Location::Runtime(path) => path == "/" || matches!(self.runtime.entry(path), Some(Entry::Directory(_))),
        };
        is_directory.then_some(place)
    }

    /// What a name in a directory leads to. The directory must be one that [`Root::directory`] gave: then only the name itself can
    /// be a link.
    pub fn entry_in(&self, directory: &Location, name: &str) -> Option<Location> {
        let (place, entry) = match directory {
            Location::Tree(directory) => {
                let path = directory.join(name)?;
                let entry = self.tree.get(&path)?;
                (Location::Tree(path), entry)
            }
            Location::Runtime(directory) => {
                let path = format!("{}/{name}", directory.trim_end_matches('/'));
                let entry = self.runtime.entry(&path)?;
                (Location::Runtime(path), entry)
            }
        };
        match entry {
            Entry::Symlink(_) => self.resolve(&place.on_lambda()).ok(),
            _ => Some(place),
        }
    }

    /// Whether a command is found on a search path, element by element.
    pub fn has_command(&self, name: &str, path: &[String]) -> bool {
        path.iter()
            .any(|directory| self.resolve(&format!("{directory}/{name}")).is_ok())
    }
}

/// Takes the last name off an absolute path; the root stays the root.
fn go_up(path: &mut String) {
    path.truncate(path.rfind('/').unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Arch, DEFAULT};
    use crate::size::Bytes;
    use crate::tree::{Content, File, Mode};

    fn check(path: &str, expected: Result<&str, Unresolved>) {
        let mut tree = Tree::default();
        let at = |text: &str| TreePath::new(text).unwrap();
        tree.insert(
            at("lib/libz.so.1"),
            Entry::File(File {
                bytes: Bytes(1),
                mode: Mode::new(0o644),
                content: Content::Data,
            }),
        );
        for (link, target) in [
            ("lib/libz.so", "libz.so.1"),
            ("lib64", "lib"),
            ("absolute", "/opt/lib64/libz.so"),
            ("dangling", "lib/nothing"),
            ("out", "../../etc/passwd"),
            ("system", "/lib64/libc.so.6"),
            ("round", "../opt/about"),
            ("about", "round"),
        ] {
            tree.insert(at(link), Entry::Symlink(target.into()));
        }
        let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
        let root = Root {
            tree: &tree,
            runtime: &runtime,
        };
        assert_eq!(
            root.resolve(path).map(|place| place.on_lambda()),
            expected.map(ToOwned::to_owned),
            "{path}"
        );
    }

    #[test]
    fn links_are_followed_inside_the_tree_and_the_runtime() {
        check("/opt/lib64/libz.so", Ok("/opt/lib/libz.so.1"));
        check("/opt/absolute", Ok("/opt/lib/libz.so.1"));
        check("/opt/lib64/../lib/./libz.so.1", Ok("/opt/lib/libz.so.1"));
        check("/opt/system", Ok("/usr/lib64/libc.so.6"));
        check("/opt", Ok("/opt"));
        check("/../opt//lib", Ok("/opt/lib"));
        check("/opt/dangling", Err(Unresolved::NotInTree("/opt/lib/nothing".into())));
        check(
            "/opt/lib/libz.so/x",
            Err(Unresolved::NotInTree("/opt/lib/libz.so.1".into())),
        );
        check("/opt/out", Err(Unresolved::NotInRuntime("/etc/passwd".into())));
        check("/opt/round", Err(Unresolved::Loop));
    }
}
