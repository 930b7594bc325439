//! What a path leads to in the sandbox, as the kernel resolves it (path_resolution(7)).
//!
//! The root, /opt and /var/task cannot be written to, so that what is there can be looked up at any time from outside. What
//! a function makes itself, in /tmp, is known from its calls.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::OsString;
use std::path::PathBuf;

use super::super::sandbox::{Mount, Mounts};

/// The most links on one way (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// How many names are remembered: more than a machine's root has that a function asks for.
const MOST_KNOWN: usize = 1 << 20;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    /// Nothing.
    Missing,
    /// A file.
    File,
    /// A directory, or something that only the sandbox knows.
    Directory,
    /// A symbolic link to this.
    Link(String),
}

/// A process, as far as paths depend on it.
#[derive(Debug, Clone, Default)]
pub(super) struct Process {
    /// Its working directory.
    pub(super) directory: String,
    /// The program that it runs.
    pub(super) program: String,
    /// The paths behind its descriptors, as far as they are known.
    pub(super) descriptors: HashMap<i32, String>,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    /// The links on the way, by their own paths.
    pub(super) links: Vec<String>,
    /// The path without any link, but for the last name if that is not followed.
    pub(super) path: String,
    /// Whether something is there.
    pub(super) found: bool,
    /// Whether it is a link that is not followed.
    pub(super) is_link: bool,
}

/// The files of a sandbox.
#[derive(Debug, Default)]
pub(super) struct View {
    /// By their paths in the sandbox.
    mounts: BTreeMap<String, Mount>,
    /// The links that the function has made.
    made: HashMap<String, String>,
    known: HashMap<String, Node>,
}

impl View {
    pub(super) fn of(mounts: &Mounts) -> Self {
        let mut all: BTreeMap<String, Mount> = mounts.root.iter().cloned().collect();
        all.insert("/opt".to_owned(), Mount::Path(mounts.opt.clone()));
        all.insert("/var/task".to_owned(), Mount::Path(mounts.task.clone()));
        // bubblewrap's own (bwrap(1), `--dev`).
        all.insert("/dev/fd".to_owned(), Mount::Link(OsString::from("/proc/self/fd")));
        Self {
            mounts: all,
            ..Self::default()
        }
    }

    /// Notes a link that the function has made.
    pub(super) fn link(&mut self, path: String, target: String) {
        if self.made.len() < MOST_KNOWN {
            self.made.insert(path, target);
        }
    }

    /// The file outside of the sandbox that a path in it is, links aside.
    pub(super) fn outside(&self, path: &str) -> Option<PathBuf> {
        let mut end = path.len();
        loop {
            match self.mounts.get(path.get(..end)?) {
                Some(Mount::Path(place)) => {
                    let below = path.get(end..)?.trim_start_matches('/');
                    return Some(if below.is_empty() {
                        place.clone()
                    } else {
                        place.join(below)
                    });
                }
                Some(Mount::Link(_)) => return None,
                None => end = path.get(..end)?.rfind('/')?,
            }
        }
    }

    fn node(&mut self, path: &str) -> Node {
        if let Some(target) = self.made.get(path) {
            return Node::Link(target.clone());
        }
        if let Some(Mount::Link(target)) = self.mounts.get(path) {
            return Node::Link(target.to_string_lossy().into_owned());
        }
        let Some(outside) = self.outside(path) else {
            return self.node_of_sandbox(path);
        };
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let node = match outside.symlink_metadata() {
            Ok(about) if about.is_symlink() => match fs_err::read_link(&outside).map(PathBuf::into_os_string) {
                Ok(target) => Node::Link(target.to_string_lossy().into_owned()),
                Err(_) => Node::Missing,
            },
            Ok(about) if about.is_dir() => Node::Directory,
            Ok(_) => Node::File,
            Err(_) => Node::Missing,
        };
        if self.known.len() < MOST_KNOWN {
            self.known.insert(path.to_owned(), node.clone());
        }
        node
    }

    /// What no mount brings: the directories above mounts, and the file systems in memory, of which anything may be true.
    fn node_of_sandbox(&self, path: &str) -> Node {
        let below = format!("{path}/");
        let is_above = self
            .mounts
            .range(below.clone()..)
            .next()
            .is_some_and(|(mount, _)| mount.starts_with(&below));
        let in_memory = ["/tmp", "/proc", "/dev", "/sys"];
        let is_in_memory = in_memory
            .iter()
            .any(|root| path == *root || path.starts_with(&format!("{root}/")));
        if is_above || is_in_memory {
            Node::Directory
        } else {
            Node::Missing
        }
    }

    /// A link of /proc that is about the process itself (proc(5)).
    fn link_of_process(path: &str, process: &Process) -> Option<String> {
        let mut names = path.strip_prefix("/proc/")?.split('/');
        let who = names.next()?;
        let is_own = who == "self" || who == "thread-self";
        if !is_own && !who.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        match (names.next()?, names.next(), names.next()) {
            ("root", None, None) => Some("/".to_owned()),
            ("cwd", None, None) if is_own => Some(process.directory.clone()),
            ("exe", None, None) if is_own => Some(process.program.clone()).filter(|program| !program.is_empty()),
            ("fd", Some(number), None) if is_own => process.descriptors.get(&number.parse().ok()?).cloned(),
            _ => None,
        }
    }

    /// Follows a path from a directory. `follow` is whether the last name is followed if it is a link.
    pub(super) fn resolve(&mut self, process: &Process, from: &str, path: &str, follow: bool) -> Resolved {
        let mut here: Vec<String> = Vec::new();
        let names = |text: &str| text.split('/').map(ToOwned::to_owned).collect::<Vec<_>>();
        let start = if path.starts_with('/') { "" } else { from };
        let mut ahead: VecDeque<String> = names(start).into_iter().chain(names(path)).collect();
        let mut links = Vec::new();
        let must_be_directory = path.ends_with('/');
        while let Some(name) = ahead.pop_front() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    here.pop();
                    continue;
                }
                _ => here.push(name),
            }
            let at = format!("/{}", here.join("/"));
            let is_last = ahead.iter().all(|name| matches!(name.as_str(), "" | "."));
            let node = match Self::link_of_process(&at, process) {
                Some(target) => Node::Link(target),
                None => self.node(&at),
            };
            match node {
                Node::Link(_) if is_last && !follow && !must_be_directory => {
                    return Resolved::at(links, at, true, true);
                }
                Node::Link(target) => {
                    here.pop();
                    links.push(at);
                    if links.len() > MOST_LINKS {
                        return Resolved::at(links, format!("/{}", here.join("/")), true, false);
                    }
                    if target.starts_with('/') {
                        here.clear();
                    }
                    for name in names(&target).into_iter().rev() {
                        ahead.push_front(name);
                    }
                }
                Node::Missing | Node::File if !is_last => {
                    // A way back out of what is not there is no path of its own.
                    if !ahead.iter().any(|name| name == "..") {
                        here.extend(ahead.into_iter().filter(|name| !matches!(name.as_str(), "" | ".")));
                    }
                    return Resolved::at(links, format!("/{}", here.join("/")), false, false);
                }
                Node::Missing => return Resolved::at(links, at, false, false),
                Node::File | Node::Directory => {}
            }
        }
        Resolved::at(links, format!("/{}", here.join("/")), true, false)
    }
}

impl Resolved {
    fn at(links: Vec<String>, path: String, found: bool, is_link: bool) -> Self {
        Self {
            links,
            path,
            found,
            is_link,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A sandbox with /opt/lib/{file,link,up,loop}, /usr and a link /lib to usr/lib.
    fn with_view(check: impl FnOnce(&mut View, &Process)) {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        for path in ["opt/lib", "opt/share", "task", "usr/lib"] {
            fs_err::create_dir_all(at(path)).unwrap();
        }
        fs_err::write(at("opt/lib/file"), "").unwrap();
        symlink("file", at("opt/lib/link")).unwrap();
        symlink("../share", at("opt/lib/up")).unwrap();
        symlink("loop", at("opt/lib/loop")).unwrap();
        symlink("/opt/lib", at("usr/lib/out")).unwrap();
        let mounts = Mounts {
            root: vec![
                ("/usr".to_owned(), Mount::Path(at("usr"))),
                ("/lib".to_owned(), Mount::Link("usr/lib".into())),
            ],
            opt: at("opt"),
            task: at("task"),
            ..Mounts::default()
        };
        let process = Process {
            directory: "/opt/lib".to_owned(),
            program: "/opt/bin/x".to_owned(),
            descriptors: HashMap::from([(3, "/opt/share".to_owned())]),
        };
        check(&mut View::of(&mounts), &process);
    }

    #[test]
    fn paths_are_followed_as_the_kernel_does() {
        with_view(|view, process| {
            view.link("/tmp/mine".to_owned(), "/opt/lib".to_owned());
            for (from, path, follow, links, expected, found) in [
                ("/opt/lib", "file", true, vec![], "/opt/lib/file", true),
                ("/opt/lib", "./link", true, vec!["/opt/lib/link"], "/opt/lib/file", true),
                ("/opt/lib", "link", false, vec![], "/opt/lib/link", true),
                (
                    "/",
                    "opt/lib/up/x/y",
                    true,
                    vec!["/opt/lib/up"],
                    "/opt/share/x/y",
                    false,
                ),
                (
                    "/",
                    "/lib/out/file",
                    true,
                    vec!["/lib", "/usr/lib/out"],
                    "/opt/lib/file",
                    true,
                ),
                ("/tmp", "mine/file", true, vec!["/tmp/mine"], "/opt/lib/file", true),
                ("/tmp/gone", "../../opt/lib/file", true, vec![], "/opt/lib/file", true),
                (
                    "/",
                    "/proc/self/root/opt/lib/file",
                    true,
                    vec!["/proc/self/root"],
                    "/opt/lib/file",
                    true,
                ),
                (
                    "/",
                    "/proc/self/cwd/file",
                    true,
                    vec!["/proc/self/cwd"],
                    "/opt/lib/file",
                    true,
                ),
                (
                    "/",
                    "/dev/fd/3/x",
                    true,
                    vec!["/dev/fd", "/proc/self/fd/3"],
                    "/opt/share/x",
                    false,
                ),
                ("/", "/opt/lib/file/below", true, vec![], "/opt/lib/file/below", false),
                ("/", "/opt/../../opt/none/../x", true, vec![], "/opt/none", false),
            ] {
                let resolved = view.resolve(process, from, path, follow);
                assert_eq!(
                    (resolved.links, resolved.path.as_str(), resolved.found),
                    (links.into_iter().map(str::to_owned).collect(), expected, found),
                    "{from} {path}"
                );
            }
            assert_eq!(
                view.resolve(process, "/", "/opt/lib/loop", true).links.len(),
                MOST_LINKS + 1
            );
        });
    }
}
