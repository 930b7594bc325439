//! The user's own aws tool. Here, and nowhere else, it is started.

use std::io::{self, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::command::AWS;
use super::refusal::Refusal;
use crate::progress::Progress;

/// How often it is looked whether the run is to stop, and how long the tool may then take to end.
const PAUSE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs commands of the aws tool.
pub trait Aws {
    /// Runs one command, given without the tool's name, and gives what it wrote to stdout.
    fn call(&self, arguments: &[String]) -> Result<String, CallError>;
}

/// Error of a command of the aws tool.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no aws tool.
    #[error(
        "there is no `aws` on PATH, and publish works with it: install the AWS command line interface \
         (https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html, or `pip install awscli`), \
         log in with it, and run this again; --dry-run shows the commands without it"
    )]
    Missing,
    /// It does not start.
    #[error("cannot start `aws`: {0}; run `aws --version` to see whether it works at all")]
    Start(#[source] std::io::Error),
    /// It ran and failed.
    #[error("{}", .0.message)]
    Refused(Refusal),
}

/// The tool that PATH leads to. When the run is to stop, the tool is stopped as by Ctrl-C, which reaches it by itself only from
/// a terminal.
#[derive(Clone, Copy)]
pub struct CommandLine<'a>(pub &'a dyn Progress);

impl Aws for CommandLine<'_> {
    fn call(&self, arguments: &[String]) -> Result<String, CallError> {
        let output = Command::new(AWS)
            .args(arguments)
            // Whatever the user has set for working by hand: no questions, and errors in one line.
            .env("AWS_CLI_AUTO_PROMPT", "off")
            .env("AWS_CLI_ERROR_FORMAT", "legacy")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|child| self.output_of(child))
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => CallError::Missing,
                _ => CallError::Start(error),
            })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let environment: Vec<(String, String)> = std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect();
        Err(CallError::Refused(Refusal::read(
            arguments,
            &output.status.to_string(),
            &String::from_utf8_lossy(&output.stderr),
            &environment,
        )))
    }
}

impl CommandLine<'_> {
    /// Waits for the tool to end.
    fn output_of(&self, mut child: Child) -> io::Result<Output> {
        let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
        let mut stopping: Option<Instant> = None;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            match stopping {
                None if self.0.check().is_err() => {
                    stopping = Some(Instant::now());
                    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                        // It may have ended just now.
                        let _ = kill_process(pid, Signal::INT);
                    }
                }
                Some(began) if began.elapsed() > PATIENCE => child.kill()?,
                _ => {}
            }
            thread::sleep(PAUSE);
        };
        Ok(Output {
            status,
            stdout: self.received(&stdout),
            stderr: self.received(&stderr),
        })
    }

    /// What was read. What the tool has started may hold its pipes open after it: that is not waited for when the run is to stop.
    fn received(&self, read: &Receiver<Vec<u8>>) -> Vec<u8> {
        loop {
            match read.recv_timeout(PAUSE) {
                Ok(bytes) => return bytes,
                Err(RecvTimeoutError::Timeout) if self.0.check().is_ok() => {}
                Err(_) => return Vec::new(),
            }
        }
    }
}

/// Reads a pipe to its end in a thread of its own.
fn read(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could not be read is missing in the answer, which then is no JSON.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Silent, Stopped};

    fn child(script: &str) -> Child {
        Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    #[test]
    fn a_tool_that_goes_on_is_not_waited_for_once_the_run_is_to_stop() {
        for script in ["exec sleep 300", "sleep 300", "trap '' INT; sleep 300; sleep 300"] {
            let began = Instant::now();
            let output = CommandLine(&Stopped).output_of(child(script)).unwrap();
            assert!(!output.status.success(), "{script}");
            assert!(began.elapsed() < Duration::from_secs(60), "{script}");
        }
    }

    #[test]
    fn all_that_a_tool_writes_is_read() {
        let script = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; exit 3";
        let output = CommandLine(&Silent).output_of(child(script)).unwrap();
        assert_eq!(
            (output.stdout.len(), output.stderr.len(), output.status.code()),
            (300_000, 300_000, Some(3))
        );
    }
}
