//! Responses of the aws command, as far as they are needed. Nothing else of one is kept: it holds signed links as well.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{LayerToPublish, Publishing, Upload};

/// One version of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Version {
    #[serde(rename = "LayerVersionArn")]
    pub(super) arn: String,
    #[serde(rename = "Version")]
    pub(super) number: u64,
    content: Content,
    description: Option<String>,
    license_info: Option<String>,
    compatible_runtimes: Option<Vec<String>>,
    compatible_architectures: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    code_sha256: Option<String>,
    /// The object in a bucket that the version stands for, if it is not a copy.
    resolved_s3_object: Option<ResolvedObject>,
    /// Why the object cannot be read any more.
    error: Option<LocationError>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResolvedObject {
    s3_bucket: String,
    s3_key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LocationError {}

impl Version {
    /// Reads a response; `None` if it is not a version of this layer. Why not is not said: the words could hold a secret.
    pub(super) fn read(response: &str, layer: &str) -> Option<Self> {
        let version: Self = serde_json::from_str(response).ok()?;
        is_arn_of(&version.arn, layer, version.number).then_some(version)
    }

    /// Whether it holds these bytes.
    pub(super) fn holds(&self, code_sha256: &str) -> bool {
        self.content.code_sha256.as_deref() == Some(code_sha256)
    }

    /// Whether the content is kept as long as the layer: in its bucket, where it can still be read, or by Lambda.
    fn is_kept_as(&self, upload: &Upload) -> bool {
        match (upload, &self.content.resolved_s3_object) {
            (
                Upload::S3 {
                    bucket,
                    key,
                    by_reference: true,
                },
                Some(object),
            ) => (&object.s3_bucket, &object.s3_key) == (bucket, key) && self.content.error.is_none(),
            (Upload::S3 { by_reference: true, .. }, None) => false,
            (_, object) => object.is_none(),
        }
    }

    /// Whether publishing the layer would make the same version once more.
    pub(super) fn is(&self, layer: &LayerToPublish, publishing: &Publishing) -> bool {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let set = |names: &Option<Vec<String>>| names.iter().flatten().cloned().collect::<BTreeSet<String>>();
        self.holds(&layer.code_sha256)
            && self.is_kept_as(&layer.upload)
            && same_description(&text(&self.description), &layer.description())
            && text(&self.license_info) == text(&publishing.options.license)
            && set(&self.compatible_runtimes) == publishing.runtimes.iter().cloned().collect()
            && set(&self.compatible_architectures) == BTreeSet::from([publishing.arch.to_string()])
    }
}

/// What a description begins with.
const TOOL: &str = "lambdar-prune ";

/// The description of a version, within AWS's 256 characters (a test shows it).
pub(super) fn description(sha256: &str) -> String {
    format!("{TOOL}{}, SHA-256 {sha256}", env!("CARGO_PKG_VERSION"))
}

/// Whether two descriptions differ in nothing but the version of this tool: a newer one is not a reason to send the same
/// layer again.
fn same_description(a: &str, b: &str) -> bool {
    let without_version = |text: &str| {
        let (version, rest) = text.strip_prefix(TOOL)?.split_once(", ")?;
        (!version.contains(' ')).then(|| rest.to_owned())
    };
    a == b || without_version(a).is_some_and(|a| without_version(b) == Some(a))
}

/// The newest of a layer's versions; `None` if it has none.
pub(super) fn newest(response: &str) -> Result<Option<u64>, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Versions {
        #[serde(default)]
        layer_versions: Vec<Listed>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Listed {
        version: u64,
    }
    if response.trim().is_empty() {
        // So the aws tool prints a response without any field.
        return Ok(None);
    }
    let versions: Versions = serde_json::from_str(response)?;
    Ok(versions.layer_versions.into_iter().map(|listed| listed.version).max())
}

/// An object in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Object {
    /// Its length in bytes.
    #[serde(rename = "ContentLength")]
    pub(super) length: u64,
    /// Its version, if the bucket keeps versions.
    pub(super) version_id: Option<String>,
}

impl Object {
    /// Reads a response; `None` if it is not about an object. A version that the aws tool would read as more than one value is
    /// none.
    pub(super) fn read(response: &str) -> Option<Self> {
        let mut object: Self = serde_json::from_str(response).ok()?;
        let is_plain = |version: &String| version.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        object.version_id = object.version_id.filter(is_plain);
        Some(object)
    }
}

/// Whether a bucket keeps versions of its objects. That of a bucket which never did is an empty response.
pub(super) fn is_versioned(response: &str) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Versioning {
        status: Option<String>,
    }
    let versioning = serde_json::from_str::<Versioning>(response);
    versioning.is_ok_and(|versioning| versioning.status.as_deref() == Some("Enabled"))
}

/// Whether an ARN is that of a version of this layer.
fn is_arn_of(arn: &str, layer: &str, version: u64) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    match parts[..] {
        ["arn", partition, "lambda", region, account, "layer", name, number] => {
            plain(partition)
                && plain(region)
                && account.chars().all(|c| c.is_ascii_digit())
                && name == layer
                && number == version.to_string()
        }
        _ => false,
    }
}

/// The part of an ARN that all layers of one account and region have in common.
pub(super) fn place(arn: &str) -> &str {
    arn.rfind(":layer:").map_or(arn, |end| &arn[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::tests::{publishing, response};

    #[test]
    fn the_newest_version_is_the_one_with_the_highest_number() {
        for (text, number) in [
            (r#"{"LayerVersions": []}"#, Some(None)),
            ("", Some(None)),
            (
                r#"{"LayerVersions": [{"Version": 2}, {"Version": 10, "X": 1}, {"Version": 9}]}"#,
                Some(Some(10)),
            ),
            ("no JSON", None),
            (r#"{"LayerVersions": [{"Version": "x"}]}"#, None),
        ] {
            assert_eq!(newest(text).ok(), number, "{text}");
        }
    }

    #[test]
    fn only_a_version_of_the_layer_is_one() {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:layer:r-1:3";
        assert!(is_arn_of(arn, "r-1", 3));
        assert!(is_arn_of(
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:layer:r-1:3",
            "r-1",
            3
        ));
        for (arn, layer, version) in [
            (arn, "r-2", 3),
            (arn, "r-1", 4),
            ("arn:aws:lambda:eu-west-1:123456789012:layer:r-1", "r-1", 3),
            ("arn:aws:lambda:eu west:123456789012:layer:r-1:3", "r-1", 3),
            ("$(rm)", "r-1", 3),
        ] {
            assert!(!is_arn_of(arn, layer, version), "{arn}");
        }
        assert_eq!(place(arn), "arn:aws:lambda:eu-west-1:123456789012");
    }

    #[test]
    fn one_other_attribute_makes_another_version() {
        let publishing = publishing(&["one"]);
        let layer = &publishing.layers[0];
        let same = response(layer, &publishing, 3);
        let is = |response: &serde_json::Value| {
            Version::read(&response.to_string(), "r-1").is_some_and(|version| version.is(layer, &publishing))
        };
        assert!(is(&same));
        let with = |field: &str, value: serde_json::Value| {
            let mut response = same.clone();
            response[field] = value;
            response
        };
        assert!(is(&with("LicenseInfo", "".into())), "an empty text is none");
        let older = format!("lambdar-prune 0.0.1, SHA-256 {}", layer.sha256);
        assert!(is(&with("Description", older.into())), "another version of this tool");
        for (field, value) in [
            ("Content", serde_json::json!({"CodeSha256": "x"})),
            ("Content", serde_json::json!({})),
            ("Description", "by hand".into()),
            ("Description", serde_json::Value::Null),
            ("LicenseInfo", "MIT".into()),
            ("CompatibleRuntimes", serde_json::json!([])),
            (
                "CompatibleRuntimes",
                serde_json::json!(["provided.al2", "provided.al2023"]),
            ),
            ("CompatibleArchitectures", serde_json::json!(["arm64"])),
            (
                "LayerVersionArn",
                "arn:aws:lambda:eu-west-1:123456789012:layer:other:3".into(),
            ),
        ] {
            let changed = with(field, value);
            assert!(!is(&changed), "{changed}");
        }
    }

    #[test]
    fn descriptions_fit_and_differ_by_content() {
        let a = description(&"a".repeat(64));
        assert!(a.chars().count() <= 256);
        assert!(!same_description(&a, &description(&"b".repeat(64))));
        assert!(!same_description("lambdar-prune by hand, x", "lambdar-prune 1, x"));
        assert!(!same_description("a", "b"));
    }
}
