//! What a command gives back: the text for stdout and the exit status, or the reason why there is none.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use console::{Style, Term};

use crate::bootstrap::BootstrapError;
use crate::capture::CaptureError;
use crate::check::CheckError;
use crate::config::ConfigError;
use crate::image::ImageError;
use crate::inventory::InventoryError;
use crate::invoke::{InvokeError, OverlayError};
use crate::languages::place::PlaceError;
use crate::pack::PackError;
use crate::plan::PlanError;
use crate::progress::Interrupted;
use crate::prune::PruneError;
use crate::publish::PublishError;
use crate::recording::RecordingError;
use crate::report;
use crate::rules::RuleError;
use crate::runtime::RuntimeError;
use crate::sbom::SbomError;
use crate::scan::ScanError;

/// The exit status of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// 0: the command succeeded.
    Ok,
    /// 1: the check failed: findings of severity error, or something does not fit.
    No,
    /// 2: wrong arguments, or something could not be read or written.
    Failed,
    /// 130: stopped by the user, as shells have it (128 + SIGINT).
    Interrupted,
}

impl Status {
    /// The number of [`Status::Interrupted`]: 128 and that of SIGINT.
    pub(super) const INTERRUPTED: u8 = 130;

    /// 0 for yes, 1 for no.
    pub(super) fn yes_or_no(is_yes: bool) -> Self {
        if is_yes { Self::Ok } else { Self::No }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Ok => 0,
            Status::No => 1,
            Status::Failed => 2,
            Status::Interrupted => Status::INTERRUPTED,
        })
    }
}

/// What a command prints to stdout, and its exit status.
pub(super) struct Output {
    pub(super) text: String,
    pub(super) status: Status,
}

impl Output {
    /// The output of a command that succeeded.
    pub(super) fn ok(text: String) -> Self {
        Self {
            text,
            status: Status::Ok,
        }
    }
}

/// Why a command has no output, with a message for people.
#[derive(Debug)]
pub(super) enum Failure {
    /// Stopped by the user before anything was changed.
    Interrupted,
    /// Stopped by the user after something was changed.
    Stopped(String),
    /// The check failed, and nothing was made.
    No(String),
    /// Something could not be read, written or understood.
    Error(String),
}

impl Failure {
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Interrupted => "interrupted; nothing was changed",
            Self::Stopped(message) | Self::No(message) | Self::Error(message) => message,
        }
    }

    pub(super) fn status(&self) -> Status {
        match self {
            Self::Interrupted | Self::Stopped(_) => Status::Interrupted,
            Self::No(_) => Status::No,
            Self::Error(_) => Status::Failed,
        }
    }
}

impl From<Interrupted> for Failure {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

/// Errors of the library: each pattern is what has its own way out; all else is [`Failure::Error`] with the error's text.
macro_rules! failures {
    ($($error:ty { $($pattern:pat => $failure:expr),* $(,)? })*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let message = error.to_string();
                #[allow(clippy::match_single_binding, reason = "most errors have no way out of their own")]
                match error {
                    $($pattern => $failure(message),)*
                    _ => Self::Error(message),
                }
            }
        })*
    };
}

/// For errors whose text says nothing that the user does not know: it was the user who interrupted.
fn interrupted(_: String) -> Failure {
    Failure::Interrupted
}

failures! {
    BootstrapError {}
    ImageError { ImageError::Interrupted(_) => interrupted }
    CaptureError { CaptureError::Scan(ScanError::Interrupted(_)) => interrupted }
    CheckError { CheckError::Interrupted(_) => interrupted }
    ConfigError {}
    InventoryError { InventoryError::Check(CheckError::Interrupted(_)) => interrupted }
    InvokeError { InvokeError::Interrupted(_) | InvokeError::Overlay(OverlayError::Interrupted(_)) => interrupted }
    PackError {
        PackError::Interrupted(_) => interrupted,
        PackError::OverCapacity(_) | PackError::Huge(_) => Self::No,
    }
    PlaceError {}
    PlanError {}
    PruneError {
        PruneError::Interrupted(_) => interrupted,
        PruneError::Unfinished { .. } => Self::Stopped,
    }
    PublishError { PublishError::TooLarge { .. } => Self::No }
    RecordingError {}
    RuleError {}
    RuntimeError {}
    SbomError { SbomError::Check(CheckError::Interrupted(_)) => interrupted }
    ScanError { ScanError::Interrupted(_) => interrupted }
}

/// Prints to stdout. The reader may stop reading: `lambdar-prune analyze | head` is not an error.
pub(super) fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Whether messages are in color; set once, when the arguments are known.
static COLOR: OnceLock<bool> = OnceLock::new();

/// Sets whether messages on stderr are in color.
pub(super) fn set_color(color: bool) {
    let _ = COLOR.set(color);
}

/// Prints why a command failed.
pub(super) fn error(message: &str) {
    say("error", Style::new().red().bold(), message);
}

/// Prints what may be wrong, or what the user may not have meant.
pub(super) fn warn(message: &str) {
    say("warning", Style::new().yellow().bold(), message);
}

/// Prints what is worth knowing.
pub(super) fn note(message: &str) {
    say("note", Style::new().cyan().bold(), message);
}

/// Prints text to stderr as it is.
pub(super) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn say(kind: &str, style: Style, message: &str) {
    let kind = style
        .force_styling(COLOR.get().copied().unwrap_or_default())
        .apply_to(format!("{kind}:"));
    let width = std::io::stderr().is_terminal().then(|| Term::stderr().size().1);
    let text = report::folded(&format!("{kind} {}", without_error_numbers(message)), width);
    // If even stderr is closed, there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A message without the numbers that Rust puts behind the system's words: "No such file or directory (os error 2)".
fn without_error_numbers(message: &str) -> String {
    let mut parts = message.split(" (os error ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => text += rest,
            _ => text += &format!(" (os error {part}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_errors_are_left_out() {
        for (message, expected) in [
            (
                "cannot open x: No such file (os error 2); give y",
                "cannot open x: No such file; give y",
            ),
            ("a: b (os error 2): c (os error 13)", "a: b: c"),
            ("a (os error x) b (os error", "a (os error x) b (os error"),
            ("plain", "plain"),
        ] {
            assert_eq!(without_error_numbers(message), expected);
        }
    }
}
