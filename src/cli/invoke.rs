use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::check::{Input, MAX_UNZIPPED, inputs, judge, read};
use crate::finding::Finding;
use crate::host::HostDirectories;
use crate::invoke::{
    Event, Invocation, InvokeOptions, Listener, Prepared, blocking, inside, launch, prepare, shell, too_large,
};
use crate::languages::bootstrap_advice;
use crate::report::{self, Invoked, RenderOptions};
use crate::runtime::Runtime;
use crate::size::Bytes;

use super::arguments::{Format, Global, variable};
use super::layers::runtime_of;
use super::output::{Failure, Output, Status, warn};
use super::progress::Terminal;

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
  lambdar-prune invoke --shell")]
pub(super) struct Arguments {
    /// Zips in the order in which they are attached, directories of zips, or trees
    #[arg(default_value = "layers", value_name = "LAYERS")]
    layers: Vec<PathBuf>,
    /// Handler, such as test.handler
    #[arg(long, value_name = "NAME", required_unless_present = "shell")]
    handler: Option<String>,
    /// Directory or zip with the function's own code, for /var/task [default: no code]
    #[arg(long, value_name = "DIR|ZIP")]
    task: Option<PathBuf>,
    /// Event: JSON, a file, or - for stdin; can be repeated, and all are sent in order [default: {}]
    #[arg(long, value_name = "JSON|FILE|-", conflicts_with = "shell")]
    event: Vec<OsString>,
    /// Timeout for an event; a new function on AWS has 3
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    timeout: Duration,
    /// Memory of the function in MB; a function that uses more is ended. A new function on AWS has 128
    #[arg(long, value_name = "MB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(128..=10240))]
    memory: u64,
    /// Set an environment variable of the function
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Root of an unpacked image of the runtime, instead of one made from this machine's files
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
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
                arguments,
            } => Err(launch(join, *as_nobody, arguments)),
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

/// The output of a run that has printed what it had to say.
fn silent(is_ok: bool) -> Output {
    Output {
        text: String::new(),
        status: Status::yes_or_no(is_ok),
    }
}

/// Fails if there is something for which AWS would not take the layers and the function's code.
fn refuse(blocked: Vec<&Finding>, global: &Global) -> Result<(), Failure> {
    if blocked.is_empty() {
        return Ok(());
    }
    Err(Failure::No(format!(
        "AWS would not take these layers:\n{}",
        report::finding_lines(blocked, stderr_options(global)).trim_end()
    )))
}

/// In what the sandbox differs from Lambda.
fn differences(prepared: &Prepared, runtime: &Runtime, verbose: bool) -> Vec<String> {
    let stand_in = prepared.stand_in.as_ref();
    let mut notes = report::invoke_notes(runtime, &prepared.missing, prepared.glibc.as_deref(), verbose);
    notes.extend(stand_in.and_then(|stand_in| report::stand_in_note(stand_in, verbose)));
    notes.extend(memory_note(prepared.memory_counted_by(), verbose));
    notes
}

/// Lambda's own limits (API reference, CreateFunction, `Timeout`); parts of a second help tests.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number of seconds".to_owned())?;
    if (0.001..=1800.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("a function can have up to 1800 seconds".to_owned())
    }
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let events = self.events()?;
        let layers = inputs(&self.layers)?;
        let task = self.own_code()?;
        let read_layers = read(&layers, MAX_UNZIPPED, progress)?;
        let runtime = runtime_of(&self.layers, global, &read_layers)?;
        let own_code = read(&task, MAX_UNZIPPED, progress)?;
        let advice = read_layers.iter().flat_map(|layer| bootstrap_advice(&layer.tree));
        let bootstrap_advice = advice.collect();
        // The function's code is elsewhere and not a layer; what can be unpacked and how large all is concerns it, too.
        let of_task: Vec<Finding> = own_code.iter().flat_map(|code| code.findings.clone()).collect();
        let parts = read_layers.iter().chain(&own_code);
        let too_large = too_large(parts.map(|part| part.tree.totals().unzipped_bytes).sum());
        let findings = judge(read_layers, &runtime, Bytes::default()).findings;
        let of_parts = blocking(&findings).into_iter().chain(blocking(&of_task));
        refuse(of_parts.chain(&too_large).collect(), global)?;
        let options = InvokeOptions {
            layers,
            task,
            runtime: &runtime,
            rootfs: self.rootfs.clone(),
            handler: self.handler.clone().unwrap_or_default(),
            bootstrap_advice,
            environment: self.environment(global)?,
            timeout: self.timeout,
            memory_mb: self.memory,
        };
        let prepared = prepare(&options, &HostDirectories::new(&[]), progress)?;
        for note in differences(&prepared, &runtime, global.verbose) {
            global.note(&note);
        }
        if self.shell {
            let status = prepared.shell(&options)?;
            return Ok(silent(status.success()));
        }
        let printer = Printer {
            quiet: global.quiet,
            print_responses: global.format == Format::Table,
            memory_mb: self.memory,
            findings: &findings,
            options: stderr_options(global),
        };
        let invocations = prepared.run(&options, &events, &printer, progress)?;
        if let Some(end) = report::invoke_end(&invocations, &findings) {
            global.warn(&end);
        }
        let invoked = Invoked::new(
            &runtime,
            &options.handler,
            self.memory,
            (&prepared.missing, prepared.glibc.as_deref()),
            &invocations,
            &findings,
        );
        Ok(Output {
            text: global.render(&invoked, |_| String::new()),
            status: Status::yes_or_no(invoked.ok),
        })
    }

    /// The variables of the configuration, and then those of the command line.
    fn environment(&self, global: &Global) -> Result<Vec<(String, String)>, Failure> {
        let configured = global.config()?.environment.into_iter();
        Ok(configured.chain(self.env.clone()).collect())
    }

    /// The function's code, which it may do without.
    fn own_code(&self) -> Result<Vec<Input>, Failure> {
        let mut task = inputs(self.task.as_slice())?;
        task.retain(|input| !matches!(input, Input::Tree(directory) if is_empty(directory)));
        Ok(task)
    }

    fn events(&self) -> Result<Vec<Event>, Failure> {
        if self.event.is_empty() {
            return Ok(vec![Event {
                name: "{}".to_owned(),
                payload: b"{}".to_vec(),
            }]);
        }
        self.event
            .iter()
            .map(|word| {
                let name = word.to_string_lossy().into_owned();
                let payload = if word == "-" {
                    let mut payload = Vec::new();
                    std::io::stdin().lock().read_to_end(&mut payload).map(|_| payload)
                } else if is_json(&name) && !Path::new(word).exists() {
                    Ok(name.clone().into_bytes())
                } else {
                    fs_err::read(word)
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
                Ok(Event { name, payload })
            })
            .collect()
    }
}

/// How memory is counted here, where that leaves something out or the user wants to know.
fn memory_note(counted_by: Option<&str>, verbose: bool) -> Option<String> {
    match counted_by {
        Some(group) => verbose.then(|| format!("memory is counted by {group}")),
        None => Some(
            "no control group can be made here (root can, and a user in a session that systemd delegates): --memory counts \
             processes, memfds and System V segments, but not the memfds of a program that its user may not read"
                .to_owned(),
        ),
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn is_empty(folder: &Path) -> bool {
    fs_err::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// How what goes to stderr looks.
fn stderr_options(global: &Global) -> RenderOptions {
    RenderOptions {
        width: None,
        color: global.render_options().color && std::io::IsTerminal::is_terminal(&std::io::stderr()),
        ..global.render_options()
    }
}

/// Prints what happens while it happens.
struct Printer<'a> {
    quiet: bool,
    print_responses: bool,
    memory_mb: u64,
    findings: &'a [Finding],
    options: RenderOptions,
}

impl Listener for Printer<'_> {
    fn log(&self, bytes: &[u8]) {
        // If nobody reads it, the function continues.
        let _ = std::io::stderr().write_all(bytes);
    }

    fn done(&self, invocation: &Invocation) {
        let failed = invocation.failure.is_some();
        if self.print_responses
            && !failed
            && let Some(response) = &invocation.response
        {
            let mut out = std::io::stdout().lock();
            let is_text = std::str::from_utf8(response).is_ok();
            let end: &[u8] = if is_text && !response.ends_with(b"\n") {
                b"\n"
            } else {
                b""
            };
            // Whoever reads may stop reading.
            let _ = out
                .write_all(response)
                .and_then(|()| out.write_all(end))
                .and_then(|()| out.flush());
        }
        if !self.quiet || failed {
            let text = report::invocation(invocation, self.memory_mb, self.findings, self.options);
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}
