//! Libraries that code opens by name.

use std::collections::BTreeMap;

use super::shown;
use crate::finding::{Code, Finding, Severity};
use crate::opened::{MissingOpened, missing_opened};
use crate::root::Root;
use crate::source::LibraryName;
use crate::tree::path::escaped;

/// Those that nobody has. Where what opens one goes on without it, that is worth a note, and one for all in a library.
pub(super) fn opened_findings(root: Root<'_>) -> Vec<Finding> {
    let mut together: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for MissingOpened {
        by,
        names,
        line,
        is_required,
    } in missing_opened(root)
    {
        let names: Vec<String> = names.iter().map(LibraryName::shown).collect();
        let names = escaped(names.join(" or ").as_bytes());
        // Only what is required is worth a finding of its own.
        let own = is_required.then(|| names.clone());
        together.entry((by, line, own)).or_default().push(names);
    }
    together
        .into_iter()
        .map(|((by, line, required), names)| {
            let line = line.map(|line| format!(" in line {line}")).unwrap_or_default();
            let words = [
                ("names", &*listed(&names)),
                ("line", &line),
                ("runtime", &root.runtime.name),
            ];
            let finding = Finding::new(Code::OpenedLibraryMissing, &words).at(shown(by));
            match required {
                Some(_) => finding,
                None => finding.with_severity(Severity::Note),
            }
        })
        .collect()
}

/// The first names, and the number of the others.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    if names.len() > SHOWN {
        text.push(format!("{} more", names.len() - SHOWN));
    }
    text.join(", ")
}
