//! Makes a runtime file from an unpacked image root: what every library is called and defines, every command, every link.

use std::collections::BTreeMap;
use std::path::Path;

use crate::elf::{Kind, Machine, Object};
use crate::host::OsRelease;
use crate::languages::LANGUAGES;
use crate::open;
use crate::progress::Progress;
use crate::runtime::data::{self, ArchData, Data, ObjectData};
use crate::runtime::source::Source;
use crate::runtime::{Arch, InstalledPackage, RuntimeError, configured_directories, symbol_list};
use crate::scan::{ScanError, scan_without};
use crate::tree::{Content, Entry, Tree, TreePath};

/// What a loader has in it that looks for builds for newer processors (glibc 2.33).
const HARDWARE: &str = "glibc-hwcaps";

/// What is not part of a runtime: what the function and its layers bring, and what the kernel does.
const LEFT_OUT: [&str; 6] = ["opt", "proc", "sys", "dev", "tmp", "var/task"];

/// Directories in which commands are.
const COMMAND_FOLDERS: [&str; 7] = [
    "bin",
    "sbin",
    "usr/bin",
    "usr/sbin",
    "usr/local/bin",
    "var/lang/bin",
    "var/runtime",
];

/// Why there is no runtime in a directory.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The directory cannot be scanned.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The data that the environment is taken from is not there.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Something else than a root.
    #[error(
        "{0} has no loader (lib64/ld-linux-x86-64.so.2 or lib/ld-linux-aarch64.so.1): give the root of an unpacked image"
    )]
    NoLoader(String),
    /// The loader cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The result cannot be written down.
    #[error("the runtime cannot be written as TOML: {0}")]
    Form(#[from] toml::ser::Error),
}

/// The name that a runtime gets from what the system in an image says of itself; `None` if it says nothing.
pub fn name_of(root: &Path) -> Option<String> {
    OsRelease::of(root).name()
}

/// Scans an unpacked image root and gives the text of a runtime file.
///
/// What files cannot tell, the environment and the working directory, is that of Amazon Linux 2023's runtimes. The loader's
/// default directories are read in the loader itself.
pub fn capture(root: &Path, name: &str, progress: &dyn Progress) -> Result<String, CaptureError> {
    let files = ImageFiles::read(root, progress)?;
    let like = data::base("al2023")?;
    let mut arch = BTreeMap::new();
    let mut default_directories = Vec::new();
    let mut hardware_directories = Vec::new();
    for known in Arch::ALL {
        let Some(loader) = files.loader(known) else { continue };
        default_directories = configured_directories(root);
        default_directories.extend(loader.default_directories.iter().cloned());
        let bytes = fs_err::read(root.join(loader.data.path.trim_start_matches('/')))?;
        if memchr::memmem::find(&bytes, HARDWARE.as_bytes()).is_some() {
            hardware_directories.clone_from(&like.hardware_directories);
        }
        let own = files.libraries.iter();
        let own = own.filter(|library| library.machine == known.machine());
        let interpreter = like.arch.get(&known).map(|data| data.interpreter.clone());
        arch.insert(
            known,
            ArchData {
                interpreter: interpreter.unwrap_or_default(),
                objects: own.map(|library| library.data.clone()).collect(),
                ..ArchData::default()
            },
        );
    }
    if arch.is_empty() {
        return Err(CaptureError::NoLoader(root.display().to_string()));
    }
    if default_directories.is_empty() {
        default_directories.clone_from(&like.default_directories);
    }
    let lib = default_directories
        .iter()
        .find(|directory| directory.starts_with("/lib"))
        .map(|first| first.trim_start_matches('/').to_owned())
        .unwrap_or(like.lib);
    let release = OsRelease::of(root).title;
    let data = Data {
        name: name.to_owned(),
        title: release.unwrap_or_else(|| "Captured from an image".to_owned()),
        default_directories,
        hardware_directories,
        lib,
        working_directory: like.working_directory,
        environment: like.environment,
        commands: files.commands,
        installed: files.installed,
        links: files.links,
        arch,
        sources: vec![Source {
            what: "the files of an image, read by `lambdar-prune runtimes capture`".to_owned(),
            place: "this machine".to_owned(),
        }],
        ..Data::default()
    };
    Ok(toml::to_string(&data)?)
}

/// What an image has of what a runtime file holds.
#[derive(Default)]
struct ImageFiles {
    /// The names of commands, by their directory.
    commands: BTreeMap<String, Vec<String>>,
    /// The targets of links.
    links: BTreeMap<String, String>,
    libraries: Vec<ImageLibrary>,
    installed: Vec<InstalledPackage>,
}

struct ImageLibrary {
    machine: Machine,
    data: ObjectData,
    /// Where it looks for libraries by default, if it is a loader.
    default_directories: Vec<String>,
}

impl ImageFiles {
    fn read(root: &Path, progress: &dyn Progress) -> Result<Self, CaptureError> {
        let tree = scan_without(root, &LEFT_OUT, progress)?.tree;
        let mut files = Self {
            installed: installed(root, &tree),
            ..Self::default()
        };
        for (path, entry) in tree {
            if is_left_out(&path) {
                continue;
            }
            let absolute = format!("/{}", path.as_str());
            match entry {
                Entry::Directory(_) => {}
                Entry::Symlink(target) => {
                    files.links.insert(absolute, target);
                }
                Entry::File(file) => {
                    let directory = path.parent().unwrap_or_else(TreePath::root);
                    if file.mode.is_executable() && COMMAND_FOLDERS.contains(&directory.as_str()) {
                        let names = files.commands.entry(format!("/{}", directory.as_str())).or_default();
                        names.push(path.file_name().to_owned());
                    }
                    if let Content::Object(object) = &file.content
                        && (object.kind == Kind::SharedLibrary || object.soname.is_some())
                    {
                        let bytes = fs_err::read(root.join(path.as_str()))?;
                        files.libraries.push(ImageLibrary {
                            machine: object.machine,
                            data: recorded(absolute, object, &bytes)?,
                            default_directories: object.system_directories.clone(),
                        });
                    }
                }
            }
        }
        Ok(files)
    }

    /// The loader of an architecture.
    fn loader(&self, arch: Arch) -> Option<&ImageLibrary> {
        let name = match arch {
            Arch::X86_64 => "ld-linux-x86-64.so.2",
            Arch::Arm64 => "ld-linux-aarch64.so.1",
        };
        // Before glibc 2.35 the file was called ld-VERSION.so, and this name was a link to it.
        let is_loader = |library: &&ImageLibrary| library.data.soname.as_deref() == Some(name);
        let file_name = |library: &&ImageLibrary| library.data.path.rsplit('/').next() == Some(name);
        let mut libraries = self.libraries.iter();
        libraries.clone().find(file_name).or_else(|| libraries.find(is_loader))
    }
}

/// The packages of languages that an image has, sorted.
fn installed(root: &Path, tree: &Tree) -> Vec<InstalledPackage> {
    let text = |path: &TreePath| match tree.text(path) {
        Some(text) => Some(text.to_owned()),
        None => open::read_regular_text(&root.join(path.as_str())).ok(),
    };
    let mut found = Vec::new();
    for language in LANGUAGES {
        for package in language
            .packages(tree)
            .into_iter()
            .filter(|package| !is_left_out(&package.directory))
        {
            if let Some(metadata) = language.metadata(&package, &text)
                && let Some(version) = metadata.version
            {
                found.push(InstalledPackage {
                    language: language.name().to_owned(),
                    name: package.name,
                    version,
                    directory: format!("/{}", package.directory.as_str()),
                });
            }
        }
    }
    found.sort();
    found
}

/// What a runtime file holds of a library.
fn recorded(path: String, object: &Object, bytes: &[u8]) -> Result<ObjectData, CaptureError> {
    Ok(ObjectData {
        path,
        soname: object.soname.clone(),
        needed: object.needed.clone(),
        rpath: object.rpath.clone(),
        runpath: object.runpath.clone(),
        no_default_libraries: object.no_default_libraries,
        executable: object.kind == Kind::Executable,
        versions: object.versions.clone().unwrap_or_default(),
        symbols: Some(symbol_list::of(&bytes)?),
    })
}

fn is_left_out(path: &TreePath) -> bool {
    LEFT_OUT
        .iter()
        .filter_map(|directory| TreePath::new(directory))
        .any(|directory| path.below(&directory).is_some())
}
