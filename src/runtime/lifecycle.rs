//! How long AWS takes care of a runtime: the days in `rules/runtimes/lifecycle.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::error::{RuntimeError, parse};
use super::source::Source;
use crate::day::Day;

const FILE: &str = "rules/runtimes/lifecycle.toml";

static LIFECYCLES: LazyLock<Result<File, String>> = LazyLock::new(|| {
    parse(FILE, include_str!("../../rules/runtimes/lifecycle.toml")).map_err(|error| error.to_string())
});

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    recorded: Day,
    #[serde(rename = "sources")]
    _sources: Vec<Source>,
    runtimes: BTreeMap<String, Lifecycle>,
}

/// The days on which AWS changes what it does for a runtime. A day that is not known, or not yet fixed, is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all(deserialize = "kebab-case"))]
pub struct Lifecycle {
    /// When it was launched.
    pub launched: Option<Day>,
    /// From when on it gets no updates and no support.
    pub deprecated: Option<Day>,
    /// From when on no function can be created with it.
    pub create_blocked: Option<Day>,
    /// From when on no function that has it can be updated.
    pub update_blocked: Option<Day>,
    /// The runtime that AWS recommends instead.
    pub successor: Option<String>,
}

/// What AWS does for a runtime on a day. Functions that have a runtime go on running in every state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The API names it, and neither its launch nor its end is known.
    Preview,
    /// It gets updates.
    Supported,
    /// It gets no updates.
    Deprecated,
    /// No function can be created with it.
    CreateBlocked,
    /// No function that has it can be updated.
    UpdateBlocked,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Lifecycle {
    /// What AWS does for the runtime on a day.
    pub fn state(&self, day: Day) -> State {
        let since = |begin: Option<Day>| begin.is_some_and(|begin| begin <= day);
        if since(self.update_blocked) {
            State::UpdateBlocked
        } else if since(self.create_blocked) {
            State::CreateBlocked
        } else if since(self.deprecated) {
            State::Deprecated
        } else if self.launched.is_some() || self.deprecated.is_some() {
            State::Supported
        } else {
            State::Preview
        }
    }
}

fn file() -> Result<&'static File, RuntimeError> {
    LIFECYCLES.as_ref().map_err(|reason| RuntimeError::Data {
        name: FILE.to_owned(),
        reason: reason.clone(),
    })
}

/// Every runtime that the Lambda API names, with its lifecycle.
pub fn lifecycles() -> Result<&'static BTreeMap<String, Lifecycle>, RuntimeError> {
    Ok(&file()?.runtimes)
}

/// When the lifecycles were recorded.
pub fn recorded() -> Result<Day, RuntimeError> {
    Ok(file()?.recorded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The days are those of cfn-lint 1.58.0.
    #[test]
    fn states_change_on_their_days() {
        let state = |name: &str, day: &str| lifecycles().unwrap()[name].state(day.parse().unwrap());
        for (name, day, expected) in [
            ("nodejs20.x", "2026-04-29", State::Supported),
            ("nodejs20.x", "2026-04-30", State::Deprecated),
            ("nodejs20.x", "2027-01-31", State::Deprecated),
            ("nodejs20.x", "2027-02-01", State::CreateBlocked),
            ("nodejs20.x", "2027-03-03", State::UpdateBlocked),
            ("dotnet8", "2026-11-10", State::Deprecated),
            ("provided.al2023", "2029-06-29", State::Supported),
            ("nodejs4.3", "2026-11-27", State::UpdateBlocked),
            ("java17.al2023", "2026-11-27", State::Supported),
        ] {
            assert_eq!(state(name, day), expected, "{name} on {day}");
        }
        assert_eq!(Lifecycle::default().state(recorded().unwrap()), State::Preview);
        assert_eq!(State::CreateBlocked.to_string(), "create-blocked");
    }
}
