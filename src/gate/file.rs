//! Reads the policy in `lambdar-prune.toml`: `[check]`, `[[check.allow-path]]` and `[[budget]]`.

use std::path::Path;

use globset::{Glob, GlobMatcher};
use serde::Deserialize;
use toml::Spanned;

use super::budget::{Budget, Growth, Scope};
use super::levels::{Level, Levels, Setting, Target};
use super::{BaselineFile, LicensePolicy, Policy};
use crate::rules::file::checked_globs;
use crate::rules::path_globs;
use crate::size::Bytes;
use crate::toml_file::{TomlError, TomlFile};

/// The keys of `[check]`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct CheckTable {
    #[serde(default)]
    deny: Vec<Spanned<String>>,
    #[serde(default)]
    warn: Vec<Spanned<String>>,
    #[serde(default)]
    allow: Vec<Spanned<String>>,
    #[serde(default)]
    allow_path: Vec<AllowPathTable>,
    baseline: Option<String>,
}

/// One `[[check.allow-path]]` table.
#[derive(Debug, Deserialize)]
struct AllowPathTable {
    code: Spanned<String>,
    path: Spanned<String>,
    reason: Spanned<String>,
}

/// One `[[budget]]` table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct BudgetTable {
    layer: Option<Spanned<String>>,
    component: Option<Spanned<String>>,
    #[serde(default)]
    except: Vec<Spanned<String>>,
    max_zipped: Option<Spanned<String>>,
    max_unzipped: Option<Spanned<String>>,
    max_growth: Option<Spanned<GrowthTable>>,
}

/// `max-growth`: both must be exceeded.
#[derive(Debug, Deserialize)]
struct GrowthTable {
    percent: Spanned<f64>,
    bytes: Spanned<String>,
}

/// Fails where one of the tables has a key that nothing reads.
pub(crate) fn check_tables(file: &TomlFile<'_>) -> Result<(), TomlError> {
    file.only_keys_of::<CheckTable>(&["check"])?;
    file.only_keys_of::<AllowPathTable>(&["check", "allow-path"])?;
    file.only_keys_of::<BudgetTable>(&["budget"])?;
    file.only_keys_of::<GrowthTable>(&["budget", "max-growth"])
}

/// The policy of the tables. `name` is the file's.
pub(crate) fn policy(
    file: &TomlFile<'_>,
    name: &str,
    check: CheckTable,
    budgets: Vec<Spanned<BudgetTable>>,
) -> Result<Policy, TomlError> {
    // A path in the file is meant from where the file is.
    let baseline = check.baseline.as_ref().map(|path| BaselineFile {
        path: Path::new(name).parent().unwrap_or(Path::new("")).join(path),
        may_be_absent: true,
    });
    let mut levels = levels(file, check.deny, check.warn, check.allow)?;
    for table in check.allow_path {
        levels.settings.push(allow_path(file, table)?);
    }
    let budgets = budgets.into_iter().map(|table| budget(file, table));
    Ok(Policy {
        levels,
        budgets: budgets.collect::<Result<_, _>>()?,
        baseline,
        licenses: LicensePolicy::default(),
    })
}

fn levels(
    file: &TomlFile<'_>,
    deny: Vec<Spanned<String>>,
    warn: Vec<Spanned<String>>,
    allow: Vec<Spanned<String>>,
) -> Result<Levels, TomlError> {
    let mut settings: Vec<Setting> = Vec::new();
    for (level, codes) in [(Level::Deny, deny), (Level::Warn, warn), (Level::Allow, allow)] {
        for word in codes {
            let target =
                Target::parse(level, word.get_ref()).map_err(|error| file.error(word.span(), error.to_string()))?;
            if let Target::Code(code) = target
                && let Some(first) = settings
                    .iter()
                    .find(|setting| matches!(setting.target, Target::Code(other) if other == code))
            {
                let message = format!(
                    "'{code}' is listed already, at {}; a code can be in one list",
                    first.place
                );
                return Err(file.error(word.span(), message));
            }
            settings.push(Setting {
                level,
                target,
                reason: None,
                place: file.place(&word.span()),
            });
        }
    }
    Ok(Levels { settings })
}

fn allow_path(file: &TomlFile<'_>, table: AllowPathTable) -> Result<Setting, TomlError> {
    if table.reason.get_ref().trim().is_empty() {
        let message = "the reason is empty; an allow for a path says why".to_owned();
        return Err(file.error(table.reason.span(), message));
    }
    let code = table.code.get_ref().parse();
    let code = code.map_err(|error: crate::finding::CodeError| file.error(table.code.span(), error.to_string()))?;
    let place = file.place(&table.code.span());
    let span = table.path.span();
    let globs = checked_globs(file, vec![table.path])?;
    let paths = path_globs(&globs, &place).map_err(|error| file.error(span, error.to_string()))?;
    Ok(Setting {
        level: Level::Allow,
        target: Target::Paths {
            code,
            glob: globs.concat(),
            paths,
        },
        reason: Some(table.reason.into_inner()),
        place,
    })
}

fn budget(file: &TomlFile<'_>, table: Spanned<BudgetTable>) -> Result<Budget, TomlError> {
    let span = table.span();
    let table = table.into_inner();
    let place = file.place(&span);
    let scope = match (table.layer, table.component) {
        (None, None) => Scope::Everything,
        (Some(layer), None) => Scope::Layers(name_glob(file, &layer)?),
        (None, Some(component)) => Scope::Components(name_glob(file, &component)?),
        (Some(_), Some(component)) => {
            let message = "a budget is for layers or for components; make two of it".to_owned();
            return Err(file.error(component.span(), message));
        }
    };
    let max_growth = table.max_growth.map(|growth| growth_limit(file, growth.get_ref()));
    let budget = Budget {
        scope,
        except: path_globs(&checked_globs(file, table.except)?, &place)
            .map_err(|error| file.error(span.clone(), error.to_string()))?,
        max_zipped: table.max_zipped.map(|size| bytes(file, &size)).transpose()?,
        max_unzipped: table.max_unzipped.map(|size| bytes(file, &size)).transpose()?,
        max_growth: max_growth.transpose()?,
        place,
    };
    if budget.max_zipped.is_none() && budget.max_unzipped.is_none() && budget.max_growth.is_none() {
        let message = "the budget has no limit; give it max-zipped, max-unzipped or max-growth".to_owned();
        return Err(file.error(span, message));
    }
    Ok(budget)
}

fn growth_limit(file: &TomlFile<'_>, table: &GrowthTable) -> Result<Growth, TomlError> {
    let percent = *table.percent.get_ref();
    if !percent.is_finite() || percent < 0.0 {
        let message = format!("'{percent}' is not a percentage; write a number of at least 0, such as 5");
        return Err(file.error(table.percent.span(), message));
    }
    Ok(Growth {
        percent,
        bytes: bytes(file, &table.bytes)?,
    })
}

fn bytes(file: &TomlFile<'_>, size: &Spanned<String>) -> Result<Bytes, TomlError> {
    let bytes = size.get_ref().parse();
    bytes.map_err(|error: crate::size::SizeError| file.error(size.span(), error.to_string()))
}

/// The longest glob for names of layers and components, in bytes: several times the longest name of a file (limits.h).
const LONGEST_GLOB: usize = 1000;

/// A glob for names of layers or components, which are not paths.
fn name_glob(file: &TomlFile<'_>, name: &Spanned<String>) -> Result<GlobMatcher, TomlError> {
    // What is much longer than any name makes a matcher that is too large, and that panics.
    if name.get_ref().len() > LONGEST_GLOB {
        return Err(file.error(name.span(), format!("the glob is longer than {LONGEST_GLOB} bytes")));
    }
    match Glob::new(name.get_ref()) {
        Ok(glob) => Ok(glob.compile_matcher()),
        Err(error) => Err(file.error(
            name.span(),
            format!("'{}' is not a glob: {}", name.get_ref(), error.kind()),
        )),
    }
}
