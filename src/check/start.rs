//! What a function is started through: bootstrap, extensions, R's scripts and programs, and whether they can start.

use std::collections::{BTreeMap, BTreeSet};

use super::{names, shown};
use crate::elf::Kind;
use crate::finding::{Code, Finding};
use crate::languages::r::RHome;
use crate::root::{Location, Root};
use crate::shell;
use crate::size::exact;
use crate::tree::path::escaped;
use crate::tree::{Content, Entry, File, Mode, TreePath};

/// What Lambda starts in the layers of a runtime without a language.
const BOOTSTRAP: &str = "bootstrap";
/// What Lambda starts beside it.
const EXTENSIONS: &str = "extensions";
/// The right of others to execute: on Lambda nobody is the owner of /opt.
const EXECUTE: u32 = 0o001;

/// Everything of this kind that is wrong.
pub(super) fn start_findings(root: Root<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut judged = BTreeSet::new();
    if !root.runtime.has_language() {
        match root.resolve("/opt/bootstrap") {
            Ok(Location::Tree(path)) if root.tree.file(&path).is_some() => {
                judged.insert(path);
            }
            // A link that leads nowhere is reported as one.
            _ if is_link(root) => {}
            _ => findings.extend(no_bootstrap(root)),
        }
    }
    judged.extend(extensions(root));
    for path in &judged {
        if let Some(file) = root.tree.file(path) {
            findings.extend(started(file).into_iter().map(|finding| finding.at(shown(path))));
        }
    }
    findings.extend(r_programs(root, &mut judged));
    findings.extend(r_homes(root));
    findings.extend(other_programs(root, &judged));
    findings
}

fn is_link(root: Root<'_>) -> bool {
    TreePath::new(BOOTSTRAP).is_some_and(|path| matches!(root.tree.get(&path), Some(Entry::Symlink(_))))
}

/// A bootstrap that lies one folder too deep, or none at all.
fn no_bootstrap(root: Root<'_>) -> Vec<Finding> {
    let too_deep: Vec<_> = root
        .tree
        .files()
        .filter(|(path, file)| {
            let can_start = matches!(&file.content, Content::Text(text) if text.starts_with("#!"))
                || file.content.object().is_some();
            path.names().count() == 2 && path.file_name() == BOOTSTRAP && can_start
        })
        .map(|(path, _)| {
            let folder = path.parent().map(|folder| shown(&folder)).unwrap_or_default();
            Finding::new(Code::BootstrapTooDeep, &[("folder", &folder)]).at(shown(path))
        })
        .collect();
    if too_deep.is_empty() {
        vec![Finding::new(Code::BootstrapMissing, &[("runtime", &root.runtime.name)])]
    } else {
        too_deep
    }
}

/// Lambda starts every file in this folder.
fn extensions(root: Root<'_>) -> Vec<TreePath> {
    root.tree
        .files()
        .map(|(path, _)| path)
        .filter(|path| path.parent().is_some_and(|folder| folder.as_str() == EXTENSIONS))
        .cloned()
        .collect()
}

fn octal(mode: Mode) -> String {
    format!("{:04o}", mode.bits())
}

/// What keeps the kernel from starting a file.
fn started(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.mode.bits() & EXECUTE == 0 {
        findings.push(Finding::new(
            Code::BootstrapNotExecutable,
            &[("mode", &octal(file.mode))],
        ));
    }
    let text = match &file.content {
        Content::Object(_) | Content::Rscript(..) | Content::BrokenObject(_) => return findings,
        Content::Text(text) => text.as_str(),
        _ => "",
    };
    if text.starts_with("#!") {
        let line = text.split('\n').position(|line| line.ends_with('\r'));
        if let Some(line) = line {
            findings.push(Finding::new(
                Code::BootstrapWithCrlf,
                &[("line", &(line + 1).to_string())],
            ));
        }
        return findings;
    }
    let what = if file.bytes.0 == 0 {
        "is empty"
    } else if text.starts_with('\u{feff}') {
        "begins with a byte order mark"
    } else if text.trim_start().starts_with("#!") {
        "has blanks or empty lines before its #!"
    } else {
        "does not begin with #! or as an ELF program"
    };
    findings.push(Finding::new(Code::BootstrapNotRunnable, &[("what", what)]));
    findings
}

/// R's start script and program must be executable. Notes what was judged.
fn r_programs(root: Root<'_>, judged: &mut BTreeSet<TreePath>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut paths: BTreeSet<TreePath> = start_scripts(root).map(|(path, _)| path.clone()).collect();
    let homes = RHome::all(root.tree);
    paths.extend(homes.iter().filter_map(|home| home.path.join("bin/exec/R")));
    for path in paths {
        let Some(file) = root.tree.file(&path) else { continue };
        if file.mode.bits() & EXECUTE == 0 {
            findings.push(Finding::new(Code::RNotExecutable, &[("mode", &octal(file.mode))]).at(shown(&path)));
        }
        judged.insert(path);
    }
    findings
}

/// The scripts by which R is started: they say where it lies.
fn start_scripts(root: Root<'_>) -> impl Iterator<Item = (&TreePath, &str)> {
    root.tree
        .files()
        .filter(|(path, _)| path.file_name() == "R")
        .filter_map(|(path, file)| Some((path, file.content.text()?)))
        .filter(|(_, text)| text.starts_with("#!") && text.contains("R_HOME_DIR="))
}

/// Places where R's folder is named, and R is not there.
fn r_homes(root: Root<'_>) -> Vec<Finding> {
    let homes: Vec<TreePath> = RHome::all(root.tree).into_iter().map(|home| home.path).collect();
    let mut named: Vec<(&TreePath, &str, String)> = Vec::new();
    for (path, text) in start_scripts(root) {
        named.extend(assigned(text, &["R_HOME_DIR"], "").map(|(name, value)| (path, name, value)));
    }
    let bootstrap = TreePath::new(BOOTSTRAP);
    let settings = homes
        .iter()
        .flat_map(|home| ["etc/ldpaths", "etc/Renviron"].map(|file| (home.join(file), home.on_lambda())))
        .chain([(bootstrap, String::new())]);
    for (path, home) in settings {
        let entry = path.and_then(|path| root.tree.iter().find(|(known, _)| **known == path));
        if let Some((path, Entry::File(file))) = entry
            && let Some(text) = file.content.text()
        {
            named.extend(assigned(text, &["R_HOME", "RHOME"], &home).map(|(name, value)| (path, name, value)));
        }
    }
    for (path, file) in root.tree.files() {
        if let Content::Rscript(_, Some(home)) = &file.content {
            named.push((path, "the path that is compiled in", home.clone()));
        }
    }
    let lies = match homes.first() {
        Some(home) => format!("R lies in {}", escaped(home.on_lambda().as_bytes())),
        None => "there is no R in the layers".to_owned(),
    };
    named
        .into_iter()
        .filter(|(_, _, value)| !is_home(root, &homes, value))
        .map(|(path, what, value)| {
            let value = escaped(value.as_bytes());
            let words = [("what", what), ("value", value.as_str()), ("where", lies.as_str())];
            Finding::new(Code::RHomeElsewhere, &words).at(shown(path))
        })
        .collect()
}

/// Of these variables, those that a script sets to an absolute path. `home` is what they have before.
fn assigned<'n>(text: &str, names: &[&'n str], home: &str) -> impl Iterator<Item = (&'n str, String)> {
    let mut environment: BTreeMap<String, String> =
        names.iter().map(|name| ((*name).to_owned(), home.to_owned())).collect();
    shell::source(text, &mut environment);
    let set: Vec<_> = names
        .iter()
        .filter_map(|name| Some((*name, environment.remove(*name)?)))
        // What depends on a command or on variables that are not known here cannot be judged.
        .filter(|(_, value)| value.starts_with('/') && value != home && !value.contains(['`', '$', '(', ' ']))
        .collect();
    set.into_iter()
}

/// Whether R finds itself at a path: its folder, or one whose `bin/R` starts it. R's script tries `lib` and `lib64`.
fn is_home(root: Root<'_>, homes: &[TreePath], value: &str) -> bool {
    let value = value.trim_end_matches('/');
    let other = match value.strip_suffix("/lib/R") {
        Some(prefix) => Some(format!("{prefix}/lib64/R")),
        None => value.strip_suffix("/lib64/R").map(|prefix| format!("{prefix}/lib/R")),
    };
    [Some(value.to_owned()), other].into_iter().flatten().any(|path| {
        let is_home = matches!(root.resolve(&path), Ok(Location::Tree(path)) if homes.contains(&path));
        is_home || matches!(root.resolve(&format!("{path}/bin/R")), Ok(Location::Tree(_)))
    })
}

/// Programs that are not executable, and scripts whose interpreter has a carriage return in its name.
fn other_programs(root: Root<'_>, judged: &BTreeSet<TreePath>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut closed: Vec<&TreePath> = Vec::new();
    for (path, file) in root.tree.files().filter(|(path, _)| !judged.contains(*path)) {
        match &file.content {
            Content::Object(object) | Content::Rscript(object, _) => {
                let is_program = object.kind == Kind::Executable && object.soname.is_none();
                if is_program && file.mode.bits() & EXECUTE == 0 {
                    closed.push(path);
                }
            }
            Content::Text(text) if file.mode.is_executable() && begins_with_crlf(text) => {
                findings.push(Finding::new(Code::ScriptWithCrlf, &[]).at(shown(path)));
            }
            _ => {}
        }
    }
    if let Some(first) = closed.first().and_then(|path| root.tree.file(path)) {
        let (count, mode, paths) = (exact(closed.len() as u64), octal(first.mode), names(&closed));
        let words = [("count", count.as_str()), ("mode", &mode), ("files", &paths)];
        findings.push(Finding::new(Code::ProgramNotExecutable, &words).at(shown(closed[0])));
    }
    findings
}

/// Whether the line of a script that names its interpreter ends as on Windows.
fn begins_with_crlf(script: &str) -> bool {
    script.starts_with("#!") && script.split('\n').next().is_some_and(|line| line.ends_with('\r'))
}
