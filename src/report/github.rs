//! Workflow commands, which GitHub Actions turns into annotations of a run (GitHub Docs, "Workflow commands for GitHub
//! Actions").

use sha2::{Digest, Sha256};

use super::{Checked, location};
use crate::finding::Severity;
use crate::tree::path::escaped;

/// One command a finding. What is allowed is not shown.
pub fn github(checked: &Checked) -> String {
    let mut text = String::new();
    for finding in &checked.findings {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        text += &format!(
            "::{command} file={},title={}::{}\n",
            property(&location::path(finding)),
            property(&format!("{} ({})", finding.code, location::path(finding))),
            data(&format!(
                "{}\nhelp: {}",
                escaped(finding.message.as_bytes()),
                escaped(finding.help.as_bytes())
            )),
        );
    }
    text
}

/// A text in which GitHub looks for no commands.
///
/// The word that ends the stretch must not be in it. It is a hash of the text, and no text can hold its own.
pub fn without_commands(text: &str) -> String {
    let word = base16ct::lower::encode_string(&Sha256::digest(text.as_bytes()));
    let newline = if text.ends_with('\n') || text.is_empty() {
        ""
    } else {
        "\n"
    };
    format!("::stop-commands::{word}\n{text}{newline}::{word}::\n")
}

/// The data of a command, as the runner reads it back (`escapeData` of GitHub's own toolkit).
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property (`escapeProperty` there).
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
