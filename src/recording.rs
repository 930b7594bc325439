//! A recording: the events that were sent to a function, what it answered, and every path of its layers and its own code that
//! its processes used meanwhile. A data type that `invoke` writes, and that rules, `invoke` and `pack` read as evidence.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::open;
use crate::runtime::{Arch, TASK_ROOT};
use crate::tree::TreePath;
use crate::tree::path::escaped;

/// Version of the recording's schema; it rises when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// The most paths that a recording has: several times as many as layers can have files.
pub const MOST_PATHS: usize = 1_000_000;

/// A run of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Recording {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// The runtime that it ran on.
    pub runtime: String,
    /// The architecture that it ran on.
    pub arch: Arch,
    /// The handler.
    pub handler: String,
    /// The directory or zip with the function's own code, as the user wrote it; `null` if there was none.
    pub task: Option<String>,
    /// The names of the variables that the user set, sorted. Their values may be secret, and are not recorded.
    pub environment: Vec<String>,
    /// How long an event could take.
    pub timeout_seconds: f64,
    /// How much memory the function had, in Lambda's MB, which are 1,048,576 bytes.
    pub memory_mb: u64,
    /// The events in the order in which they were sent.
    pub events: Vec<RecordedEvent>,
    /// What the function's processes used below /opt and /var/task, sorted by path.
    pub paths: Vec<RecordedPath>,
}

/// An event and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecordedEvent {
    /// Where it came from, as the user wrote it.
    pub name: String,
    /// The number under which the runtime got it. A replay uses it again.
    pub request_id: String,
    /// What was sent.
    pub payload: Payload,
    /// What the function responded; `null` if it did not.
    pub response: Option<Payload>,
    /// Why it failed; `null` if it did not.
    pub error: Option<RecordedError>,
}

/// Bytes: as text if they are UTF-8, else in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Payload {
    /// The text.
    Text(String),
    /// The bytes in base64.
    Base64(String),
}

/// An error as a caller of the function gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecordedError {
    /// Such as `Runtime.ExitError`, or what the runtime calls it.
    pub error_type: String,
    /// What happened.
    pub error_message: String,
    /// The calls that led to it, as far as the runtime tells.
    pub stack_trace: Vec<String>,
}

/// A path and how it was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecordedPath {
    /// The absolute path on Lambda, links on the way followed; they have entries of their own.
    pub path: String,
    /// Whether it was there.
    pub found: bool,
    /// How it was used, or was to be.
    pub uses: BTreeSet<PathUse>,
}

/// How a path was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum PathUse {
    /// Its attributes were asked for, as by stat(2) and access(2), or it was made the working directory.
    Asked,
    /// It was executed, or is the interpreter of what was.
    Executed,
    /// It was followed or read as a symbolic link.
    Followed,
    /// It was listed as a directory.
    Listed,
    /// It was opened. Whatever is mapped or read was opened before.
    Opened,
}

impl PathUse {
    /// What was done, as a participle.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked for",
            Self::Executed => "executed",
            Self::Followed => "followed",
            Self::Listed => "listed",
            Self::Opened => "opened",
        }
    }
}

/// Error of reading or writing a recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("cannot read the recording: {0}")]
    Read(std::io::Error),
    /// The file cannot be written.
    #[error("cannot write the recording {path}: {reason}; choose another place with --record", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: std::io::Error,
    },
    /// It is not a recording, or parts of it are missing.
    #[error("{path} is not a recording of `invoke --record`: {reason}", path = .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Payload {
    /// The payload of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(STANDARD.encode(bytes)),
        }
    }

    /// The bytes; `None` if the base64 is none.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.clone().into_bytes()),
            Self::Base64(text) => STANDARD.decode(text).ok(),
        }
    }
}

impl Recording {
    /// Reads a recording that the user named, whoever wrote it. Nothing but a regular file is read, perhaps through a link, and
    /// every path in it is below /opt or /var/task and plain.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let read = |path: &Path| open::read_regular(&fs_err::canonicalize(path)?);
        let bytes = read(path).map_err(RecordingError::Read)?;
        Self::parse(&bytes).map_err(|reason| RecordingError::Form {
            path: path.to_owned(),
            reason,
        })
    }

    /// Reads several recordings, each with the name of its file.
    pub fn read_all(files: &[PathBuf]) -> Result<Vec<(String, Self)>, RecordingError> {
        let named = |file: &PathBuf| Ok((file.display().to_string(), Self::read(file)?));
        files.iter().map(named).collect()
    }

    /// The recording that a file of these bytes is, or what is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct SchemaVersion {
            schema_version: u32,
        }
        let SchemaVersion { schema_version } = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if schema_version != SCHEMA_VERSION {
            return Err(format!(
                "its schema_version is {schema_version}, and this program reads {SCHEMA_VERSION}"
            ));
        }
        let recording: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if recording.paths.len() > MOST_PATHS {
            return Err(format!("it has more than {MOST_PATHS} paths"));
        }
        if let Some(wrong) = recording.paths.iter().find(|used| !is_recorded(&used.path)) {
            let path = escaped(wrong.path.as_bytes());
            return Err(format!("{path:?} is not a plain path below /opt or {TASK_ROOT}"));
        }
        let payloads = recording.events.iter().map(|event| &event.payload);
        let responses = recording.events.iter().filter_map(|event| event.response.as_ref());
        if payloads.chain(responses).any(|payload| payload.bytes().is_none()) {
            return Err("a payload in it is not base64".to_owned());
        }
        Ok(recording)
    }

    /// Writes it to a file, which another one of this name becomes only when it is whole.
    pub fn write(&self, path: &Path) -> Result<(), RecordingError> {
        let failed = |reason| RecordingError::Write {
            path: path.to_owned(),
            reason,
        };
        check_place(path)?;
        // Numbers and texts alone: this cannot fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        let file = tempfile::Builder::new()
            .prefix(".lambdar-prune-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(directory_of(path))
            .map_err(failed)?;
        fs_err::write(file.path(), text).map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The paths of the layers that were found, each with how it was used.
    pub fn found_in_layers(&self) -> impl Iterator<Item = (TreePath, &BTreeSet<PathUse>)> {
        let found = self.paths.iter().filter(|used| used.found);
        found.filter_map(|used| Some((TreePath::from_lambda(&used.path)?, &used.uses)))
    }
}

/// Fails where no recording can be written: before a run, which may take long.
pub fn check_place(path: &Path) -> Result<(), RecordingError> {
    let failed = |kind: std::io::ErrorKind, what: &str| {
        Err(RecordingError::Write {
            path: path.to_owned(),
            reason: std::io::Error::new(kind, what),
        })
    };
    if !directory_of(path).is_dir() {
        return failed(std::io::ErrorKind::NotFound, "its directory does not exist");
    }
    match path.symlink_metadata() {
        Ok(about) if !about.is_file() => failed(std::io::ErrorKind::AlreadyExists, "it is not a regular file"),
        _ => Ok(()),
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether a recording has a path: it is below /opt or /var/task, one of these itself, and plain.
pub fn is_recorded(path: &str) -> bool {
    let below_task = path.strip_prefix(TASK_ROOT).map(|rest| rest.strip_prefix('/'));
    match below_task {
        Some(None) => path == TASK_ROOT,
        Some(Some(rest)) => TreePath::new(rest).is_some(),
        None => TreePath::from_lambda(path).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(paths: &[&str]) -> Recording {
        let used = |path: &&str| RecordedPath {
            path: (*path).to_owned(),
            found: true,
            uses: BTreeSet::from([PathUse::Opened]),
        };
        Recording {
            schema_version: SCHEMA_VERSION,
            runtime: "provided.al2023".to_owned(),
            arch: Arch::X86_64,
            handler: "a.b".to_owned(),
            task: None,
            environment: Vec::new(),
            timeout_seconds: 30.0,
            memory_mb: 512,
            events: vec![RecordedEvent {
                name: "{}".to_owned(),
                request_id: "1".to_owned(),
                payload: Payload::of(b"{}"),
                response: Some(Payload::of(b"\xff")),
                error: None,
            }],
            paths: paths.iter().map(used).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("recording.json");
        let written = recording(&["/opt", "/opt/lib/libz.so.1", "/var/task/app.py"]);
        written.write(&path).unwrap();
        assert_eq!(Recording::read(&path).unwrap(), written);
        assert_eq!(written.events[0].response.as_ref().unwrap().bytes().unwrap(), b"\xff");
        let found: Vec<String> = written.found_in_layers().map(|(path, _)| path.to_string()).collect();
        assert_eq!(found, [".", "lib/libz.so.1"]);
    }

    #[test]
    fn only_plain_paths_of_layers_and_task_are_read() {
        for wrong in [
            "/etc/passwd",
            "/opt/../etc",
            "/opt/",
            "/opt//x",
            "/opti",
            "/var/task/../x",
            "opt/x",
            "",
        ] {
            let json = serde_json::to_vec(&recording(&[wrong])).unwrap();
            assert!(Recording::parse(&json).is_err(), "{wrong}");
        }
        for json in ["", "{}", "[]", "{\"schema_version\": 1}", "{\"schema_version\": 2}"] {
            assert!(Recording::parse(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn nothing_but_a_regular_file_is_read_or_replaced() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Recording::read(directory.path()).is_err());
        assert!(Recording::read(Path::new("/dev/zero")).is_err());
        let link = directory.path().join("link");
        let written = recording(&["/opt"]);
        written.write(&directory.path().join("recording.json")).unwrap();
        fs_err::os::unix::fs::symlink("recording.json", &link).unwrap();
        assert_eq!(Recording::read(&link).unwrap(), written);
        assert!(recording(&[]).write(directory.path()).is_err());
        assert!(check_place(&directory.path().join("none/recording.json")).is_err());
    }
}
