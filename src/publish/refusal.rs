//! What the aws tool says when it fails: the part that may be shown, and the cure where one is known.
//!
//! Nothing that the tool writes is shown as it is. Of stderr only lines that begin as its errors do are kept, and from
//! these goes whatever could be a secret, or the value of an environment variable.

use serde::Serialize;

use super::command::shell;
use super::data::DATA;
use crate::tree::path::escaped;

/// Why a command of the aws tool failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Refusal {
    /// AWS's name of the error, such as `AccessDeniedException`; `None` if the error is the tool's own.
    pub code: Option<String>,
    /// AWS's own words.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Longer messages are cut.
const LONGEST: usize = 1000;
/// Values of environment variables are hidden wherever they stand if they have this many bytes,
const LONG_VALUE: usize = 8;
/// and as words of their own if they have at least this many and belong to AWS.
const SHORT_VALUE: usize = 3;
/// AWS's secret keys have 40 characters and session tokens more.
const SECRET: usize = 40;
/// AWS's access key identifiers have 16 to 128 characters (IAM API reference, AccessKey).
const KEY_ID: usize = 16;
const HIDDEN: &str = "[hidden]";

impl Refusal {
    /// Reads what a failed command left. `environment` is what the tool was started with.
    pub(super) fn read(arguments: &[String], status: &str, stderr: &str, environment: &[(String, String)]) -> Self {
        let lines: Vec<&str> = stderr.lines().filter_map(error_part).collect();
        let raw = lines.join(" ");
        let help = DATA
            .errors
            .iter()
            .find(|known| known.words.iter().any(|word| raw.contains(word.as_str())))
            .map(|known| known.help.clone());
        if raw.is_empty() {
            return Self {
                code: None,
                message: format!(
                    "`aws {}` failed ({status})",
                    arguments.iter().take(2).cloned().collect::<Vec<_>>().join(" ")
                ),
                help: format!("run it yourself to see what it says: {}", shell(arguments)),
            };
        }
        let mut message = escaped(hide(&raw, environment).as_bytes());
        if let Some((end, _)) = message.char_indices().nth(LONGEST) {
            message.truncate(end);
            message.push('…');
        }
        Self {
            code: code(&raw),
            message,
            help: help.unwrap_or_else(|| format!("no cure is known here; the command was: {}", shell(arguments))),
        }
    }

    /// A response that is not what was asked for.
    pub(super) fn unexpected(message: String, help: String) -> Self {
        Self {
            code: None,
            message,
            help,
        }
    }
}

/// The part of a line that is an error of the tool; the canonical request that AWS may quote behind it is cut off.
fn error_part(line: &str) -> Option<&str> {
    let start = DATA
        .shown
        .beginnings
        .iter()
        .filter_map(|beginning| line.find(beginning.as_str()))
        .min()?;
    let part = &line[start..];
    let end = ["The Canonical String", "The String-to-Sign", "Canonical Request"]
        .into_iter()
        .filter_map(|quote| part.find(quote))
        .min()
        .unwrap_or(part.len());
    Some(part[..end].trim_end())
}

/// The code in `An error occurred (CODE) when calling …`.
fn code(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("An error occurred (")?;
    let (code, _) = rest.split_once(')')?;
    let plain = code.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    (plain && !code.is_empty()).then(|| code.to_owned())
}

/// A text without values of environment variables, which are replaced by their names, and without anything that looks
/// like a credential.
fn hide(text: &str, environment: &[(String, String)]) -> String {
    let mut variables: Vec<&(String, String)> = environment.iter().collect();
    // Longer ones first, so that no part of a value stays behind because a shorter value is in it.
    variables.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    let mut text = text.to_owned();
    for (name, value) in variables {
        let value = value.trim();
        if value.len() >= LONG_VALUE {
            text = text.replace(value, &format!("[{name}]"));
        } else if value.len() >= SHORT_VALUE && name.starts_with("AWS_") {
            text = replace_word(&text, value, &format!("[{name}]"));
        }
    }
    hide_runs(&hide_user_in_urls(&text))
}

/// Replaces a word where it does not continue on either side.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        result.push_str(before);
        let continues = result.ends_with(char::is_alphanumeric) || after.starts_with(char::is_alphanumeric);
        result.push_str(if continues { word } else { by });
        rest = after;
    }
    result.push_str(rest);
    result
}

/// `https://user:password@host` without user and password.
fn hide_user_in_urls(text: &str) -> String {
    let mut parts = text.split("://");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(part.len());
        result.push_str("://");
        match part[..end].rfind('@') {
            Some(at) => {
                result.push_str(HIDDEN);
                result.push_str(&part[at..]);
            }
            None => result.push_str(part),
        }
    }
    result
}

/// Hides long runs of characters that are neither words nor plain hexadecimal digits.
fn hide_runs(text: &str) -> String {
    let in_run = |c: char| c.is_ascii_alphanumeric() || "+/=%".contains(c);
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(in_run) {
        result.push_str(&rest[..start]);
        let run = &rest[start..];
        let end = run.find(|c| !in_run(c)).unwrap_or(run.len());
        result.push_str(if looks_secret(&run[..end]) { HIDDEN } else { &run[..end] });
        rest = &run[end..];
    }
    result.push_str(rest);
    result
}

fn looks_secret(run: &str) -> bool {
    let any = |kind: fn(&char) -> bool| run.chars().any(|c| kind(&c));
    let mixed = any(char::is_ascii_uppercase) && any(char::is_ascii_lowercase) && any(char::is_ascii_digit);
    let key_id = run.starts_with('A')
        && any(char::is_ascii_digit)
        && run.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    (run.len() >= SECRET && mixed) || (run.len() >= KEY_ID && key_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stderr: &str, environment: &[(&str, &str)]) -> Refusal {
        let environment: Vec<(String, String)> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let arguments = ["lambda", "publish-layer-version", "--layer-name", "r-1"].map(ToOwned::to_owned);
        Refusal::read(&arguments, "exit status: 254", stderr, &environment)
    }

    #[test]
    fn every_known_error_is_shown_in_its_own_words_with_its_own_cure() {
        for known in &DATA.errors {
            let refusal = read(&format!("\n{}\n", known.example), &[]);
            assert_eq!(refusal.message, known.example);
            assert_eq!(refusal.help, known.help, "{}", known.example);
        }
    }

    #[test]
    fn every_form_of_the_tool_is_read() {
        let words = "An error occurred (NoSuchBucket) when calling the PutObject operation: The specified bucket does not exist";
        for line in [
            words.to_owned(),
            format!("\naws: [ERROR]: {words}\n"),
            format!("upload failed: layers/layer-1.zip to s3://b/k {words}"),
            format!(
                "/usr/lib/python3/x.py:7: Warning: old\n  warn()\n\n{words}\n\nAdditional error details:\nBucketName: b\n"
            ),
        ] {
            let refusal = read(&line, &[]);
            assert_eq!(refusal.message, words);
            assert_eq!(refusal.code.as_deref(), Some("NoSuchBucket"));
        }
        assert_eq!(read("Unable to locate credentials", &[]).code, None);
    }

    #[test]
    fn lines_that_are_no_error_are_kept_back() {
        for stderr in [
            "",
            "AWS_SECRET_ACCESS_KEY=abc",
            "Traceback (most recent call last):\n  token = 'abc'",
        ] {
            let refusal = read(stderr, &[]);
            assert_eq!(
                refusal.message,
                "`aws lambda publish-layer-version` failed (exit status: 254)"
            );
            assert!(
                refusal
                    .help
                    .ends_with("aws lambda publish-layer-version --layer-name r-1")
            );
        }
        let refusal = read(
            "An error occurred (SignatureDoesNotMatch) when calling the X operation: The signature does not match. \
             The Canonical String for this request should have been\n'POST\nx-amz-security-token:IQoJb3Jp'\n",
            &[],
        );
        assert_eq!(
            refusal.message,
            "An error occurred (SignatureDoesNotMatch) when calling the X operation: The signature does not match."
        );
    }

    #[test]
    fn no_value_of_the_environment_is_shown() {
        let environment = [
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            ("AWS_PROFILE", "dev"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_MAX_ATTEMPTS", "3"),
            ("HTTPS_PROXY", "http://me:secret@proxy:3128"),
            ("SHELL", "sh"),
            ("EMPTY", ""),
        ];
        for (text, shown) in [
            (
                "An error occurred (X) wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEYand more",
                "An error occurred (X) [AWS_SECRET_ACCESS_KEY]and more",
            ),
            (
                "The config profile (dev) could not be found on device dev",
                "The config profile ([AWS_PROFILE]) could not be found on device [AWS_PROFILE]",
            ),
            (
                "Could not connect to the endpoint URL: \"https://lambda.eu-west-1.amazonaws.com/\"",
                "Could not connect to the endpoint URL: \"https://lambda.[AWS_REGION].amazonaws.com/\"",
            ),
            (
                "Failed to connect to proxy URL: \"http://me:secret@proxy:3128\"",
                "Failed to connect to proxy URL: \"[HTTPS_PROXY]\"",
            ),
            ("Unknown options: 3 sh", "Unknown options: 3 sh"),
        ] {
            assert_eq!(read(text, &environment).message, shown);
        }
    }

    #[test]
    fn nothing_that_looks_like_a_credential_is_shown() {
        for (text, shown) in [
            ("key AKIAIOSFODNN7EXAMPLE here", "key [hidden] here"),
            ("ACCESSDENIEDEXCEPTION", "ACCESSDENIEDEXCEPTION"),
            ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "[hidden]"),
            ("Token=IQoJb3JpZ2luX2VjEJr%2F%2F%2FwEaCXVzLWVhc3QtMSJH&x", "[hidden]&x"),
            (
                "http://user:pass@host/a@b and https://host/x",
                "http://[hidden]@host/a@b and https://host/x",
            ),
            (
                "key layers/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.zip",
                "key layers/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.zip",
            ),
            (
                "arn:aws:lambda:eu-west-1:123456789012:layer:My-Runtime-1:2",
                "arn:aws:lambda:eu-west-1:123456789012:layer:My-Runtime-1:2",
            ),
        ] {
            assert_eq!(hide(text, &[]), shown);
        }
    }

    #[test]
    fn nothing_moves_the_cursor_and_nothing_is_endless() {
        let refusal = read(&format!("An error occurred (X) \u{1b}[2J{}", "word ".repeat(1000)), &[]);
        assert!(refusal.message.starts_with("An error occurred (X) \\u{1b}[2Jword"));
        assert_eq!(refusal.message.chars().count(), LONGEST + 1);
    }
}
