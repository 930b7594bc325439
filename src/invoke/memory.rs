//! How much memory a function holds, seen from outside of its sandbox, where it cannot stop whoever counts.
//!
//! Processes are added up with what they share divided among them (proc(5), `Pss`). What none of them has mapped, such as a
//! memfd, a control group counts; without one the open memfds are looked for, and the segments of System V.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, fstatvfs, openat, readlinkat, statat};

use super::cgroup::{Cgroup, Counted};

/// The sandbox's own views, opened inside of it.
pub(super) struct Views {
    /// /proc, which has its processes alone.
    pub(super) processes: OwnedFd,
    /// /tmp, which is memory here and a disk on Lambda.
    pub(super) tmp: OwnedFd,
    /// /proc/sysvipc/shm, where the kernel has that.
    pub(super) segments: Option<OwnedFd>,
}

/// Counts the memory of one sandbox.
pub(super) struct Meter {
    views: Views,
    cgroup: Option<std::sync::Arc<Cgroup>>,
    /// What was counted before there was a function.
    before: Counted,
}

/// Memory in bytes, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Mapped {
    anonymous: u64,
    shared: u64,
    files: u64,
}

impl Meter {
    pub(super) fn new(views: Views, cgroup: Option<std::sync::Arc<Cgroup>>) -> Self {
        let before = cgroup.as_ref().map(|cgroup| cgroup.counted()).unwrap_or_default();
        Self { views, cgroup, before }
    }

    /// What is held now, in bytes.
    pub(super) fn used(&self) -> u64 {
        let processes = self.processes();
        let mut mapped = Mapped::default();
        for process in &processes {
            let own = self.mapped(*process);
            mapped.anonymous += own.anonymous;
            mapped.shared += own.shared;
            mapped.files += own.files;
        }
        let (anonymous, shared) = match &self.cgroup {
            Some(cgroup) => {
                let counted = cgroup.counted();
                (
                    counted.anonymous.saturating_sub(self.before.anonymous),
                    counted.shared.saturating_sub(self.tmp()),
                )
            }
            None => (0, self.memfds(&processes) + self.segments()),
        };
        anonymous.max(mapped.anonymous) + shared.max(mapped.shared) + mapped.files
    }

    /// Whether the kernel has ended a process of the sandbox because it was too much.
    pub(super) fn has_killed(&self) -> bool {
        let counted = self.cgroup.as_ref().map(|cgroup| cgroup.counted());
        counted.is_some_and(|counted| counted.killed > self.before.killed)
    }

    /// Every process but the first, which is this program's.
    fn processes(&self) -> Vec<u32> {
        let numbers = names(&self.views.processes, ".");
        let numbers = numbers.iter().filter_map(|name| name.parse().ok());
        numbers.filter(|process| *process != 1).collect()
    }

    fn mapped(&self, process: u32) -> Mapped {
        if let Some(text) = self.read(&format!("{process}/smaps_rollup")) {
            return rollup(&text);
        }
        // A program that its user may not read: what it shares with others is not divided here.
        let text = self.read(&format!("{process}/status")).unwrap_or_default();
        Mapped {
            anonymous: kilobytes(&text, "RssAnon:").unwrap_or(0),
            shared: kilobytes(&text, "RssShmem:").unwrap_or(0),
            files: 0,
        }
    }

    fn read(&self, path: &str) -> Option<String> {
        let file = openat(
            &self.views.processes,
            path,
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let mut text = String::new();
        std::fs::File::from(file.ok()?).read_to_string(&mut text).ok()?;
        Some(text).filter(|text| !text.is_empty())
    }

    /// What files in /tmp take.
    fn tmp(&self) -> u64 {
        fstatvfs(&self.views.tmp).map_or(0, |system| {
            system.f_blocks.saturating_sub(system.f_bfree) * system.f_frsize
        })
    }

    /// What open memfds take, each counted once (memfd_create(2)).
    fn memfds(&self, processes: &[u32]) -> u64 {
        let mut found = BTreeMap::new();
        for process in processes {
            let directory = format!("{process}/fd");
            for name in names(&self.views.processes, &directory) {
                let path = format!("{directory}/{name}");
                let target = readlinkat(&self.views.processes, &path, Vec::new());
                if target.is_ok_and(|target| target.as_bytes().starts_with(b"/memfd:"))
                    && let Ok(status) = statat(&self.views.processes, &path, AtFlags::empty())
                {
                    // In blocks of 512 bytes, whatever the file system (stat(3type)).
                    let bytes = u64::try_from(status.st_blocks).unwrap_or(0) * 512;
                    found.insert((status.st_dev, status.st_ino), bytes);
                }
            }
        }
        found.values().sum()
    }

    /// What segments of System V take, whether a process has them attached or not: the column rss (proc_sysvipc(5)).
    fn segments(&self) -> u64 {
        let Some(file) = &self.views.segments else { return 0 };
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 << 10];
        // A row has about a hundred bytes, and there are 4,096 segments at most.
        while bytes.len() < 1 << 20
            && let Ok(read) = rustix::io::pread(file, &mut buffer, bytes.len() as u64)
            && read > 0
        {
            bytes.extend_from_slice(&buffer[..read]);
        }
        let text = String::from_utf8_lossy(&bytes);
        let column = text
            .lines()
            .next()
            .and_then(|head| head.split_whitespace().position(|name| name == "rss"));
        let Some(column) = column else { return 0 };
        let rows = text.lines().skip(1);
        rows.filter_map(|row| row.split_whitespace().nth(column)?.parse::<u64>().ok())
            .sum()
    }
}

/// The names in a directory, none if it cannot be read.
fn names(directory: &OwnedFd, path: &str) -> Vec<String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(directory, path, flags, Mode::empty()).and_then(Dir::new);
    let Ok(entries) = opened else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().ok().map(ToOwned::to_owned))
        .collect()
}

/// Older kernels do not tell the kinds apart: all of it counts as the process's own then.
fn rollup(text: &str) -> Mapped {
    let total = kilobytes(text, "Pss:").unwrap_or(0);
    let (shared, files) = (kilobytes(text, "Pss_Shmem:"), kilobytes(text, "Pss_File:"));
    Mapped {
        anonymous: kilobytes(text, "Pss_Anon:").unwrap_or(total),
        shared: shared.unwrap_or(0),
        files: files.unwrap_or(0),
    }
}

/// A figure of proc(5), in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(number * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_memory_are_told_apart_where_the_kernel_does() {
        let text = "00400000-7fff rollup\nRss:  900 kB\nPss:  700 kB\nPss_Dirty: 1 kB\nPss_Anon: 400 kB\nPss_File: 200 kB\nPss_Shmem: 100 kB\n";
        let expected = Mapped {
            anonymous: 400 << 10,
            shared: 100 << 10,
            files: 200 << 10,
        };
        assert_eq!(rollup(text), expected);
        assert_eq!(rollup("Pss: 7 kB\n").anonymous, 7 << 10);
    }
}
