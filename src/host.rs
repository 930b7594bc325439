//! Libraries of the machine that builds: where a library comes from that neither the tree nor the runtime has.

mod data;
mod os_release;
mod packages;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::companions::CompanionPath;
use crate::elf::{self, Class, Object};
use crate::runtime::{Arch, configured_directories};
use crate::size::Bytes;

/// Where the loader of this machine looks by default, on Debian and on Fedora's kin (ld.so(8)).
const DEFAULT_DIRECTORIES: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

pub use data::DataFile;
pub use os_release::OsRelease;
pub use packages::{HostPackage, LicenseFile, PackageManager};

/// A library found on this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct HostLibrary {
    /// The path by which it was found.
    pub path: PathBuf,
    /// What the loader reads of it.
    pub object: Object,
    /// Its length.
    pub bytes: Bytes,
}

/// What is asked of a library to import.
#[derive(Debug, Clone, Copy)]
pub struct LibraryQuery<'a> {
    /// The name under which it is needed.
    pub soname: &'a str,
    /// The architecture.
    pub arch: Arch,
    /// Symbol versions that it has to define.
    pub versions: &'a BTreeSet<String>,
    /// Directories of this machine that are searched before all others: where its users look by RUNPATH.
    pub directories: &'a [PathBuf],
}

/// Finds libraries by the name under which they are needed.
pub trait Libraries: Sync {
    /// The best library of that name: the first that defines the versions, else the first at all; `None` if there is none.
    fn choose(&self, wanted: LibraryQuery<'_>) -> Option<HostLibrary>;

    /// The first library of that name for that architecture; `None` if there is none.
    fn find(&self, soname: &str, arch: Arch) -> Option<HostLibrary> {
        self.choose(LibraryQuery {
            soname,
            arch,
            versions: &BTreeSet::new(),
            directories: &[],
        })
    }

    /// The best library that the linker's option `-l` would find by this name, and its own name: the one with the shortest
    /// version.
    fn linked(&self, name: &str, arch: Arch) -> Option<(String, HostLibrary)>;

    /// Libraries that are next to one and that it may open at run time: it names them, and they are not needed.
    fn opened_by(&self, library: &Path, arch: Arch) -> Vec<(String, HostLibrary)>;

    /// The contents of a file that was found; `None` if it cannot be read any more.
    fn read(&self, path: &Path) -> Option<Vec<u8>>;

    /// What is at a place next to a library that was found, sorted; empty if nothing does.
    fn data(&self, library: &Path, place: CompanionPath<'_>) -> Vec<DataFile>;

    /// The packages that files which were found come from, by file; a file of no package is not among them.
    fn packages(&self, _files: &[PathBuf]) -> BTreeMap<PathBuf, HostPackage> {
        BTreeMap::new()
    }

    /// The license texts of a package, sorted by path.
    fn license_files(&self, _package: &HostPackage) -> Vec<LicenseFile> {
        Vec::new()
    }
}

/// No library at all.
#[derive(Debug, Clone, Copy)]
pub struct NoLibraries;

impl Libraries for NoLibraries {
    fn choose(&self, _: LibraryQuery<'_>) -> Option<HostLibrary> {
        None
    }

    fn linked(&self, _: &str, _: Arch) -> Option<(String, HostLibrary)> {
        None
    }

    fn opened_by(&self, _: &Path, _: Arch) -> Vec<(String, HostLibrary)> {
        Vec::new()
    }

    fn read(&self, _: &Path) -> Option<Vec<u8>> {
        None
    }

    fn data(&self, _: &Path, _: CompanionPath<'_>) -> Vec<DataFile> {
        Vec::new()
    }
}

/// The directories that this machine's loader searches: those the user named, those of /etc/ld.so.conf, the defaults.
#[derive(Debug, Clone)]
pub struct HostDirectories {
    directories: Vec<PathBuf>,
    /// Roots of systems, this machine's last.
    roots: Vec<PathBuf>,
}

impl HostDirectories {
    /// The directories in the order in which they are searched; `first` come before all others. One that is the root of a
    /// system stands for the directories that its loader searches, and one below such a root is asked for that system's packages.
    pub fn new(first: &[PathBuf]) -> Self {
        let mut directories = Vec::new();
        for directory in first {
            directories.push(directory.clone());
            if is_root(directory) {
                directories.extend(searched_in(directory));
            }
        }
        directories.extend(searched_in(Path::new("/")));
        let mut seen = BTreeSet::new();
        directories.retain(|directory| seen.insert(directory.clone()));
        let own = Path::new("/");
        let root_of = |directory: &'_ PathBuf| -> Option<PathBuf> {
            let mut above = directory.ancestors().filter(|above| !above.as_os_str().is_empty());
            above.find(|above| is_root(above)).map(Path::to_owned)
        };
        let roots = first.iter().filter_map(root_of).filter(|root| root != own);
        Self {
            directories,
            roots: roots.chain([own.to_owned()]).collect(),
        }
    }
}

impl HostDirectories {
    /// Where the file of a path is. Absolute links in the root of another system, such as those of Debian's alternatives, lead to
    /// paths of that system and not of this one; `None` if nothing is there.
    fn place(&self, path: PathBuf) -> Option<PathBuf> {
        let others = self.roots.iter().filter(|root| *root != Path::new("/"));
        let below = others
            .into_iter()
            .find_map(|root| Some((root, path.strip_prefix(root).ok()?)));
        let Some((root, below)) = below else {
            return Some(path);
        };
        let inside = match file_inside(root, below) {
            // Before Linux 5.6, or where a sandbox does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => return Some(path),
            inside => inside.ok()?,
        };
        let is_same = path.canonicalize().is_ok_and(|followed| followed == inside);
        Some(if is_same { path } else { inside })
    }
}

/// The file that a path below a root leads to when its links are followed as in that root; `None` if there is none.
fn followed(path: &Path, root: &Path) -> Option<PathBuf> {
    match file_inside(root, path.strip_prefix(root).ok()?) {
        // Before Linux 5.6, or where a sandbox does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => path.canonicalize().ok(),
        inside => inside.ok(),
    }
}

/// The file that a path leads to for a process with this root directory.
fn file_inside(root: &Path, below: &Path) -> rustix::io::Result<PathBuf> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty())?;
    let file = openat2(&root, below, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
    let place = rustix::fs::readlink(format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(place.into_bytes())))
}

/// Whether a directory is the root of a system with a loader.
fn is_root(directory: &Path) -> bool {
    let files = [
        "etc/ld.so.conf",
        "lib64/ld-linux-x86-64.so.2",
        "lib/ld-linux-aarch64.so.1",
    ];
    files.iter().any(|file| directory.join(file).exists())
}

/// The directories that the loader of a root searches.
fn searched_in(root: &Path) -> Vec<PathBuf> {
    let configured = configured_directories(root);
    let defaults = DEFAULT_DIRECTORIES.map(ToOwned::to_owned);
    let all = configured.into_iter().chain(defaults);
    all.map(|directory| root.join(directory.trim_start_matches('/')))
        .collect()
}

impl Libraries for HostDirectories {
    fn choose(&self, wanted: LibraryQuery<'_>) -> Option<HostLibrary> {
        if wanted.soname.contains('/') {
            return None;
        }
        let directories = wanted.directories.iter().chain(&self.directories);
        let mut all = directories
            .filter_map(|directory| read(&self.place(directory.join(wanted.soname))?, wanted.arch))
            .peekable();
        let first = all.peek().cloned();
        all.find(|library| {
            let defined = library.object.versions.as_deref().unwrap_or_default();
            wanted.versions.iter().all(|version| defined.contains(version))
        })
        .or(first)
    }

    fn linked(&self, name: &str, arch: Arch) -> Option<(String, HostLibrary)> {
        let begin = format!("lib{name}.so");
        let is_it = |file: &str| {
            let version = file.strip_prefix(&begin);
            version.is_some_and(|version| version.is_empty() || version.starts_with('.'))
        };
        self.directories.iter().find_map(|directory| {
            let entries = fs_err::read_dir(directory).ok()?;
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            let mut names: Vec<String> = names.filter(|name| is_it(name)).collect();
            names.sort_by_key(|name| (name.len(), name.clone()));
            names.iter().find_map(|name| {
                let library = read(&self.place(directory.join(name))?, arch)?;
                Some((library.object.soname.clone().unwrap_or_else(|| name.clone()), library))
            })
        })
    }

    fn opened_by(&self, library: &Path, arch: Arch) -> Vec<(String, HostLibrary)> {
        let Ok(bytes) = fs_err::read(library) else {
            return Vec::new();
        };
        let Ok(Some(object)) = elf::parse(&bytes.as_slice()) else {
            return Vec::new();
        };
        let own = library.file_name().and_then(|name| name.to_str());
        let known = object
            .needed
            .iter()
            .chain(&object.soname)
            .map(String::as_str)
            .chain(own);
        let known: BTreeSet<&str> = known.collect();
        let named = elf::names_in(&bytes);
        let noted = object.dlopen_notes.iter().flat_map(|note| &note.soname);
        let named: BTreeSet<&str> = named.into_iter().chain(noted.map(String::as_str)).collect();
        named
            .difference(&known)
            .filter_map(|name| {
                let library = read(&self.place(library.with_file_name(name))?, arch)?;
                Some(((*name).to_owned(), library))
            })
            .collect()
    }

    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        fs_err::read(path).ok()
    }

    fn data(&self, library: &Path, place: CompanionPath<'_>) -> Vec<DataFile> {
        data::files(library, place, &|path| self.place(path.to_owned())?.canonicalize().ok())
    }

    fn packages(&self, files: &[PathBuf]) -> BTreeMap<PathBuf, HostPackage> {
        packages::owners(files, &self.roots)
    }

    fn license_files(&self, package: &HostPackage) -> Vec<LicenseFile> {
        packages::license_files(package, &self.roots)
    }
}

/// A library of this machine, if it is one for that architecture.
fn read(path: &Path, arch: Arch) -> Option<HostLibrary> {
    let bytes = fs_err::read(path).ok()?;
    let object = elf::parse(&bytes.as_slice()).ok()??;
    let fits = object.machine == arch.machine() && object.class == Class::Elf64 && object.is_mappable;
    fits.then(|| HostLibrary {
        path: path.to_owned(),
        object,
        bytes: Bytes(bytes.len() as u64),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn absolute_links_in_another_root_stay_in_it() {
        let sandbox = tempfile::tempdir().unwrap();
        // Found under its real name, whatever the way to the temporary directory.
        let root = sandbox.path().canonicalize().unwrap().join("root");
        for directory in ["etc/alternatives", "usr/lib/blas", "usr/lib/real"] {
            fs_err::create_dir_all(root.join(directory)).unwrap();
        }
        fs_err::write(root.join("etc/ld.so.conf"), "").unwrap();
        let library = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        fs_err::write(root.join("usr/lib/blas/libblas.so.3"), &library).unwrap();
        fs_err::write(root.join("usr/lib/libreal.so.1"), &library).unwrap();
        symlink("/etc/alternatives/blas", root.join("usr/lib/libblas.so.3")).unwrap();
        symlink("/usr/lib/blas/libblas.so.3", root.join("etc/alternatives/blas")).unwrap();
        // There on this machine, and not in that root.
        symlink(std::env::current_exe().unwrap(), root.join("usr/lib/libself.so.1")).unwrap();
        let host = HostDirectories::new(std::slice::from_ref(&root));
        let place = |name: &str| host.place(root.join("usr/lib").join(name));
        assert_eq!(place("libblas.so.3"), Some(root.join("usr/lib/blas/libblas.so.3")));
        assert_eq!(place("libreal.so.1"), Some(root.join("usr/lib/libreal.so.1")));
        assert_eq!(place("libself.so.1"), None);
        assert_eq!(place("libnone.so.1"), None);
        // A directory in a root belongs to that root.
        let within = HostDirectories::new(&[root.join("usr/lib")]);
        assert_eq!(within.roots, [root.clone(), PathBuf::from("/")]);
        assert_eq!(
            within.place(root.join("usr/lib/libblas.so.3")),
            Some(root.join("usr/lib/blas/libblas.so.3"))
        );
        assert_eq!(
            host.place(PathBuf::from("/usr/lib/x")),
            Some(PathBuf::from("/usr/lib/x"))
        );
    }
}
