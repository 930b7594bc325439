//! What keeps an R of the tree from starting, apart from libraries.

use std::collections::{BTreeMap, BTreeSet};

use super::{R, description, homes, rscript, which};
use crate::finding::{Code, Finding, Severity};
use crate::languages::Language;
use crate::languages::loader_settings::BOOTSTRAP;
use crate::root::{Location, Root};
use crate::shell;
use crate::tree::content::is_library_name;
use crate::tree::path::escaped;
use crate::tree::{Content, Entry, Tree, TreePath};

/// Everything that keeps R from starting.
pub(super) fn findings(root: Root<'_>) -> Vec<Finding> {
    let mut findings = not_executable(root.tree);
    findings.extend(homes_elsewhere(root));
    findings.extend(missing_which(root));
    findings.extend(built_elsewhere(root.tree));
    findings
}

/// Before this version packages are not loaded any more (R NEWS 4.0.0: "Packages need to be (re-)installed under this version").
const OLDEST: [u32; 3] = [4, 0, 0];

/// For which R a package was built, as R CMD INSTALL writes it: `R 4.2.2; x86_64-pc-linux-gnu; 2023-01-20; unix` (Writing R
/// Extensions, section 1.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Built {
    version: [u32; 3],
    /// Empty for a package without compiled code.
    platform: String,
}

impl Built {
    fn of(description: &str) -> Option<Self> {
        let built = description::field(description, "Built")?;
        let mut parts = built.split(';').map(str::trim);
        let mut numbers = parts
            .next()?
            .strip_prefix("R ")?
            .split('.')
            .map(|number| number.parse().ok());
        let mut number = || numbers.next().flatten();
        Some(Self {
            version: [number()?, number()?, number().unwrap_or(0)],
            platform: parts.next().unwrap_or_default().to_owned(),
        })
    }

    /// The platform without its vendor, which does not count (base R, `testPlatformEquivalence`).
    fn system(&self) -> Option<(&str, &str)> {
        let mut parts = self.platform.splitn(3, '-');
        Some((parts.next().filter(|machine| !machine.is_empty())?, parts.nth(1)?))
    }

    fn shown(&self) -> String {
        let [major, minor, patch] = self.version;
        format!("R {major}.{minor}.{patch}")
    }

    /// What an R says to a package: whether it does not load it, or warns.
    fn judges(&self, package: &Self) -> Option<(Severity, String)> {
        let is_of_other_system = match (self.system(), package.system()) {
            (Some(own), Some(its)) => own != its,
            // Every runtime has Linux.
            (None, Some((_, system))) => !system.starts_with("linux"),
            (_, None) => false,
        };
        if is_of_other_system {
            return Some((Severity::Error, package.platform.clone()));
        }
        if package.version < OLDEST && self.version >= OLDEST {
            return Some((Severity::Error, package.shown()));
        }
        (package.version[..2] > self.version[..2]).then(|| (Severity::Warning, package.shown()))
    }
}

/// Packages that were built for another R than each of those in the tree, or for another platform; once for each.
fn built_elsewhere(tree: &Tree) -> Vec<Finding> {
    let packages: Vec<(TreePath, Built)> = R
        .packages(tree)
        .into_iter()
        .filter_map(|package| Some((package.directory, Built::of(tree.text(&package.manifest)?)?)))
        .collect();
    let homes: Vec<Built> = homes(tree)
        .iter()
        .filter_map(|home| {
            let library = home.join("library")?;
            let mut own = packages
                .iter()
                .filter(|(directory, _)| directory.parent().as_ref() == Some(&library));
            let base = library.join("base")?;
            let version = own.clone().find(|(directory, _)| *directory == base)?.1.version;
            let compiled = own.find(|(_, built)| built.version == version && !built.platform.is_empty());
            let platform = compiled.map(|(_, built)| built.platform.clone()).unwrap_or_default();
            Some(Built { version, platform })
        })
        .collect();
    // Of libraries in the format of another system it is said on its own.
    let is_foreign = |directory: &TreePath| {
        let libraries = directory.join("libs");
        let mut files = libraries.iter().flat_map(|libraries| tree.below(libraries));
        files.any(|(path, entry)| {
            is_library_name(path.file_name())
                && matches!(entry, Entry::File(file) if matches!(file.content, Content::Foreign(_)))
        })
    };
    let mut by_cause: BTreeMap<(Severity, String, String), Vec<&TreePath>> = BTreeMap::new();
    for (directory, built) in packages.iter().filter(|(directory, _)| !is_foreign(directory)) {
        let mut judged = homes.iter().map(|home| Some((home.judges(built)?, home.shown())));
        // Whichever R it is for, one that takes it will do.
        let first = judged.next().flatten();
        if let Some(((severity, built_for), home)) = first.filter(|_| judged.all(|other| other.is_some())) {
            by_cause.entry((severity, built_for, home)).or_default().push(directory);
        }
    }
    by_cause
        .into_iter()
        .map(|((severity, built_for, home), paths)| {
            let words = [
                ("files", names(&paths)),
                ("right", format!("one with {built_for}")),
                ("built_for", built_for),
                ("runtime", home),
            ];
            let words = words.each_ref().map(|(name, word)| (*name, word.as_str()));
            Finding::new(Code::WrongAbi, &words)
                .at(paths[0].shown())
                .with_severity(severity)
        })
        .collect()
}

/// At most three of several paths, for people.
fn names(paths: &[&TreePath]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = paths.iter().take(SHOWN).map(|path| path.shown()).collect();
    let more = paths.len().saturating_sub(SHOWN);
    let more = if more == 0 {
        String::new()
    } else {
        format!(", {more} more")
    };
    format!("{}{more}", shown.join(", "))
}

/// R's start scripts and programs.
pub(super) fn start_files(tree: &Tree) -> BTreeSet<TreePath> {
    let scripts = start_scripts(tree).map(|(path, _)| path.clone());
    let programs = homes(tree).into_iter().filter_map(|home| home.join("bin/exec/R"));
    scripts.chain(programs).collect()
}

fn not_executable(tree: &Tree) -> Vec<Finding> {
    let paths = start_files(tree).into_iter();
    paths
        .filter_map(|path| {
            let mode = tree.file(&path)?.mode;
            let words = [("mode", mode.to_string())];
            let words = words.each_ref().map(|(name, word)| (*name, word.as_str()));
            (!mode.others_may_execute()).then(|| Finding::new(Code::RNotExecutable, &words).at(path.shown()))
        })
        .collect()
}

/// An R that runs a `which` that is not there, and does not know its way round that.
fn missing_which(root: Root<'_>) -> Vec<Finding> {
    which::traps(root)
        .into_iter()
        .map(|trap| {
            let words = [
                ("which", &*escaped(trap.which.as_bytes())),
                ("runtime", &root.runtime.name),
            ];
            Finding::new(Code::RWhichMissing, &words).at(trap.database.shown())
        })
        .collect()
}

/// The scripts by which R is started: they say where it is.
fn start_scripts(tree: &Tree) -> impl Iterator<Item = (&TreePath, &str)> {
    tree.files()
        .filter(|(path, _)| path.file_name() == "R")
        .filter_map(|(path, file)| Some((path, file.content.text()?)))
        .filter(|(_, text)| text.starts_with("#!") && text.contains("R_HOME_DIR="))
}

/// Places where R's directory is named, and R is not there.
fn homes_elsewhere(root: Root<'_>) -> Vec<Finding> {
    let homes: Vec<TreePath> = homes(root.tree);
    let mut named: Vec<(&TreePath, &str, String)> = Vec::new();
    for (path, text) in start_scripts(root.tree) {
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
        if let (rscript::NAME, Some(home)) = (path.file_name(), file.content.fact()) {
            named.push((path, "the path that is compiled in", home.to_owned()));
        }
    }
    let place = match homes.first() {
        Some(home) => format!("R is in {}", escaped(home.on_lambda().as_bytes())),
        None => "there is no R in the layers".to_owned(),
    };
    named
        .into_iter()
        .filter(|(_, _, value)| !is_home(root, &homes, value))
        .map(|(path, what, value)| {
            let value = escaped(value.as_bytes());
            let words = [("what", what), ("value", value.as_str()), ("where", place.as_str())];
            Finding::new(Code::RHomeElsewhere, &words).at(path.shown())
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

/// Whether R finds itself at a path: its directory, or one whose `bin/R` starts it. R's script tries `lib` and `lib64`.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What library() of R 4.2.2 says of packages whose Built was changed so: an error, a warning, or nothing.
    #[test]
    fn packages_are_judged_as_r_does() {
        let built = |text: &str| Built::of(&format!("Package: x\nBuilt: {text}; 2023-01-20; unix\n")).unwrap();
        let own = built("R 4.2.2; x86_64-pc-linux-gnu");
        let check = |text: &str, expected: Option<Severity>| {
            let severity = own.judges(&built(text)).map(|(severity, _)| severity);
            assert_eq!(severity, expected, "{text}");
        };
        check("R 4.2.2; x86_64-pc-linux-gnu", None);
        check("R 4.0.5; x86_64-pc-linux-gnu", None);
        check("R 4.2.3; ", None);
        check("R 4.1.0; x86_64-redhat-linux-gnu", None);
        check("R 4.3.1; ", Some(Severity::Warning));
        check("R 3.6.3; ", Some(Severity::Error));
        check("R 4.2.2; aarch64-unknown-linux-gnu", Some(Severity::Error));
        check("R 4.2.2; x86_64-pc-linux-musl", Some(Severity::Error));
        check("R 4.2.2; x86_64-apple-darwin17.0", Some(Severity::Error));
        assert_eq!(Built::of("Package: x\nBuilt: nonsense\n"), None);
    }
}
