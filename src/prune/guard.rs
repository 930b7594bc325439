//! What must never be pruned, whoever asks for it.

use std::path::{Path, PathBuf};

use super::PruneError;

/// Directories of the system (Filesystem Hierarchy Standard 3.0, chapter 3): a runtime is not built in one of them itself.
const SYSTEM: [&str; 19] = [
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/media", "/mnt", "/proc", "/root", "/run",
    "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var",
];

/// The directories that belong to someone.
#[derive(Debug, Clone, Default)]
pub struct Protected {
    /// The home of whoever runs this: it and whatever it is in is left alone.
    pub own_home: Option<PathBuf>,
    /// All homes.
    pub homes: Vec<PathBuf>,
}

impl Protected {
    /// The homes of this machine: `HOME`, and those in /etc/passwd (passwd(5): the sixth field).
    pub fn of_this_machine() -> Self {
        let passwd = fs_err::read("/etc/passwd").unwrap_or_default();
        let homes = String::from_utf8_lossy(&passwd)
            .lines()
            .filter_map(|line| line.split(':').nth(5))
            .filter(|home| home.starts_with('/'))
            .map(canonical)
            .collect();
        Self {
            own_home: std::env::var_os("HOME").filter(|home| !home.is_empty()).map(canonical),
            homes,
        }
    }

    /// What a directory is that must not be pruned; `None` for any other. The path has no links in it.
    pub fn what(&self, tree: &Path) -> Option<&'static str> {
        if tree.parent().is_none() {
            return Some("the root of the file system");
        }
        if self.homes.iter().chain(&self.own_home).any(|home| home == tree) {
            return Some("a home directory");
        }
        if self.own_home.as_ref().is_some_and(|home| home.starts_with(tree)) {
            return Some("a directory with your home directory in it");
        }
        SYSTEM
            .iter()
            .any(|system| canonical(*system) == tree)
            .then_some("a directory of the system")
    }
}

fn canonical(path: impl Into<PathBuf>) -> PathBuf {
    let path = path.into();
    path.canonicalize().unwrap_or(path)
}

/// The tree with every link in its path followed, if it is a directory that may be pruned.
pub fn checked_tree(tree: &Path, protected: &Protected) -> Result<PathBuf, PruneError> {
    let unreachable = |reason| PruneError::Unreachable {
        path: tree.to_owned(),
        reason,
    };
    let path = tree.canonicalize().map_err(unreachable)?;
    if !path.is_dir() {
        return Err(unreachable(std::io::ErrorKind::NotADirectory.into()));
    }
    match protected.what(&path) {
        Some(what) => Err(PruneError::Protected { path, what }),
        None => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_homes_and_what_they_lie_in_are_protected() {
        let protected = Protected {
            own_home: Some("/data/people/ann".into()),
            homes: vec!["/opt/service".into()],
        };
        for (path, expected) in [
            ("/", Some("the root of the file system")),
            ("/data/people/ann", Some("a home directory")),
            ("/data/people", Some("a directory with your home directory in it")),
            ("/data", Some("a directory with your home directory in it")),
            ("/opt/service", Some("a home directory")),
            ("/usr", Some("a directory of the system")),
            ("/opt", None),
            ("/opt/service/build", None),
            ("/data/people/ann/build", None),
            ("/data/people/annabel", None),
            ("/usr/local", None),
            ("/tmp/x", None),
        ] {
            assert_eq!(protected.what(Path::new(path)), expected, "{path}");
        }
    }
}
