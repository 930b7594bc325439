//! Control groups for the processes of a sandbox (cgroups(7)), where they can be had: the kernel then counts memory that no
//! process has mapped, and what processes hide.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// What the names of groups begin with; the number of this process follows.
const PREFIX: &str = "lambdar-prune-";

/// How often a group is removed again while its last processes end.
const ATTEMPTS: u32 = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// A group; it is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Cgroup {
    version: Version,
    /// Where memory is counted.
    memory: PathBuf,
    /// Where processes are counted, if elsewhere.
    processes: Option<PathBuf>,
}

/// Memory that the kernel has counted, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Memory of processes.
    pub(super) anonymous: u64,
    /// Files in memory and shared memory, mapped or not.
    pub(super) shared: u64,
    /// How many processes the kernel has ended for lack of memory.
    pub(super) killed: u64,
}

impl Cgroup {
    /// Makes a group with these limits. The kernel refuses what is above them. `None` where this process may not make one.
    pub(super) fn create(memory: u64, processes: u64) -> Option<Self> {
        let mounts = fs_err::read_to_string("/proc/self/mountinfo").ok()?;
        let own = fs_err::read_to_string("/proc/self/cgroup").ok()?;
        for (version, directory) in places(&mounts, &own, "memory") {
            if version == Version::V2 && !delegates(&directory) {
                continue;
            }
            remove_stale(&directory);
            let Some(group) = make(&directory) else { continue };
            let mut cgroup = Self {
                version,
                memory: group,
                processes: None,
            };
            if cgroup.limit_memory(memory).is_err() {
                continue;
            }
            cgroup.limit_processes(processes, &mounts, &own);
            return Some(cgroup);
        }
        None
    }

    fn limit_memory(&self, memory: u64) -> std::io::Result<()> {
        let (limit, swap) = match self.version {
            Version::V1 => ("memory.limit_in_bytes", ("memory.memsw.limit_in_bytes", memory)),
            Version::V2 => ("memory.max", ("memory.swap.max", 0)),
        };
        fs_err::write(self.memory.join(limit), memory.to_string())?;
        // Not every kernel counts swap.
        let _ = fs_err::write(self.memory.join(swap.0), swap.1.to_string());
        Ok(())
    }

    /// The limit of the user's processes is there besides.
    fn limit_processes(&mut self, processes: u64, mounts: &str, own: &str) {
        if self.version == Version::V1 {
            let directory = places(mounts, own, "pids").into_iter().next();
            self.processes = directory.and_then(|(_, directory)| make(&directory));
        }
        let directory = self.processes.as_ref().unwrap_or(&self.memory);
        let _ = fs_err::write(directory.join("pids.max"), processes.to_string());
    }

    /// The groups that a process has to join.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        [&self.memory].into_iter().chain(&self.processes).cloned().collect()
    }

    /// Where the count comes from.
    pub(super) fn name(&self) -> &'static str {
        match self.version {
            Version::V1 => "a control group (version 1)",
            Version::V2 => "a control group (version 2)",
        }
    }

    /// What the processes of the group hold now.
    pub(super) fn counted(&self) -> Counted {
        let read = |name: &str| fs_err::read_to_string(self.memory.join(name)).unwrap_or_default();
        let (anonymous, events) = match self.version {
            Version::V1 => ("rss", "memory.oom_control"),
            Version::V2 => ("anon", "memory.events"),
        };
        let statistics = read("memory.stat");
        Counted {
            anonymous: number(&statistics, anonymous),
            shared: number(&statistics, "shmem"),
            killed: number(&read(events), "oom_kill"),
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for directory in self.directories() {
            for _ in 0..ATTEMPTS {
                if fs_err::remove_dir(&directory).is_ok() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// The number after a word at the beginning of a line.
fn number(text: &str, name: &str) -> u64 {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// Where a group of this controller could be made, the likeliest place first: version 2 where it has the controller, below
/// this process's own group or one of those above it, else version 1 below its own.
fn places(mounts: &str, own: &str, controller: &str) -> Vec<(Version, PathBuf)> {
    let group = |wanted: &dyn Fn(&str) -> bool| {
        own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            wanted(controllers).then_some(path)
        })
    };
    let mut places = Vec::new();
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else {
            continue;
        };
        let before: Vec<&str> = before.split(' ').collect();
        let after: Vec<&str> = after.split(' ').collect();
        let ([_, _, _, root, point, ..], [kind, _, options, ..]) = (before.as_slice(), after.as_slice()) else {
            continue;
        };
        let has = |list: &str| list.split(',').any(|one| one == controller);
        let (version, path) = match *kind {
            "cgroup2" => (Version::V2, group(&str::is_empty)),
            "cgroup" if has(options) => (Version::V1, group(&|controllers| has(controllers))),
            _ => continue,
        };
        // What is above the root of the mount cannot be reached.
        let Some(below) = path.and_then(|path| Path::new(path).strip_prefix(root).ok()) else {
            continue;
        };
        let ups = if version == Version::V2 { usize::MAX } else { 1 };
        let point = Path::new(point);
        places.extend(
            below
                .ancestors()
                .take(ups)
                .map(|directory| (version, point.join(directory))),
        );
    }
    places.sort_by_key(|(version, _)| *version == Version::V1);
    places
}

/// Whether groups below this one have their memory counted, and a process of a group below it may be moved to another.
fn delegates(directory: &Path) -> bool {
    let controllers = fs_err::read_to_string(directory.join("cgroup.subtree_control")).unwrap_or_default();
    let writable = rustix::fs::access(directory.join("cgroup.procs"), rustix::fs::Access::WRITE_OK).is_ok();
    writable && controllers.split_whitespace().any(|controller| controller == "memory")
}

fn make(directory: &Path) -> Option<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let group = directory.join(format!("{PREFIX}{}-{number}", std::process::id()));
    fs_err::create_dir(&group).ok()?;
    Some(group)
}

/// Removes the groups of processes that were killed.
fn remove_stale(directory: &Path) {
    let Ok(entries) = fs_err::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let process = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            // One that still has processes stays.
            let _ = fs_err::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_either_version_and_behind_a_mount_of_a_part() {
        let mounts = "\
22 27 0:21 / /proc rw - proc proc rw
32 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 31 0:33 /box /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
        let own = "4:memory:/a/b\n1:cpu,pids:/\n0::/box/user/app\n";
        let found = places(mounts, own, "memory");
        let expected = [
            (Version::V2, "/sys/fs/cgroup/unified/user/app"),
            (Version::V2, "/sys/fs/cgroup/unified/user"),
            (Version::V2, "/sys/fs/cgroup/unified/"),
            (Version::V1, "/sys/fs/cgroup/memory/a/b"),
        ];
        assert_eq!(found, expected.map(|(version, path)| (version, PathBuf::from(path))));
        // Of another container's groups nothing can be reached.
        assert_eq!(places(mounts, "0::/other\n", "memory"), []);
    }

    #[test]
    fn counts_are_read_by_whole_names() {
        let text = "anon_thp 5\nanon 7\nshmem 9\n";
        assert_eq!(
            (number(text, "anon"), number(text, "shmem"), number(text, "sock")),
            (7, 9, 0)
        );
    }
}
