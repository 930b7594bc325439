//! A function run on layers, as `invoke` does it and `pack --prove`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::check::{Input, MAX_UNZIPPED, inputs, judge, read};
use crate::finding::Finding;
use crate::host::HostDirectories;
use crate::invoke::{Event, Invocation, InvokeOptions, Listener, Prepared, blocking, prepare, too_large};
use crate::languages::bootstrap_advice;
use crate::recording::{RecordedPath, Recording};
use crate::replay::{LeftOut, LeftOutFiles};
use crate::report::{self, ForeignText, Invoked, RenderOptions};
use crate::rules::unused::RULE as UNUSED;
use crate::runtime::Runtime;
use crate::size::Bytes;

use super::arguments::Global;
use super::layers::{manifests, read_settled, runtime_of};
use super::output::{Failure, Output, Status, tell};
use super::progress::Terminal;

/// A function and how it is run.
pub(super) struct FunctionRun<'a> {
    /// Its layers.
    pub(super) layers: &'a [PathBuf],
    /// The directory or zip with its own code.
    pub(super) task: Option<&'a Path>,
    /// The root of an unpacked image of the runtime.
    pub(super) rootfs: Option<&'a Path>,
    /// The runtime of the recording that is replayed.
    pub(super) recorded_runtime: Option<&'a str>,
    /// The handler.
    pub(super) handler: String,
    /// Variables that the user sets.
    pub(super) environment: Vec<(String, String)>,
    /// How long an event may take.
    pub(super) timeout: Duration,
    /// How much memory it has, in Lambda's MB.
    pub(super) memory_mb: u64,
    /// Whether it is noted which files it uses.
    pub(super) traced: bool,
    /// Whether its layers may be larger than AWS takes: they are recorded so that they can be made smaller.
    pub(super) may_be_too_large: bool,
}

/// What is printed of a run while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Printing {
    /// Responses to stdout, what the function writes and a report on each event to stderr.
    All,
    /// As [`Printing::All`], without responses.
    Log,
    /// Nothing.
    Nothing,
}

/// Result of a run.
pub(super) struct RunResult {
    /// The runtime that it ran on.
    pub(super) runtime: Runtime,
    /// What came of each event.
    pub(super) invocations: Vec<Invocation>,
    /// What the function used, if that was noted.
    pub(super) used: Vec<RecordedPath>,
    /// What its processes that failed wrote to standard error, if that was noted.
    pub(super) said_by_failed: String,
    /// What `check` finds in the layers.
    findings: Vec<Finding>,
    /// What it looked for and was left out of the layers.
    left_out: Vec<LeftOut>,
    missing: Vec<String>,
    glibc: Option<String>,
}

/// What a sandbox is made of.
struct SandboxInputs {
    layers: Vec<Input>,
    task: Vec<Input>,
    runtime: Runtime,
    bootstrap_advice: Vec<&'static str>,
    findings: Vec<Finding>,
}

impl FunctionRun<'_> {
    /// Sends events to it.
    pub(super) fn run(
        &self,
        events: &[Event],
        global: &Global,
        progress: &Terminal,
        printing: Printing,
    ) -> Result<RunResult, Failure> {
        let parts = self.parts(global, progress)?;
        let options = self.options(&parts);
        let prepared = if printing == Printing::Nothing {
            prepare(&options, &HostDirectories::new(&[]), progress)?
        } else {
            prepare_with_notes(&options, global, progress)?
        };
        let printer = Printer {
            quiet: global.quiet,
            printing,
            memory_mb: self.memory_mb,
            findings: &parts.findings,
            options: stderr_options(global),
            log: std::io::stderr().is_terminal().then(Mutex::default),
        };
        let invocations = prepared.run(&options, events, &printer, progress)?;
        let end = report::invoke_end(&invocations, &parts.findings).filter(|_| printing != Printing::Nothing);
        if let Some(end) = end {
            global.warn(&end);
        }
        let used = prepared.used_paths()?;
        Ok(RunResult {
            invocations,
            used,
            said_by_failed: prepared.said_by_failed(),
            left_out: Vec::new(),
            missing: prepared.missing.clone(),
            glibc: prepared.glibc.clone(),
            findings: parts.findings,
            runtime: parts.runtime,
        })
    }

    /// Opens a shell where it would run.
    pub(super) fn shell(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let parts = self.parts(global, progress)?;
        let options = self.options(&parts);
        let status = prepare_with_notes(&options, global, progress)?.shell(&options)?;
        Ok(Output {
            text: String::new(),
            status: Status::yes_or_no(status.success()),
        })
    }

    /// Reads the layers and the code, and refuses what AWS would refuse.
    fn parts(&self, global: &Global, progress: &Terminal) -> Result<SandboxInputs, Failure> {
        let (layers, read_layers) = read_settled(self.layers, global, || {
            let layers = inputs(self.layers)?;
            let read = read(&layers, MAX_UNZIPPED, progress)?;
            Ok((layers, read))
        })?;
        let task = self.own_code()?;
        let runtime = runtime_of(self.layers, global, &read_layers, self.recorded_runtime)?;
        let own_code = read(&task, MAX_UNZIPPED, progress)?;
        let advice = read_layers.iter().flat_map(|layer| bootstrap_advice(&layer.tree));
        let bootstrap_advice = advice.collect();
        // The function's code is elsewhere and not a layer; what can be unpacked and how large all is concerns it, too.
        let of_task: Vec<Finding> = own_code.iter().flat_map(|code| code.findings.clone()).collect();
        let parts = read_layers.iter().chain(&own_code);
        let too_large = too_large(parts.map(|part| part.tree.totals().unzipped_bytes).sum());
        let reading = progress.only_reading(Vec::new());
        let findings = judge(read_layers, &runtime, Bytes::default()).findings;
        drop(reading);
        if let Some(finding) = too_large.as_ref().filter(|_| self.may_be_too_large) {
            global.warn(&format!("{}; it is recorded all the same", finding.message));
        }
        let too_large = too_large.filter(|_| !self.may_be_too_large);
        let of_parts = blocking(&findings).into_iter().chain(blocking(&of_task));
        refuse(of_parts.chain(&too_large).collect(), global)?;
        Ok(SandboxInputs {
            layers,
            task,
            runtime,
            bootstrap_advice,
            findings,
        })
    }

    /// The function's code, which it may do without.
    fn own_code(&self) -> Result<Vec<Input>, Failure> {
        let task: Vec<PathBuf> = self.task.iter().map(|path| path.to_path_buf()).collect();
        let mut task = inputs(&task)?;
        task.retain(|input| !matches!(input, Input::Tree(directory) if is_empty(directory)));
        Ok(task)
    }

    fn options<'p>(&self, parts: &'p SandboxInputs) -> InvokeOptions<'p> {
        InvokeOptions {
            layers: parts.layers.clone(),
            task: parts.task.clone(),
            runtime: &parts.runtime,
            rootfs: self.rootfs.map(Path::to_path_buf),
            handler: self.handler.clone(),
            bootstrap_advice: parts.bootstrap_advice.clone(),
            environment: self.environment.clone(),
            timeout: self.timeout,
            memory_mb: self.memory_mb,
            traced: self.traced,
        }
    }
}

impl RunResult {
    /// Finds out, and says, what the function looked for that was left out of its layers. Where no event failed, only
    /// that counts which was left out because no recording used it: what other rules remove, a function may look for and do
    /// without.
    pub(super) fn explain_left_out(&mut self, function: &FunctionRun<'_>, global: &Global) {
        let failed = |invocation: &&Invocation| invocation.failure.is_some();
        let failures = self.invocations.iter().filter(failed);
        let words = failures.map(Invocation::words).chain([self.said_by_failed.clone()]);
        let words: Vec<String> = words.collect();
        let left_out = LeftOutFiles::of(&manifests(function.layers));
        self.left_out = left_out.looked_for(&self.used, &words.join("\n"));
        if !self.invocations.iter().any(|invocation| failed(&invocation)) {
            self.left_out.retain(|file| file.rule == UNUSED);
        }
        if !self.left_out.is_empty() && !global.quiet {
            tell(report::left_out_lines(&self.left_out, stderr_options(global)).trim_end());
        }
    }

    /// The document about the run.
    pub(super) fn report(&self, function: &FunctionRun<'_>) -> Invoked {
        Invoked::new(
            &self.runtime,
            &function.handler,
            function.memory_mb,
            (&self.missing, self.glibc.as_deref()),
            &self.invocations,
            &self.findings,
            self.left_out.clone(),
        )
    }

    /// The recording of the run.
    pub(super) fn recording(&self, function: &FunctionRun<'_>, events: &[Event]) -> Recording {
        let mut environment: Vec<String> = function.environment.iter().map(|(name, _)| name.clone()).collect();
        environment.sort_unstable();
        environment.dedup();
        Recording {
            schema_version: crate::recording::SCHEMA_VERSION,
            runtime: self.runtime.name.clone(),
            arch: self.runtime.arch,
            handler: function.handler.clone(),
            task: function.task.map(|task| task.display().to_string()),
            environment,
            timeout_seconds: function.timeout.as_secs_f64(),
            memory_mb: function.memory_mb,
            events: events
                .iter()
                .zip(&self.invocations)
                .map(|(event, invocation)| invocation.recorded(event))
                .collect(),
            paths: self.used.clone(),
        }
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

/// Prepares a sandbox, and says where it differs from Lambda.
fn prepare_with_notes(options: &InvokeOptions<'_>, global: &Global, progress: &Terminal) -> Result<Prepared, Failure> {
    let prepared = prepare(options, &HostDirectories::new(&[]), progress)?;
    for note in differences(&prepared, options.runtime, global.verbose) {
        global.note(&note);
    }
    Ok(prepared)
}

/// In what the sandbox differs from Lambda.
fn differences(prepared: &Prepared, runtime: &Runtime, verbose: bool) -> Vec<String> {
    let stand_in = prepared.stand_in.as_ref();
    let mut notes = report::invoke_notes(runtime, &prepared.missing, prepared.glibc.as_deref(), verbose);
    notes.extend(stand_in.and_then(|stand_in| report::stand_in_note(stand_in, verbose)));
    notes.extend(memory_note(prepared.memory_counted_by(), verbose));
    notes
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

fn is_empty(directory: &Path) -> bool {
    fs_err::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// How what goes to stderr looks.
fn stderr_options(global: &Global) -> RenderOptions {
    RenderOptions {
        width: None,
        color: global.render_options().color && std::io::stderr().is_terminal(),
        ..global.render_options()
    }
}

/// Prints what happens while it happens.
struct Printer<'a> {
    quiet: bool,
    printing: Printing,
    memory_mb: u64,
    findings: &'a [Finding],
    options: RenderOptions,
    /// What the function writes, if a terminal shows it; elsewhere it comes as it is.
    log: Option<Mutex<ForeignText>>,
}

impl Printer<'_> {
    /// Shows the log on a terminal, if that is one.
    fn show_log(&self, next: impl FnOnce(&mut ForeignText) -> String) {
        if let Some(log) = &self.log {
            let text = next(&mut log.lock().unwrap_or_else(PoisonError::into_inner));
            // If nobody reads it, the function continues.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

impl Listener for Printer<'_> {
    fn log(&self, bytes: &[u8]) {
        if self.printing == Printing::Nothing {
            return;
        }
        self.show_log(|log| log.part(bytes));
        if self.log.is_none() {
            let _ = std::io::stderr().write_all(bytes);
        }
    }

    fn done(&self, invocation: &Invocation) {
        if self.printing == Printing::Nothing {
            return;
        }
        self.show_log(ForeignText::end);
        let failed = invocation.failure.is_some();
        if self.printing == Printing::All
            && !failed
            && let Some(response) = &invocation.response
        {
            let mut out = std::io::stdout().lock();
            let shown = out.is_terminal().then(|| report::visible(response).into_bytes());
            let response = shown.as_ref().unwrap_or(response);
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
