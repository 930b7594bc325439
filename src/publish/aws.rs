//! The user's own aws tool. Here, and nowhere else, it is started.

use std::process::{Command, Stdio};

use super::command::AWS;
use super::refusal::Refusal;

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

/// The tool that PATH leads to.
#[derive(Debug, Clone, Copy, Default)]
pub struct CommandLine;

impl Aws for CommandLine {
    fn call(&self, arguments: &[String]) -> Result<String, CallError> {
        let output = Command::new(AWS)
            .args(arguments)
            // Whatever the user has set for working by hand: no questions, and errors in one line.
            .env("AWS_CLI_AUTO_PROMPT", "off")
            .env("AWS_CLI_ERROR_FORMAT", "legacy")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => CallError::Missing,
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
