//! A folder of its own for each test, and the program to run in it.

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Sandbox {
    folder: TempDir,
}

/// What a run of the program said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn expect_status(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
        self
    }

    pub(crate) fn mode(&self, path: &str, mode: u32) -> &Self {
        fs_err::set_permissions(self.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    pub(crate) fn link(&self, path: &str, target: impl AsRef<OsStr>) -> &Self {
        let path = self.path(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target.as_ref(), path).unwrap();
        self
    }

    pub(crate) fn folder(&self, path: &str) -> &Self {
        fs_err::create_dir_all(self.path(path)).unwrap();
        self
    }

    /// Runs the program in the sandbox's folder.
    pub(crate) fn run<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Ran {
        self.run_with(arguments, |_| ())
    }

    pub(crate) fn run_with<I: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = I>,
        prepare: impl FnOnce(&mut Command),
    ) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lambdar-prune"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("SOURCE_DATE_EPOCH")
            .env("XDG_CACHE_HOME", self.path(".cache"))
            .stdin(Stdio::null());
        prepare(&mut command);
        ran(&mut command)
    }

    /// Runs the program as a user who is not root, so that permissions count. `None` where this is not possible.
    pub(crate) fn run_as_nobody(&self, arguments: &[&str]) -> Option<Ran> {
        let is_root = output("id", &["-u"])? == "0\n";
        if !is_root {
            return Some(self.run(arguments));
        }
        self.mode("", 0o777);
        let program = self.path("lambdar-prune");
        fs_err::copy(env!("CARGO_BIN_EXE_lambdar-prune"), &program).unwrap();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(program)
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        if command.output().is_err() {
            skipped("setpriv is not on this machine: permissions are not tested");
            return None;
        }
        Some(ran(&mut command))
    }

    /// The bytes of every file in a folder, by name.
    pub(crate) fn contents(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs_err::read_dir(self.path(folder))
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (
                    entry.file_name().into_string().unwrap(),
                    fs_err::read(entry.path()).unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Says that something is not tested, and why; where `CI` is set in the environment, that is a failure.
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    #[expect(clippy::print_stderr, reason = "a test that is passed over says so")]
    {
        eprintln!("{why}");
    }
}

/// What a command of the system prints; `None` where the machine does not have it, which is said.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let Ok(output) = Command::new(program).args(arguments).stdin(Stdio::null()).output() else {
        skipped(&format!(
            "{program} is not on this machine: what it would show is not tested"
        ));
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(text)
}

pub(crate) fn testdata(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(below)
}
