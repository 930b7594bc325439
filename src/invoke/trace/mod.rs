//! Which paths of the layers and of the function's own code its processes use: strace(1) runs around the sandbox and prints
//! their system calls into a pipe, and what they say is followed through the sandbox's files.
//!
//! strace sees every process, needs no more than an ordinary user may do to its own children, also in a container, and stops
//! a process only where a path is used (`--seccomp-bpf`).

mod strace;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags};

use super::data::DATA;
use super::inside::EXTENSIONS;
use super::launch::STRACE;
use super::sandbox::Mounts;
use super::sandbox_error::SandboxError;
use crate::elf;
use crate::recording::{MOST_PATHS, PathUse, RecordedPath, is_recorded};
use strace::{Argument, Call, Line, Reader};
use view::{Process, Resolved, View};

/// The calls that it prints: all that have a path (strace(1), `%file`), those that tell which directory is meant, and what is
/// written, for the words of processes that fail. Those with a question mark are not on every architecture.
const CALLS: &str = "trace=%file,write,?fchdir,?getdents,?getdents64,?clone,?clone3,?fork,?vfork";

/// The longest line: a path has at most 4096 bytes (`PATH_MAX`, limits.h), each is printed as four, and a call has two paths
/// and two directories at most.
const LONGEST_LINE: u64 = 128 << 10;

/// How long one wait for the pipe takes.
const WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// How many new processes may not have been seen yet.
const MOST_FORKED: usize = 1024;

/// Programs that start each other before the function: bubblewrap, and this program in the sandbox. What the second one
/// starts is the function's.
const OWN_PROGRAMS: u32 = 2;

/// How much is kept of what a process wrote to standard error, and of all that failed, in bytes: errors are at the end.
const MOST_WORDS: usize = 16 << 10;

/// The longest chain of interpreters of scripts (execve(2), `BINPRM_BUF_SIZE` and the depth of the kernel's search).
const MOST_INTERPRETERS: usize = 5;

/// What the strace of this machine understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strace {
    /// `--seccomp-bpf`, from 5.3.
    seccomp: bool,
    /// `--decode-pids=pidns`, from 5.11: the numbers of processes are those of the lines. Without it a fork in the sandbox
    /// returns a number that is of no use outside.
    translates: bool,
}

impl Strace {
    /// Asks the program which version it is.
    pub(super) fn ask() -> Result<Self, SandboxError> {
        let output = Command::new(STRACE).arg("-V").stdin(Stdio::null()).output();
        let output = output.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => SandboxError::NoStrace,
            _ => SandboxError::Io(error),
        })?;
        Ok(Self::of_version(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Reads `strace -- version 6.1`.
    fn of_version(text: &str) -> Self {
        let version = text.lines().next().and_then(|line| line.split_whitespace().last());
        let mut numbers = version
            .unwrap_or_default()
            .split('.')
            .map(|number| number.parse().unwrap_or(0));
        let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Self {
            seccomp: version >= (5, 3),
            translates: version >= (5, 11),
        }
    }

    /// The arguments with which it prints into a pipe; the program to trace is to follow.
    pub(super) fn arguments(self, pipe: &Path) -> Vec<std::ffi::OsString> {
        let mut arguments: Vec<std::ffi::OsString> = vec!["-f".into()];
        if self.seccomp {
            arguments.push("--seccomp-bpf".into());
        }
        if self.translates {
            arguments.push("--decode-pids=pidns".into());
        }
        // All texts in hexadecimal digits; paths are printed whole, whatever the length of other texts is.
        for argument in [
            // Not twice: with which status a process ends is asked for.
            "-q",
            "-y",
            "-xx",
            "-s",
            "1",
            "-e",
            CALLS,
            "-e",
            "write=2",
            "-e",
            "signal=none",
            "-o",
        ] {
            arguments.push(argument.into());
        }
        arguments.push(pipe.into());
        arguments.push("--".into());
        arguments
    }
}

/// A pipe that strace prints into.
pub(super) struct Pipe {
    path: PathBuf,
    file: std::fs::File,
}

impl Pipe {
    /// Makes it in a directory that the tracer can enter, whoever that is.
    pub(super) fn create(path: PathBuf) -> std::io::Result<Self> {
        rustix::fs::mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR)?;
        fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o622))?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, &path, flags, Mode::empty())?;
        Ok(Self {
            path,
            file: file.into(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads all that is printed until `ended` and nobody prints any more.
    pub(super) fn read_to(self, trace: &Trace, ended: &AtomicBool) {
        let mut following = Following::new(trace);
        let mut lines = BufReader::new(UntilEnded {
            file: &self.file,
            ended,
        });
        let mut line = Vec::new();
        loop {
            line.clear();
            match lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => following.line(&String::from_utf8_lossy(&line)),
            }
        }
        // What cannot be removed stays in the private directory, which goes whole.
        let _ = fs_err::remove_file(&self.path);
    }
}

/// Reads a FIFO that is not opened for writing yet, or not any more.
struct UntilEnded<'a> {
    file: &'a std::fs::File,
    ended: &'a AtomicBool,
}

impl Read for UntilEnded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            // Asked before reading: whatever was printed until then is read after it.
            let ended = self.ended.load(Ordering::Acquire);
            match (&*self.file).read(buffer) {
                Ok(0) if ended => return Ok(0),
                Ok(0) => std::thread::sleep(Duration::from_millis(2)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let mut descriptors = [PollFd::new(self.file, PollFlags::IN)];
                    let _ = poll(&mut descriptors, Some(&WAIT));
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

/// Everything that the processes of a function have used.
#[derive(Debug, Default)]
pub(super) struct Trace {
    used: Mutex<Used>,
    mounts: Mounts,
    /// Whether forks return the numbers that lines begin with.
    translates: bool,
}

#[derive(Debug, Default)]
struct Used {
    paths: BTreeMap<String, (bool, BTreeSet<PathUse>)>,
    /// Whether there were more than a recording has.
    is_full: bool,
    /// The end of what processes that failed had written to standard error.
    said_by_failed: Vec<u8>,
}

impl Trace {
    pub(super) fn of(mounts: &Mounts, strace: Strace) -> Self {
        Self {
            used: Mutex::default(),
            mounts: mounts.clone(),
            translates: strace.translates,
        }
    }

    /// The paths, sorted; `None` if there were too many.
    pub(super) fn paths(&self) -> Option<Vec<RecordedPath>> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let paths = used.paths.iter().map(|(path, (found, uses))| RecordedPath {
            path: path.clone(),
            found: *found,
            uses: uses.clone(),
        });
        (!used.is_full).then(|| paths.collect())
    }

    /// The end of what processes that failed had written to standard error, whoever read it.
    pub(super) fn said_by_failed(&self) -> String {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&used.said_by_failed).into_owned()
    }

    fn failed(&self, words: &[u8]) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        append(&mut used.said_by_failed, words);
        append(&mut used.said_by_failed, b"\n");
    }

    /// Notes what Lambda itself starts: the extensions of these names and the first bootstrap that is there. The process that
    /// starts them cannot be looked into.
    pub(super) fn started_outside(&self, extensions: &[String]) {
        let mut following = Following::new(self);
        let process = Process {
            directory: "/".to_owned(),
            ..Process::default()
        };
        for name in extensions {
            following.execute(&process, &format!("{EXTENSIONS}/{name}"));
        }
        let bootstraps = &DATA.process.bootstraps;
        let first = bootstraps.iter().find(|path| {
            let resolved = following.view.resolve(&process, "/", path, true);
            resolved.found
        });
        if let Some(bootstrap) = first {
            following.execute(&process, bootstrap);
        }
    }

    fn note(&self, path: &str, found: bool, how: PathUse) {
        if !is_recorded(path) {
            return;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, uses)) = used.paths.get_mut(path) {
            *known |= found;
            uses.insert(how);
        } else if used.paths.len() < MOST_PATHS {
            used.paths.insert(path.to_owned(), (found, BTreeSet::from([how])));
        } else {
            used.is_full = true;
        }
    }

    fn note_resolved(&self, resolved: &Resolved, how: PathUse) {
        for link in &resolved.links {
            self.note(link, true, PathUse::Followed);
        }
        self.note(&resolved.path, resolved.found, how);
    }
}

/// Appends to a text of which only the end is kept.
fn append(text: &mut Vec<u8>, more: &[u8]) {
    text.extend(more);
    text.drain(..text.len().saturating_sub(MOST_WORDS));
}

/// Follows the calls of one sandbox.
struct Following<'a> {
    trace: &'a Trace,
    view: View,
    reader: Reader,
    /// The processes by their first threads, each with how many programs are between it and the start of the sandbox.
    processes: HashMap<u32, (Process, u32)>,
    /// The first thread of each process of several.
    threads: HashMap<u32, u32>,
    /// Threads that are about to make a process, the latest last.
    forking: Vec<u32>,
    /// Forks of which the new process or thread has not been seen, the earliest first: by whom, and whether it is a thread.
    forked: VecDeque<(u32, bool)>,
    /// Threads whose new process has been seen before they had made it.
    seen_early: BTreeSet<u32>,
    executed: BTreeSet<String>,
    /// The end of what each process has written to standard error.
    words: HashMap<u32, Vec<u8>>,
    /// The process of the function's whose call was the last, if it was a write.
    writing: Option<u32>,
}

impl<'a> Following<'a> {
    fn new(trace: &'a Trace) -> Self {
        Self {
            trace,
            view: View::of(&trace.mounts),
            reader: Reader::default(),
            processes: HashMap::new(),
            threads: HashMap::new(),
            forking: Vec::new(),
            forked: VecDeque::new(),
            seen_early: BTreeSet::new(),
            executed: BTreeSet::new(),
            words: HashMap::new(),
            writing: None,
        }
    }

    fn line(&mut self, line: &str) {
        match self.reader.line(line) {
            Some(Line::Call(call)) => {
                self.writing = None;
                self.call(&call);
            }
            Some(Line::Written(bytes)) => {
                if let Some(process) = self.writing {
                    append(self.words.entry(process).or_default(), &bytes);
                }
            }
            Some(Line::Forking(thread)) => self.forking.push(thread),
            Some(Line::Exited { thread, failed }) => {
                self.threads.remove(&thread);
                self.processes.remove(&thread);
                if let Some(words) = self.words.remove(&thread).filter(|_| failed) {
                    self.trace.failed(&words);
                }
            }
            None => {}
        }
    }

    /// The first thread of a thread's process.
    fn first_of(&self, thread: u32) -> u32 {
        self.threads.get(&thread).copied().unwrap_or(thread)
    }

    /// The process of a thread. One that is not known is the child of a process that has just made one, or is about to.
    fn process(&mut self, thread: u32) -> &mut (Process, u32) {
        let mut first = self.first_of(thread);
        if !self.processes.contains_key(&first) {
            let forking = |following: &mut Self| {
                let thread = following.forking.last().copied()?;
                following.seen_early.insert(thread);
                Some((following.first_of(thread), false))
            };
            if let Some((parent, is_thread)) = self.forked.pop_front().or_else(|| forking(self)) {
                let copy = self.processes.get(&parent).cloned().unwrap_or_default();
                if is_thread {
                    self.threads.insert(thread, parent);
                    first = parent;
                }
                self.processes.entry(first).or_insert(copy);
            }
        }
        self.processes.entry(first).or_default()
    }

    fn call(&mut self, call: &Call) {
        if call.is_fork() {
            self.has_forked(call);
            return;
        }
        if call.name == "write" {
            let is_own = self.process(call.thread).1 <= OWN_PROGRAMS;
            self.writing = (!is_own).then(|| self.first_of(call.thread));
            return;
        }
        let (process, programs) = self.process(call.thread);
        for argument in &call.arguments {
            match argument {
                Argument::Descriptor(None, path) => process.directory.clone_from(path),
                Argument::Descriptor(Some(number), path) => {
                    process.descriptors.insert(*number, path.clone());
                }
                Argument::Text(_) | Argument::Other(_) => {}
            }
        }
        let is_execution = call.name.starts_with("execve");
        if is_execution {
            *programs += 1;
        }
        let is_own = *programs <= OWN_PROGRAMS;
        let process = process.clone();
        if !is_own {
            self.used(call, &process);
        }
        self.changed(call, &process);
        if is_execution && call.returned.is_none() {
            self.process(call.thread).1 -= 1;
        }
    }

    /// A process or thread more.
    fn has_forked(&mut self, call: &Call) {
        self.forking.retain(|thread| *thread != call.thread);
        let Some(child) = call.returned.and_then(|child| u32::try_from(child).ok()) else {
            return;
        };
        let parent = self.first_of(call.thread);
        let is_thread = call.has_flag("CLONE_THREAD") || call.has_flag("CLONE_FS");
        let is_seen = self.seen_early.remove(&call.thread);
        if !self.trace.translates {
            if !is_seen && self.forked.len() < MOST_FORKED {
                self.forked.push_back((parent, is_thread));
            }
        } else if is_thread {
            self.threads.insert(child, parent);
            self.processes.remove(&child);
        } else if !self.processes.contains_key(&child) {
            let copy = self.processes.get(&parent).cloned().unwrap_or_default();
            self.processes.insert(child, copy);
        }
    }

    /// What is different for the process after the call.
    fn changed(&mut self, call: &Call, before: &Process) {
        if call.returned.is_none() {
            return;
        }
        let first_path = paths_of(call)
            .first()
            .map(|(from, path)| self.resolve(before, from, path, true).path);
        let process = match (call.name.as_str(), first_path, call.arguments.first()) {
            ("chdir", Some(path), _) => Process {
                directory: path,
                ..before.clone()
            },
            ("fchdir", _, Some(Argument::Descriptor(_, path))) => Process {
                directory: path.clone(),
                ..before.clone()
            },
            (name, Some(path), _) if name.starts_with("execve") => Process {
                program: path,
                ..before.clone()
            },
            ("symlink" | "symlinkat", Some(path), _) => {
                if let Some(Argument::Text(target)) = call.arguments.first() {
                    self.view.link(path, target.clone());
                }
                return;
            }
            _ => {
                if let (Some(path), Some(Ok(number))) = (&call.opened, call.returned.map(i32::try_from)) {
                    self.process(call.thread).0.descriptors.insert(number, path.clone());
                }
                return;
            }
        };
        self.process(call.thread).0 = process;
    }

    fn resolve(&mut self, process: &Process, from: &Start<'_>, path: &str, follow: bool) -> Resolved {
        let from = match from {
            Start::WorkingDirectory => &process.directory,
            Start::Directory(path) => *path,
        };
        self.view.resolve(process, from, path, follow)
    }

    /// Notes the paths of a call.
    fn used(&mut self, call: &Call, process: &Process) {
        if call.name.starts_with("getdents") {
            if let Some(Argument::Descriptor(_, path)) = call.arguments.first() {
                self.trace.note(path, true, PathUse::Listed);
            }
            return;
        }
        let opens = call.name.starts_with("open") || call.name == "creat";
        let executes = call.name.starts_with("execve");
        let follow = !keeps_links(call);
        for (from, path) in paths_of(call) {
            let resolved = self.resolve(process, &from, path, follow);
            let how = if executes {
                PathUse::Executed
            } else if opens {
                PathUse::Opened
            } else if resolved.is_link && call.name.starts_with("readlink") {
                PathUse::Followed
            } else {
                PathUse::Asked
            };
            self.trace.note_resolved(&resolved, how);
            if executes && resolved.found {
                self.interpreters(process, &resolved.path);
            }
        }
        // The kernel's own word for what was opened, whatever the way there was.
        if let Some(opened) = call.opened.as_ref().filter(|_| opens) {
            self.trace.note(opened, true, PathUse::Opened);
        }
    }

    /// Notes a program with everything by which it is started.
    fn execute(&mut self, process: &Process, program: &str) {
        let resolved = self.view.resolve(process, &process.directory, program, true);
        self.trace.note_resolved(&resolved, PathUse::Executed);
        if resolved.found {
            self.interpreters(process, &resolved.path);
        }
    }

    /// Notes the interpreters by which the kernel starts a file, which no call names.
    fn interpreters(&mut self, process: &Process, program: &str) {
        let mut program = program.to_owned();
        for _ in 0..MOST_INTERPRETERS {
            if !self.executed.insert(program.clone()) {
                return;
            }
            let Some(interpreter) = self.view.outside(&program).and_then(|file| interpreter_of(&file)) else {
                return;
            };
            let resolved = self.view.resolve(process, &process.directory, &interpreter, true);
            self.trace.note_resolved(&resolved, PathUse::Executed);
            if !resolved.found {
                return;
            }
            program = resolved.path;
        }
    }
}

/// Where a relative path begins.
enum Start<'a> {
    WorkingDirectory,
    Directory(&'a str),
}

/// The paths of a call, each with the directory that it is relative to. An empty one means a descriptor, which was opened
/// before.
fn paths_of(call: &Call) -> Vec<(Start<'_>, &str)> {
    let mut paths = Vec::new();
    let mut before: Option<&Argument> = None;
    for argument in &call.arguments {
        if let Argument::Text(text) = argument {
            let from = match before {
                Some(Argument::Descriptor(Some(_), path)) => Start::Directory(path),
                _ => Start::WorkingDirectory,
            };
            paths.push((from, text.as_str()));
        }
        before = Some(argument);
    }
    match call.name.as_str() {
        // What the link is to hold comes first, and is not looked for.
        "symlink" | "symlinkat" => {
            paths.drain(..paths.len().min(1));
        }
        "rename" | "renameat" | "renameat2" | "link" | "linkat" => paths.truncate(2),
        // What follows is the name of an attribute, or what was read.
        _ => paths.truncate(1),
    }
    if call.name.starts_with("execve") {
        // A program without a path is that of its descriptor.
        for (from, path) in &mut paths {
            if let (Start::Directory(directory), "") = (&from, *path) {
                *path = directory;
            }
        }
    }
    paths.retain(|(_, path)| !path.is_empty());
    paths
}

/// Whether the last name of a call's path is not followed if it is a link.
fn keeps_links(call: &Call) -> bool {
    let exclusive = call.has_flag("O_CREAT") && call.has_flag("O_EXCL");
    let name = call.name.as_str();
    let of_names = [
        "rename",
        "unlink",
        "link",
        "symlink",
        "mkdir",
        "mknod",
        "rmdir",
        "readlink",
        "name_to_handle",
    ];
    exclusive
        || call.has_flag("NOFOLLOW")
        || [
            "lstat",
            "lstat64",
            "lchown",
            "lgetxattr",
            "llistxattr",
            "lsetxattr",
            "lremovexattr",
            "oldlstat",
        ]
        .contains(&name)
        || of_names.iter().any(|start| name.starts_with(start)) && !call.has_flag("SYMLINK_FOLLOW")
}

/// What the kernel starts a file by: the interpreter of a script, or the loader of a program (execve(2)).
fn interpreter_of(file: &Path) -> Option<String> {
    /// `BINPRM_BUF_SIZE` (linux/binfmts.h).
    const FIRST: u64 = 256;
    let file = crate::open::regular(file).ok()?;
    let mut first = Vec::new();
    (&mut &file).take(FIRST).read_to_end(&mut first).ok()?;
    if let Some(line) = first.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next()?;
        let line = std::str::from_utf8(line).ok()?;
        return line
            .split([' ', '\t'])
            .find(|word| !word.is_empty())
            .map(ToOwned::to_owned);
    }
    let length = file.metadata().ok()?.len();
    elf::parse(&elf::FileSource::new(file.file(), length))
        .ok()??
        .interpreter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoke::sandbox::Mount;

    /// What is noted of lines after those of the programs that are not the function's.
    fn noted(lines: &[&str]) -> Vec<String> {
        noted_of("strace -- version 6.1", lines)
    }

    fn noted_of(version: &str, lines: &[&str]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        for path in ["opt/bin", "opt/lib/data", "task", "usr/bin"] {
            fs_err::create_dir_all(at(path)).unwrap();
        }
        fs_err::write(at("opt/bin/tool"), "#!/opt/bin/run -x\n").unwrap();
        fs_err::write(at("opt/bin/runner"), "").unwrap();
        std::os::unix::fs::symlink("runner", at("opt/bin/run")).unwrap();
        fs_err::write(at("opt/lib/data/a"), "").unwrap();
        fs_err::write(at("task/app"), "").unwrap();
        let trace = Trace::of(
            &Mounts {
                root: vec![("/usr".to_owned(), Mount::Path(at("usr")))],
                opt: at("opt"),
                task: at("task"),
                ..Mounts::default()
            },
            Strace::of_version(version),
        );
        let mut following = Following::new(&trace);
        for line in [
            r#"1 execve("/usr/bin/bwrap", [], 0x1) = 0"#,
            "1 clone(child_stack=NULL, flags=CLONE_NEWNS|SIGCHLD) = 2",
            r#"2 openat(AT_FDCWD</>, "/opt/lib/not-yet", O_RDONLY) = -1 ENOENT (No such file or directory)"#,
            r#"2 execve("/var/rapid/init", [], 0x1) = 0"#,
            r#"2 stat("/opt/bootstrap", 0x1) = -1 ENOENT (No such file or directory)"#,
            "2 vfork( <unfinished ...>",
            r#"3 chdir("/var/task") = 0"#,
        ]
        .iter()
        .chain(lines)
        {
            following.line(line);
        }
        let paths = trace.paths().unwrap();
        let show = |path: &RecordedPath| {
            let uses: Vec<&str> = path.uses.iter().map(|how| how.name()).collect();
            let found = if path.found { "" } else { " in vain" };
            format!("{} {}{found}", path.path, uses.join(", "))
        };
        paths.iter().map(show).collect()
    }

    const START: &str = r#"3 execve("/opt/bin/tool", [], 0x1) = 0"#;

    #[test]
    fn what_starts_a_program_is_noted_with_it() {
        assert_eq!(
            noted(&[START]),
            [
                "/opt/bin/run followed",
                "/opt/bin/runner executed",
                "/opt/bin/tool executed"
            ]
        );
    }

    #[test]
    fn relative_paths_begin_where_the_process_is() {
        let found = noted(&[
            START,
            r#"3 access("app", F_OK) = 0"#,
            r#"3 chdir("../../opt/lib") = 0"#,
            "3 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>",
            r#"4 stat("data/a", {st_mode=S_IFREG}) = 0"#,
            r#"4 chdir("/tmp") = 0"#,
            r#"4 stat("data/b", 0x1) = -1 ENOENT (No such file or directory)"#,
            "3 <... clone resumed>) = 4",
            "3 clone(child_stack=0x1, flags=CLONE_VM|CLONE_FS|CLONE_THREAD) = 5",
            r#"5 stat("data/c", 0x1) = -1 ENOENT (No such file or directory)"#,
            r#"5 openat(AT_FDCWD</opt/lib>, "data", O_RDONLY|O_DIRECTORY) = 3</opt/lib/data>"#,
            "5 getdents64(3</opt/lib/data>, 0x1 /* 3 entries */, 32768) = 80",
            r#"5 newfstatat(3</opt/lib/data>, "a", 0x1, 0) = 0"#,
            r#"3 stat("/proc/self/fd/3/d", 0x1) = -1 ENOENT (No such file or directory)"#,
        ]);
        assert_eq!(
            found[3..],
            [
                "/opt/lib asked for",
                "/opt/lib/data listed, opened",
                "/opt/lib/data/a asked for",
                "/opt/lib/data/c asked for in vain",
                "/opt/lib/data/d asked for in vain",
                "/var/task/app asked for",
            ]
        );
    }

    /// An older strace prints the numbers that processes have in the sandbox.
    #[test]
    fn children_are_known_without_their_numbers() {
        let found = noted_of(
            "strace -- version 5.5",
            &[
                "2 <... vfork resumed>) = 7",
                START,
                r#"3 chdir("/opt/lib") = 0"#,
                "3 clone(child_stack=NULL, flags=SIGCHLD) = 8",
                r#"4 stat("data/a", {st_mode=S_IFREG}) = 0"#,
                "4 clone(child_stack=0x1, flags=CLONE_VM|CLONE_FS|CLONE_THREAD) = 9",
                r#"5 stat("data/c", 0x1) = -1 ENOENT (No such file or directory)"#,
            ],
        );
        assert_eq!(
            found[4..],
            ["/opt/lib/data/a asked for", "/opt/lib/data/c asked for in vain"]
        );
    }

    #[test]
    fn links_that_the_function_makes_are_followed() {
        let found = noted(&[
            START,
            r#"3 symlink("/opt/lib", "/tmp/l") = 0"#,
            r#"3 lstat("/opt/bin/run", {}) = 0"#,
            r#"3 readlink("/opt/bin/run", "r"..., 4096) = 6"#,
            r#"3 stat("/tmp/l/data/a", {}) = 0"#,
        ]);
        assert_eq!(found[0], "/opt/bin/run asked for, followed");
        assert_eq!(found[3], "/opt/lib/data/a asked for");
    }

    #[test]
    fn versions_are_read() {
        assert!(Strace::of_version("strace -- version 6.1\nCopyright").seccomp);
        assert!(Strace::of_version("strace -- version 5.10").seccomp);
        assert!(!Strace::of_version("strace -- version 4.26").seccomp);
        assert!(!Strace::of_version("").seccomp);
    }
}
