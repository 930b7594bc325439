//! What a shell may complete a value with: names of rules, findings and runtimes, and paths in the tree.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap::builder::PossibleValue;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};

use crate::config::Config;
use crate::finding::Code;
use crate::rules::RuleSet;
use crate::runtime::{Arch, built_in};

use super::clock::today;

/// The tree if neither the command line nor the configuration names one.
pub(super) const DEFAULT_TREE: &str = "/opt";

/// Rules and categories of rules, those of the configuration among them.
pub(super) fn rules(current: &OsStr) -> Vec<CompletionCandidate> {
    let choices = Config::load(None).map(|config| config.selection).unwrap_or_default();
    let Ok(rules) = RuleSet::chosen(&[choices]).or_else(|_| RuleSet::built_in()) else {
        return Vec::new();
    };
    let ids = rules
        .iter()
        .map(|(rule, _)| (rule.id.clone(), Some(rule.title.clone())));
    let categories = rules.iter().map(|(rule, _)| (rule.category.clone(), None));
    matching(current, ids.chain(categories))
}

/// The codes of findings.
pub(super) fn codes(current: &OsStr) -> Vec<CompletionCandidate> {
    let codes = Code::all().map(|code| (code.to_string(), code.page().map(|page| page.title.clone())));
    matching(current, codes)
}

/// The codes of findings, and `all`.
pub(super) fn codes_or_all(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut candidates = codes(current);
    candidates.extend(matching(current, [("all".to_owned(), None)]));
    candidates
}

/// The built-in runtimes, and files.
pub(super) fn runtimes(current: &OsStr) -> Vec<CompletionCandidate> {
    let known = today().ok().and_then(|day| built_in(day).ok()).unwrap_or_default();
    let mut candidates = matching(current, known.into_iter().map(|known| (known.name, Some(known.title))));
    if candidates.is_empty() {
        candidates = PathCompleter::file().complete(current);
    }
    candidates
}

/// The architectures, by the names that Lambda has for them.
pub(super) fn archs(current: &OsStr) -> Vec<CompletionCandidate> {
    matching(current, Arch::ALL.map(|arch| (arch.to_string(), None)))
}

/// Formats of a report, and files after `FORMAT=`.
pub(super) fn report_files<F: ValueEnum>(current: &OsStr) -> Vec<CompletionCandidate> {
    if let Some((format, file)) = current.to_str().and_then(|current| current.split_once('=')) {
        let files = PathCompleter::any().complete(OsStr::new(file)).into_iter();
        return files.map(|file| file.add_prefix(format!("{format}="))).collect();
    }
    let formats = F::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let described = |format: PossibleValue| {
        let help = format.get_help().map(ToString::to_string);
        (format.get_name().to_owned(), help)
    };
    matching(current, formats.map(described))
}

/// A word of a command line without the quotes and backslashes that a shell takes away.
fn unquoted(word: &str) -> String {
    let (mut text, mut quote) = (String::new(), None);
    let mut letters = word.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            ('\\', None | Some('"')) => text.extend(letters.next()),
            _ => text.push(letter),
        }
    }
    text
}

/// The tree that a command line names: with `--tree`, else the first directory that is not the value of an option.
fn named_tree(words: &[String]) -> Option<PathBuf> {
    let of_option = words
        .iter()
        .find_map(|word| word.strip_prefix("--tree=").map(ToOwned::to_owned));
    let pairs = || words.windows(2);
    let of_option = of_option.or_else(|| pairs().find(|pair| pair[0] == "--tree").map(|pair| pair[1].clone()));
    let directory = || pairs().find(|pair| !pair[0].starts_with('-') && Path::new(&pair[1]).is_dir());
    of_option
        .or_else(|| directory().map(|pair| pair[1].clone()))
        .map(PathBuf::from)
}

/// Paths in the tree that the command line names, else that of the configuration, else /opt.
pub(super) fn tree_paths(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    // The last word is the one to complete, and the first two are the program and its command.
    let mut words: Vec<String> = words.map(|word| unquoted(&word.to_string_lossy())).skip(1).collect();
    words.pop();
    let named = named_tree(&words);
    let configured = || Config::load(None).ok()?.project.tree;
    let tree = named.or_else(configured).unwrap_or_else(|| DEFAULT_TREE.into());
    let Some(current) = current.to_str() else {
        return Vec::new();
    };
    let (directory, _) = current.rsplit_once('/').unwrap_or_default();
    // A path in the tree never leads out of it.
    if Path::new(current).is_absolute() || directory.split('/').any(|part| part == "..") {
        return Vec::new();
    }
    let Ok(entries) = fs_err::read_dir(tree.join(directory)) else {
        return Vec::new();
    };
    let mut paths: Vec<String> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let slash = if entry.file_type().ok()?.is_dir() { "/" } else { "" };
            let separator = if directory.is_empty() { "" } else { "/" };
            Some(format!("{directory}{separator}{}{slash}", entry.file_name().to_str()?))
        })
        .collect();
    paths.sort();
    matching(OsStr::new(current), paths.into_iter().map(|path| (path, None)))
}

/// Those that begin with what is there already, each once.
fn matching(current: &OsStr, known: impl IntoIterator<Item = (String, Option<String>)>) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else {
        return Vec::new();
    };
    let mut seen = std::collections::BTreeSet::new();
    known
        .into_iter()
        .filter(|(name, _)| name.starts_with(current) && seen.insert(name.clone()))
        .map(|(name, help)| CompletionCandidate::new(name).help(help.map(Into::into)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_their_quotes_as_in_a_shell() {
        for (word, expected) in [
            ("'my tree'", "my tree"),
            ("my\\ tree", "my tree"),
            ("\"it's\"", "it's"),
            ("'a\\b'", "a\\b"),
            ("\"a\\\"b\"", "a\"b"),
            ("plain", "plain"),
        ] {
            assert_eq!(unquoted(word), expected);
        }
    }
}
