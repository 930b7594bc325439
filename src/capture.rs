//! Makes a runtime file from an unpacked image root: what every library is called and defines, every command, every link.

use std::collections::BTreeMap;
use std::path::Path;

use crate::elf::Kind;
use crate::progress::Progress;
use crate::runtime::data::{self, ArchData, Data, ObjectData, Source};
use crate::runtime::{Arch, RuntimeError};
use crate::scan::{ScanError, scan};
use crate::tree::{Content, Entry, TreePath};

/// What is not part of a runtime: what the function and its layers bring, and what the kernel does.
const LEFT_OUT: [&str; 6] = ["opt", "proc", "sys", "dev", "tmp", "var/task"];

/// Folders in which commands lie.
const COMMAND_FOLDERS: [&str; 7] = [
    "bin",
    "sbin",
    "usr/bin",
    "usr/sbin",
    "usr/local/bin",
    "var/lang/bin",
    "var/runtime",
];

/// Why there is no runtime in a folder.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The folder cannot be scanned.
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

/// Scans an unpacked image root and gives the text of a runtime file.
///
/// What files cannot tell, the environment and the working directory, is that of Amazon Linux 2023's runtimes. The loader's
/// default directories are read in the loader itself.
pub fn capture(root: &Path, name: &str, progress: &dyn Progress) -> Result<String, CaptureError> {
    let scanned = scan(root, progress)?;
    let like = data::base("al2023")?;
    let mut commands: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut links = BTreeMap::new();
    let mut objects = Vec::new();
    for (path, entry) in scanned.tree.iter() {
        if is_left_out(path) {
            continue;
        }
        let absolute = format!("/{}", path.as_str());
        match entry {
            Entry::Directory(_) => {}
            Entry::Symlink(target) => {
                links.insert(absolute, target.clone());
            }
            Entry::File(file) => {
                let folder = path.parent().unwrap_or_else(TreePath::root);
                if file.mode.is_executable() && COMMAND_FOLDERS.contains(&folder.as_str()) {
                    let names = commands.entry(format!("/{}", folder.as_str())).or_default();
                    names.push(path.file_name().to_owned());
                }
                if let Content::Object(object) = &file.content
                    && (object.kind == Kind::SharedLibrary || object.soname.is_some())
                {
                    objects.push((
                        object.machine,
                        ObjectData {
                            path: absolute,
                            soname: object.soname.clone(),
                            needed: object.needed.clone(),
                            rpath: object.rpath.clone(),
                            runpath: object.runpath.clone(),
                            no_default_libraries: object.no_default_libraries,
                            executable: object.kind == Kind::Executable,
                            versions: object.versions.clone().unwrap_or_default(),
                        },
                    ));
                }
            }
        }
    }
    let mut arch = BTreeMap::new();
    let mut default_directories = Vec::new();
    for known in Arch::ALL {
        let file_name = match known {
            Arch::X86_64 => "ld-linux-x86-64.so.2",
            Arch::Arm64 => "ld-linux-aarch64.so.1",
        };
        let Some(loader) = objects
            .iter()
            .find(|(_, object)| object.path.ends_with(&format!("/{file_name}")))
        else {
            continue;
        };
        let bytes = fs_err::read(root.join(loader.1.path.trim_start_matches('/')))?;
        default_directories = directories_in(&bytes);
        let own = objects.iter().filter(|(machine, _)| *machine == known.machine());
        arch.insert(
            known,
            ArchData {
                interpreter: like
                    .arch
                    .get(&known)
                    .map(|data| data.interpreter.clone())
                    .unwrap_or_default(),
                objects: own.map(|(_, object)| object.clone()).collect(),
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
        .first()
        .map(|first| first.trim_start_matches('/').to_owned())
        .unwrap_or(like.lib);
    let data = Data {
        name: name.to_owned(),
        title: "Captured from an unpacked image".to_owned(),
        default_directories,
        lib,
        working_directory: like.working_directory,
        environment: like.environment,
        commands,
        links,
        arch,
        sources: vec![Source {
            what: "the files of an unpacked image, read by `lambdar-prune runtimes capture`".to_owned(),
            place: "this machine".to_owned(),
        }],
        ..Data::default()
    };
    Ok(toml::to_string(&data)?)
}

fn is_left_out(path: &TreePath) -> bool {
    LEFT_OUT
        .iter()
        .filter_map(|folder| TreePath::new(folder))
        .any(|folder| path.below(&folder).is_some())
}

/// The default directories that are built into a loader: glibc keeps them as one run of texts that end with a slash
/// (elf/dl-load.c, `system_dirs`).
pub fn directories_in(loader: &[u8]) -> Vec<String> {
    let marker = b"\0/lib";
    let starts = loader
        .windows(marker.len())
        .enumerate()
        .filter(|(_, window)| window == marker);
    starts
        .map(|(at, _)| {
            loader[at + 1..]
                .split(|byte| *byte == 0)
                .map_while(|text| {
                    let text = std::str::from_utf8(text).ok()?.strip_suffix('/')?;
                    text.starts_with('/').then(|| text.to_owned())
                })
                .take(8)
                .collect::<Vec<String>>()
        })
        .find(|directories| directories.len() >= 2)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_default_directories_are_found() {
        let debian =
            b"x\0/lib/x86_64-linux-gnu\0y\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0z";
        assert_eq!(
            directories_in(debian),
            ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"]
        );
        assert_eq!(directories_in(b"\0/lib64/\0/usr/lib64/\0"), ["/lib64", "/usr/lib64"]);
        assert_eq!(directories_in(b"nothing"), [""; 0]);
    }
}
