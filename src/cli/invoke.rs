use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::invoke::{Event, can_trace, inside, launch, shell};
use crate::limits;
use crate::open;
use crate::recording::{self, Recording};
use crate::replay::LeftOutFiles;
use crate::report;

use super::arguments::{EnvironmentOption, Format, Global, variable, whole_number};
use super::function::{FunctionRun, Printing};
use super::layers::manifests;
use super::output::{Failure, Output, Status, warn};
use super::progress::Terminal;
use super::replay::ReplayOptions;

/// Run a handler on layers as Lambda would: in a sandbox that has what the runtime has, with your events
///
/// Responses go to stdout; the function's log and a report for each event go to stderr. It needs bubblewrap.
///
/// Exit status: 0 if every event was answered, 1 if one was not, 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune invoke --handler app.handler --task my-function --event '{\"name\": \"x\"}'
  lambdar-prune invoke --handler test.handler --task function.zip --event event.json --timeout 3 --memory 128
  lambdar-prune invoke --handler app.handler --task my-function --event event.json --record recording.json
  lambdar-prune invoke --replay recording.json --ignore '$.time'
  lambdar-prune invoke --shell")]
pub(super) struct Arguments {
    /// Zips in the order in which they are attached, directories of zips, or trees [default: layers]
    #[arg(value_name = "LAYERS")]
    layers: Vec<PathBuf>,
    /// Handler, such as test.handler
    #[arg(long, value_name = "NAME", required_unless_present_any = ["shell", "replay"])]
    handler: Option<String>,
    /// Directory or zip with the function's own code, for /var/task [default: no code]
    #[arg(long, value_name = "DIR|ZIP")]
    task: Option<PathBuf>,
    /// Event: JSON, a file, or - for stdin; can be repeated, and all are sent in order [default: {}]
    #[arg(long, value_name = "JSON|FILE|-", conflicts_with = "shell")]
    event: Vec<OsString>,
    /// Timeout for an event; a new function on AWS has 3 [default: 30, or as recorded]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
    timeout: Option<Duration>,
    /// Memory of the function in MB; a function that uses more is killed. A new function on AWS has 128
    /// [default: 512, or as recorded]
    #[arg(long, value_name = "MB", allow_negative_numbers = true, value_parser = whole_number(128_u64, 10_240))]
    memory: Option<u64>,
    /// Set an environment variable of the function
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Root of an unpacked image of the runtime, instead of one made from this machine's files
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// Write the events, the responses and every file that the function used to this file; needs strace
    #[arg(long, value_name = "FILE", conflicts_with = "shell")]
    record: Option<PathBuf>,
    /// Replay the events of a recording, and fail if a response differs; can be repeated. Needs strace
    #[arg(long, value_name = "FILE", conflicts_with_all = ["shell", "event", "record"])]
    replay: Vec<PathBuf>,
    /// Ignore what this JSONPath (RFC 9535) selects of responses and errors, such as $.time; can be repeated
    #[arg(long, value_name = "JSONPATH", requires = "replay", value_parser = json_path)]
    ignore: Vec<serde_json_path::JsonPath>,
    /// Open a shell in the sandbox to look around, instead of sending events
    #[arg(long)]
    shell: bool,
}

/// The steps from this program into the sandbox: not for people.
#[derive(Debug, Parser)]
pub(super) struct InsideArguments {
    #[command(subcommand)]
    step: Step,
}

/// One step.
#[derive(Debug, Subcommand)]
enum Step {
    /// Become bubblewrap
    Launch {
        /// Control groups to join
        #[arg(long)]
        join: Vec<PathBuf>,
        /// Give up root first
        #[arg(long)]
        as_nobody: bool,
        /// The arguments of strace, if it is to trace
        #[arg(long, require_equals = true)]
        trace: Vec<OsString>,
        /// The arguments of bubblewrap
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Serve orders as the first process of the sandbox
    Serve {
        /// Become the function's user first
        #[arg(long)]
        switch_user: bool,
    },
    /// Run a command in the sandbox
    Shell {
        /// Become the function's user first
        #[arg(long)]
        switch_user: bool,
        /// The command
        command: Vec<String>,
    },
}

impl InsideArguments {
    pub(super) fn run(&self) -> std::process::ExitCode {
        let done = match &self.step {
            Step::Launch {
                join,
                as_nobody,
                trace,
                arguments,
            } => {
                let trace = (!trace.is_empty()).then_some(trace.as_slice());
                Err(launch(join, *as_nobody, trace, arguments))
            }
            Step::Serve { switch_user } => inside(*switch_user).map(|()| Status::Ok.into()),
            Step::Shell { switch_user, command } => {
                shell(*switch_user, command).map(|status| u8::try_from(status).unwrap_or(1).into())
            }
        };
        match done {
            Ok(status) => status,
            Err(error) => {
                super::output::error(&error.to_string());
                Status::Failed.into()
            }
        }
    }
}

/// Lambda's own limits (API reference, CreateFunction, `Timeout`); parts of a second help tests.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number of seconds".to_owned())?;
    if (0.001..=limits::TIMEOUT_SECONDS).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("a function can have up to {} seconds", limits::TIMEOUT_SECONDS))
    }
}

/// How long an event may take unless it is said.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How much memory a function has unless it is said, in Lambda's MB.
const MEMORY_MB: u64 = 512;

/// A JSONPath (RFC 9535).
pub(super) fn json_path(text: &str) -> Result<serde_json_path::JsonPath, String> {
    serde_json_path::JsonPath::parse(text).map_err(|error| error.to_string())
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let layers = global.layers(&self.layers)?;
        if !self.replay.is_empty() {
            return self.replayed(&layers, global, progress);
        }
        if let Some(path) = &self.record {
            recording::check_place(path)?;
        }
        let environment = global.environment(&EnvironmentOption { env: self.env.clone() })?;
        let function = FunctionRun {
            layers: &layers,
            task: self.task.as_deref(),
            rootfs: self.rootfs.as_deref(),
            recorded_runtime: None,
            handler: self.handler.clone().unwrap_or_default(),
            environment,
            timeout: self.timeout.unwrap_or(TIMEOUT),
            memory_mb: self.memory.unwrap_or(MEMORY_MB),
            may_be_too_large: self.record.is_some(),
            traced: self.record.is_some() || self.may_miss_files(&layers) && can_trace(),
        };
        if self.shell {
            return function.shell(global, progress);
        }
        let events = self.events(progress)?;
        let printing = match global.format {
            Format::Table => Printing::All,
            Format::Json => Printing::Log,
        };
        let mut ran = function.run(&events, global, progress, printing)?;
        ran.explain_left_out(&function, global);
        if let Some(path) = &self.record {
            ran.recording(&function, &events).write(path)?;
        }
        let invoked = ran.report(&function);
        Ok(Output {
            text: global.render(&invoked, |_| String::new()),
            status: Status::yes_or_no(invoked.ok),
        })
    }

    /// Sends the events of recordings again.
    fn replayed(&self, layers: &[PathBuf], global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let recordings = Recording::read_all(&self.replay)?;
        let environment = global.environment(&EnvironmentOption { env: self.env.clone() })?;
        let options = ReplayOptions {
            layers,
            task: self.task.as_deref(),
            rootfs: self.rootfs.as_deref(),
            handler: self.handler.as_deref(),
            environment: &environment,
            timeout: self.timeout,
            is_patient: false,
            memory_mb: self.memory,
            ignored: &self.ignore,
            printing: Printing::Log,
        };
        let replays = options.run(&recordings, global, progress)?;
        Ok(Output {
            text: global.render(&replays.report, |render| report::replayed(&replays.report, render)),
            status: Status::yes_or_no(replays.report.ok),
        })
    }

    /// Whether something was left out of the layers only because no recording used it.
    fn may_miss_files(&self, layers: &[PathBuf]) -> bool {
        !self.shell && LeftOutFiles::of(&manifests(layers)).has_guesses()
    }

    fn events(&self, progress: &Terminal) -> Result<Vec<Event>, Failure> {
        if self.event.is_empty() {
            return Ok(vec![Event {
                name: "{}".to_owned(),
                payload: b"{}".to_vec(),
                request_id: None,
            }]);
        }
        self.event
            .iter()
            .map(|word| {
                let name = word.to_string_lossy().into_owned();
                let payload = if word == "-" {
                    open::standard_input()
                } else if is_json(&name) && !Path::new(word).exists() {
                    Ok(name.clone().into_bytes())
                } else if name.starts_with(['{', '[', '"']) && !Path::new(word).exists() {
                    let reason = serde_json::from_str::<serde_json::Value>(&name).err();
                    let reason = reason.map(|error| error.to_string()).unwrap_or_default();
                    return Err(Failure::Error(format!(
                        "the event {name} is not valid JSON: {reason}; give JSON, a file, or - for stdin"
                    )));
                } else {
                    open::named(Path::new(word), progress)
                };
                let payload = payload.map_err(|error| {
                    Failure::Error(format!(
                        "cannot read the event {name}: {error}; give JSON, a file, or - for stdin"
                    ))
                })?;
                if !std::str::from_utf8(&payload).is_ok_and(is_json) {
                    warn(&format!(
                        "the event {name} is not JSON: it is sent unchanged, but AWS would refuse it with \
                         InvalidRequestContentException"
                    ));
                }
                Ok(Event {
                    name,
                    payload,
                    request_id: None,
                })
            })
            .collect()
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}
