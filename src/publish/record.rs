//! `published.json`: what became of each layer, written after each of them.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::PublishError;
use super::response::place;
use super::{PublishedLayer, State};
use crate::open;

/// The record's name next to the manifest.
pub const RECORD_NAME: &str = "published.json";

const SCHEMA_VERSION: u32 = 1;

/// What was published so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    schema_version: u32,
    /// What the layers without a name of their own are called, without their numbers.
    name: Option<String>,
    /// The layers, in the order in which they are to be attached.
    layers: Vec<RecordedLayer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RecordedLayer {
    layer: String,
    file: String,
    status: State,
    arn: Option<String>,
    version: Option<u64>,
    code_sha256: String,
}

impl Record {
    /// The record of a run. What an earlier run has recorded stays where this one has not come yet, unless it was for
    /// another account or region, or for other content.
    fn new(name: Option<&str>, layers: &[PublishedLayer], earlier: Option<&Self>) -> Self {
        let here = layers.iter().find_map(|layer| layer.arn.as_deref()).map(place);
        let layers = layers.iter().map(|layer| {
            let now = RecordedLayer {
                layer: layer.layer.clone(),
                file: layer.file.clone(),
                status: layer.status,
                arn: layer.arn.clone(),
                version: layer.version,
                code_sha256: layer.code_sha256.clone(),
            };
            let before = earlier.iter().flat_map(|record| &record.layers).find(|before| {
                now.status == State::Pending
                    && before.layer == now.layer
                    && before.code_sha256 == now.code_sha256
                    && before
                        .arn
                        .as_deref()
                        .is_some_and(|arn| here.is_none_or(|here| place(arn) == here))
            });
            match before {
                Some(before) => RecordedLayer {
                    file: now.file,
                    ..before.clone()
                },
                None => now,
            }
        });
        Self {
            schema_version: SCHEMA_VERSION,
            name: name.map(ToOwned::to_owned),
            layers: layers.collect(),
        }
    }
}

/// The record as a file.
pub(super) struct RecordFile {
    path: PathBuf,
    unfinished: PathBuf,
    earlier: Option<Record>,
}

impl RecordFile {
    /// Reads what an earlier run has left, and makes sure that there can be a new record.
    pub(super) fn open(directory: &Path) -> Result<Self, PublishError> {
        let path = directory.join(RECORD_NAME);
        let earlier = match open::read_regular_text(&path) {
            Ok(text) => Some(read(&text).ok_or_else(|| PublishError::Record(path.clone()))?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let unfinished = directory.join(format!(".{RECORD_NAME}.new"));
        create(&unfinished)?;
        fs_err::remove_file(&unfinished)?;
        Ok(Self {
            path,
            unfinished,
            earlier,
        })
    }

    /// Writes the record anew; at every moment there is a whole one.
    pub(super) fn write(&self, name: Option<&str>, layers: &[PublishedLayer]) -> std::io::Result<()> {
        let record = Record::new(name, layers, self.earlier.as_ref());
        let mut text = serde_json::to_string_pretty(&record)?;
        text.push('\n');
        let mut file = create(&self.unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs_err::rename(&self.unfinished, &self.path)
    }
}

/// A new file, in place of whatever a run that was killed, or someone else, has left of that name.
fn create(path: &Path) -> std::io::Result<fs_err::File> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs_err::File::create_new(path)
}

fn read(text: &str) -> Option<Record> {
    let record: Record = serde_json::from_str(text).ok()?;
    (record.schema_version == SCHEMA_VERSION).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(number: usize, status: State, region: Option<&str>) -> PublishedLayer {
        PublishedLayer {
            layer: format!("r-{number}"),
            file: format!("layer-{number}.zip"),
            zipped_bytes: crate::size::Bytes(1),
            through_s3: false,
            status,
            arn: region.map(|region| format!("arn:aws:lambda:{region}:123456789012:layer:r-{number}:1")),
            version: region.map(|_| 1),
            code_sha256: format!("hash {number}"),
            error: None,
            commands: Vec::new(),
        }
    }

    #[test]
    fn what_an_earlier_run_recorded_stays_until_this_one_comes_there() {
        let done = |region| [1, 2, 3].map(|number| layer(number, State::Published, Some(region)));
        let statuses = |record: &Record| record.layers.iter().map(|layer| layer.status).collect::<Vec<_>>();
        let earlier = Record::new(Some("r"), &done("eu-west-1"), None);
        let mut now = [
            layer(1, State::Unchanged, Some("eu-west-1")),
            layer(2, State::Failed, None),
            layer(3, State::Pending, None),
        ];
        let record = Record::new(Some("r"), &now, Some(&earlier));
        assert_eq!(statuses(&record), [State::Unchanged, State::Failed, State::Published]);
        assert_eq!(record.layers[1].arn, None);
        assert_eq!(record.layers[2], earlier.layers[2]);

        let elsewhere = Record::new(Some("r"), &done("us-east-1"), None);
        let record = Record::new(Some("r"), &now, Some(&elsewhere));
        assert_eq!(statuses(&record), [State::Unchanged, State::Failed, State::Pending]);

        now[2].code_sha256 = "other".to_owned();
        let record = Record::new(Some("r"), &now, Some(&earlier));
        assert_eq!(statuses(&record), [State::Unchanged, State::Failed, State::Pending]);
    }

    #[test]
    fn a_record_reads_back_and_a_foreign_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = RecordFile::open(directory.path()).unwrap();
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0);
        file.write(Some("r"), &[layer(1, State::Published, Some("eu-west-1"))])
            .unwrap();
        let again = RecordFile::open(directory.path()).unwrap();
        assert_eq!(again.earlier.unwrap().layers[0].status, State::Published);
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);

        for text in ["", "{}", r#"{"schema_version": 2, "name": "r", "layers": []}"#] {
            fs_err::write(directory.path().join(RECORD_NAME), text).unwrap();
            let error = RecordFile::open(directory.path()).err().unwrap().to_string();
            assert!(error.contains("remove it"), "{error}");
        }
    }
}
