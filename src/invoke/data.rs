//! The knowledge in `rules/invoke.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Data {
    pub(super) process: Process,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) interpreters: InterpreterData,
    pub(super) extensions: ExtensionData,
    pub(super) shutdown: Shutdown,
    pub(super) files: BTreeMap<String, String>,
    pub(super) from_machine: Vec<FromMachine>,
    pub(super) commands: BTreeMap<String, Vec<String>>,
    pub(super) character_sets: BTreeMap<String, Vec<String>>,
}

/// The process as Lambda starts it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Process {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) nobody: u32,
    pub(super) processes: u64,
    pub(super) tmp_bytes: u64,
    pub(super) open_files: u64,
    pub(super) stack_bytes: u64,
    pub(super) hostname: String,
    pub(super) api: String,
    pub(super) init_seconds: u64,
    pub(super) bootstraps: Vec<String>,
    pub(super) largest_event: u64,
    pub(super) largest_response: u64,
    pub(super) largest_streamed_response: u64,
    #[serde(rename = "source")]
    _source: String,
}

/// Where interpreters are kept.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InterpreterData {
    pub(super) places: Vec<String>,
    #[serde(rename = "source")]
    _source: String,
}

/// What extensions are given.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExtensionData {
    pub(super) without: Vec<String>,
    #[serde(rename = "source")]
    _source: String,
}

/// How long an execution environment has to end.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shutdown {
    pub(super) external_ms: u64,
    pub(super) internal_ms: u64,
    pub(super) runtime_share: f64,
    #[serde(rename = "source")]
    _source: String,
}

/// A file or directory that is taken from this machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FromMachine {
    pub(super) path: String,
    pub(super) places: Vec<String>,
}

fn parse() -> Result<Data, toml::de::Error> {
    toml::from_str(include_str!("../../rules/invoke.toml"))
}

/// The data. It is built in and parses, as a test shows.
pub(super) static DATA: LazyLock<Data> = LazyLock::new(|| parse().unwrap_or_default());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::TreePath;

    #[test]
    fn the_data_parses_and_names_absolute_paths() {
        let data = parse().unwrap();
        assert_eq!((data.process.uid, data.process.gid), (993, 990));
        assert_eq!(data.environment["AWS_LAMBDA_RUNTIME_API"], data.process.api);
        let places = data.from_machine.iter().flat_map(|file| &file.places);
        let paths = data.from_machine.iter().map(|file| &file.path);
        for path in data
            .files
            .keys()
            .chain(paths)
            .chain(places)
            .chain(&data.process.bootstraps)
        {
            assert!(path.strip_prefix('/').and_then(TreePath::new).is_some(), "{path}");
        }
    }
}
