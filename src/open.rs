//! Opens files by their names, whoever put something there.
//!
//! A name in a directory that others can write to (a cache, an output directory, a project) may lead to a FIFO, on which
//! opening and reading wait for ever, to a device, or through a link to a file of someone else. [`regular`] opens nothing but
//! regular files and follows no link. What users name themselves may be a pipe, as in `--config <(…)`: [`named`] reads that,
//! and stops waiting when the run is interrupted. What was a regular file when a tree was looked at may be something else by
//! now: [`content`] opens it, and waits for nothing.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::progress::Progress;

/// How much of one file is read into memory, in bytes: many times what a manifest of the largest layers has.
const LONGEST: u64 = 256 << 20;

/// How long one wait for a pipe takes, after which the user may have interrupted the run.
const WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// Opens a regular file for reading. A link, FIFO, socket, device or directory in its place is an error.
pub fn regular(path: &Path) -> io::Result<fs_err::File> {
    regular_with(path, OFlags::NOFOLLOW)
}

/// Opens a regular file for reading, links followed. A FIFO, socket, device or directory in its place is an error.
pub fn content(path: &Path) -> io::Result<fs_err::File> {
    regular_with(path, OFlags::empty())
}

/// Reads an opened file into a buffer, in place of what is there: to its end, or so many bytes.
///
/// The buffer grows once, and what the file fills is not filled with zeros before.
pub fn read_opened(opened: &fs_err::File, longest: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let file = opened.file();
    let mut read = || {
        let length = file.metadata()?.len().min(longest);
        bytes.clear();
        bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX))?;
        file.take(longest).read_to_end(bytes)
    };
    read().map(|_| ()).map_err(|error| failed(opened.path(), &error))
}

fn regular_with(path: &Path, further: OFlags) -> io::Result<fs_err::File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | further;
    let file = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| match error {
        Errno::LOOP => wrong(path, "a symbolic link"),
        Errno::NXIO => wrong(path, "a FIFO or socket"),
        error => failed(path, &error.into()),
    })?;
    let file = std::fs::File::from(file);
    let kind = file.metadata().map_err(|error| failed(path, &error))?.file_type();
    if kind.is_file() {
        return Ok(fs_err::File::from_parts(file, path));
    }
    Err(wrong(
        path,
        if kind.is_dir() {
            "a directory"
        } else if kind.is_fifo() {
            "a FIFO"
        } else {
            "a device or socket"
        },
    ))
}

/// Reads a regular file whole, as [`regular`] opens it.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    all_of(regular(path)?)
}

/// Reads an opened file whole.
pub fn all_of(mut file: fs_err::File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let path = file.path().to_owned();
    read_all(&mut file, &path, &mut bytes)?;
    Ok(bytes)
}

/// Reads an opened file piece by piece, if it is not longer than one that is read whole may be.
pub fn bounded(file: fs_err::File) -> io::Result<BufReader<fs_err::File>> {
    if file.metadata()?.len() > LONGEST {
        return Err(too_long(file.path()));
    }
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// Reads a regular file whole as text.
pub fn read_regular_text(path: &Path) -> io::Result<String> {
    text(path, read_regular(path)?)
}

/// Reads what the user named: a file, links followed, or a pipe, to its end. It ends when the run is interrupted.
pub fn named(path: &Path, progress: &dyn Progress) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| failed(path, &error.into()))?;
    let mut file = fs_err::File::from_parts(std::fs::File::from(file), path);
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(wrong(path, "a directory"));
    }
    let mut bytes = Vec::new();
    if kind.is_file() {
        read_all(&mut file, path, &mut bytes)?;
        return Ok(bytes);
    }
    let mut buffer = vec![0; 1 << 16];
    loop {
        progress
            .check()
            .map_err(|_| io::Error::from(io::ErrorKind::Interrupted))?;
        let mut descriptors = [PollFd::new(file.file(), PollFlags::IN)];
        match poll(&mut descriptors, Some(&WAIT)) {
            // Nobody writes yet: reading would give an end that is none.
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(failed(path, &error.into())),
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        if bytes.len() as u64 > LONGEST {
            return Err(too_long(path));
        }
    }
}

/// Reads what the user named as text, as [`named`] does.
pub fn named_text(path: &Path, progress: &dyn Progress) -> io::Result<String> {
    text(path, named(path, progress)?)
}

/// Reads standard input to its end.
pub fn standard_input() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_all(&mut io::stdin().lock(), Path::new("standard input"), &mut bytes)?;
    Ok(bytes)
}

fn read_all(file: &mut impl Read, path: &Path, bytes: &mut Vec<u8>) -> io::Result<()> {
    file.take(LONGEST + 1).read_to_end(bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(too_long(path));
    }
    Ok(())
}

/// What an error of this module says of the file at a path to someone who has been told the path.
pub fn reason(error: &io::Error, path: &Path) -> String {
    let refused = error.get_ref().and_then(|error| error.downcast_ref::<Refused>());
    match refused.filter(|refused| refused.path == path) {
        Some(Refused {
            why: Why::Error(error), ..
        }) => error.clone(),
        Some(Refused { why: Why::Is(what), .. }) => format!("it is {what}"),
        None => error.to_string(),
    }
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
struct Refused {
    path: PathBuf,
    why: Why,
}

/// Why a file cannot be used.
#[derive(Debug)]
enum Why {
    /// The system's error.
    Error(String),
    /// What it is.
    Is(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::Error(error) => write!(f, "cannot open {path}: {error}"),
            Why::Is(what) => write!(f, "{path} is {what}"),
        }
    }
}

fn refused(path: &Path, kind: io::ErrorKind, why: Why) -> io::Error {
    let path = path.to_owned();
    io::Error::new(kind, Refused { path, why })
}

fn text(path: &Path, bytes: Vec<u8>) -> io::Result<String> {
    let what = Why::Is("not UTF-8 text".to_owned());
    String::from_utf8(bytes).map_err(|_| refused(path, io::ErrorKind::InvalidData, what))
}

fn failed(path: &Path, error: &io::Error) -> io::Error {
    refused(path, error.kind(), Why::Error(error.to_string()))
}

fn wrong(path: &Path, what: &str) -> io::Error {
    let what = format!("{what}, and not a regular file");
    refused(path, io::ErrorKind::InvalidInput, Why::Is(what))
}

fn too_long(path: &Path) -> io::Error {
    let what = format!("longer than {LONGEST} bytes");
    refused(path, io::ErrorKind::InvalidData, Why::Is(what))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::progress::{Silent, Stopped};

    fn fifo(path: &Path) {
        rustix::fs::mknodat(CWD, path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }

    #[test]
    fn only_regular_files_are_opened_where_others_can_write() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs_err::write(at("file"), "text").unwrap();
        fs_err::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        fifo(&at("fifo"));
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        assert_eq!(read_regular(&at("file")).unwrap(), b"text");
        for (name, what) in [("link", "link"), ("fifo", "FIFO"), ("socket", "socket")] {
            let error = regular(&at(name)).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains(name), "{error}");
        }
        assert!(regular(directory.path()).is_err());
        let error = regular(&at("none")).unwrap_err();
        let whole = format!("cannot open {}: {}", at("none").display(), reason(&error, &at("none")));
        assert_eq!(error.to_string(), whole);
        assert_eq!(reason(&error, &at("other")), error.to_string());
        assert_eq!(
            reason(&regular(&at("fifo")).unwrap_err(), &at("fifo")),
            "it is a FIFO, and not a regular file"
        );
        assert!(regular(Path::new("/dev/null")).is_err());
        assert_eq!(regular(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        let mut text = String::new();
        content(&at("link")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        for name in ["fifo", "socket"] {
            assert!(content(&at(name)).is_err());
        }
    }

    #[test]
    fn what_users_name_may_be_a_link_or_a_pipe() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs_err::write(at("file"), "text").unwrap();
        fs_err::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        fifo(&at("fifo"));
        assert_eq!(named_text(&at("link"), &Silent).unwrap(), "text");
        let writer = std::thread::spawn({
            let path = at("fifo");
            move || {
                let mut pipe = fs_err::OpenOptions::new().write(true).open(path).unwrap();
                pipe.write_all(b"one ").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(150));
                pipe.write_all(b"two").unwrap();
            }
        });
        assert_eq!(named_text(&at("fifo"), &Silent).unwrap(), "one two");
        writer.join().unwrap();
        // Nobody writes: without the interruption this would wait for ever.
        let error = named(&at("fifo"), &Stopped).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
