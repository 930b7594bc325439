//! Why an event was not answered, in Lambda's words.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::api::ErrorBody;
use super::data::DATA;
use super::wire::{Exit, Process, StartFailure};
use crate::finding::{Code, Finding};

/// An error as a caller of the function gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Failure {
    /// Such as `Runtime.ExitError`, or what the runtime calls it.
    pub error_type: String,
    /// What happened.
    pub error_message: String,
    /// The calls that led to it, as far as the runtime tells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack_trace: Vec<String>,
    /// What to do, where that is known. Lambda does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Whether the runtime reported it itself, and goes on.
    #[serde(skip)]
    reported: bool,
}

/// The kind of error if an event takes too long.
pub const TIMED_OUT: &str = "Sandbox.Timedout";

impl Failure {
    fn new(kind: &str, message: String) -> Self {
        Self {
            error_type: kind.to_owned(),
            error_message: message,
            stack_trace: Vec::new(),
            help: None,
            reported: false,
        }
    }

    /// Whether the runtime reported it itself, and goes on.
    pub(super) fn is_of_handler(&self) -> bool {
        self.reported
    }

    /// Whether the event took too long.
    pub(super) fn is_timeout(&self) -> bool {
        self.error_type == TIMED_OUT
    }

    /// An error of the environment.
    pub(super) fn of_request(id: &str, kind: &str, message: &str) -> Self {
        Self::new(kind, format!("RequestId: {id} Error: {message}"))
    }

    /// The runtime's own report.
    pub(super) fn reported(error: &ErrorBody) -> Self {
        let text = String::from_utf8_lossy(&error.body).into_owned();
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let word = |name: &str| value.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        // Runtimes differ in the name.
        let trace = match value.get("stackTrace").or_else(|| value.get("trace")) {
            Some(Value::Array(lines)) => lines
                .iter()
                .map(|line| line.as_str().map_or_else(|| line.to_string(), ToOwned::to_owned))
                .collect(),
            Some(Value::String(lines)) => lines.lines().map(ToOwned::to_owned).collect(),
            _ => Vec::new(),
        };
        Self {
            error_type: word("errorType")
                .or_else(|| error.header.clone())
                .unwrap_or_else(|| "Runtime.UnknownReason".to_owned()),
            error_message: word("errorMessage").unwrap_or(text),
            stack_trace: trace,
            help: None,
            reported: true,
        }
    }

    /// A process has ended though it should have asked for an event or responded to one. `over_memory` is what it was given, in
    /// MB, if it used more.
    pub(super) fn exited(id: &str, process: &Process, exit: Exit, over_memory: Option<u64>) -> Self {
        let how = match (exit.status, exit.signal) {
            (Some(status), _) => format!("exit status {status}"),
            (None, Some(signal)) => format!("signal: {}", signal_name(signal)),
            (None, None) => "unknown".to_owned(),
        };
        let (kind, message) = match process {
            Process::Runtime if exit.status == Some(0) => (
                "Runtime.ExitError",
                "Runtime exited without providing a reason".to_owned(),
            ),
            Process::Runtime => ("Runtime.ExitError", format!("Runtime exited with error: {how}")),
            Process::Extension(name) => ("Extension.Crash", format!("extension {name}: {how}")),
        };
        Self {
            help: over_memory.map(too_much_memory),
            ..Self::of_request(id, kind, &message)
        }
    }

    /// There is nothing to start. `advice` is what the languages of the layers have to say of that.
    pub(super) fn no_bootstrap(id: &str, advice: &[&str]) -> Self {
        // AWS leaves the first place out, which is not the user's.
        let places = DATA.process.bootstraps.get(1..).unwrap_or_default().join(" ");
        let own = "put an executable file named bootstrap at the root of a layer or of the task";
        let help: Vec<&str> = [own].into_iter().chain(advice.iter().copied()).collect();
        Self {
            help: Some(help.join("; ")),
            ..Self::of_request(
                id,
                "Runtime.InvalidEntrypoint",
                &format!("Couldn't find valid bootstrap(s): [{places}]"),
            )
        }
    }

    /// A program cannot be started, for the reason with this number.
    pub(super) fn not_started(id: &str, failure: &StartFailure) -> Self {
        let StartFailure {
            process,
            program,
            errno,
        } = failure;
        let reason = rustix::io::Errno::from_raw_os_error(*errno);
        let (reason, help) = match reason {
            rustix::io::Errno::ACCESS => (
                "permission denied".to_owned(),
                "make it executable for everyone (`chmod 755`) before it is packed",
            ),
            rustix::io::Errno::NOENT => (
                "no such file or directory".to_owned(),
                "the file is there, but not what it is run by: look at its first line (it may end with \\r\\n), or for a \
                 compiled program at its loader",
            ),
            rustix::io::Errno::NOEXEC => (
                "exec format error".to_owned(),
                "begin a script with #!/bin/sh, and build a program for the architecture of the function",
            ),
            other => (go_style(&other.to_string()), ""),
        };
        let message = format!("fork/exec {program}: {reason}");
        let kind = match process {
            Process::Runtime => "Runtime.InvalidEntrypoint",
            Process::Extension(_) => "Extension.LaunchError",
        };
        Self {
            help: Some(help.to_owned()).filter(|help| !help.is_empty()),
            ..Self::of_request(id, kind, &message)
        }
    }

    /// Time is over.
    pub(super) fn timed_out(id: &str, timeout: Duration) -> Self {
        let message = format!("Task timed out after {:.2} seconds", timeout.as_secs_f64());
        Self::of_request(id, TIMED_OUT, &message)
    }

    /// The sandbox itself is gone.
    pub(super) fn sandbox_ended(id: &str, over_memory: Option<u64>) -> Self {
        Self {
            help: Some(over_memory.map_or_else(|| "the sandbox around the function ended".to_owned(), too_much_memory)),
            ..Self::of_request(id, "Runtime.ExitError", "Runtime exited with error: signal: killed")
        }
    }

    /// The event is larger than any request to a function may be.
    pub(super) fn event_too_large(bytes: usize) -> Self {
        let limit = DATA.process.largest_event;
        Self::new(
            "RequestEntityTooLargeException",
            format!("{bytes} byte payload is too large for the RequestResponse invocation type (limit {limit} bytes)"),
        )
    }
}

fn too_much_memory(given: u64) -> String {
    format!("it used more than the {given} MB that it was given; try a larger --memory")
}

/// The text of an error number as Go has it: in lower case, without the number that Rust adds.
fn go_style(text: &str) -> String {
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// The name of a signal as Go's `syscall.Signal` has it, which is how Lambda tells of it (signal(7)).
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

/// The findings that explain why an event was not answered: those that name a library, a program or a path that its log or its
/// error speaks of, and those on the bootstrap itself where that could not be started.
pub fn explaining<'a>(findings: &'a [Finding], failure: &Failure, log: &str) -> Vec<&'a Finding> {
    let at_start = failure.error_type == "Runtime.InvalidEntrypoint";
    findings
        .iter()
        .filter(|finding| {
            let on_bootstrap = finding.path.as_deref() == Some("bootstrap")
                || finding.code == Code::MissingInterpreter && finding.message.contains("bootstrap");
            let command = finding
                .message
                .split(" may run ")
                .nth(1)
                .and_then(|rest| rest.split(',').next());
            let not_found = |command: &str| {
                log.lines()
                    .any(|line| line.contains(&format!("{command}: ")) && line.contains("not found"))
            };
            at_start && on_bootstrap
                || finding.code == Code::MissingCommand && command.is_some_and(not_found)
                || named(&finding.message).any(|name| log.contains(name) || failure.error_message.contains(name))
        })
        .collect()
}

/// The names of libraries and versions, and the absolute paths, at the beginning of a message, which says what is missing.
fn named(message: &str) -> impl Iterator<Item = &str> {
    message
        .split(|c: char| c.is_whitespace() || c == ',' || c == ';')
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/' && c != '_'))
        .filter(|word| word.contains(".so") || word.len() > 1 && word.starts_with('/') || is_version(word))
        .take(1)
}

/// Whether a word is a symbol version, such as GLIBC_2.35.
fn is_version(word: &str) -> bool {
    word.rsplit_once('_')
        .is_some_and(|(_, number)| number.starts_with(|first: char| first.is_ascii_digit()) && number.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bootstrap that was not started for this reason (errno(3)).
    fn bootstrap_with(errno: i32) -> StartFailure {
        StartFailure {
            process: Process::Runtime,
            program: "/opt/bootstrap".to_owned(),
            errno,
        }
    }

    #[test]
    fn ends_are_told_in_lambdas_words() {
        let check = |status, signal, expected: &str| {
            let exit = Exit { status, signal };
            let failure = Failure::exited("7", &Process::Runtime, exit, None);
            assert_eq!(failure.error_type, "Runtime.ExitError");
            assert_eq!(failure.error_message, format!("RequestId: 7 Error: {expected}"));
        };
        check(Some(3), None, "Runtime exited with error: exit status 3");
        check(Some(0), None, "Runtime exited without providing a reason");
        check(None, Some(9), "Runtime exited with error: signal: killed");
        check(None, Some(11), "Runtime exited with error: signal: segmentation fault");
        assert_eq!(
            Failure::timed_out("7", Duration::from_secs(3)).error_message,
            "RequestId: 7 Error: Task timed out after 3.00 seconds"
        );
        for (errno, expected) in [
            (2, "no such file or directory"),
            (8, "exec format error"),
            (13, "permission denied"),
            (40, "too many levels of symbolic links"),
        ] {
            assert_eq!(
                Failure::not_started("7", &bootstrap_with(errno)).error_message,
                format!("RequestId: 7 Error: fork/exec /opt/bootstrap: {expected}")
            );
        }
        assert_eq!(
            Failure::no_bootstrap("7", &[]).error_message,
            "RequestId: 7 Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
        );
    }

    #[test]
    fn reports_of_runtimes_are_read_whatever_they_are() {
        let report = |header: Option<&str>, body: &str| {
            Failure::reported(&ErrorBody {
                header: header.map(ToOwned::to_owned),
                body: body.as_bytes().to_vec(),
            })
        };
        let failure = report(
            Some("R.Error"),
            r#"{"errorMessage":"no","errorType":"simpleError","stackTrace":["f()","g()"]}"#,
        );
        assert_eq!(
            (failure.error_type.as_str(), failure.error_message.as_str()),
            ("simpleError", "no")
        );
        assert_eq!(failure.stack_trace, ["f()", "g()"]);
        let failure = report(Some("R.Error"), "not JSON");
        assert_eq!(
            (failure.error_type.as_str(), failure.error_message.as_str()),
            ("R.Error", "not JSON")
        );
        assert_eq!(report(None, "[1]").error_type, "Runtime.UnknownReason");
    }

    #[test]
    fn the_finding_that_explains_is_found() {
        let missing = Finding::new(
            Code::MissingLibrary,
            &[
                ("soname", "libgfortran.so.5"),
                ("needed_by", "R/modules/lapack.so"),
                ("runtime", "provided.al2023"),
            ],
        );
        let version = Finding::new(
            Code::SymbolVersionMissing,
            &[("version", "GLIBC_2.35"), ("library", "libm.so.6")],
        );
        let command = Finding::new(
            Code::MissingCommand,
            &[
                ("files", "bootstrap"),
                ("command", "jq"),
                ("runtime", "provided.al2023"),
            ],
        );
        let log = "/opt/bootstrap: line 3: jq: command not found";
        let exit = Exit {
            status: Some(127),
            signal: None,
        };
        let failure = Failure::exited("7", &Process::Runtime, exit, None);
        assert_eq!(explaining(std::slice::from_ref(&command), &failure, log), [&command]);
        let interpreter = Finding::new(
            Code::MissingInterpreter,
            &[
                ("interpreter", "/usr/bin/perl"),
                ("files", "bootstrap"),
                ("runtime", "provided.al2023"),
            ],
        )
        .at("bootstrap");
        let findings = [missing.clone(), version, interpreter.clone()];
        let exit = Exit {
            status: Some(1),
            signal: None,
        };
        let failure = Failure::exited("7", &Process::Runtime, exit, None);
        let log = "unable to load shared object: libgfortran.so.5: cannot open shared object file";
        assert_eq!(explaining(&findings, &failure, log), [&missing]);
        let failure = Failure::not_started("7", &bootstrap_with(2));
        assert_eq!(explaining(&findings, &failure, ""), [&interpreter]);
    }
}
