//! `lambdar-prune.toml`: the configuration of a project. The command line overrides it.
//!
//! Each concern of the program has its section in [`Config`] and its keys in one table of the file. A key that no section
//! reads is an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::gate::file::{BudgetTable, CheckTable};
use crate::gate::licenses::LicenseTable;
use crate::gate::{self, LicensePolicy, Policy};
use crate::manifest::{LayerName, LayerNameError};
use crate::open;
use crate::pack::NamedLayer;
use crate::progress::Silent;
use crate::rules::file::{RuleTable, check_tables, checked_globs};
use crate::rules::{PackageSelection, RuleSelection};
use crate::runtime::Arch;
use crate::size::Bytes;
use crate::toml_file::{TomlError, TomlFile, keys};

/// The file that is read from the working directory if none is named.
pub const DEFAULT_NAME: &str = "lambdar-prune.toml";

/// The sections of the file. Without a file all are empty.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The options that every command would be given: `tree`, `runtime`, `max` and others, at the top of the file.
    pub project: Project,
    /// What goes and what stays: `enable`, `disable`, `keep`, `drop`, `r-packages` and `[[rules]]`, at the top of the file.
    pub selection: RuleSelection,
    /// What layers have to get through: `[check]` and `[[budget]]`.
    pub policy: Policy,
    /// Variables of the function's environment: `[env]`.
    pub environment: BTreeMap<String, String>,
}

/// Options of the command line that a project gives once and for all. A path is relative to the file's directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// The tree.
    pub tree: Option<PathBuf>,
    /// The Lambda runtime, by name or as a file.
    pub runtime: Option<String>,
    /// The architecture.
    pub arch: Option<Arch>,
    /// The maximum size of a zip.
    pub max: Option<Bytes>,
    /// The unzipped size that is reserved for the function's own code.
    pub reserve: Option<Bytes>,
    /// The directory for the layers.
    pub output: Option<PathBuf>,
    /// Directories in which missing libraries are looked for first.
    pub library_dir: Vec<PathBuf>,
    /// Whether `pack` repairs what would not run on Lambda; `None` for its default, which is to do so.
    pub fix: Option<bool>,
    /// The layers that have names: `[[layer]]`.
    pub layers: Vec<NamedLayer>,
}

/// The keys of the file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Keys {
    tree: Option<PathBuf>,
    runtime: Option<String>,
    arch: Option<Spanned<String>>,
    max: Option<Spanned<String>>,
    reserve: Option<Spanned<String>>,
    output: Option<PathBuf>,
    library_dir: Option<OneOrMany>,
    fix: Option<bool>,
    #[serde(default)]
    enable: Vec<String>,
    #[serde(default)]
    disable: Vec<String>,
    #[serde(default)]
    keep: Vec<Spanned<String>>,
    #[serde(default)]
    drop: Vec<Spanned<String>>,
    r_packages: Option<Vec<String>>,
    #[serde(default)]
    rules: Vec<RuleTable>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    check: CheckTable,
    #[serde(default)]
    budget: Vec<Spanned<BudgetTable>>,
    #[serde(default)]
    licenses: LicenseTable,
    #[serde(default)]
    layer: Vec<LayerTable>,
}

/// One `[[layer]]` table.
#[derive(Debug, Deserialize)]
struct LayerTable {
    name: Spanned<String>,
    paths: Vec<Spanned<String>>,
}

/// One path, or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a path or a list of paths")]
enum OneOrMany {
    One(PathBuf),
    Many(Vec<PathBuf>),
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration: {0}")]
    Read(#[from] std::io::Error),
    /// It says something that it cannot say.
    #[error(transparent)]
    Toml(#[from] TomlError),
}

impl Config {
    /// Reads the file that is named; else the one with the default name if there is one; else nothing.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let (path, text) = match file {
            Some(path) => (path, open::named_text(path, &Silent)?),
            None => match open::read_regular_text(Path::new(DEFAULT_NAME)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
                text => (Path::new(DEFAULT_NAME), text?),
            },
        };
        // A pipe, as in `--config <(…)`, is in no directory that the user means.
        let directory = if path.is_file() {
            directory_of(path)
        } else {
            Path::new("")
        };
        Ok(Self::parse_in(&path.display().to_string(), directory, &text)?)
    }

    /// Whether a file is a configuration and not a rule file, which can have `[pack]` and `[[rules]]` alone.
    pub fn is_meant(name: &str, text: &str) -> Result<bool, TomlError> {
        let file = TomlFile::parse(name, text)?;
        let is_default = Path::new(name)
            .file_name()
            .is_some_and(|file_name| file_name == DEFAULT_NAME);
        Ok(is_default || keys::<Keys>().iter().any(|key| *key != "rules" && file.has(key)))
    }

    /// What a file of that name and text says. Paths in it are relative to its directory.
    pub fn parse(name: &str, text: &str) -> Result<Self, TomlError> {
        Self::parse_in(name, directory_of(Path::new(name)), text)
    }

    /// As [`Config::parse`], with paths relative to another directory.
    fn parse_in(name: &str, directory: &Path, text: &str) -> Result<Self, TomlError> {
        let file = TomlFile::parse(name, text)?;
        file.only_keys_of::<Keys>(&[])?;
        check_tables(&file)?;
        gate::file::check_tables(&file)?;
        file.only_keys_of::<LayerTable>(&["layer"])?;
        let mut keys: Keys = file.read()?;
        let project = Project::of(&file, directory, &mut keys)?;
        let rules = keys
            .rules
            .into_iter()
            .map(|table| table.into_rule(&file, name, &[]))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            project,
            selection: RuleSelection {
                file: Some(name.to_owned()),
                rules,
                enable: keys.enable,
                disable: keys.disable,
                keep: checked_globs(&file, keys.keep)?,
                drop: checked_globs(&file, keys.drop)?,
                packages: keys.r_packages.map(r_packages),
                evidence: None,
            },
            environment: keys.env,
            policy: Policy {
                licenses: LicensePolicy::of(&file, keys.licenses)?,
                ..gate::file::policy(&file, name, keys.check, keys.budget)?
            },
        })
    }
}

impl Project {
    fn of(file: &TomlFile<'_>, directory: &Path, keys: &mut Keys) -> Result<Self, TomlError> {
        let from_here = |path: PathBuf| directory.join(path);
        let library_dir = match keys.library_dir.take() {
            None => Vec::new(),
            Some(OneOrMany::One(path)) => vec![path],
            Some(OneOrMany::Many(paths)) => paths,
        };
        Ok(Self {
            tree: keys.tree.take().map(from_here),
            runtime: keys.runtime.take().map(|runtime| match directory.join(&runtime) {
                own if own.is_file() => own.display().to_string(),
                _ => runtime,
            }),
            arch: parsed(file, keys.arch.take(), str::parse)?,
            max: parsed(file, keys.max.take(), str::parse)?,
            reserve: parsed(file, keys.reserve.take(), Bytes::parse_or_zero)?,
            output: keys.output.take().map(from_here),
            library_dir: library_dir.into_iter().map(from_here).collect(),
            fix: keys.fix,
            layers: named_layers(file, std::mem::take(&mut keys.layer))?,
        })
    }
}

fn directory_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

/// The named layers, if no two have the same name and each has paths.
fn named_layers(file: &TomlFile<'_>, tables: Vec<LayerTable>) -> Result<Vec<NamedLayer>, TomlError> {
    let mut layers: Vec<NamedLayer> = Vec::new();
    for LayerTable { name, paths } in tables {
        let place = name.span();
        let name: LayerName = name
            .get_ref()
            .parse()
            .map_err(|error: LayerNameError| file.error(place.clone(), error.to_string()))?;
        if let Some(other) = layers.iter().find(|other| other.name.is_like(&name)) {
            let message = format!(
                "there is a layer {} already; give all its paths in one table",
                other.name
            );
            return Err(file.error(place, message));
        }
        if paths.is_empty() {
            return Err(file.error(place, format!("layer {name} has no paths; '**' takes all that is left")));
        }
        let paths = checked_globs(file, paths)?;
        layers.push(NamedLayer { name, paths });
    }
    Ok(layers)
}

/// What a text stands for; an error names its place in the file.
fn parsed<T, E: std::fmt::Display>(
    file: &TomlFile<'_>,
    text: Option<Spanned<String>>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, TomlError> {
    text.map(|text| parse(text.get_ref()).map_err(|error| file.error(text.span(), error.to_string())))
        .transpose()
}

/// The choice of `r-packages` and `--r-packages`.
pub fn r_packages(names: Vec<String>) -> PackageSelection {
    PackageSelection { language: "r", names }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_about_rules_are_read() {
        let config = Config::parse(
            "lambdar-prune.toml",
            "enable = ['tests']\ndisable = ['docs']\nkeep = ['a/**']\ndrop = ['b']\nr-packages = ['stats']\n\
             [[rules]]\nid = 'mine'\ntitle = 't'\ncategory = 'caches'\npaths = ['c']\nbreaks = 'b'\nsource = 's'\n[env]\nLD_LIBRARY_PATH = '/opt/x'\n",
        )
        .unwrap();
        assert_eq!(config.environment["LD_LIBRARY_PATH"], "/opt/x");
        let selection = config.selection;
        assert_eq!(selection.enable, ["tests"]);
        assert_eq!(selection.disable, ["docs"]);
        assert_eq!(selection.keep, ["a/**"]);
        assert_eq!(selection.drop, ["b"]);
        assert_eq!(selection.packages, Some(r_packages(vec!["stats".to_owned()])));
        assert_eq!(selection.rules[0].id, "mine");
        assert_eq!(selection.rules[0].pack, "lambdar-prune.toml");
    }

    #[test]
    fn keys_about_the_project_are_read_with_paths_relative_to_the_file() {
        let project = Config::parse(
            "project/lambdar-prune.toml",
            "tree = 'opt'\nruntime = 'python3.13'\narch = 'aarch64'\nmax = '20MB'\nreserve = '0'\noutput = '/out'\n\
             library-dir = 'host'\nfix = false\n[[layer]]\nname = 'R'\npaths = ['R/**']\n",
        )
        .unwrap()
        .project;
        assert_eq!(
            project,
            Project {
                tree: Some("project/opt".into()),
                runtime: Some("python3.13".to_owned()),
                arch: Some(Arch::Arm64),
                max: Some(Bytes(20_000_000)),
                reserve: Some(Bytes(0)),
                output: Some("/out".into()),
                library_dir: vec!["project/host".into()],
                fix: Some(false),
                layers: vec![NamedLayer {
                    name: "R".parse().unwrap(),
                    paths: vec!["R/**".to_owned()],
                }],
            }
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, expected) in [
            (
                "max = '5 elephants'\n",
                "c.toml:1:7: '5 elephants' is not a size: write a number with a unit, such as 50MB (50,000,000 bytes), \
                 50MiB (52,428,800 bytes) or 50000000",
            ),
            (
                "[[layer]]\nname = 'a/b'\npaths = ['**']\n",
                "c.toml:2:8: 'a/b' is not a name for a layer: use letters, digits, - and _, as AWS does",
            ),
            (
                "[[layer]]\nname = 'R'\npaths = ['R']\n[[layer]]\nname = 'r'\npaths = ['**']\n",
                "c.toml:5:8: there is a layer R already; give all its paths in one table",
            ),
            (
                "[[layer]]\nname = 'R'\npaths = []\n",
                "c.toml:2:8: layer R has no paths; '**' takes all that is left",
            ),
            (
                "[[layer]]\nname = 'R'\npath = ['R']\n",
                "c.toml:3:1: unknown key 'path' in layer; did you mean 'paths'? (known here: name, paths)",
            ),
            ("library-dir = 1\n", "c.toml:1:15: expected a path or a list of paths"),
            (
                "kepe = []\n",
                "c.toml:1:1: unknown key 'kepe'; did you mean 'keep'? \
                 (known here: tree, runtime, arch, max, reserve, output, library-dir, fix, enable, disable, keep, drop, \
                 r-packages, rules, env, check, budget, licenses, layer)",
            ),
            (
                "keep = ['x', '/opt/x']\n",
                "c.toml:1:14: '/opt/x' is not a glob for paths in a tree: it begins with '/' or has an empty name; paths are relative",
            ),
            ("drop = 'x'\n", "c.toml:1:8: expected an array, found a string"),
        ] {
            let error = Config::parse("c.toml", text).unwrap_err().to_string();
            assert_eq!(error, expected);
        }
    }
}
