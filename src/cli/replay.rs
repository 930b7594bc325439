//! Replays recordings on layers, for `invoke --replay` and `pack --prove`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::invoke::{Event, TIMED_OUT};
use crate::limits;
use crate::recording::Recording;
use crate::replay::{LeftOutFiles, Observed, difference};
use crate::report::{Replayed, ReplayedEvent, ReplayedRecording};

use super::arguments::Global;
use super::function::{FunctionRun, Printing};
use super::layers::manifests;
use super::output::Failure;
use super::progress::Terminal;

/// How many times as long as recorded an event may take where only the files count.
const PATIENCE: u32 = 10;

/// What is given again or changed for a replay.
pub(super) struct ReplayOptions<'a> {
    /// The layers.
    pub(super) layers: &'a [PathBuf],
    /// The directory or zip with the function's own code; that of the recording if it is `None`.
    pub(super) task: Option<&'a Path>,
    /// The root of an unpacked image of the runtime.
    pub(super) rootfs: Option<&'a Path>,
    /// The handler; that of the recording if it is `None`.
    pub(super) handler: Option<&'a str>,
    /// Variables that the user sets.
    pub(super) environment: &'a [(String, String)],
    /// How long an event may take; as recorded if it is `None`.
    pub(super) timeout: Option<Duration>,
    /// Whether an event that was answered in time may take longer than the recording allows: where only the files count, a
    /// machine that is busy must not.
    pub(super) is_patient: bool,
    /// How much memory the function has, in Lambda's MB; as recorded if it is `None`.
    pub(super) memory_mb: Option<u64>,
    /// What does not count.
    pub(super) ignored: &'a [serde_json_path::JsonPath],
    /// What is printed meanwhile.
    pub(super) printing: Printing,
}

/// Result of replays.
pub(super) struct Replays {
    /// The report.
    pub(super) report: Replayed,
    /// What was seen of the functions.
    pub(super) run: Observed,
}

impl ReplayOptions<'_> {
    /// Sends the events of recordings again, each recording to a function of its own, and compares.
    pub(super) fn run(
        &self,
        recordings: &[(String, Recording)],
        global: &Global,
        progress: &Terminal,
    ) -> Result<Replays, Failure> {
        let left_out = LeftOutFiles::of(&manifests(self.layers));
        let (mut reports, mut run) = (Vec::new(), Observed::default());
        let mut runtime = None;
        for (name, recording) in recordings {
            let function = self.function(name, recording)?;
            let events = events_of(recording);
            let ran = function.run(&events, global, progress, self.printing)?;
            let mut replayed = Vec::new();
            for ((recorded, event), invocation) in recording.events.iter().zip(&events).zip(&ran.invocations) {
                let difference = difference(recorded, &invocation.recorded(event), self.ignored);
                if difference.is_some() {
                    run.words += &invocation.words();
                }
                replayed.push(ReplayedEvent {
                    event: recorded.name.clone(),
                    equal: difference.is_none(),
                    difference,
                });
            }
            if replayed.iter().any(|event| !event.equal) {
                run.words += &ran.said_by_failed;
                run.recorded.extend(recording.paths.iter().cloned());
            }
            reports.push(ReplayedRecording {
                recording: name.clone(),
                events: replayed,
            });
            run.used.extend(ran.used);
            runtime.get_or_insert(ran.runtime);
        }
        let runtime = runtime.ok_or_else(|| Failure::Error("there is no recording to replay".to_owned()))?;
        let differs = reports
            .iter()
            .flat_map(|report| &report.events)
            .any(|event| !event.equal);
        let looked_for = if differs { left_out.missed(&run) } else { Vec::new() };
        Ok(Replays {
            report: Replayed::new(&runtime, reports, looked_for),
            run,
        })
    }

    /// The function as it was recorded.
    fn function<'f>(&'f self, name: &str, recording: &'f Recording) -> Result<FunctionRun<'f>, Failure> {
        let given: Vec<&str> = self.environment.iter().map(|(name, _)| name.as_str()).collect();
        if let Some(missing) = recording
            .environment
            .iter()
            .find(|name| !given.contains(&name.as_str()))
        {
            return Err(Failure::Error(format!(
                "{name} was recorded with --env {missing}, and its value is not in it; give it again with --env {missing}=VALUE"
            )));
        }
        let task = self.task.or(recording.task.as_ref().map(Path::new));
        if let Some(path) = task.filter(|path| self.task.is_none() && !path.exists()) {
            return Err(Failure::Error(format!(
                "{name} was recorded with --task {}, which is not there; give the function's code with --task",
                crate::tree::path::escaped(path.display().to_string().as_bytes())
            )));
        }
        let errors = recording.events.iter().filter_map(|event| event.error.as_ref());
        let timed_out = errors.into_iter().any(|error| error.error_type == TIMED_OUT);
        let seconds = recording.timeout_seconds;
        let recorded_timeout = Duration::try_from_secs_f64(seconds.clamp(0.001, limits::TIMEOUT_SECONDS))
            .unwrap_or(Duration::from_secs(3));
        Ok(FunctionRun {
            layers: self.layers,
            task,
            rootfs: self.rootfs,
            recorded_runtime: Some(&recording.runtime),
            handler: self.handler.unwrap_or(&recording.handler).to_owned(),
            environment: self.environment.to_vec(),
            timeout: self.timeout.unwrap_or(if self.is_patient && !timed_out {
                recorded_timeout * PATIENCE
            } else {
                recorded_timeout
            }),
            memory_mb: self.memory_mb.unwrap_or(recording.memory_mb.clamp(128, 10_240)),
            traced: true,
            may_be_too_large: false,
        })
    }
}

/// The events of a recording, to be sent again under the same numbers.
fn events_of(recording: &Recording) -> Vec<Event> {
    let events = recording.events.iter().map(|recorded| Event {
        name: recorded.name.clone(),
        payload: recorded.payload.bytes().unwrap_or_default(),
        request_id: Some(recorded.request_id.clone()),
    });
    events.collect()
}
