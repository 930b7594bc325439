//! The sandbox: which program makes it, with which arguments, and what it says when it cannot.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::current_exe::CurrentExe;
use super::data::DATA;
use super::launch::{BWRAP, Identity};
use super::sandbox_error::SandboxError;

/// What the sandbox puts in the place of what the root may have there.
const PUT_OVER: [&str; 7] = ["dev", "opt", "proc", "sys", "tmp", "var/rapid", "var/task"];

/// What the bwrap of this machine understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bwrap {
    /// `--perms`, from 0.5.
    perms: bool,
    /// `--size`, from 0.8.
    size: bool,
}

impl Bwrap {
    /// Asks the program which version it is.
    pub(super) fn ask() -> Result<Self, SandboxError> {
        let output = Command::new(BWRAP)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => SandboxError::Missing,
                _ => SandboxError::Io(error),
            })?;
        Ok(Self::of_version(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Reads `bubblewrap 0.8.0`.
    fn of_version(text: &str) -> Self {
        let version = text.split_whitespace().last().unwrap_or_default();
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Self {
            perms: version >= (0, 5),
            size: version >= (0, 8),
        }
    }
}

/// What is where in the sandbox, all of it read-only.
#[derive(Debug, Clone, Default)]
pub(super) struct Mounts {
    /// The root: what of it is bound, by the path in the sandbox.
    pub(super) root: Vec<(String, Mount)>,
    /// /opt
    pub(super) opt: PathBuf,
    /// /var/task
    pub(super) task: PathBuf,
    /// This program's own files.
    pub(super) own: CurrentExe,
    /// What of /proc is about no process, and is the machine's.
    pub(super) shared_proc: Vec<String>,
}

/// How something of the root comes into the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mount {
    /// A file or directory of this machine.
    Path(PathBuf),
    /// A link with this target.
    Link(OsString),
}

/// Everything of a root directory but what the sandbox puts there itself.
pub(super) fn mounts_of(root: &Path) -> std::io::Result<Vec<(String, Mount)>> {
    let mut mounts = Vec::new();
    list(root, "", &mut mounts)?;
    mounts.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(mounts)
}

fn list(root: &Path, below: &str, mounts: &mut Vec<(String, Mount)>) -> std::io::Result<()> {
    for entry in fs_err::read_dir(root.join(below))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        let kind = entry.file_type()?;
        if PUT_OVER.contains(&path.as_str()) {
        } else if kind.is_symlink() {
            let target = fs_err::read_link(entry.path())?;
            mounts.push((format!("/{path}"), Mount::Link(target.into_os_string())));
        } else if kind.is_dir() && PUT_OVER.iter().any(|over| over.starts_with(&format!("{path}/"))) {
            list(root, &path, mounts)?;
        } else if kind.is_dir() || kind.is_file() {
            mounts.push((format!("/{path}"), Mount::Path(entry.path())));
        }
    }
    Ok(())
}

/// The arguments of bwrap that make the sandbox, without the program to run in it.
///
/// The root is a file system in memory with everything bound into it, so that a root directory need not have the places for
/// /opt and the others; it is made read-only last. Of the network there is only loopback. This program is the first process,
/// so that there is none that is not confined.
pub(super) fn arguments(mounts: &Mounts, bwrap: Bwrap, identity: Identity) -> Vec<OsString> {
    let process = &DATA.process;
    let mut line = Line::default();
    if identity == Identity::Switch {
        line.add([
            "--unshare-ipc",
            "--unshare-pid",
            "--unshare-net",
            "--unshare-uts",
            "--unshare-cgroup-try",
        ]);
        line.add([
            "--cap-drop",
            "ALL",
            "--cap-add",
            "CAP_SETUID",
            "--cap-add",
            "CAP_SETGID",
        ]);
    } else {
        line.add(["--unshare-all", "--cap-drop", "ALL"]);
        line.add(["--uid", &process.uid.to_string(), "--gid", &process.gid.to_string()]);
    }
    line.add(["--as-pid-1", "--die-with-parent", "--hostname", &process.hostname]);
    for (path, mount) in &mounts.root {
        match mount {
            Mount::Path(from) => line.bind(from, path),
            Mount::Link(target) => {
                line.parents(path);
                line.add([OsStr::new("--symlink"), target, OsStr::new(path)]);
            }
        }
    }
    line.add(["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]);
    line.made.insert("/proc".to_owned());
    for path in &mounts.shared_proc {
        line.bind(Path::new(path), path);
    }
    if bwrap.perms {
        line.add(["--perms", "1777"]);
    }
    if bwrap.size {
        line.add(["--size", &process.tmp_bytes.to_string()]);
    }
    line.add(["--tmpfs", "/tmp"]);
    line.bind(&mounts.opt, "/opt");
    line.bind(&mounts.task, "/var/task");
    for (from, path) in &mounts.own.files {
        line.bind(from, path);
    }
    line.add(["--remount-ro", "/", "--chdir", "/var/task"]);
    line.arguments
}

/// What of /proc is about no process and could be written by somebody: directories, and files that may be written. Links lead
/// to a process's own.
pub(super) fn shared_proc() -> std::io::Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in fs_err::read_dir("/proc")? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let kind = entry.file_type()?;
        let is_process = name.starts_with(|first: char| first.is_ascii_digit());
        let may_be_written = || {
            entry
                .metadata()
                .is_ok_and(|about| about.permissions().mode() & 0o222 != 0)
        };
        if !is_process && (kind.is_dir() || kind.is_file() && may_be_written()) {
            paths.push(format!("/proc/{name}"));
        }
    }
    paths.sort();
    Ok(paths)
}

#[derive(Default)]
struct Line {
    arguments: Vec<OsString>,
    /// What is there already.
    made: BTreeSet<String>,
}

impl Line {
    fn add<I: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = I>) {
        self.arguments
            .extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
    }

    /// Makes the directories above a path, which others than root may enter: bubblewrap would make them for root alone.
    fn parents(&mut self, path: &str) {
        self.made.insert(path.to_owned());
        for (at, _) in path.match_indices('/').skip(1) {
            let parent = &path[..at];
            if self.made.insert(parent.to_owned()) {
                self.add(["--dir", parent]);
            }
        }
    }

    fn bind(&mut self, from: &Path, to: &str) {
        self.parents(to);
        self.add([OsStr::new("--ro-bind"), from.as_os_str(), OsStr::new(to)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(arguments: &[OsString]) -> String {
        let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
        words.join(" ")
    }

    #[test]
    fn the_sandbox_has_what_is_bound_and_nothing_else() {
        let mounts = Mounts {
            root: vec![
                ("/bin".to_owned(), Mount::Link("usr/bin".into())),
                ("/usr".to_owned(), Mount::Path("/tmp/root/usr".into())),
            ],
            opt: "/tmp/opt".into(),
            task: "/tmp/task".into(),
            own: CurrentExe {
                files: vec![("/bin/own".into(), "/var/rapid/init".to_owned())],
                command: Vec::new(),
            },
            shared_proc: vec!["/proc/sys".to_owned()],
        };
        let bwrap = Bwrap::of_version("bubblewrap 0.8.0\n");
        assert_eq!(
            text(&arguments(&mounts, bwrap, Identity::Namespace)),
            "--unshare-all --cap-drop ALL --uid 993 --gid 990 --as-pid-1 --die-with-parent --hostname lambda \
             --symlink usr/bin /bin --ro-bind /tmp/root/usr /usr --proc /proc --dev /dev --remount-ro /dev \
             --ro-bind /proc/sys /proc/sys \
             --perms 1777 --size 536870912 --tmpfs /tmp --ro-bind /tmp/opt /opt --dir /var --ro-bind /tmp/task /var/task \
             --dir /var/rapid --ro-bind /bin/own /var/rapid/init --remount-ro / --chdir /var/task"
        );
        let old = text(&arguments(
            &mounts,
            Bwrap::of_version("bubblewrap 0.4.0"),
            Identity::Switch,
        ));
        assert!(!old.contains("--perms") && !old.contains("--size"), "{old}");
        assert!(old.starts_with("--unshare-ipc") && !old.contains("--uid"), "{old}");
        let newer = Bwrap::of_version("bubblewrap 1.0.2");
        assert_eq!(newer, bwrap);
    }

    #[test]
    fn of_a_root_everything_is_bound_but_what_is_put_over_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for path in [
            "usr/bin",
            "opt/old",
            "var/task/x",
            "var/lib/y",
            "var/rapid",
            "dev",
            "proc",
        ] {
            fs_err::create_dir_all(root.join(path)).unwrap();
        }
        std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
        let mounts = mounts_of(root).unwrap();
        let expected = [
            ("/bin", Mount::Link("usr/bin".into())),
            ("/usr", Mount::Path(root.join("usr"))),
            ("/var/lib", Mount::Path(root.join("var/lib"))),
        ];
        assert_eq!(mounts, expected.map(|(path, mount)| (path.to_owned(), mount)));
    }
}
