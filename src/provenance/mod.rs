//! Provenance: what layers were made from, as an in-toto statement with a SLSA predicate, and how two builds differ.
//!
//! The statement is not signed: whoever runs the build signs it, with cosign or GitHub's attestations. It names no moment and no
//! machine, so that the same build gives the same bytes.

mod compare;
mod digests;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use compare::{ChangedInput, Differing, changed_inputs, differing};
pub use digests::{library_digests, tree_digest};

use crate::manifest::{MANIFEST_NAME, Manifest};

/// SHA-256 of something.
pub type Hash = [u8; 32];

/// The statement's usual name next to the layers.
pub const PROVENANCE_NAME: &str = "provenance.intoto.json";

/// The type of an in-toto statement (in-toto attestation framework 1.0, "Statement").
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of a SLSA provenance (SLSA 1.0, "Provenance").
const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// What `externalParameters` mean: the page that describes them.
const BUILD_TYPE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/provenance.md#v1");
/// The algorithm of all digests, by the name that in-toto has for it.
const SHA256: &str = "sha256";

/// An in-toto statement about layers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    /// The zips.
    subject: Vec<Resource>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: String,
    external_parameters: Parameters,
    #[serde(default)]
    resolved_dependencies: Vec<Resource>,
}

/// What a user decides about a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameters {
    /// The tree, as the user named it.
    pub tree: String,
    /// The options of `pack` that decide what is in the zips, by their long names, with their values.
    #[serde(default)]
    pub options: BTreeMap<String, Vec<String>>,
    /// `SOURCE_DATE_EPOCH`, if it was set: seconds since 1970.
    #[serde(default)]
    pub source_date_epoch: Option<i64>,
    /// Whether files stayed in the layers in which an earlier packing had them.
    #[serde(default)]
    pub kept_to_previous: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunDetails {
    builder: Builder,
    #[serde(default)]
    byproducts: Vec<Resource>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Builder {
    id: String,
    #[serde(default)]
    version: BTreeMap<String, String>,
    #[serde(rename = "builderDependencies", default)]
    dependencies: Vec<Resource>,
}

/// Something with its digest (in-toto attestation framework 1.0, "ResourceDescriptor").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Resource {
    #[serde(default)]
    name: String,
    /// The package URL of a library's package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    #[serde(default)]
    digest: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    annotations: Option<Annotations>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Annotations {
    role: Role,
}

/// What something is for a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The tree that is packed.
    Tree,
    /// The built-in rules.
    Rules,
    /// The data about the runtime.
    Runtime,
    /// A file that an option names: a configuration, rules, a recording.
    File,
    /// A file of the machine that was added.
    Library,
    /// This program.
    Tool,
    /// A role of another version of this program.
    #[serde(other)]
    Other,
}

/// Something that a build was made from.
#[derive(Debug, Clone)]
pub struct Input {
    /// What it is for the build.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// The package URL of the package that a library is of.
    pub uri: Option<String>,
    /// SHA-256 of its content.
    pub digest: Hash,
}

/// Error of [`Statement::parse`].
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// It is not JSON, or parts of it are missing.
    #[error("it is not an in-toto statement about layers: {0}")]
    Form(#[from] serde_json::Error),
    /// What an envelope holds is not in base64.
    #[error("the payload of the envelope is not in base64: {0}")]
    Payload(#[from] base64::DecodeError),
    /// A statement about something else.
    #[error("it is a statement of type {found}, and not {expected}; give the one that pack --provenance wrote")]
    Other {
        /// The type that it has.
        found: String,
        /// The type that it should have.
        expected: &'static str,
    },
}

impl Statement {
    /// A statement about layers.
    pub fn new(manifest: &Manifest, parameters: Parameters, inputs: Vec<Input>, manifest_digest: &Hash) -> Self {
        let subject = manifest.layers.iter().map(|layer| Resource {
            name: layer.file.clone(),
            uri: None,
            digest: BTreeMap::from([(SHA256.to_owned(), layer.sha256.clone())]),
            annotations: None,
        });
        let (tools, mut materials): (Vec<Input>, Vec<Input>) =
            inputs.into_iter().partition(|input| input.role == Role::Tool);
        materials.sort_by(|a, b| (a.role, &a.name).cmp(&(b.role, &b.name)));
        let resources = |inputs: Vec<Input>| inputs.into_iter().map(Resource::from).collect();
        Self {
            kind: STATEMENT_TYPE.to_owned(),
            subject: subject.collect(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: Predicate {
                build_definition: BuildDefinition {
                    build_type: BUILD_TYPE.to_owned(),
                    external_parameters: parameters,
                    resolved_dependencies: resources(materials),
                },
                run_details: RunDetails {
                    builder: Builder {
                        id: env!("CARGO_PKG_REPOSITORY").to_owned(),
                        version: BTreeMap::from([(
                            env!("CARGO_PKG_NAME").to_owned(),
                            env!("CARGO_PKG_VERSION").to_owned(),
                        )]),
                        dependencies: resources(tools),
                    },
                    byproducts: vec![Resource {
                        name: MANIFEST_NAME.to_owned(),
                        uri: None,
                        digest: digest_set(manifest_digest),
                        annotations: None,
                    }],
                },
            },
        }
    }

    /// The statement that a file of these bytes is, or that a DSSE envelope or a Sigstore bundle with one holds. Signatures are
    /// not checked.
    pub fn parse(json: &[u8]) -> Result<Self, StatementError> {
        #[derive(Deserialize)]
        struct Types {
            #[serde(rename = "_type")]
            statement: String,
            #[serde(rename = "predicateType")]
            predicate: String,
        }
        let value: Value = serde_json::from_slice(json)?;
        let envelope = value.get("dsseEnvelope").unwrap_or(&value);
        let value = match envelope.get("payload").and_then(Value::as_str) {
            Some(payload) => serde_json::from_slice(&STANDARD.decode(payload)?)?,
            None => value,
        };
        let types = Types::deserialize(&value)?;
        for (found, expected) in [(types.statement, STATEMENT_TYPE), (types.predicate, PREDICATE_TYPE)] {
            if found != expected {
                return Err(StatementError::Other { found, expected });
            }
        }
        let statement: Self = serde_json::from_value(value)?;
        let found = &statement.predicate.build_definition.build_type;
        if found != BUILD_TYPE {
            return Err(StatementError::Other {
                found: found.clone(),
                expected: BUILD_TYPE,
            });
        }
        Ok(statement)
    }

    /// The statement as it is written.
    pub fn to_json(&self) -> String {
        // Numbers, texts and lists alone: this cannot fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// What the user decided.
    pub fn parameters(&self) -> &Parameters {
        &self.predicate.build_definition.external_parameters
    }

    /// The zips by their names, with their SHA-256 in hexadecimal digits.
    pub fn zips(&self) -> impl Iterator<Item = (&str, &str)> {
        self.subject
            .iter()
            .map(|zip| (zip.name.as_str(), zip.sha256().unwrap_or_default()))
    }

    /// Whether the manifest that was written with the layers has this SHA-256.
    pub fn has_manifest(&self, digest: &Hash) -> bool {
        let digest = base16ct::lower::encode_string(digest);
        let byproducts = &self.predicate.run_details.byproducts;
        byproducts
            .iter()
            .any(|file| file.name == MANIFEST_NAME && file.sha256() == Some(&digest))
    }

    /// Everything that the layers were made from.
    fn inputs(&self) -> impl Iterator<Item = &Resource> {
        let tools = &self.predicate.run_details.builder.dependencies;
        self.predicate
            .build_definition
            .resolved_dependencies
            .iter()
            .chain(tools)
    }
}

impl Resource {
    fn sha256(&self) -> Option<&str> {
        self.digest.get(SHA256).map(String::as_str)
    }

    fn role(&self) -> Role {
        self.annotations
            .as_ref()
            .map_or(Role::Other, |annotations| annotations.role)
    }
}

impl From<Input> for Resource {
    fn from(input: Input) -> Self {
        Self {
            name: input.name,
            uri: input.uri,
            digest: digest_set(&input.digest),
            annotations: Some(Annotations { role: input.role }),
        }
    }
}

fn digest_set(digest: &Hash) -> BTreeMap<String, String> {
    BTreeMap::from([(SHA256.to_owned(), base16ct::lower::encode_string(digest))])
}
