//! The step between this program and bubblewrap: a process of its own that drops what the caller has open, joins the control
//! groups, gives up root where bubblewrap is to do without it, and becomes bubblewrap.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::confine::become_user;
use super::data::DATA;
use super::sandbox_error::SandboxError;

/// The program that makes the sandbox.
pub(super) const BWRAP: &str = "bwrap";
/// The program that traces what runs in it.
pub(super) const STRACE: &str = "strace";

/// Who the sandbox is made by, and how what runs in it comes to be an unprivileged user of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// An ordinary user: bubblewrap makes a user namespace in which there is nobody else.
    Namespace,
    /// Root that may mount: there is no user namespace, and the first process of the sandbox becomes the function's user.
    Switch,
    /// Root that may not mount, as in a container: bubblewrap is started by nobody, and makes a user namespace.
    Nobody,
}

impl Identity {
    /// Finds out what this process may do.
    pub(super) fn detect() -> Result<Self, SandboxError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Namespace);
        }
        let users = fs_err::read_to_string("/proc/self/uid_map")?;
        let groups = fs_err::read_to_string("/proc/self/gid_map")?;
        let may =
            rustix::thread::capabilities(None).map_or(rustix::thread::CapabilitySet::empty(), |sets| sets.effective);
        Self::of_root(&users, &groups, may.contains(rustix::thread::CapabilitySet::SYS_ADMIN))
            .ok_or(SandboxError::OnlyRoot)
    }

    /// Decides for root, from the users and groups that there are (user_namespaces(7)) and whether it may mount.
    fn of_root(users: &str, groups: &str, may_mount: bool) -> Option<Self> {
        let process = &DATA.process;
        let has = |uid, gid| maps(users, uid) && maps(groups, gid);
        if may_mount && has(process.uid, process.gid) {
            Some(Self::Switch)
        } else if has(process.nobody, process.nobody) {
            Some(Self::Nobody)
        } else if outer(users, 0) == Some(0) {
            None
        } else {
            // Root of a user namespace that an ordinary user has made for itself alone.
            Some(Self::Namespace)
        }
    }
}

/// What an identity of this namespace is outside of it.
fn outer(map: &str, inner: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (first, outside, count) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        let offset = inner.checked_sub(first).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    })
}

fn maps(map: &str, inner: u32) -> bool {
    outer(map, inner).is_some()
}

/// Becomes bubblewrap with these arguments, or strace with its own ones, which then starts bubblewrap; returns only if that
/// fails. This process must not have opened anything.
pub fn launch(
    groups: &[PathBuf],
    as_nobody: bool,
    trace: Option<&[std::ffi::OsString]>,
    arguments: &[std::ffi::OsString],
) -> io::Error {
    match (prepare(groups, as_nobody), trace) {
        (Ok(()), None) => without_environment(BWRAP).args(arguments).exec(),
        (Ok(()), Some(trace)) => without_environment(STRACE)
            .args(trace)
            .arg(BWRAP)
            .args(arguments)
            .exec(),
        (Err(error), _) => error,
    }
}

fn prepare(groups: &[PathBuf], as_nobody: bool) -> io::Result<()> {
    close_inherited()?;
    for group in groups {
        // 0 is the writing process (cgroups(7)).
        fs_err::write(group.join("cgroup.procs"), "0")?;
    }
    if as_nobody {
        become_user(DATA.process.nobody, DATA.process.nobody)?;
    }
    Ok(())
}

/// Closes everything but the standard streams: what a shell, make or a CI runner has open is none of the function's business.
fn close_inherited() -> io::Result<()> {
    let mut open = Vec::new();
    for entry in fs_err::read_dir(Path::new("/proc/self/fd"))? {
        let name = entry?.file_name();
        if let Some(number) = name.to_str().and_then(|name| name.parse::<i32>().ok())
            && number > 2
        {
            open.push(number);
        }
    }
    for number in open {
        // That of the directory itself is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// This program as the step before bubblewrap, with the arguments of strace if it is to trace.
pub(super) fn command(groups: &[PathBuf], identity: Identity, trace: &[std::ffi::OsString]) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    // Nothing of the caller's environment but where bubblewrap is.
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.args(["inside", "launch"]);
    for group in groups {
        command.arg("--join").arg(group);
    }
    if identity == Identity::Nobody {
        command.arg("--as-nobody");
    }
    for argument in trace {
        let mut option = std::ffi::OsString::from("--trace=");
        option.push(argument);
        command.arg(option);
    }
    command.arg("--");
    Ok(command)
}

/// A program with nothing of this process's environment.
fn without_environment(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH");
    command.env_clear();
    // It is looked for on the PATH of the command, where that has one.
    command.envs(path.map(|path| ("PATH", path)));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_becomes_somebody_else_or_nothing_is_started() {
        let all = "0 0 4294967295\n";
        assert_eq!(Identity::of_root(all, all, true), Some(Identity::Switch));
        assert_eq!(Identity::of_root(all, all, false), Some(Identity::Nobody));
        // A container without root: its root is user 1000, and it has further users.
        let some = "0 1000 1\n1 100000 65536\n";
        assert_eq!(Identity::of_root(some, some, true), Some(Identity::Switch));
        assert_eq!(
            Identity::of_root("0 1000 1\n", "0 1000 1\n", true),
            Some(Identity::Namespace)
        );
        // Root of the machine, in a namespace without anybody else.
        assert_eq!(Identity::of_root("0 0 1\n", "0 0 1\n", true), None);
    }
}
