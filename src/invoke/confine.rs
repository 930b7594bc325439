//! What the first process of the sandbox gives up before anything of the function runs: users, limits, system calls.

use std::io;

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior, set_parent_process_death_signal, setrlimit,
};
use seccompiler::{BpfProgram, TargetArch, apply_filter, compile_from_json, sock_filter};

use super::data::DATA;

/// The system calls that are refused, as seccompiler's JSON, each with its source.
const SYSTEM_CALLS: &str = include_str!("../../rules/seccomp.json");

/// Gives up everything, for this process and all that it starts. This process must not have started a thread yet.
///
/// With `switch_user` it is root of the machine, and becomes the function's user first.
pub(super) fn confine(switch_user: bool) -> io::Result<()> {
    limit()?;
    if switch_user {
        // bubblewrap before 0.5 gives /tmp to root alone.
        fs_err::set_permissions("/tmp", std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
        become_function()?;
    }
    // After that: it counts the processes of the user.
    let processes = DATA.process.processes;
    setrlimit(Resource::Nproc, rlimit(processes))?;
    // The function has the same user, and must not look into this process (ptrace(2), "Ptrace access mode checking").
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // A change of users has reset it (PR_SET_PDEATHSIG(2const)).
    set_parent_process_death_signal(Some(Signal::KILL))?;
    for program in programs().map_err(io::Error::other)? {
        apply_filter(&program).map_err(io::Error::other)?;
    }
    Ok(())
}

fn rlimit(value: u64) -> Rlimit {
    Rlimit {
        current: Some(value),
        maximum: Some(value),
    }
}

fn limit() -> io::Result<()> {
    let process = &DATA.process;
    setrlimit(Resource::Nofile, rlimit(process.open_files))?;
    setrlimit(Resource::Core, rlimit(0))?;
    // The limit may be lower than Lambda's already, and cannot be raised then.
    let _ = setrlimit(
        Resource::Stack,
        Rlimit {
            current: Some(process.stack_bytes),
            maximum: rustix::process::getrlimit(Resource::Stack).maximum,
        },
    );
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Ok(())
}

fn become_function() -> io::Result<()> {
    become_user(DATA.process.uid, DATA.process.gid)?;
    // The way back would be open if a capability had stayed.
    if setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).is_ok() {
        return Err(io::Error::other("root could not be given up"));
    }
    Ok(())
}

/// Becomes another user, with no group but this one. Only root may.
pub(super) fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    Ok(())
}

/// The filters for this machine's architecture.
fn programs() -> Result<Vec<BpfProgram>, seccompiler::Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(seccompiler::Error::Backend)?;
    let mut programs: Vec<BpfProgram> = compile_from_json(SYSTEM_CALLS.as_bytes(), arch)?
        .into_values()
        .collect();
    if cfg!(target_arch = "x86_64") {
        programs.push(without_x32());
    }
    Ok(programs)
}

/// The same calls have other numbers in the x32 ABI, which are not implemented for the function (seccomp(2), "Caveats").
fn without_x32() -> BpfProgram {
    /// `__X32_SYSCALL_BIT` (asm/unistd.h).
    const X32: u32 = 0x4000_0000;
    /// `ENOSYS`, as `SECCOMP_RET_ERRNO` returns it.
    const ABSENT: u32 = 0x0005_0000 | 0x26;
    const ALLOWED: u32 = 0x7fff_0000;
    let instruction = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        // Load the number: BPF_LD | BPF_W | BPF_ABS.
        instruction(0x20, 0, 0, 0),
        // BPF_JMP | BPF_JGE | BPF_K.
        instruction(0x35, 0, 1, X32),
        // BPF_RET | BPF_K.
        instruction(0x06, 0, 0, ABSENT),
        instruction(0x06, 0, 0, ALLOWED),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile_for_each_architecture() {
        for arch in [TargetArch::x86_64, TargetArch::aarch64] {
            let map = compile_from_json(SYSTEM_CALLS.as_bytes(), arch).unwrap();
            assert_eq!(map.len(), 3);
        }
        assert!(programs().unwrap().iter().all(|program| !program.is_empty()));
    }
}
