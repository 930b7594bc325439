//! From `layers.json` to layer versions on AWS, through the user's own `aws` tool, and no upload twice.
//!
//! # How it is made
//!
//! [`PublishOptions`] and a [`Manifest`] make a [`Publishing`], in which every decision is taken that needs no response of
//! AWS. [`publish`] asks AWS and acts, one layer after the other. Every call goes through [`Aws`]; [`CommandLine`] is its
//! implementation that starts the aws tool.

mod aws;
mod command;
mod data;
mod options;
mod read;
mod record;
mod refusal;
mod response;
mod snippet;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use serde::{Deserialize, Serialize};

pub use aws::{Aws, CallError, CommandLine};
pub use options::{FieldError, PublishOptions};
pub use read::manifest_in;
pub use record::RECORD_NAME;
pub use refusal::Refusal;
pub use snippet::Snippet;

use crate::day::Day;
use crate::finding::{Code, Finding, Severity};
use crate::gate::Allowed;
use crate::limits;
use crate::manifest::{Manifest, file_hash};
use crate::progress::{Progress, Stage};
use crate::runtime::{self, Arch, lifecycles};
use crate::size::{Bytes, exact};
use record::RecordFile;
use response::{Object, Version};

/// Version of the document's JSON schema; it rises when a field changes its meaning.
const SCHEMA_VERSION: u32 = 1;

/// Error of [`publish`] before anything was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A name or field that AWS would refuse.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// There is no manifest.
    #[error("there is no {path}: make layers with `lambdar-prune pack` first, or give the directory that has them", path = .0.display())]
    NoManifest(PathBuf),
    /// A file was named instead of the directory that it is in.
    #[error(
        "{path} is a zip or another file: give the directory with layers.json that pack wrote, as in `lambdar-prune publish layers`",
        path = .0.display()
    )]
    NotADirectory(PathBuf),
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
    #[error("{path} has a character in its path that the aws tool gives a meaning to, or one that is not UTF-8; rename the directory", path = .0.display())]
    Path(PathBuf),
    /// A zip is too large for a request, and there is no other upload.
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
    #[error("cannot read {path}: it is damaged, or another version of this program wrote it; remove it: the next run asks AWS which layers exist", path = .0.display())]
    Record(PathBuf),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The aws tool cannot be used at all.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A publication as it is decided before the first call to AWS.
#[derive(Debug, Clone)]
pub struct Publishing {
    /// What the user asks for.
    pub options: PublishOptions,
    /// Where the layers are.
    pub directory: PathBuf,
    /// The runtime that they were packed for.
    pub runtime: String,
    /// The architecture that they were packed for.
    pub arch: Arch,
    /// The runtimes that the layers will name; none if AWS knows none of that name.
    pub runtimes: Vec<String>,
    /// Environment variables that functions with these layers have to set, with their values.
    pub variables: BTreeMap<String, String>,
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
    /// The zip's name in the directory.
    pub file: String,
    /// The zip's path, as the aws tool takes it.
    pub path: String,
    /// The zip's length.
    pub bytes: Bytes,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// The same in base64, as AWS shows it.
    pub code_sha256: String,
    /// How it is uploaded.
    pub upload: Upload,
}

/// How a zip is uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upload {
    /// In the request.
    Direct,
    /// Through an object in a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
        /// Whether Lambda reads the object where it is, instead of copying it.
        by_reference: bool,
    },
}

impl LayerToPublish {
    /// What AWS shows next to the version.
    pub fn description(&self) -> String {
        response::description(&self.sha256)
    }
}

impl Publishing {
    /// Takes the decisions, as they are right on a day. The zips are read, so that what is published is what was packed.
    pub fn new(directory: &Path, packed: &Manifest, options: PublishOptions, day: Day) -> Result<Self, PublishError> {
        let names = names(packed, &options)?;
        let mut layers = Vec::new();
        for (name, layer) in names.into_iter().zip(&packed.layers) {
            let path = directory.join(&layer.file);
            let (length, hash) = file_hash(&path)?;
            let (bytes, sha256) = (Bytes(length), base16ct::lower::encode_string(&hash));
            let code_sha256 = base64::engine::general_purpose::STANDARD.encode(hash);
            if sha256 != layer.sha256 || code_sha256 != layer.code_sha256 {
                return Err(PublishError::Changed(path));
            }
            layers.push(LayerToPublish {
                name,
                path: path_for_aws(&path).ok_or(PublishError::Path(path))?,
                upload: upload(bytes, &sha256, &options).ok_or_else(|| PublishError::TooLarge {
                    file: layer.file.clone(),
                    bytes,
                })?,
                file: layer.file.clone(),
                bytes,
                sha256,
                code_sha256,
            });
        }
        let (runtimes, warnings) = compatible_runtimes(&packed.runtime, day);
        Ok(Self {
            options,
            directory: directory.to_owned(),
            runtime: packed.runtime.clone(),
            arch: packed.arch,
            runtimes,
            variables: variables(packed),
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
            ..Publication::new(self, layers.collect(), PublishOutcome::Complete)
        }
    }
}

/// The name of each layer on AWS: its own, or the one that was given with its number.
fn names(packed: &Manifest, options: &PublishOptions) -> Result<Vec<String>, FieldError> {
    options.check(unnamed(packed))?;
    let mut number = 0;
    let mut names: Vec<String> = Vec::new();
    for layer in &packed.layers {
        let name = if let Some(name) = &layer.name {
            name.to_string()
        } else {
            number += 1;
            options.layer(number)
        };
        if names.contains(&name) {
            return Err(FieldError {
                option: "--name",
                reason: format!("two layers would be called {name}; use another name"),
            });
        }
        names.push(name);
    }
    Ok(names)
}

/// How many layers have no name of their own.
pub fn unnamed(packed: &Manifest) -> usize {
    packed.layers.iter().filter(|layer| layer.name.is_none()).count()
}

/// A zip goes in the request where it fits, and through S3 where there is a bucket; `None` if there is no way for it. Every zip
/// that is to stay in the bucket goes there.
///
/// A zip that is close to the limit goes through S3 where it can: an older form of the limit would refuse it.
fn upload(bytes: Bytes, sha256: &str, options: &PublishOptions) -> Option<Upload> {
    match &options.bucket {
        Some(bucket) if options.by_reference || bytes.0 > limits::ZIPPED_BYTES_NEAR => Some(Upload::S3 {
            bucket: bucket.clone(),
            key: options.key(sha256),
            by_reference: options.by_reference,
        }),
        None if bytes.0 > limits::ZIPPED_BYTES => None,
        _ => Some(Upload::Direct),
    }
}

/// The runtime as AWS takes it, or none, and what the user has to know. AWS takes those with which functions can be created: its
/// own answer to another name, recorded in November 2025, lists just these (localstack/localstack,
/// tests/aws/services/lambda_/test_lambda_api.snapshot.json). A runtime of the user's own is a customer-managed one.
fn compatible_runtimes(runtime: &str, day: Day) -> (Vec<String>, Vec<String>) {
    let name = crate::tree::path::escaped(runtime.as_bytes());
    match state(runtime, day) {
        Some(state) if state < runtime::State::CreateBlocked => (vec![runtime.to_owned()], Vec::new()),
        Some(_) => {
            let warning = format!(
                "AWS accepts no layer for a runtime '{name}': the layers are published without compatible runtimes, and can be \
                 attached to any function"
            );
            (Vec::new(), vec![warning])
        }
        None => {
            let warning = format!(
                "'{name}' is a runtime of your own, which AWS calls '{CUSTOM_RUNTIME}': the function needs the ARN and \
                 the alias of that runtime in its RuntimeConfig"
            );
            (vec![CUSTOM_RUNTIME.to_owned()], vec![warning])
        }
    }
}

/// The variables of a manifest that can be variables of a function (AWS Lambda API reference, Environment).
fn variables(packed: &Manifest) -> BTreeMap<String, String> {
    let is_variable = |(name, value): &(&String, &String)| {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(is_name)
            && !value.chars().any(char::is_control)
    };
    let variables = packed.variables.iter().filter(is_variable);
    variables.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A path in which the aws tool finds no option, no home directory and no variable.
fn path_for_aws(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| !text.contains('$'))?;
    Some(if text.starts_with(['-', '~']) {
        format!("./{text}")
    } else {
        text.to_owned()
    })
}

/// Of what check found, that which counts for publishing: a bucket lifts the limit on the request, and layers for a runtime
/// with which no function can be created on that day are of no use.
pub fn findings_that_count(findings: Vec<Finding>, options: &PublishOptions, runtime: &str, day: Day) -> Vec<Finding> {
    let is_blocked = state(runtime, day).is_some_and(|state| state >= runtime::State::CreateBlocked);
    findings
        .into_iter()
        .filter(|finding| options.bucket.is_none() || !finding.code.is_about_request())
        .map(|finding| match finding.code {
            Code::RuntimeDeprecated if is_blocked => finding.with_severity(Severity::Error),
            _ => finding,
        })
        .collect()
}

/// What the API calls a runtime that a customer makes from an image (botocore 1.44.8, `Runtime`).
const CUSTOM_RUNTIME: &str = "custom";

/// The state of one of AWS's runtimes on a day; `None` for a runtime that is not AWS's.
fn state(runtime: &str, day: Day) -> Option<runtime::State> {
    Some(lifecycles().ok()?.get(runtime)?.state(day))
}

/// The state of a layer after a run.
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
            through_s3: layer.upload != Upload::Direct,
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
pub enum PublishOutcome {
    /// Every layer has its version.
    Complete,
    /// Check found errors: nothing was published.
    Blocked,
    /// A layer failed.
    Failed,
    /// The user stopped the run.
    Interrupted,
    /// The record could not be written; why.
    Unrecorded(String),
}

/// Report of `publish`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Publication {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// Whether every layer has its version.
    pub ok: bool,
    /// Whether nothing was run.
    pub dry_run: bool,
    /// What the layers without a name of their own are called, without their numbers.
    pub name: Option<String>,
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
    /// Environment variables that a function with these layers has to set, with their values.
    pub variables: BTreeMap<String, String>,
    /// The command that sets them, in place of all variables that the function has.
    pub set_variables: Option<String>,
    /// Lines for a template.
    pub snippet: Option<String>,
    /// With layers by reference, what the bucket's policy has to allow.
    pub bucket_policy: Option<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What check found.
    pub findings: Vec<Finding>,
    /// What check found and the project allows.
    pub allowed: Vec<Allowed>,
    /// How the run ended.
    #[serde(skip)]
    pub end: PublishOutcome,
}

impl Publication {
    /// A run that check has stopped.
    pub fn hindered(
        options: &PublishOptions,
        packed: &Manifest,
        findings: Vec<Finding>,
        allowed: Vec<Allowed>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            ok: false,
            dry_run: false,
            name: options.name.clone(),
            runtime: packed.runtime.clone(),
            arch: packed.arch,
            layers: Vec::new(),
            arns: Vec::new(),
            attach: None,
            variables: BTreeMap::new(),
            set_variables: None,
            snippet: None,
            bucket_policy: None,
            warnings: Vec::new(),
            findings,
            allowed,
            end: PublishOutcome::Blocked,
        }
    }

    fn new(publishing: &Publishing, layers: Vec<PublishedLayer>, end: PublishOutcome) -> Self {
        let arns: Option<Vec<String>> = layers.iter().map(|layer| layer.arn.clone()).collect();
        let arns = arns.unwrap_or_default();
        Self {
            schema_version: SCHEMA_VERSION,
            ok: end == PublishOutcome::Complete,
            dry_run: false,
            name: publishing.options.name.clone(),
            runtime: publishing.runtime.clone(),
            arch: publishing.arch,
            attach: (!arns.is_empty()).then(|| command::shell(&command::attach(&arns, &publishing.options))),
            set_variables: (!arns.is_empty() && !publishing.variables.is_empty())
                .then(|| command::shell(&command::set_variables(&publishing.variables, &publishing.options))),
            variables: publishing.variables.clone(),
            bucket_policy: bucket_policy(&publishing.options, &arns),
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
            .map(|snippet| snippet.text(&self.arns, &self.variables, runtime, self.arch));
        self
    }

    /// How many layers are in a state.
    pub fn count(&self, state: State) -> usize {
        self.layers.iter().filter(|layer| layer.status == state).count()
    }
}

/// Publishes the layers that are not there yet, and records each. After the first that fails, the rest is left alone.
///
/// An error says that nothing could be begun; a layer that fails is part of the response.
pub fn publish(publishing: &Publishing, aws: &dyn Aws, progress: &dyn Progress) -> Result<Publication, PublishError> {
    let record = RecordFile::open(&publishing.directory)?;
    let work = progress.start(
        Stage::Publish,
        publishing.layers.iter().map(|layer| layer.bytes.0).sum(),
    );
    let mut layers: Vec<PublishedLayer> = publishing.layers.iter().map(PublishedLayer::pending).collect();
    let mut end = PublishOutcome::Complete;
    for (index, layer) in publishing.layers.iter().enumerate() {
        if progress.check().is_err() {
            end = PublishOutcome::Interrupted;
            break;
        }
        match publish_layer(layer, publishing, aws) {
            Ok((status, version)) => {
                layers[index].status = status;
                layers[index].version = Some(version.number);
                layers[index].arn = Some(version.arn);
            }
            // The aws tool was stopped as well. Whether the layer is there, the next run will find out.
            Err(CallError::Refused(_)) if progress.check().is_err() => {
                end = PublishOutcome::Interrupted;
                break;
            }
            Err(CallError::Refused(refusal)) => {
                layers[index].status = State::Failed;
                layers[index].error = Some(refusal);
                end = PublishOutcome::Failed;
            }
            Err(error) => return Err(error.into()),
        }
        work.advance(layer.bytes.0);
        if let Err(error) = record.write(publishing.options.name.as_deref(), &layers) {
            end = PublishOutcome::Unrecorded(error.to_string());
        }
        if end != PublishOutcome::Complete {
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
    let object_version = match &layer.upload {
        Upload::Direct => None,
        Upload::S3 {
            bucket,
            key,
            by_reference,
        } => {
            if *by_reference {
                versioned(bucket, publishing, aws)?;
            }
            let mut object = object_in_bucket(layer, bucket, key, publishing, aws)?;
            if object.is_none() {
                aws.call(&command::copy(&layer.path, bucket, key, &publishing.options))?;
                object = by_reference
                    .then(|| object_in_bucket(layer, bucket, key, publishing, aws))
                    .transpose()?
                    .flatten();
            }
            let version = object
                .and_then(|object| object.version_id)
                .filter(|version| version != "null");
            if *by_reference && version.is_none() {
                return Err(not_versioned(bucket));
            }
            version.filter(|_| *by_reference)
        }
    };
    let response = aws.call(&command::publish_version(layer, publishing, object_version.as_deref()))?;
    let version = Version::read(&response, &layer.name).ok_or_else(|| unexpected("publish-layer-version"))?;
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
    let options = &publishing.options;
    let Some(response) = unless_not_found(aws.call(&command::list_versions(&layer.name, options)))? else {
        return Ok(None);
    };
    let Some(number) = response::newest(&response).map_err(|_| unexpected("list-layer-versions"))? else {
        return Ok(None);
    };
    let number = number.to_string();
    let Some(response) = unless_not_found(aws.call(&command::get_version(&layer.name, &number, options)))? else {
        return Ok(None);
    };
    let version = Version::read(&response, &layer.name).ok_or_else(|| unexpected("get-layer-version"))?;
    Ok(Some(version))
}

/// The zip in the bucket, if it is there already; its key names its content. Who may not look sends it once more.
fn object_in_bucket(
    layer: &LayerToPublish,
    bucket: &str,
    key: &str,
    publishing: &Publishing,
    aws: &dyn Aws,
) -> Result<Option<Object>, CallError> {
    match aws.call(&command::head_object(bucket, key, &publishing.options)) {
        Ok(response) => Ok(Object::read(&response).filter(|object| object.length == layer.bytes.0)),
        Err(CallError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes sure that a bucket keeps versions of its objects, which a layer by reference needs. Who may not ask is not stopped: the
/// object's version says it as well.
fn versioned(bucket: &str, publishing: &Publishing, aws: &dyn Aws) -> Result<(), CallError> {
    match aws.call(&command::bucket_versioning(bucket, &publishing.options)) {
        Ok(response) if response::is_versioned(&response) => Ok(()),
        Ok(_) => Err(not_versioned(bucket)),
        Err(CallError::Refused(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn not_versioned(bucket: &str) -> CallError {
    CallError::Refused(Refusal::unexpected(
        format!("the bucket {bucket} keeps no versions of its objects, and a layer by reference names one"),
        format!(
            "turn versioning on with `aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration \
             Status=Enabled`, or publish without --by-reference"
        ),
    ))
}

/// What a bucket has to allow for layers by reference: Lambda reads the objects itself whenever it starts a function (AWS Lambda
/// developer guide, "Self-managed Amazon S3 storage").
fn bucket_policy(options: &PublishOptions, arns: &[String]) -> Option<String> {
    let bucket = options.bucket.as_ref().filter(|_| options.by_reference)?;
    let partition = arns.first().and_then(|arn| arn.split(':').nth(1)).unwrap_or("aws");
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "LambdaReadsLayers",
            "Effect": "Allow",
            "Principal": { "Service": "lambda.amazonaws.com" },
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": format!("arn:{partition}:s3:::{bucket}/{}*", options.key_prefix()),
        }],
    });
    serde_json::to_string_pretty(&policy).ok()
}

/// A response, or `None` if AWS says that there is no such thing.
fn unless_not_found(response: Result<String, CallError>) -> Result<Option<String>, CallError> {
    match response {
        Ok(response) => Ok(Some(response)),
        Err(CallError::Refused(refusal)) if refusal.code.as_deref() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(error),
    }
}

fn unexpected(operation: &str) -> CallError {
    CallError::Refused(Refusal::unexpected(
        format!("the response to {operation} is not what the aws tool documents"),
        "see what `aws --version` says, and what the command prints when you run it; --dry-run shows it".to_owned(),
    ))
}

fn other_content(layer: &LayerToPublish, version: &Version) -> Refusal {
    let mut help = format!(
        "do not attach it; delete it with `aws lambda delete-layer-version --layer-name {} --version-number {}`",
        layer.name, version.number
    );
    if let Upload::S3 { bucket, key, .. } = &layer.upload {
        help += &format!(", and the object s3://{bucket}/{key}");
    }
    Refusal::unexpected(
        format!(
            "AWS holds something else as {} than {}: the file changed on its upload, or in the bucket",
            version.arn, layer.file
        ),
        help + ", then run this again",
    )
}

/// What would be run for a layer.
fn planned(layer: &LayerToPublish, publishing: &Publishing) -> Vec<PlannedCommand> {
    let options = &publishing.options;
    let planned = |when, exact, arguments: &[String]| PlannedCommand {
        when,
        command: command::shell(arguments),
        exact,
    };
    let mut commands = vec![
        planned("always", true, &command::list_versions(&layer.name, options)),
        planned(
            "if there are versions; VERSION is the newest",
            false,
            &command::get_version(&layer.name, "VERSION", options),
        ),
    ];
    if let Upload::S3 {
        bucket,
        key,
        by_reference,
    } = &layer.upload
    {
        if *by_reference {
            commands.push(planned(
                "if there is none, or it is not the same",
                true,
                &command::bucket_versioning(bucket, options),
            ));
        }
        commands.extend([
            planned(
                "if there is none, or it is not the same",
                true,
                &command::head_object(bucket, key, options),
            ),
            planned(
                "if the bucket does not have it yet",
                true,
                &command::copy(&layer.path, bucket, key, options),
            ),
        ]);
    }
    let is_reference = matches!(layer.upload, Upload::S3 { by_reference: true, .. });
    commands.push(planned(
        if is_reference {
            "if there is none, or it is not the same; OBJECT-VERSION is the VersionId that head-object says"
        } else {
            "if there is none, or it is not the same"
        },
        !is_reference,
        &command::publish_version(layer, publishing, is_reference.then_some("OBJECT-VERSION")),
    ));
    commands
}

#[cfg(test)]
mod tests;
