//! Why there is no sandbox.

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The program is not there.
    #[error(
        "there is no `bwrap` on PATH, and invoke works with it: install bubblewrap (`apt install bubblewrap`, \
         `dnf install bubblewrap`, `apk add bubblewrap`)"
    )]
    Missing,
    /// The program is there and does not work.
    #[error(
        "bwrap cannot make a sandbox: {0}\nIt needs user namespaces. Inside of a container, start that with \
         `--security-opt seccomp=unconfined --security-opt systempaths=unconfined`, or as privileged; on Ubuntu 24.04 and \
         newer, allow bwrap to use them in AppArmor (`sysctl kernel.apparmor_restrict_unprivileged_userns=0` allows all)"
    )]
    Refused(String),
    /// The program that traces is not there.
    #[error(
        "there is no `strace` on PATH, and which files a function uses is seen with it: install strace \
         (`apt install strace`, `dnf install strace`, `apk add strace`)"
    )]
    NoStrace,
    /// The function would be root of the machine.
    #[error(
        "this is root of the machine, and there is no other user here that the function could be: run this as an ordinary \
         user, or outside of the user namespace"
    )]
    OnlyRoot,
    /// This program's own files cannot be found.
    #[error("cannot find the libraries that this program runs with: {0}")]
    CurrentExe(String),
    /// Starting or speaking to it failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
