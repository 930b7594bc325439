//! What check finds by its name: leftovers, secrets, archives, directories that repeat /opt. The data is in `rules/check.toml`.

use std::sync::LazyLock;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use super::shown;
use crate::finding::{Code, Finding, Severity};
use crate::languages::LANGUAGES;
use crate::languages::components::Components;
use crate::tree::{Content, Entry, Tree, TreePath};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Data {
    at_run_time: Vec<Places>,
    top_directory: Vec<Directories>,
    #[serde(rename = "data")]
    kept_by_packages: Vec<Directories>,
    found: Vec<FoundData>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Places {
    paths: Vec<String>,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Directories {
    names: Vec<String>,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FoundData {
    code: Code,
    what: String,
    paths: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
}

/// The data, with its globs compiled. It is part of the program, and a test reads it: it cannot be wrong.
#[derive(Debug, Default)]
struct Known {
    at_run_time: Vec<String>,
    top_directories: Vec<String>,
    data_directories: Vec<String>,
    found: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    code: Code,
    what: String,
    paths: GlobSet,
    except: GlobSet,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| known().unwrap_or_default());

fn known() -> Result<Known, Box<dyn std::error::Error>> {
    let data: Data = toml::from_str(include_str!("../../rules/check.toml"))?;
    let globs = |texts: &[String]| {
        let mut builder = GlobSetBuilder::new();
        for text in texts {
            builder.add(GlobBuilder::new(text).literal_separator(true).build()?);
        }
        builder.build()
    };
    let mut known = Known {
        at_run_time: data.at_run_time.into_iter().flat_map(|places| places.paths).collect(),
        top_directories: data
            .top_directory
            .into_iter()
            .flat_map(|directories| directories.names)
            .collect(),
        data_directories: data
            .kept_by_packages
            .into_iter()
            .flat_map(|directories| directories.names)
            .collect(),
        found: Vec::new(),
    };
    for found in data.found {
        known.found.push(Pattern {
            paths: globs(&found.paths)?,
            except: globs(&found.except)?,
            code: found.code,
            what: found.what,
        });
    }
    Ok(known)
}

/// Whether a function finds something at an absolute path outside of /opt that the runtime's lists do not name.
pub(super) fn is_there_at_run_time(absolute: &str) -> bool {
    KNOWN.at_run_time.iter().any(|place| {
        absolute
            .strip_prefix(place.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Everything of this kind in one layer.
pub(super) fn name_findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let packages = Components::of(tree);
    let mut inside: Option<&TreePath> = None;
    for (path, entry) in tree.iter() {
        if inside.is_some_and(|directory| path.below(directory).is_some()) {
            continue;
        }
        if let Some(finding) = found(path, entry) {
            let finding = match finding.code {
                Code::NestedArchive if is_data(path) || packages.is_in_package(path) || is_in_package(path, tree) => {
                    finding.with_severity(Severity::Note)
                }
                _ => finding,
            };
            findings.push(finding.at(shown(path)));
            if matches!(entry, Entry::Directory(_)) {
                inside = Some(path);
            }
        }
    }
    findings.extend(top_directory(tree));
    findings.extend(only_an_archive(tree, &findings));
    noted_once(findings)
}

/// The findings, with one note for all archives that packages bring: they have one reason.
fn noted_once(findings: Vec<Finding>) -> Vec<Finding> {
    let is_noted = |finding: &Finding| finding.code == Code::NestedArchive && finding.severity == Severity::Note;
    let (noted, mut findings): (Vec<Finding>, Vec<Finding>) = findings.into_iter().partition(is_noted);
    let paths: Vec<String> = noted.iter().filter_map(|finding| finding.path.clone()).collect();
    let first = noted.into_iter().next();
    findings.extend(first.map(|first| if paths.len() > 1 { first.about(paths) } else { first }));
    findings
}

/// A layer that holds nothing but archives: Lambda unpacks the layer, and not what is in it.
fn only_an_archive(tree: &Tree, findings: &[Finding]) -> Option<Finding> {
    let files = tree
        .iter()
        .filter(|(_, entry)| !matches!(entry, Entry::Directory(_)))
        .map(|(path, _)| path);
    let archives = findings.iter().filter(|finding| finding.code == Code::NestedArchive);
    let archives: Vec<&str> = archives.filter_map(|finding| finding.path.as_deref()).collect();
    // What macOS adds to an archive does not count as content.
    let mut files =
        files.filter(|path| path.file_name() != ".DS_Store" && !path.names().any(|name| name == "__MACOSX"));
    let first = files.next()?;
    let is_archive = |path: &TreePath| archives.contains(&shown(path).as_str());
    (is_archive(first) && files.all(is_archive)).then(|| Finding::new(Code::OnlyAnArchive, &[]).at(shown(first)))
}

fn is_in_package(path: &TreePath, tree: &Tree) -> bool {
    LANGUAGES.iter().any(|language| language.is_in_package(path, tree))
}

/// Whether packages keep data at a path, which they read by themselves.
fn is_data(path: &TreePath) -> bool {
    path.parent().is_some_and(|above| {
        above
            .names()
            .any(|name| KNOWN.data_directories.iter().any(|known| known == name))
    })
}

fn found(path: &TreePath, entry: &Entry) -> Option<Finding> {
    if let Entry::File(file) = entry {
        let by_content = match &file.content {
            Content::PrivateKey => Some((Code::Secret, "a private key")),
            Content::CoreDump => Some((Code::Leftover, "a core dump, the memory of a program that crashed")),
            _ => None,
        };
        if let Some((code, what)) = by_content {
            return Some(Finding::new(code, &[("what", what)]));
        }
    }
    let text = path.as_str();
    KNOWN
        .found
        .iter()
        .find(|pattern| {
            let is_directory = matches!(entry, Entry::Directory(_));
            // Only directories of version control and the like are reported whole; `x.zip/` is a directory like any other.
            (!is_directory || pattern.code == Code::Leftover)
                && !matches!(entry, Entry::Symlink(_))
                && pattern.paths.is_match(text)
                && !pattern.except.is_match(text)
        })
        .map(|pattern| Finding::new(pattern.code, &[("what", &pattern.what)]))
}

/// A layer in which everything is in a directory that is meant to be /opt.
fn top_directory(tree: &Tree) -> Option<Finding> {
    let mut names = tree.iter().filter_map(|(path, _)| path.names().next());
    let first = names.next()?;
    let known = KNOWN.top_directories.iter().any(|name| name == first);
    let alone = known && names.all(|name| name == first) && tree.iter().any(|(path, _)| path.names().count() > 1);
    alone.then(|| Finding::new(Code::WrongTopFolder, &[("folder", first)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_readable() {
        let known = known().unwrap();
        assert!(known.found.len() > 5);
        assert!(is_there_at_run_time("/tmp/x") && is_there_at_run_time("/proc"));
        assert!(!is_there_at_run_time("/tmpfiles") && !is_there_at_run_time("/usr/local/lib"));
    }
}
