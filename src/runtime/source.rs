//! Where the data come from.

use serde::{Deserialize, Serialize};

/// Where a fact comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) what: String,
    #[serde(rename = "where")]
    pub(crate) place: String,
}
