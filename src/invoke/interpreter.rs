//! The interpreter of this machine that stands in for the one of a runtime: the real one, behind the scripts that version
//! managers put on PATH.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::data::DATA;
use crate::languages::ManagedRuntime;

/// How long a program may take to report its version: a moment, but far longer where many builds share the machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// An interpreter of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// Its program.
    pub(super) program: PathBuf,
    /// Its standard library, if that is a directory.
    pub(super) library: Option<PathBuf>,
}

/// What an interpreter prints about itself.
#[derive(Deserialize)]
struct Report {
    version: String,
    program: PathBuf,
    library: Option<PathBuf>,
}

/// Finds an interpreter of the runtime's version, on PATH first, then where version managers keep theirs.
pub(super) fn find(runtime: &ManagedRuntime) -> Option<Interpreter> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(kept_by_version_managers());
    for directory in directories {
        for name in &runtime.programs {
            let candidate = directory.join(name);
            if candidate.is_file()
                && let Some(report) = report(&candidate, runtime.report)
                && report.version == runtime.version
                && report.program.is_file()
            {
                return Some(Interpreter {
                    program: report.program,
                    library: report.library,
                });
            }
        }
    }
    None
}

/// The directories that the data names, below the user's home or anywhere.
fn kept_by_version_managers() -> Vec<PathBuf> {
    let home = std::env::home_dir();
    let mut found = Vec::new();
    for pattern in &DATA.interpreters.places {
        let (start, rest) = match (pattern.strip_prefix("~/"), &home) {
            (Some(rest), Some(home)) => (home.clone(), rest),
            (Some(_), None) => continue,
            (None, _) => (PathBuf::from("/"), pattern.trim_start_matches('/')),
        };
        found.extend(expand(start, rest));
    }
    found
}

/// The paths of a pattern in which a name may be `*`.
fn expand(start: PathBuf, pattern: &str) -> Vec<PathBuf> {
    let mut paths = vec![start];
    for name in pattern.split('/') {
        paths = paths
            .iter()
            .flat_map(|path| match name {
                "*" => children(path),
                name => vec![path.join(name)],
            })
            .collect();
    }
    paths
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(directory) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    // The newest version first, as far as names tell.
    paths.sort();
    paths.reverse();
    paths
}

/// Asks a program about itself.
fn report(program: &Path, arguments: &[&str]) -> Option<Report> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let begun = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
    let mut text = String::new();
    let mut output = child.stdout.take()?.take(64 << 10);
    output.read_to_string(&mut text).ok()?;
    // A script before it may have said something, too.
    text.lines()
        .rev()
        .find_map(|line| serde_json::from_str(line.trim()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_program_is_found_behind_a_script() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("shim");
        fs_err::write(
            &script,
            "#!/bin/sh\necho Using 7\necho '{\"version\": \"7\", \"program\": \"/bin/sh\"}'\n",
        )
        .unwrap();
        fs_err::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let report = report(&script, &["x"]).unwrap();
        assert_eq!(
            (report.version.as_str(), report.program.as_path()),
            ("7", Path::new("/bin/sh"))
        );
        assert!(super::report(Path::new("/bin/false"), &[]).is_none());
    }

    #[test]
    fn a_star_is_any_name() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["3.9/bin", "3.13/bin"] {
            fs_err::create_dir_all(directory.path().join("versions").join(name)).unwrap();
        }
        let found = expand(directory.path().to_owned(), "versions/*/bin");
        let expected = ["3.9", "3.13"].map(|name| directory.path().join("versions").join(name).join("bin"));
        assert_eq!(found, expected);
    }
}
