//! From `layers.json` to layer versions on AWS, through the user's own `aws` tool, and no upload twice.
//!
//! # How it is made
//!
//! [`Wishes`] are what the user asks for, a [`Manifest`] says what lies there; together they make [`Publishing`], in which every
//! decision is taken that needs no answer of AWS. [`publish`] asks and acts, one layer after the other. What it says to
//! AWS goes through [`Aws`] alone; [`CommandLine`] is the one that starts the aws tool.

mod answer;
mod aws;
mod command;
mod data;
mod read;
mod record;
mod refusal;
mod snippet;
mod wishes;

use std::path::{Path, PathBuf};

use base64::Engine;
use serde::{Deserialize, Serialize};

pub use aws::{Aws, CallError, CommandLine};
pub use read::manifest_in;
pub use record::RECORD_NAME;
pub use refusal::Refusal;
pub use snippet::Snippet;
pub use wishes::{FieldError, Wishes};

use crate::finding::Finding;
use crate::gate::Allowed;
use crate::limits;
use crate::manifest::Manifest;
use crate::progress::{Progress, Stage};
use crate::runtime::Arch;
use crate::size::{Bytes, exact};
use answer::Version;
use data::DATA;
use record::RecordFile;

/// The version of the JSON document; it rises when a field changes its meaning.
const SCHEMA_VERSION: u32 = 1;

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A name or field that AWS would refuse.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// There is no manifest.
    #[error("there is no {path}: make layers with `lambdar-prune pack` first, or give the folder that has them", path = .0.display())]
    NoManifest(PathBuf),
    /// The manifest is not one.
    #[error("cannot use {path}: {reason}; pack again", path = .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A zip is not the one that the manifest lists.
    #[error("{path} is not the file that layers.json lists: it has changed since; pack again", path = .0.display())]
    Changed(PathBuf),
    /// The aws tool would not take the path as it is.
    #[error("{path} has a character in its path that the aws tool gives a meaning to, or one that is not UTF-8; rename the folder", path = .0.display())]
    Path(PathBuf),
    /// A zip is too large for a request, and there is no other way.
    #[error(
        "{file} has {bytes} bytes, and a request to AWS can carry {limit}: give --bucket BUCKET, to go through S3, \
         or pack again with a smaller --max",
        bytes = exact(.bytes.0),
        limit = exact(limits::ZIPPED_BYTES)
    )]
    TooLarge {
        /// The zip.
        file: String,
        /// Its length.
        bytes: Bytes,
    },
    /// The record of an earlier run is not one.
    #[error("cannot read {path}: it is damaged, or another version of this program wrote it; remove it, for AWS is asked anew which layers are there", path = .0.display())]
    Record(PathBuf),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The aws tool cannot be used at all.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Everything that is decided before the first call.
#[derive(Debug, Clone)]
pub struct Publishing {
    /// What the user asks for.
    pub wishes: Wishes,
    /// Where the layers lie.
    pub folder: PathBuf,
    /// The runtime that they were packed for.
    pub runtime: String,
    /// The architecture that they were packed for.
    pub arch: Arch,
    /// The runtimes that the layers will name; none if AWS knows none of that name.
    pub runtimes: Vec<String>,
    /// The layers, in the order in which they are to be attached.
    pub layers: Vec<LayerToPublish>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerToPublish {
    /// Its name on AWS.
    pub name: String,
    /// The zip's name in the folder.
    pub file: String,
    /// The zip's path, as the aws tool takes it.
    pub path: String,
    /// The zip's length.
    pub bytes: Bytes,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// The same in base64, as AWS shows it.
    pub code_sha256: String,
    /// How it comes to AWS.
    pub way: Way,
}

/// How a zip comes to AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// In the request.
    Direct,
    /// Through an object in a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
    },
}

impl LayerToPublish {
    /// What AWS shows beside the version.
    pub fn description(&self) -> String {
        answer::description(&self.sha256)
    }
}

impl Publishing {
    /// Takes the decisions. The zips are read, so that what is published is what was packed.
    pub fn new(folder: &Path, packed: &Manifest, wishes: Wishes) -> Result<Self, PublishError> {
        wishes.check(packed.layers.len())?;
        let mut layers = Vec::new();
        for (number, layer) in packed.layers.iter().enumerate() {
            let path = folder.join(&layer.file);
            let (length, hash) = read::length_and_hash(&path)?;
            let (bytes, sha256) = (Bytes(length), base16ct::lower::encode_string(&hash));
            let code_sha256 = base64::engine::general_purpose::STANDARD.encode(hash);
            if sha256 != layer.sha256 || code_sha256 != layer.code_sha256 {
                return Err(PublishError::Changed(path));
            }
            layers.push(LayerToPublish {
                name: wishes.layer(number + 1),
                path: path_for_aws(&path).ok_or(PublishError::Path(path))?,
                way: way(bytes, &sha256, &wishes).ok_or_else(|| PublishError::TooLarge {
                    file: layer.file.clone(),
                    bytes,
                })?,
                file: layer.file.clone(),
                bytes,
                sha256,
                code_sha256,
            });
        }
        let (runtimes, warnings) = compatible_runtimes(&packed.runtime);
        Ok(Self {
            wishes,
            folder: folder.to_owned(),
            runtime: packed.runtime.clone(),
            arch: packed.arch,
            runtimes,
            layers,
            warnings,
        })
    }

    /// The commands that publishing would run, in their order.
    pub fn dry_run(&self) -> Publication {
        let layers = self.layers.iter().map(|layer| PublishedLayer {
            commands: planned(layer, self),
            ..PublishedLayer::pending(layer)
        });
        Publication {
            dry_run: true,
            ..Publication::new(self, layers.collect(), End::Complete)
        }
    }
}

/// A zip goes in the request where it fits, and through S3 where there is a bucket; `None` if there is no way for it.
///
/// A zip that is close to the limit goes through S3 where it can: an older form of the limit would refuse it.
fn way(bytes: Bytes, sha256: &str, wishes: &Wishes) -> Option<Way> {
    match &wishes.bucket {
        Some(bucket) if bytes.0 > limits::ZIPPED_BYTES_NEAR => Some(Way::S3 {
            bucket: bucket.clone(),
            key: wishes.key(sha256),
        }),
        None if bytes.0 > limits::ZIPPED_BYTES => None,
        _ => Some(Way::Direct),
    }
}

/// The runtime as AWS takes it, or none and the reason.
fn compatible_runtimes(runtime: &str) -> (Vec<String>, Vec<String>) {
    if DATA.runtimes.accepted.iter().any(|accepted| accepted == runtime) {
        return (vec![runtime.to_owned()], Vec::new());
    }
    let warning = format!(
        "AWS accepts no layer for a runtime '{}': the layers are published without compatible runtimes, and can be \
         attached to any function",
        crate::tree::path::escaped(runtime.as_bytes())
    );
    (Vec::new(), vec![warning])
}

/// A path in which the aws tool finds no option, no home folder and no variable.
fn path_for_aws(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| !text.contains('$'))?;
    Some(if text.starts_with(['-', '~']) {
        format!("./{text}")
    } else {
        text.to_owned()
    })
}

/// Of what check found, that which counts for publishing: a bucket lifts the limit on the request.
pub fn findings_that_count(findings: Vec<Finding>, wishes: &Wishes) -> Vec<Finding> {
    findings
        .into_iter()
        .filter(|finding| wishes.bucket.is_none() || !finding.code.is_about_request())
        .collect()
}

/// What has become of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// There is a new version.
    Published,
    /// Its newest version is the same already.
    Unchanged,
    /// It could not be published.
    Failed,
    /// It was not its turn.
    Pending,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// One layer after the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PublishedLayer {
    /// Its name on AWS.
    pub layer: String,
    /// The zip.
    pub file: String,
    /// The zip's length.
    pub zipped_bytes: Bytes,
    /// Whether it goes through S3.
    pub through_s3: bool,
    /// What has become of it.
    pub status: State,
    /// Its version's ARN, if it has one.
    pub arn: Option<String>,
    /// The number of that version.
    pub version: Option<u64>,
    /// SHA-256 of the zip in base64.
    pub code_sha256: String,
    /// Why it failed.
    pub error: Option<Refusal>,
    /// With a dry run, what would be run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<PlannedCommand>,
}

impl PublishedLayer {
    fn pending(layer: &LayerToPublish) -> Self {
        Self {
            layer: layer.name.clone(),
            file: layer.file.clone(),
            zipped_bytes: layer.bytes,
            through_s3: layer.way != Way::Direct,
            status: State::Pending,
            arn: None,
            version: None,
            code_sha256: layer.code_sha256.clone(),
            error: None,
            commands: Vec::new(),
        }
    }
}

/// A command that would be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlannedCommand {
    /// On what condition.
    pub when: &'static str,
    /// The command, quoted for a shell.
    pub command: String,
    /// Whether it stands there as it would be run; one command has a number in it that only AWS knows.
    pub exact: bool,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Every layer has its version.
    Complete,
    /// Check found errors.
    Hindered,
    /// A layer failed.
    Failed,
    /// The user stopped the run.
    Interrupted,
    /// The record could not be written; why.
    Unrecorded(String),
}

/// What `publish` answers.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Publication {
    /// The version of this form.
    pub schema_version: u32,
    /// Whether every layer has its version.
    pub ok: bool,
    /// Whether nothing was run.
    pub dry_run: bool,
    /// What the layers are called, without their numbers.
    pub name: String,
    /// The runtime that they were packed for.
    pub runtime: String,
    /// The architecture that they were packed for.
    pub arch: Arch,
    /// The layers, in the order in which they are to be attached.
    pub layers: Vec<PublishedLayer>,
    /// Their ARNs in that order; none unless there are all.
    pub arns: Vec<String>,
    /// The command that attaches them to a function.
    pub attach: Option<String>,
    /// Lines for a template.
    pub snippet: Option<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What check found.
    pub findings: Vec<Finding>,
    /// What check found and the project allows.
    pub allowed: Vec<Allowed>,
    /// How the run ended.
    #[serde(skip)]
    pub end: End,
}

impl Publication {
    /// A run that check has stopped.
    pub fn hindered(wishes: &Wishes, packed: &Manifest, findings: Vec<Finding>, allowed: Vec<Allowed>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            ok: false,
            dry_run: false,
            name: wishes.name.clone(),
            runtime: packed.runtime.clone(),
            arch: packed.arch,
            layers: Vec::new(),
            arns: Vec::new(),
            attach: None,
            snippet: None,
            warnings: Vec::new(),
            findings,
            allowed,
            end: End::Hindered,
        }
    }

    fn new(publishing: &Publishing, layers: Vec<PublishedLayer>, end: End) -> Self {
        let arns: Option<Vec<String>> = layers.iter().map(|layer| layer.arn.clone()).collect();
        let arns = arns.unwrap_or_default();
        Self {
            schema_version: SCHEMA_VERSION,
            ok: end == End::Complete,
            dry_run: false,
            name: publishing.wishes.name.clone(),
            runtime: publishing.runtime.clone(),
            arch: publishing.arch,
            attach: (!arns.is_empty()).then(|| command::shell(&command::attach(&arns, &publishing.wishes))),
            arns,
            layers,
            snippet: None,
            warnings: publishing.warnings.clone(),
            findings: Vec::new(),
            allowed: Vec::new(),
            end,
        }
    }

    /// The same with what check found.
    pub fn with_findings(mut self, findings: Vec<Finding>, allowed: Vec<Allowed>) -> Self {
        self.findings = findings;
        self.allowed = allowed;
        self
    }

    /// The same with lines for a template, if there is something to attach.
    pub fn with_snippet(mut self, snippet: Option<Snippet>, publishing: &Publishing) -> Self {
        let runtime = publishing.runtimes.first().map(String::as_str);
        self.snippet = snippet
            .filter(|_| !self.arns.is_empty())
            .map(|snippet| snippet.text(&self.arns, runtime, self.arch));
        self
    }

    /// How many layers are in a state.
    pub fn count(&self, state: State) -> usize {
        self.layers.iter().filter(|layer| layer.status == state).count()
    }
}

/// Publishes the layers that are not there yet, and records each. After the first that fails, the rest is left alone.
///
/// An error says that nothing could be begun; a layer that fails is part of the answer.
pub fn publish(publishing: &Publishing, aws: &dyn Aws, progress: &dyn Progress) -> Result<Publication, PublishError> {
    let record = RecordFile::open(&publishing.folder)?;
    let work = progress.start(
        Stage::Publish,
        publishing.layers.iter().map(|layer| layer.bytes.0).sum(),
    );
    let mut layers: Vec<PublishedLayer> = publishing.layers.iter().map(PublishedLayer::pending).collect();
    let mut end = End::Complete;
    for (index, layer) in publishing.layers.iter().enumerate() {
        if progress.check().is_err() {
            end = End::Interrupted;
            break;
        }
        match publish_layer(layer, publishing, aws) {
            Ok((status, version)) => {
                layers[index].status = status;
                layers[index].version = Some(version.number);
                layers[index].arn = Some(version.arn);
            }
            // Ctrl-C reaches the aws tool as well. Whether the layer is there, the next run will find out.
            Err(CallError::Refused(_)) if progress.check().is_err() => {
                end = End::Interrupted;
                break;
            }
            Err(CallError::Refused(refusal)) => {
                layers[index].status = State::Failed;
                layers[index].error = Some(refusal);
                end = End::Failed;
            }
            Err(error) => return Err(error.into()),
        }
        work.advance(layer.bytes.0);
        if let Err(error) = record.write(&publishing.wishes.name, &layers) {
            end = End::Unrecorded(error.to_string());
        }
        if end != End::Complete {
            break;
        }
    }
    Ok(Publication::new(publishing, layers, end))
}

/// Publishes one layer, unless its newest version is the same.
fn publish_layer(
    layer: &LayerToPublish,
    publishing: &Publishing,
    aws: &dyn Aws,
) -> Result<(State, Version), CallError> {
    if let Some(version) = newest_version(layer, publishing, aws)?
        && version.is(layer, publishing)
    {
        return Ok((State::Unchanged, version));
    }
    if let Way::S3 { bucket, key } = &layer.way
        && !is_in_bucket(layer, bucket, key, publishing, aws)?
    {
        aws.call(&command::copy(&layer.path, bucket, key, &publishing.wishes))?;
    }
    let answer = aws.call(&command::publish_version(layer, publishing))?;
    let version = Version::read(&answer, &layer.name).ok_or_else(|| unexpected("publish-layer-version"))?;
    if version.holds(&layer.code_sha256) {
        Ok((State::Published, version))
    } else {
        Err(CallError::Refused(other_content(layer, &version)))
    }
}

fn newest_version(
    layer: &LayerToPublish,
    publishing: &Publishing,
    aws: &dyn Aws,
) -> Result<Option<Version>, CallError> {
    let wishes = &publishing.wishes;
    let Some(answer) = unless_not_found(aws.call(&command::list_versions(&layer.name, wishes)))? else {
        return Ok(None);
    };
    let Some(number) = answer::newest(&answer).map_err(|_| unexpected("list-layer-versions"))? else {
        return Ok(None);
    };
    let number = number.to_string();
    let Some(answer) = unless_not_found(aws.call(&command::get_version(&layer.name, &number, wishes)))? else {
        return Ok(None);
    };
    let version = Version::read(&answer, &layer.name).ok_or_else(|| unexpected("get-layer-version"))?;
    Ok(Some(version))
}

/// Whether the bucket has the zip already; its key names its content. Who may not look sends it once more.
fn is_in_bucket(
    layer: &LayerToPublish,
    bucket: &str,
    key: &str,
    publishing: &Publishing,
    aws: &dyn Aws,
) -> Result<bool, CallError> {
    match aws.call(&command::head_object(bucket, key, &publishing.wishes)) {
        Ok(answer) => Ok(answer::object_length(&answer) == Some(layer.bytes.0)),
        Err(CallError::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// An answer, or `None` if AWS says that there is no such thing.
fn unless_not_found(answer: Result<String, CallError>) -> Result<Option<String>, CallError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(CallError::Refused(refusal)) if refusal.code.as_deref() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(error),
    }
}

fn unexpected(operation: &str) -> CallError {
    CallError::Refused(Refusal::unexpected(
        format!("the answer to {operation} is not what the aws tool documents"),
        "see what `aws --version` says, and what the command answers by hand; --dry-run shows it".to_owned(),
    ))
}

fn other_content(layer: &LayerToPublish, version: &Version) -> Refusal {
    let mut help = format!(
        "do not attach it; delete it with `aws lambda delete-layer-version --layer-name {} --version-number {}`",
        layer.name, version.number
    );
    if let Way::S3 { bucket, key } = &layer.way {
        help += &format!(", and the object s3://{bucket}/{key}");
    }
    Refusal::unexpected(
        format!(
            "AWS holds something else as {} than {}: the file changed on its way, or in the bucket",
            version.arn, layer.file
        ),
        help + ", then run this again",
    )
}

/// What would be run for a layer.
fn planned(layer: &LayerToPublish, publishing: &Publishing) -> Vec<PlannedCommand> {
    let wishes = &publishing.wishes;
    let planned = |when, exact, arguments: &[String]| PlannedCommand {
        when,
        command: command::shell(arguments),
        exact,
    };
    let mut commands = vec![
        planned("always", true, &command::list_versions(&layer.name, wishes)),
        planned(
            "if there are versions; VERSION is the newest",
            false,
            &command::get_version(&layer.name, "VERSION", wishes),
        ),
    ];
    if let Way::S3 { bucket, key } = &layer.way {
        commands.extend([
            planned(
                "if there is none, or it is not the same",
                true,
                &command::head_object(bucket, key, wishes),
            ),
            planned(
                "if the bucket does not have it yet",
                true,
                &command::copy(&layer.path, bucket, key, wishes),
            ),
        ]);
    }
    commands.push(planned(
        "if there is none, or it is not the same",
        true,
        &command::publish_version(layer, publishing),
    ));
    commands
}

#[cfg(test)]
mod tests;
