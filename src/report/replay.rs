//! The report of a replay: whether a function answers as it did when it was recorded.

use serde::Serialize;

use super::SCHEMA_VERSION;
use super::table::{RenderOptions, counted};
use crate::replay::LeftOut;
use crate::runtime::{Arch, Runtime};
use crate::tree::path::escaped;

/// How many files are shown that were left out.
const SHOWN: usize = 20;

/// Document of `invoke --replay`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Replayed {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// Whether every event had the same response or error as when it was recorded.
    pub ok: bool,
    /// The runtime that the layers ran on.
    pub runtime: String,
    /// The architecture.
    pub arch: Arch,
    /// The recordings in their order.
    pub recordings: Vec<ReplayedRecording>,
    /// What the function looked for and did not find, and the manifest of the layers says was left out, sorted by path.
    pub left_out: Vec<LeftOut>,
}

/// A recording that was replayed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReplayedRecording {
    /// The file.
    pub recording: String,
    /// Its events in their order.
    pub events: Vec<ReplayedEvent>,
}

/// An event that was replayed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReplayedEvent {
    /// Where it came from when it was recorded.
    pub event: String,
    /// Whether the response or error is the same.
    pub equal: bool,
    /// What differs, as a unified diff; `null` if nothing does.
    pub difference: Option<String>,
}

impl Replayed {
    /// The document about replays on one set of layers.
    pub fn new(runtime: &Runtime, recordings: Vec<ReplayedRecording>, left_out: Vec<LeftOut>) -> Self {
        let mut events = recordings.iter().flat_map(|recording| &recording.events);
        Self {
            schema_version: SCHEMA_VERSION,
            ok: events.all(|event| event.equal),
            runtime: runtime.name.clone(),
            arch: runtime.arch,
            recordings,
            left_out,
        }
    }
}

/// The report as text.
pub fn replayed(replayed: &Replayed, render: RenderOptions) -> String {
    let mut text = String::new();
    let all = replayed.recordings.iter().flat_map(|recording| &recording.events);
    let (count, equal) = all.fold((0, 0), |(count, equal), event| {
        (count + 1, equal + usize::from(event.equal))
    });
    for recording in &replayed.recordings {
        for event in &recording.events {
            if let Some(difference) = &event.difference {
                let name = escaped(event.event.as_bytes());
                let file = escaped(recording.recording.as_bytes());
                text += &render.error_line(&format!("event {name} of {file} is answered differently"));
                text += difference;
            }
        }
    }
    if replayed.ok {
        return text + &format!("{} of {} answered as recorded.\n", counted(equal, "event"), count);
    }
    text += &format!("{} of {} answered as recorded.\n", counted(equal, "event"), count);
    text + &left_out_lines(&replayed.left_out, render)
}

/// Which files that had been left out were looked for, and what to do.
pub fn left_out_lines(left_out: &[LeftOut], render: RenderOptions) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    let shown = if render.verbose {
        left_out.len()
    } else {
        left_out.len().min(SHOWN)
    };
    let mut text = "Looked for and not found, because left out when the layers were packed:\n".to_owned();
    for file in left_out.iter().take(shown) {
        let path = escaped(file.path.as_bytes());
        let layer = file
            .layer
            .as_ref()
            .map(|layer| format!("; it is in {}", escaped(layer.as_bytes())));
        text += &format!("  {path} by rule {}{}\n", file.rule, layer.unwrap_or_default());
    }
    if shown < left_out.len() {
        text += &format!("  and {} more (-v shows them)\n", left_out.len() - shown);
    }
    let help = if left_out.iter().any(|file| file.layer.is_some()) {
        "attach that layer as well, or record the event and pack with both recordings"
    } else {
        "pack again with --keep or --disable, or record the event and pack with both recordings"
    };
    text + &format!("  help: {help}\n")
}
