//! Applies rules to paths.

use std::collections::{BTreeMap, BTreeSet};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{Anchor, RuleError, RuleSet};
use crate::r::{self, RHome};
use crate::tree::{Tree, TreePath};

/// Globs on the command line, relative to the tree; they come before every rule.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// What stays whatever any rule says.
    pub keep: Vec<String>,
    /// What goes unless it is in `keep`.
    pub drop: Vec<String>,
}

/// The name under which [`Overrides::drop`] stands in reports.
const DROP: &str = "--drop";

/// Rules and overrides made ready for one tree.
#[derive(Debug)]
pub struct Matcher {
    keep: GlobSet,
    drop: GlobSet,
    rules: Vec<Ready>,
    anchors: BTreeMap<Anchor, BTreeSet<TreePath>>,
}

#[derive(Debug)]
struct Ready {
    id: String,
    on: bool,
    anchor: Anchor,
    paths: GlobSet,
    except: GlobSet,
}

impl Matcher {
    /// Compiles the globs and finds the places in the tree where they are anchored.
    pub fn new(rules: &RuleSet, overrides: &Overrides, tree: &Tree) -> Result<Self, RuleError> {
        let ready = rules
            .iter()
            .map(|(rule, on)| {
                Ok(Ready {
                    id: rule.id.clone(),
                    on,
                    anchor: rule.anchor,
                    paths: globs(&rule.paths)?,
                    except: globs(&rule.except)?,
                })
            })
            .collect::<Result<_, RuleError>>()?;
        let homes = RHome::all(tree).into_iter().map(|home| home.path).collect();
        let packages = r::packages(tree).into_iter().map(|package| package.path).collect();
        Ok(Self {
            keep: globs(&overrides.keep)?,
            drop: globs(&overrides.drop)?,
            rules: ready,
            anchors: BTreeMap::from([
                (Anchor::Tree, BTreeSet::from([TreePath::root()])),
                (Anchor::RHome, homes),
                (Anchor::RPackage, packages),
            ]),
        })
    }

    /// The rule that takes the path: `--keep` beats everything, then `--drop`, then the last rule that is on and matches.
    pub fn taken_by(&self, path: &TreePath) -> Option<&str> {
        if self.keep.is_match(path.as_str()) {
            return None;
        }
        if self.drop.is_match(path.as_str()) {
            return Some(DROP);
        }
        self.matching(path, true).last()
    }

    /// Every rule that is off and would take the path.
    pub fn off_but_matching(&self, path: &TreePath) -> impl Iterator<Item = &str> {
        self.matching(path, false)
    }

    fn matching(&self, path: &TreePath, on: bool) -> impl Iterator<Item = &str> {
        self.rules
            .iter()
            .filter(move |rule| rule.on == on && self.matches(rule, path))
            .map(|rule| rule.id.as_str())
    }

    fn matches(&self, rule: &Ready, path: &TreePath) -> bool {
        let Some(anchors) = self.anchors.get(&rule.anchor) else {
            return false;
        };
        path.ancestors()
            .filter(|folder| anchors.contains(folder))
            .filter_map(|folder| path.below(&folder).map(ToOwned::to_owned))
            .any(|below| rule.paths.is_match(&below) && !rule.except.is_match(&below))
    }
}

/// A glob stands for what it matches and, where that is a folder, for all that lies below.
fn globs(texts: &[String]) -> Result<GlobSet, RuleError> {
    let mut builder = GlobSetBuilder::new();
    for text in texts {
        let text = text.trim_end_matches('/');
        for glob in [text.to_owned(), format!("{text}/**")] {
            let built = GlobBuilder::new(&glob)
                .literal_separator(true)
                .backslash_escape(true)
                .build();
            builder.add(built.map_err(|error| RuleError::Glob {
                glob: text.to_owned(),
                reason: error.kind().to_string(),
            })?);
        }
    }
    builder.build().map_err(|error| RuleError::Glob {
        glob: texts.join(", "),
        reason: error.to_string(),
    })
}
