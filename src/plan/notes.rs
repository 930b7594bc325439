//! What there is to say about a plan that its author may not expect.

use std::collections::BTreeMap;

use super::retain::Retention;
use crate::finding::{Code, Finding};
use crate::rules::Matcher;
use crate::runtime::Runtime;
use crate::tree::{Tree, TreePath};
use crate::uses::User;

/// Globs that match nothing, and files that stay although they were to be dropped.
pub(super) fn notes(tree: &Tree, rules: &Matcher, retention: &Retention) -> Vec<Finding> {
    let mut notes: Vec<Finding> = rules
        .unmatched_globs(tree)
        .into_iter()
        .map(|(choice, glob)| Finding::new(Code::GlobMatchesNothing, &[("choice", choice), ("glob", glob)]))
        .collect();
    // What one file keeps is said once.
    let mut kept: BTreeMap<(&str, &User), Vec<&super::Retained>> = BTreeMap::new();
    for retained in retention
        .retained
        .iter()
        .filter(|retained| rules.is_drop(&retained.rule))
    {
        let by = (retained.rule.as_str(), &retained.because.from);
        kept.entry(by).or_default().push(retained);
    }
    notes.extend(kept.into_iter().filter_map(|((choice, by), retained)| {
        let (first, more) = retained.split_first()?;
        let more = match more.len() {
            0 => String::new(),
            count => format!("; {count} more likewise"),
        };
        let words = [
            ("choice", choice),
            ("by", &by.to_string()),
            ("evidence", &first.because.evidence.to_string()),
            ("more", &more),
            ("path", first.path.as_str()),
        ];
        Some(Finding::new(Code::DropNotObeyed, &words).at(first.path.to_string()))
    }));
    notes.sort();
    notes
}

/// That the runtime has its own copy of all that the tree has.
pub(super) fn shadowed_layer(path: &TreePath, runtime: &Runtime) -> Finding {
    Finding::new(Code::ShadowedLayer, &[("runtime", &runtime.name)]).at(path.to_string())
}
