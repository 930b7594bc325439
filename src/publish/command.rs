//! The commands of the aws tool, argument by argument, and as a shell reads them.

use std::collections::BTreeMap;

use crate::shell::quoted;

use super::{LayerToPublish, PublishOptions, Publishing, Upload};

/// Arguments of the aws tool, without its name.
pub(super) type Arguments = Vec<String>;

/// The name of the aws tool.
pub(super) const AWS: &str = "aws";

/// Which versions a layer has.
pub(super) fn list_versions(layer: &str, options: &PublishOptions) -> Arguments {
    finish(
        &[
            "lambda",
            "list-layer-versions",
            "--layer-name",
            layer,
            "--output",
            "json",
        ],
        options,
    )
}

/// What a version is.
pub(super) fn get_version(layer: &str, number: &str, options: &PublishOptions) -> Arguments {
    finish(
        &[
            "lambda",
            "get-layer-version",
            "--layer-name",
            layer,
            "--version-number",
            number,
            "--output",
            "json",
        ],
        options,
    )
}

/// Whether the bucket has an object.
pub(super) fn head_object(bucket: &str, key: &str, options: &PublishOptions) -> Arguments {
    finish(
        &[
            "s3api",
            "head-object",
            "--bucket",
            bucket,
            "--key",
            key,
            "--output",
            "json",
        ],
        options,
    )
}

/// Whether the bucket keeps versions of its objects.
pub(super) fn bucket_versioning(bucket: &str, options: &PublishOptions) -> Arguments {
    let arguments = ["s3api", "get-bucket-versioning", "--bucket", bucket, "--output", "json"];
    finish(&arguments, options)
}

/// Sends a file into the bucket.
pub(super) fn copy(path: &str, bucket: &str, key: &str, options: &PublishOptions) -> Arguments {
    let target = format!("s3://{bucket}/{key}");
    finish(
        &["s3", "cp", path, &target, "--no-progress", "--only-show-errors"],
        options,
    )
}

/// Makes a new version of a layer; of an object that stays in its bucket, of this version of it.
pub(super) fn publish_version(
    layer: &LayerToPublish,
    publishing: &Publishing,
    object_version: Option<&str>,
) -> Arguments {
    let mut arguments = vec!["lambda", "publish-layer-version", "--layer-name", &layer.name];
    let content = match &layer.upload {
        Upload::Direct => ["--zip-file".to_owned(), format!("fileb://{}", layer.path)],
        // A prefix has no character that this notation of the aws tool gives a meaning to.
        Upload::S3 { bucket, key, .. } => {
            let version = object_version
                .map(|version| format!(",S3ObjectVersion={version},S3ObjectStorageMode=REFERENCE"))
                .unwrap_or_default();
            [
                "--content".to_owned(),
                format!("S3Bucket={bucket},S3Key={key}{version}"),
            ]
        }
    };
    arguments.extend(content.iter().map(String::as_str));
    if !publishing.runtimes.is_empty() {
        arguments.push("--compatible-runtimes");
        arguments.extend(publishing.runtimes.iter().map(String::as_str));
    }
    let arch = publishing.arch.to_string();
    let description = layer.description();
    arguments.extend(["--compatible-architectures", &arch, "--description", &description]);
    let license = publishing.options.license.as_deref().map(license);
    arguments.extend(license.iter().flatten().map(String::as_str));
    arguments.extend(["--output", "json"]);
    finish(&arguments, &publishing.options)
}

/// The license as an option. The aws tool would open a URL that stands alone, and takes a hyphen for an option; inside of
/// JSON it looks for neither.
fn license(license: &str) -> [String; 2] {
    if license.contains("://") || license.starts_with('-') {
        let json = serde_json::json!({ "LicenseInfo": license });
        ["--cli-input-json".to_owned(), json.to_string()]
    } else {
        ["--license-info".to_owned(), license.to_owned()]
    }
}

/// Gives a function these layers in place of those that it has.
pub(super) fn attach(arns: &[String], options: &PublishOptions) -> Arguments {
    let mut arguments = vec![
        "lambda",
        "update-function-configuration",
        "--function-name",
        "FUNCTION",
        "--layers",
    ];
    arguments.extend(arns.iter().map(String::as_str));
    finish(&arguments, options)
}

/// Gives a function these variables in place of those that it has.
pub(super) fn set_variables(variables: &BTreeMap<String, String>, options: &PublishOptions) -> Arguments {
    let json = serde_json::json!({ "Variables": variables }).to_string();
    let arguments = [
        "lambda",
        "update-function-configuration",
        "--function-name",
        "FUNCTION",
        "--environment",
        json.as_str(),
    ];
    finish(&arguments, options)
}

fn finish(arguments: &[&str], options: &PublishOptions) -> Arguments {
    let mut arguments: Arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    for (option, value) in [("--region", &options.region), ("--profile", &options.profile)] {
        if let Some(value) = value {
            arguments.extend([option.to_owned(), value.clone()]);
        }
    }
    arguments
}

/// A command as a shell reads it (POSIX.1-2017, Shell Command Language, section 2.2).
pub(super) fn shell(arguments: &[String]) -> String {
    std::iter::once(AWS.to_owned())
        .chain(arguments.iter().map(|argument| quoted(argument)))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::tests::publishing;

    #[test]
    fn a_layer_goes_into_the_request_or_through_s3() {
        let mut publishing = publishing(&["one"]);
        publishing.options.region = Some("eu-west-1".to_owned());
        publishing.options.profile = Some("my own".to_owned());
        let layer = publishing.layers[0].clone();
        let sha256 = &layer.sha256;
        assert_eq!(
            shell(&publish_version(&layer, &publishing, None)),
            format!(
                "aws lambda publish-layer-version --layer-name r-1 --zip-file fileb://layers/layer-1.zip \
                 --compatible-runtimes provided.al2023 --compatible-architectures x86_64 --description \
                 'lambdar-prune {}, SHA-256 {sha256}' --output json --region eu-west-1 --profile 'my own'",
                env!("CARGO_PKG_VERSION"),
            )
        );
        let through_s3 = LayerToPublish {
            upload: Upload::S3 {
                bucket: "bucket".to_owned(),
                key: "a=b/x.zip".to_owned(),
                by_reference: false,
            },
            ..layer
        };
        let text = shell(&publish_version(&through_s3, &publishing, None));
        assert!(text.contains(" --content S3Bucket=bucket,S3Key=a=b/x.zip "), "{text}");
        assert!(!text.contains("--zip-file"), "{text}");
        let text = shell(&publish_version(&through_s3, &publishing, Some("3HL4kqtJ.v-o")));
        let content = "S3Bucket=bucket,S3Key=a=b/x.zip,S3ObjectVersion=3HL4kqtJ.v-o,S3ObjectStorageMode=REFERENCE";
        assert!(text.contains(&format!(" --content {content} ")), "{text}");
    }

    #[test]
    fn no_runtime_no_option() {
        let mut publishing = publishing(&["one"]);
        publishing.runtimes.clear();
        let text = shell(&publish_version(&publishing.layers[0], &publishing, None));
        assert!(!text.contains("--compatible-runtimes"), "{text}");
    }

    #[test]
    fn the_aws_tool_never_opens_what_is_given_as_the_license() {
        for (text, option) in [
            ("MIT", "--license-info"),
            ("MIT OR Apache-2.0", "--license-info"),
            ("https://opensource.org/license/mit", "--cli-input-json"),
            ("file:///etc/passwd", "--cli-input-json"),
            ("-x", "--cli-input-json"),
        ] {
            assert_eq!(license(text)[0], option, "{text}");
        }
        assert_eq!(license("a://\"")[1], r#"{"LicenseInfo":"a://\""}"#);
    }
}
