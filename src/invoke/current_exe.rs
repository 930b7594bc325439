//! This program's own files, to start it in a root that has other libraries than this machine.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::sandbox_error::SandboxError;
use crate::elf;
use crate::languages::inspector;
use crate::tree::Content;

/// Where this program is in the sandbox; on Lambda its counterpart is there, too.
const DIRECTORY: &str = "/var/rapid";

/// This program as it can be started in a root that has other libraries than this machine: with its own ones, by its own
/// loader.
#[derive(Debug, Clone, Default)]
pub(super) struct CurrentExe {
    /// Its files, with their paths in the sandbox.
    pub(super) files: Vec<(PathBuf, String)>,
    /// How it is started there.
    pub(super) command: Vec<String>,
}

impl CurrentExe {
    /// Copies the files to where everybody can read them.
    pub(super) fn copied_to(mut self, directory: &Path) -> std::io::Result<Self> {
        fs_err::create_dir_all(directory)?;
        for (number, (from, _)) in self.files.iter_mut().enumerate() {
            let to = directory.join(number.to_string());
            fs_err::copy(&from, &to)?;
            fs_err::set_permissions(&to, PermissionsExt::from_mode(0o755))?;
            *from = to;
        }
        Ok(self)
    }

    /// Finds the libraries that this process runs with, as the kernel lists them (proc(5), /proc/PID/maps).
    pub(super) fn find() -> Result<Self, SandboxError> {
        let program = std::env::current_exe()?;
        let maps = fs_err::read_to_string("/proc/self/maps")?;
        let file = fs_err::File::open(&program)?;
        let source = elf::FileSource::new(file.file(), file.metadata()?.len());
        let object = elf::parse(&source)
            .ok()
            .flatten()
            .ok_or_else(|| SandboxError::CurrentExe(format!("{} cannot be read", program.display())))?;
        let path = format!("{DIRECTORY}/init");
        let mut own = Self {
            files: vec![(program.clone(), path.clone())],
            command: vec![path.clone()],
        };
        let Some(interpreter) = object.interpreter else {
            return Ok(own);
        };
        let loader = fs_err::canonicalize(&interpreter)?;
        for file in mapped_files(&maps) {
            if file == program || file == loader {
                continue;
            }
            let bytes = fs_err::read(&file)?;
            if let Content::Object(object) = inspector().inspect("", &bytes)
                && let Some(name) = &object.soname
            {
                own.files.push((file, format!("{DIRECTORY}/lib/{name}")));
            }
        }
        let loader_path = format!("{DIRECTORY}/ld.so");
        own.files.push((loader, loader_path.clone()));
        let library_path = format!("{DIRECTORY}/lib");
        own.command = vec![loader_path, "--library-path".to_owned(), library_path, path];
        Ok(own)
    }
}

/// The files that are mapped as programs.
fn mapped_files(maps: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = maps
        .lines()
        .filter(|line| {
            line.split_whitespace()
                .nth(1)
                .is_some_and(|permissions| permissions.contains('x'))
        })
        .filter_map(|line| Some(PathBuf::from(&line[line.find('/')?..])))
        .collect();
    files.sort();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_files_are_those_with_code() {
        let maps = "\
55d0-55d1 r--p 00000000 fe:00 1 /usr/bin/x
55d1-55d2 r-xp 00001000 fe:00 1 /usr/bin/x
7f00-7f01 rw-p 00000000 00:00 0 [heap]
7f01-7f02 r-xp 00000000 fe:00 2 /usr/lib/with space/libc.so.6
7f02-7f03 r--s 00000000 fe:00 3 /usr/lib/gconv/gconv-modules.cache
7ffe-7fff r-xp 00000000 00:00 0 [vdso]
";
        let files = mapped_files(maps);
        assert_eq!(
            files,
            ["/usr/bin/x", "/usr/lib/with space/libc.so.6"].map(PathBuf::from)
        );
    }
}
