//! Publishing against an AWS of this file's own, in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::finding::Code;
use crate::progress::{Interrupted, Silent, Work};

/// Layers with these contents, packed into a directory that does not exist.
pub(super) fn publishing(contents: &[&str]) -> Publishing {
    let layers = contents.iter().enumerate().map(|(index, content)| {
        let hash: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(content.as_bytes()).into();
        LayerToPublish {
            name: format!("r-{}", index + 1),
            file: format!("layer-{}.zip", index + 1),
            path: format!("layers/layer-{}.zip", index + 1),
            bytes: Bytes(content.len() as u64),
            sha256: base16ct::lower::encode_string(&hash),
            code_sha256: base64::engine::general_purpose::STANDARD.encode(hash),
            upload: Upload::Direct,
        }
    });
    Publishing {
        options: PublishOptions {
            name: Some("r".to_owned()),
            ..PublishOptions::default()
        },
        directory: PathBuf::from("layers"),
        runtime: "provided.al2023".to_owned(),
        arch: Arch::X86_64,
        runtimes: vec!["provided.al2023".to_owned()],
        variables: BTreeMap::new(),
        layers: layers.collect(),
        warnings: Vec::new(),
    }
}

/// AWS's response about a version of a layer, with a link that nobody may see.
pub(super) fn response(layer: &LayerToPublish, publishing: &Publishing, version: u64) -> Value {
    json!({
        "Content": {
            "Location": "https://bucket.s3.amazonaws.com/x?X-Amz-Security-Token=SECRET",
            "CodeSha256": layer.code_sha256,
            "CodeSize": layer.bytes,
        },
        "LayerArn": format!("arn:aws:lambda:eu-west-1:123456789012:layer:{}", layer.name),
        "LayerVersionArn": format!("arn:aws:lambda:eu-west-1:123456789012:layer:{}:{version}", layer.name),
        "Description": layer.description(),
        "CreatedDate": "2026-01-01T00:00:00.000+0000",
        "Version": version,
        "CompatibleRuntimes": publishing.runtimes,
        "CompatibleArchitectures": [publishing.arch],
    })
}

/// Keeps versions and objects, notes every call, and fails where it is told to.
struct Fake<'a> {
    publishing: &'a Publishing,
    versions: RefCell<BTreeMap<String, Vec<Value>>>,
    objects: RefCell<BTreeMap<String, u64>>,
    calls: RefCell<Vec<String>>,
    /// A call that begins so fails with these words.
    fails: RefCell<Option<(String, String)>>,
    /// Versions are made with this hash instead of the right one.
    hash: RefCell<Option<String>>,
    /// The response to whether the bucket keeps versions.
    versioning: RefCell<String>,
}

impl<'a> Fake<'a> {
    fn new(publishing: &'a Publishing) -> Self {
        Self {
            publishing,
            versions: RefCell::default(),
            objects: RefCell::default(),
            calls: RefCell::default(),
            fails: RefCell::default(),
            hash: RefCell::default(),
            versioning: RefCell::new(r#"{"Status": "Enabled"}"#.to_owned()),
        }
    }

    /// The calls since the last time, each by its operation and layer.
    fn calls(&self) -> Vec<String> {
        self.calls.take()
    }

    fn fail(&self, call: &str, words: &str) {
        *self.fails.borrow_mut() = Some((call.to_owned(), words.to_owned()));
    }
}

impl Aws for Fake<'_> {
    fn call(&self, arguments: &[String]) -> Result<String, CallError> {
        let value = |option: &str| {
            let at = arguments.iter().position(|argument| argument == option)?;
            arguments.get(at + 1).cloned()
        };
        let name = value("--layer-name").unwrap_or_default();
        let call = format!("{} {name}", arguments[1]).trim_end().to_owned();
        self.calls.borrow_mut().push(call.clone());
        let refused = |words: &str| {
            Err(CallError::Refused(Refusal::read(
                arguments,
                "exit status: 254",
                words,
                &[],
            )))
        };
        if let Some((prefix, words)) = self.fails.borrow().as_ref()
            && call.starts_with(prefix)
        {
            return refused(words);
        }
        let mut versions = self.versions.borrow_mut();
        let known = versions.entry(name.clone()).or_default();
        match arguments[1].as_str() {
            "list-layer-versions" => Ok(json!({ "LayerVersions": known }).to_string()),
            "get-layer-version" => {
                let number: usize = value("--version-number").unwrap().parse().unwrap();
                Ok(known[number - 1].to_string())
            }
            "head-object" => match self.objects.borrow().get(&value("--key").unwrap()) {
                Some(length) => Ok(json!({ "ContentLength": length, "VersionId": "v.1" }).to_string()),
                None => refused("An error occurred (404) when calling the HeadObject operation: Not Found"),
            },
            "cp" => {
                let layer = self.publishing.layers.iter().find(|layer| layer.path == arguments[2]);
                let key = arguments[3].splitn(4, '/').nth(3).unwrap().to_owned();
                self.objects.borrow_mut().insert(key, layer.unwrap().bytes.0);
                Ok(String::new())
            }
            "get-bucket-versioning" => Ok(self.versioning.borrow().clone()),
            "publish-layer-version" => {
                let layer = self.publishing.layers.iter().find(|layer| layer.name == name).unwrap();
                let mut version = response(layer, self.publishing, known.len() as u64 + 1);
                if let Some(hash) = self.hash.borrow().as_ref() {
                    version["Content"]["CodeSha256"] = hash.clone().into();
                }
                if let Some(content) = value("--content").filter(|content| content.contains("REFERENCE")) {
                    let field = |name: &str| {
                        let fields = content.split(',').filter_map(|field| field.split_once('='));
                        fields.into_iter().find(|(field, _)| *field == name).unwrap().1
                    };
                    version["Content"]["ResolvedS3Object"] = json!({
                        "S3Bucket": field("S3Bucket"),
                        "S3Key": field("S3Key"),
                        "S3ObjectVersion": field("S3ObjectVersion"),
                    });
                }
                known.push(version.clone());
                Ok(version.to_string())
            }
            other => panic!("{other}"),
        }
    }
}

/// Publishing of these contents, with a directory for its record.
fn in_directory(contents: &[&str]) -> (TempDir, Publishing) {
    let directory = tempfile::tempdir().unwrap();
    let mut publishing = publishing(contents);
    publishing.directory = directory.path().to_owned();
    (directory, publishing)
}

fn states(publication: &Publication) -> Vec<State> {
    publication.layers.iter().map(|layer| layer.status).collect()
}

fn record(directory: &TempDir) -> Value {
    let text = fs_err::read_to_string(directory.path().join(RECORD_NAME)).unwrap();
    assert!(!text.contains("SECRET"), "{text}");
    serde_json::from_str(&text).unwrap()
}

const STORAGE: &str = "An error occurred (CodeStorageExceededException) when calling the PublishLayerVersion operation: \
                       Code storage limit exceeded.";

#[test]
fn a_second_run_publishes_nothing() {
    let (directory, publishing) = in_directory(&["one", "two"]);
    let aws = Fake::new(&publishing);
    let first = publish(&publishing, &aws, &Silent).unwrap();
    assert_eq!(states(&first), [State::Published, State::Published]);
    assert_eq!(
        aws.calls(),
        [
            "list-layer-versions r-1",
            "publish-layer-version r-1",
            "list-layer-versions r-2",
            "publish-layer-version r-2"
        ]
    );
    let second = publish(&publishing, &aws, &Silent).unwrap();
    assert_eq!(states(&second), [State::Unchanged, State::Unchanged]);
    assert!(!aws.calls().iter().any(|call| call.starts_with("publish")));
    assert_eq!(first.arns, second.arns);
    assert_eq!(
        second.attach.unwrap(),
        "aws lambda update-function-configuration --function-name FUNCTION --layers \
         arn:aws:lambda:eu-west-1:123456789012:layer:r-1:1 arn:aws:lambda:eu-west-1:123456789012:layer:r-2:1"
    );
    assert_eq!(record(&directory)["layers"][1]["status"], "unchanged");
}

#[test]
fn a_changed_layer_alone_is_published() {
    let (_directory, publishing) = in_directory(&["one", "two", "three"]);
    let aws = Fake::new(&publishing);
    publish(&publishing, &aws, &Silent).unwrap();
    let changed = Publishing {
        layers: super::tests::publishing(&["one", "zwei", "three"]).layers,
        ..publishing.clone()
    };
    let again = Fake {
        versions: RefCell::new(aws.versions.take()),
        ..Fake::new(&changed)
    };
    let publication = publish(&changed, &again, &Silent).unwrap();
    assert_eq!(
        states(&publication),
        [State::Unchanged, State::Published, State::Unchanged]
    );
    assert!(publication.arns[1].ends_with(":r-2:2"), "{:?}", publication.arns);
}

#[test]
fn another_license_is_another_version() {
    let (_directory, mut publishing) = in_directory(&["one"]);
    let before = publishing.clone();
    let aws = Fake::new(&before);
    publish(&publishing, &aws, &Silent).unwrap();
    publishing.options.license = Some("MIT".to_owned());
    let publication = publish(&publishing, &aws, &Silent).unwrap();
    assert_eq!(states(&publication), [State::Published]);
}

#[test]
fn a_run_goes_on_where_another_one_failed() {
    let (directory, publishing) = in_directory(&["one", "two", "three"]);
    let aws = Fake::new(&publishing);
    aws.fail("publish-layer-version r-2", STORAGE);
    let failed = publish(&publishing, &aws, &Silent).unwrap();
    assert_eq!(states(&failed), [State::Published, State::Failed, State::Pending]);
    assert_eq!(failed.end, PublishOutcome::Failed);
    assert!(failed.arns.is_empty() && failed.attach.is_none() && !failed.ok);
    let error = failed.layers[1].error.clone().unwrap();
    assert_eq!(error.message, STORAGE);
    assert!(error.help.contains("delete-layer-version"), "{}", error.help);
    assert!(!aws.calls().iter().any(|call| call.ends_with("r-3")));
    let written = record(&directory);
    assert_eq!(
        written["layers"][0]["arn"],
        "arn:aws:lambda:eu-west-1:123456789012:layer:r-1:1"
    );
    assert_eq!(written["layers"][1]["status"], "failed");
    assert_eq!(written["layers"][2]["status"], "pending");

    aws.fails.take();
    let then = publish(&publishing, &aws, &Silent).unwrap();
    assert_eq!(states(&then), [State::Unchanged, State::Published, State::Published]);
    assert_eq!(then.arns.len(), 3);
}

#[test]
fn through_s3_an_object_is_sent_once() {
    let (_directory, mut publishing) = in_directory(&["one"]);
    let key = format!("team/{}.zip", publishing.layers[0].sha256);
    publishing.layers[0].upload = Upload::S3 {
        bucket: "bucket".to_owned(),
        key: key.clone(),
        by_reference: false,
    };
    let aws = Fake::new(&publishing);
    aws.fail("publish-layer-version", STORAGE);
    publish(&publishing, &aws, &Silent).unwrap();
    assert_eq!(
        aws.calls(),
        [
            "list-layer-versions r-1",
            "head-object",
            "cp",
            "publish-layer-version r-1"
        ]
    );
    assert!(aws.objects.borrow().contains_key(&key));

    aws.fails.take();
    publish(&publishing, &aws, &Silent).unwrap();
    assert_eq!(
        aws.calls(),
        ["list-layer-versions r-1", "head-object", "publish-layer-version r-1"]
    );
    aws.objects.borrow_mut().insert(key, 7);
    aws.versions.take();
    publish(&publishing, &aws, &Silent).unwrap();
    assert!(
        aws.calls().contains(&"cp".to_owned()),
        "an object of another length is not this zip"
    );
}

#[test]
fn what_aws_holds_is_compared_with_what_was_sent() {
    let (directory, publishing) = in_directory(&["one"]);
    let aws = Fake::new(&publishing);
    *aws.hash.borrow_mut() = Some("other".to_owned());
    let publication = publish(&publishing, &aws, &Silent).unwrap();
    assert_eq!(states(&publication), [State::Failed]);
    let error = publication.layers[0].error.clone().unwrap();
    assert!(error.message.contains("r-1:1 than layer-1.zip"), "{}", error.message);
    assert!(error.help.contains("--version-number 1`"), "{}", error.help);
    assert_eq!(record(&directory)["layers"][0]["arn"], Value::Null);
}

#[test]
fn answers_that_make_no_sense_are_not_shown() {
    struct Nonsense;
    impl Aws for Nonsense {
        fn call(&self, _: &[String]) -> Result<String, CallError> {
            Ok("SECRET".to_owned())
        }
    }
    let (_directory, publishing) = in_directory(&["one"]);
    let publication = publish(&publishing, &Nonsense, &Silent).unwrap();
    let text = crate::report::json(&publication);
    assert!(text.contains("list-layer-versions is not what"), "{text}");
    assert!(!text.contains("SECRET"), "{text}");
}

#[test]
fn without_the_aws_tool_nothing_is_recorded() {
    struct None;
    impl Aws for None {
        fn call(&self, _: &[String]) -> Result<String, CallError> {
            Err(CallError::Missing)
        }
    }
    let (directory, publishing) = in_directory(&["one"]);
    let error = publish(&publishing, &None, &Silent).unwrap_err().to_string();
    assert!(error.contains("pip install awscli"), "{error}");
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_version_that_could_not_be_recorded_is_told_all_the_same() {
    /// Takes the directory away once there is a version.
    struct Vanishing<'a>(Fake<'a>);
    impl Aws for Vanishing<'_> {
        fn call(&self, arguments: &[String]) -> Result<String, CallError> {
            let response = self.0.call(arguments);
            if arguments[1] == "publish-layer-version" {
                fs_err::remove_dir(&self.0.publishing.directory).unwrap();
            }
            response
        }
    }
    let (_directory, publishing) = in_directory(&["one", "two"]);
    let publication = publish(&publishing, &Vanishing(Fake::new(&publishing)), &Silent).unwrap();
    assert!(matches!(&publication.end, PublishOutcome::Unrecorded(error) if error.contains("published.json")));
    assert_eq!(states(&publication), [State::Published, State::Pending]);
    assert!(!publication.ok && publication.layers[0].arn.is_some());
}

#[test]
fn a_stopped_run_tells_what_is_done() {
    /// Stops before the second layer.
    #[derive(Default)]
    struct Stopping(AtomicUsize);
    impl Progress for Stopping {
        fn start(&self, stage: Stage, total: u64) -> Box<dyn Work> {
            Silent.start(stage, total)
        }

        fn check(&self) -> Result<(), Interrupted> {
            if self.0.fetch_add(1, Ordering::Relaxed) > 0 {
                Err(Interrupted)
            } else {
                Ok(())
            }
        }
    }
    let (directory, publishing) = in_directory(&["one", "two"]);
    let aws = Fake::new(&publishing);
    let publication = publish(&publishing, &aws, &Stopping::default()).unwrap();
    assert_eq!(publication.end, PublishOutcome::Interrupted);
    assert_eq!(states(&publication), [State::Published, State::Pending]);
    assert_eq!(record(&directory)["layers"][0]["status"], "published");
}

#[test]
fn the_way_of_a_zip_follows_from_its_length() {
    let with = PublishOptions {
        bucket: Some("bucket".to_owned()),
        prefix: Some("p".to_owned()),
        ..PublishOptions::default()
    };
    let through = Some(Upload::S3 {
        bucket: "bucket".to_owned(),
        key: "p/abc.zip".to_owned(),
        by_reference: false,
    });
    let without = PublishOptions::default();
    for (bytes, options, expected) in [
        (1, &without, Some(Upload::Direct)),
        (52_428_799, &without, Some(Upload::Direct)),
        (52_428_800, &without, None),
        (1, &with, Some(Upload::Direct)),
        (52_428_000, &with, Some(Upload::Direct)),
        (52_428_001, &with, through.clone()),
        (200_000_000, &with, through),
    ] {
        assert_eq!(upload(Bytes(bytes), "abc", options), expected, "{bytes}");
    }
}

fn day() -> Day {
    "2026-11-27".parse().unwrap()
}

#[test]
fn only_runtimes_that_aws_accepts_are_named() {
    for (runtime, expected) in [
        ("provided.al2023", Some("provided.al2023")),
        ("provided.al2", Some("provided.al2")),
        ("python3.13", Some("python3.13")),
        ("provided", None),
        ("go1.x", None),
        ("my-base", Some("custom")),
    ] {
        let (runtimes, warnings) = compatible_runtimes(runtime, day());
        assert_eq!(runtimes.first().map(String::as_str), expected);
        assert_eq!(warnings.is_empty(), expected == Some(runtime), "{warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains(&format!("'{runtime}'"))));
    }
}

#[test]
fn the_aws_tool_finds_nothing_in_a_path() {
    for (path, expected) in [
        ("layers/layer-1.zip", Some("layers/layer-1.zip")),
        ("/tmp/my layers/layer-1.zip", Some("/tmp/my layers/layer-1.zip")),
        ("~/layer-1.zip", Some("./~/layer-1.zip")),
        ("-x/layer-1.zip", Some("./-x/layer-1.zip")),
        ("$HOME/layer-1.zip", None),
    ] {
        assert_eq!(path_for_aws(Path::new(path)).as_deref(), expected);
    }
}

#[test]
fn a_bucket_lifts_the_limit_on_the_request_and_no_other() {
    let findings = vec![
        Finding::new(Code::ZipTooLarge, &[]),
        Finding::new(Code::ZipNearLimit, &[]),
        Finding::new(Code::UnzippedTooLarge, &[]),
    ];
    let mut options = PublishOptions::default();
    assert_eq!(findings_that_count(findings.clone(), &options, "mine", day()).len(), 3);
    options.bucket = Some("bucket".to_owned());
    let left = findings_that_count(findings, &options, "mine", day());
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].code, Code::UnzippedTooLarge);
}

#[test]
fn by_reference_the_object_stays_in_its_bucket_and_is_named_by_its_version() {
    let (_directory, mut publishing) = in_directory(&["one"]);
    publishing.options.bucket = Some("bucket".to_owned());
    publishing.options.prefix = Some("team".to_owned());
    publishing.options.by_reference = true;
    let layer = &publishing.layers[0];
    let upload = upload(layer.bytes, &layer.sha256, &publishing.options).unwrap();
    publishing.layers[0].upload = upload;
    let aws = Fake::new(&publishing);
    let first = publish(&publishing, &aws, &Silent).unwrap();
    assert_eq!(states(&first), [State::Published]);
    assert_eq!(
        aws.calls(),
        [
            "list-layer-versions r-1",
            "get-bucket-versioning",
            "head-object",
            "cp",
            "head-object",
            "publish-layer-version r-1"
        ]
    );
    let policy: Value = serde_json::from_str(first.bucket_policy.as_deref().unwrap()).unwrap();
    let statement = &policy["Statement"][0];
    assert_eq!(statement["Action"], json!(["s3:GetObject", "s3:GetObjectVersion"]));
    assert_eq!(statement["Principal"]["Service"], "lambda.amazonaws.com");
    assert_eq!(statement["Resource"], "arn:aws:s3:::bucket/team/*");

    // A second run uploads nothing. A copy is another version, and so is an object that Lambda cannot read any more.
    assert_eq!(
        states(&publish(&publishing, &aws, &Silent).unwrap()),
        [State::Unchanged]
    );
    assert_eq!(aws.calls(), ["list-layer-versions r-1", "get-layer-version r-1"]);
    aws.versions.borrow_mut().get_mut("r-1").unwrap()[0]["Content"]["Error"] = json!({ "ErrorCode": "NoSuchKey" });
    assert_eq!(
        states(&publish(&publishing, &aws, &Silent).unwrap()),
        [State::Published]
    );
    aws.calls();
    let mut copied = publishing.clone();
    copied.layers[0].upload = Upload::Direct;
    assert_eq!(states(&publish(&copied, &aws, &Silent).unwrap()), [State::Published]);
}

#[test]
fn a_bucket_without_versions_cannot_hold_layers_by_reference() {
    let (_directory, mut publishing) = in_directory(&["one"]);
    publishing.layers[0].upload = Upload::S3 {
        bucket: "bucket".to_owned(),
        key: "k.zip".to_owned(),
        by_reference: true,
    };
    for response in ["", "{}", r#"{"Status": "Suspended"}"#] {
        let aws = Fake::new(&publishing);
        *aws.versioning.borrow_mut() = response.to_owned();
        let publication = publish(&publishing, &aws, &Silent).unwrap();
        let error = publication.layers[0].error.as_ref().unwrap();
        assert!(
            error.help.contains("put-bucket-versioning --bucket bucket"),
            "{}",
            error.help
        );
        assert!(
            !aws.calls()
                .iter()
                .any(|call| call.starts_with("cp") || call.starts_with("publish"))
        );
    }
}

#[test]
fn a_runtime_that_is_blocked_cannot_be_published_for() {
    let severity = |day: &str| {
        let findings = vec![Finding::new(Code::RuntimeDeprecated, &[])];
        let options = PublishOptions::default();
        findings_that_count(findings, &options, "nodejs20.x", day.parse().unwrap())[0].severity
    };
    // cfn-lint 1.58.0: no function can be created from 2027-02-01 on.
    assert_eq!(severity("2027-01-31"), Severity::Warning);
    assert_eq!(severity("2027-02-01"), Severity::Error);
}

#[test]
fn a_dry_run_shows_every_command() {
    let (directory, mut publishing) = in_directory(&["one"]);
    let commands = |publishing: &Publishing| {
        let publication = publishing.dry_run();
        assert!(publication.dry_run && publication.arns.is_empty());
        publication.layers[0].commands.clone()
    };
    let direct = commands(&publishing);
    assert_eq!(direct.len(), 3);
    publishing.layers[0].upload = Upload::S3 {
        bucket: "bucket".to_owned(),
        key: "k.zip".to_owned(),
        by_reference: false,
    };
    let through_s3 = commands(&publishing);
    assert_eq!(through_s3.len(), 5);
    assert_eq!(
        through_s3[3].command,
        "aws s3 cp layers/layer-1.zip s3://bucket/k.zip --no-progress --only-show-errors"
    );
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_zip_that_is_not_the_packed_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let listed = publishing(&["content"]);
    let layer = &listed.layers[0];
    let manifest = json!({
        "schema_version": 1,
        "runtime": "provided.al2023",
        "arch": "x86_64",
        "layers": [{"file": layer.file, "sha256": layer.sha256, "code_sha256": layer.code_sha256}],
    });
    let new = || {
        let packed = manifest_in(directory.path())?;
        Publishing::new(directory.path(), &packed, listed.options.clone(), day())
    };
    let error = new().unwrap_err().to_string();
    assert!(error.contains("lambdar-prune pack"), "{error}");
    fs_err::write(directory.path().join("layers.json"), manifest.to_string()).unwrap();
    fs_err::write(directory.path().join(&layer.file), "content").unwrap();
    let fine = new().unwrap();
    assert_eq!(fine.layers[0].code_sha256, layer.code_sha256);
    fs_err::write(directory.path().join(&layer.file), "another").unwrap();
    let error = new().unwrap_err().to_string();
    assert!(error.contains("layer-1.zip is not the file"), "{error}");
}
