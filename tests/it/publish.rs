//! `publish` against a real server of AWS's interface, with the real aws tool: moto_server and awscli from PyPI, which are
//! installed into a virtual environment below the target folder.
//!
//! Without Python or network the test is skipped and says why; where CI is set in the environment it fails instead.
//! moto checks no limits, so those are tested next to the code.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Ran, Sandbox, testdata};

/// What must not be seen anywhere: the credentials, and some other value of the environment.
const SECRETS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "AKIAQ7LAMBDARPRUNE42"),
    ("AWS_SECRET_ACCESS_KEY", "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"),
    (
        "AWS_SESSION_TOKEN",
        "FwoGZXIvYXdzEJr//////////wEaDHlambdarprune0123456789abcdefTOKEN==",
    ),
    ("SOME_VARIABLE", "value-that-nobody-may-see-93711"),
];
const REGION: &str = "eu-west-1";
/// Zips of the small layers: each file of 3,000 bytes has one to itself.
const SMALL: &str = "4kB";
const FILE: usize = 3000;
/// A zip with so many bytes that do not compress is too large for a request.
const LARGE: usize = 53_000_000;

/// The tools, or why there are none.
fn tools() -> Result<PathBuf, String> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/publish/requirements.txt");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("publish-tools");
    let stamp = folder.join("installed.txt");
    let wanted = fs_err::read_to_string(&requirements).map_err(|error| error.to_string())?;
    if fs_err::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    let run = |command: &mut Command| {
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        let last = String::from_utf8_lossy(&output.stderr)
            .lines()
            .last()
            .map(ToOwned::to_owned);
        if output.status.success() {
            Ok(())
        } else {
            Err(last.unwrap_or_default())
        }
    };
    let venv = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
    venv.map_err(|error| format!("python3 -m venv: {error}"))?;
    let pip = run(Command::new(folder.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&requirements));
    pip.map_err(|error| format!("pip install: {error}"))?;
    fs_err::write(&stamp, wanted).map_err(|error| error.to_string())?;
    Ok(folder)
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// moto_server behind the proxy, and a folder for everything that the test makes.
struct World {
    folder: Sandbox,
    tools: PathBuf,
    endpoint: String,
    output: RefCell<String>,
    _servers: [Running; 2],
}

impl World {
    fn new(tools: PathBuf) -> Self {
        let folder = Sandbox::new();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let moto = Command::new(tools.join("bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Running(moto);
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "moto_server does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        let mut proxy = Command::new(tools.join("bin/python"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/publish/proxy.py"))
            .arg(port.to_string())
            .args([folder.path("requests.txt"), folder.path("switch.txt")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            folder,
            tools,
            endpoint: format!("http://127.0.0.1:{}", line.trim()),
            output: RefCell::default(),
            _servers: [moto, Running(proxy)],
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// A command in the test's folder, with the environment of a user who is logged in, and these folders on PATH.
    fn command(&self, program: impl AsRef<OsStr>, path: &[PathBuf]) -> Command {
        let mut folders = path.to_vec();
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new(program);
        command
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", std::env::join_paths(folders).unwrap())
            .env("HOME", self.path(""))
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(SECRETS);
        command
    }

    fn run_command(&self, command: &mut Command) -> Ran {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let run = Ran {
            status: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        self.output
            .borrow_mut()
            .push_str(&format!("{}\n{}\n", run.stdout, run.stderr));
        run
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let program = env!("CARGO_BIN_EXE_lambdar-prune");
        self.run_command(self.command(program, &[self.tools.join("bin")]).args(arguments))
    }

    /// Runs the program and demands an exit status.
    fn expect(&self, status: i32, arguments: &[&str]) -> Ran {
        let run = self.run(arguments);
        assert_eq!(run.status, status, "{arguments:?}\n{}\n{}", run.stdout, run.stderr);
        run
    }

    /// Runs `publish` and reads its JSON.
    fn publish(&self, status: i32, arguments: &[&str]) -> Value {
        let arguments = [&["publish"], arguments, &["--format", "json"]].concat();
        serde_json::from_str(&self.expect(status, &arguments).stdout).unwrap()
    }

    /// Asks the server, as a user would.
    fn aws(&self, arguments: &[&str]) -> Value {
        let output = self
            .command(self.tools.join("bin/aws"), &[])
            .args(arguments)
            .args(["--output", "json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn version(&self, layer: &str, number: u32) -> Value {
        let number = number.to_string();
        let options = ["--layer-name", layer, "--version-number", &number];
        self.aws(&[&["lambda", "get-layer-version"], &options[..]].concat())
    }

    /// The requests since the last time.
    fn requests(&self) -> Vec<String> {
        let log = self.path("requests.txt");
        let text = fs_err::read_to_string(&log).unwrap_or_default();
        fs_err::write(&log, "").unwrap();
        text.lines().map(ToOwned::to_owned).collect()
    }

    /// The uploads since the last time: every request that sends something.
    fn uploads(&self) -> Vec<String> {
        let mut requests = self.requests();
        requests.retain(|request| request.starts_with("POST") || request.starts_with("PUT"));
        requests
    }

    /// Makes the server refuse a request until `mend`.
    fn break_at(&self, request: &str) {
        self.folder.file("switch.txt", request);
    }

    fn mend(&self) {
        fs_err::remove_file(self.path("switch.txt")).unwrap();
    }

    /// Makes a tree of files with these bytes' seeds, and packs it.
    fn pack(&self, name: &str, seeds: &[u64], length: usize, max: &str) -> Ran {
        for (number, seed) in seeds.iter().enumerate() {
            let path = format!("{name}-tree/share/part{number}/data");
            self.folder.file(&path, noise(*seed, length));
        }
        self.run(&["pack", &format!("{name}-tree"), "--max", max, "-o", name])
    }
}

/// Bytes that do not compress, always the same for a seed (xorshift64).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

fn post(layer: &str) -> String {
    format!("POST /2018-10-31/layers/{layer}/versions")
}

fn statuses(publication: &Value) -> Vec<&str> {
    let layers = publication["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["status"].as_str().unwrap()).collect()
}

/// The record in a folder: each layer's status and ARN.
fn record(world: &World, folder: &str) -> Vec<(String, Option<String>)> {
    let text = fs_err::read_to_string(world.path(folder).join("published.json")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let layers = record["layers"].as_array().unwrap().iter();
    layers
        .map(|layer| (text(&layer["status"]).unwrap(), text(&layer["arn"])))
        .collect()
}

#[test]
fn publish_works_with_a_real_server_and_the_real_tool() {
    let tools = match tools() {
        Ok(tools) => tools,
        Err(reason) if std::env::var_os("CI").is_none() => {
            writeln!(
                std::io::stderr(),
                "skipped: awscli and moto[server] cannot be installed ({reason})"
            )
            .unwrap();
            return;
        }
        Err(reason) => panic!("awscli and moto[server] cannot be installed: {reason}"),
    };
    let world = World::new(tools);
    a_dry_run_runs_nothing_and_shows_what_would_work(&world);
    layers_are_published_directly_and_only_once(&world);
    a_changed_layer_alone_is_published(&world);
    named_layers_are_published_under_their_names(&world);
    a_run_goes_on_where_the_server_has_failed(&world);
    large_layers_go_through_s3_and_only_once(&world);
    by_reference_zips_stay_in_the_bucket(&world);
    a_runtime_of_the_customer_is_named_custom(&world);
    without_the_tool_and_with_a_bad_one(&world);
    nothing_secret_was_seen(&world);
}

fn a_dry_run_runs_nothing_and_shows_what_would_work(world: &World) {
    world.pack("dry", &[1, 2], FILE, SMALL);
    let arguments = ["publish", "dry", "--name", "dry", "--license", "it's mine; $HOME"];
    let dry = world.expect(0, &[&arguments[..], &["--dry-run"]].concat());
    assert_eq!(world.requests(), Vec::<String>::new());
    assert!(!world.path("dry/published.json").exists());
    // What is printed is what a shell can run: done by hand, there is nothing left to do.
    let script = world.run_command(
        world
            .command("sh", &[world.tools.join("bin")])
            .args(["-c", &dry.stdout]),
    );
    assert_eq!(script.status, 0, "{}", script.stderr);
    assert_eq!(world.uploads(), [post("dry-1"), post("dry-2")]);
    let publication = world.publish(0, &["dry", "--name", "dry", "--license", "it's mine; $HOME"]);
    assert_eq!(statuses(&publication), ["unchanged", "unchanged"]);
    assert_eq!(world.uploads(), Vec::<String>::new());
}

fn layers_are_published_directly_and_only_once(world: &World) {
    world.pack("direct", &[1, 2, 3], FILE, SMALL);
    let license = "https://opensource.org/license/mit";
    let first = world.publish(0, &["direct", "--name", "direct", "--license", license]);
    assert_eq!(statuses(&first), ["published"; 3]);
    assert_eq!(world.uploads(), [post("direct-1"), post("direct-2"), post("direct-3")]);
    let manifest = fs_err::read_to_string(world.path("direct/layers.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    for (index, layer) in manifest["layers"].as_array().unwrap().iter().enumerate() {
        let name = format!("direct-{}", index + 1);
        let arn = format!("arn:aws:lambda:{REGION}:123456789012:layer:{name}:1");
        assert_eq!(first["arns"][index], arn);
        let version = world.version(&name, 1);
        assert_eq!(version["Content"]["CodeSha256"], layer["code_sha256"]);
        assert_eq!(version["CompatibleRuntimes"], serde_json::json!(["provided.al2023"]));
        assert_eq!(
            version["CompatibleArchitectures"],
            serde_json::json!([manifest["arch"]])
        );
        assert_eq!(version["LicenseInfo"], license);
        let description = version["Description"].as_str().unwrap();
        assert!(description.contains(layer["sha256"].as_str().unwrap()), "{description}");
    }
    world.requests();

    let arguments = ["publish", "direct", "--name", "direct", "--license", license];
    let arns = world
        .expect(0, &[&arguments[..], &["--format", "arns"]].concat())
        .stdout;
    let expected: Vec<&str> = first["arns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arn| arn.as_str().unwrap())
        .collect();
    assert_eq!(arns.lines().collect::<Vec<_>>(), expected);
    let table = world
        .expect(0, &[&arguments[..], &["--snippet", "sam"]].concat())
        .stdout;
    let ready = format!(
        "aws lambda update-function-configuration --function-name FUNCTION --layers {}\n",
        expected.join(" ")
    );
    assert!(
        table.contains(&ready) && table.contains(&format!("        - {}\n", expected[2])),
        "{table}"
    );
    assert_eq!(world.uploads(), Vec::<String>::new(), "a second run uploads nothing");
    let unchanged = expected
        .iter()
        .map(|arn| ("unchanged".to_owned(), Some((*arn).to_owned())));
    assert_eq!(record(world, "direct"), unchanged.collect::<Vec<_>>());

    // Another attribute is another version.
    let other = world.publish(0, &["direct", "--name", "direct", "--license", "MIT"]);
    assert_eq!(statuses(&other), ["published"; 3]);
    world.requests();
}

fn a_changed_layer_alone_is_published(world: &World) {
    let hashes = || -> BTreeMap<String, String> {
        let text = fs_err::read_to_string(world.path("changed/layers.json")).unwrap();
        let manifest: Value = serde_json::from_str(&text).unwrap();
        let layers = manifest["layers"].as_array().unwrap().iter();
        layers
            .map(|layer| (layer["file"].to_string(), layer["sha256"].to_string()))
            .collect()
    };
    world.pack("changed", &[1, 2, 3], FILE, SMALL);
    let before = hashes();
    world.publish(0, &["changed", "--name", "changed"]);
    world.requests();
    world.pack("changed", &[1, 20, 3], FILE, SMALL);
    let same = hashes()
        .iter()
        .filter(|(file, hash)| before.get(*file) == Some(hash))
        .count();
    assert_eq!(same, 2, "one zip of three has changed");
    let publication = world.publish(0, &["changed", "--name", "changed"]);
    let mut found = statuses(&publication);
    let changed = found.iter().position(|status| *status == "published").unwrap();
    assert_eq!(world.uploads(), [post(&format!("changed-{}", changed + 1))]);
    assert!(publication["arns"][changed].as_str().unwrap().ends_with(":2"));
    found.remove(changed);
    assert_eq!(found, ["unchanged"; 2]);
}

fn named_layers_are_published_under_their_names(world: &World) {
    let recipe =
        "[[layer]]\nname = 'R'\npaths = ['share/part0']\n[[layer]]\nname = 'subsystem'\npaths = ['share/part1']\n";
    world.folder.file("lambdar-prune.toml", recipe);
    world.pack("named", &[1, 2, 3], FILE, SMALL);
    fs_err::remove_file(world.path("lambdar-prune.toml")).unwrap();
    let run = world.expect(2, &["publish", "named"]);
    assert!(run.stderr.contains("--name: give the layers a name"), "{}", run.stderr);
    let publication = world.publish(0, &["named", "--name", "rest"]);
    assert_eq!(statuses(&publication), ["published"; 3]);
    assert_eq!(world.uploads(), [post("R"), post("subsystem"), post("rest-1")]);
    assert_eq!(record(world, "named").len(), 3);

    // If all have names, none has to be given.
    world
        .folder
        .file("lambdar-prune.toml", recipe.replace("share/part1", "share"));
    world.run(&["pack", "named-tree", "--max", "8kB", "-o", "named"]);
    fs_err::remove_file(world.path("lambdar-prune.toml")).unwrap();
    let publication = world.publish(0, &["named"]);
    assert_eq!(statuses(&publication), ["unchanged", "published"]);
    assert_eq!(publication["layers"][1]["layer"], "subsystem");
    assert_eq!(publication["layers"][1]["version"], 2);
    assert_eq!(world.uploads(), [post("subsystem")]);
}

fn a_run_goes_on_where_the_server_has_failed(world: &World) {
    world.pack("broken", &[1, 2, 3], FILE, SMALL);
    world.break_at(&post("broken-2"));
    let run = world.expect(1, &["publish", "broken", "--name", "broken"]);
    assert!(
        run.stdout.contains("1 published, 1 failed, 1 pending."),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains("arn:"), "{}", run.stdout);
    for words in [
        "broken-2 was not published: An error occurred (CodeStorageExceededException) when calling the \
         PublishLayerVersion operation: Code storage limit exceeded.",
        "aws lambda delete-layer-version",
        "run the same command again",
    ] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    assert_eq!(world.uploads(), [post("broken-1"), post("broken-2")]);
    let arn = |number: u32| Some(format!("arn:aws:lambda:{REGION}:123456789012:layer:broken-{number}:1"));
    let recorded = |rows: [(&str, Option<String>); 3]| rows.map(|(status, arn)| (status.to_owned(), arn)).to_vec();
    assert_eq!(
        record(world, "broken"),
        recorded([("published", arn(1)), ("failed", None), ("pending", None)])
    );
    let arns = world
        .expect(1, &["publish", "broken", "--name", "broken", "--format", "arns"])
        .stdout;
    assert_eq!(arns, "", "part of the ARNs would be attached as if they were all");
    world.requests();

    world.mend();
    let publication = world.publish(0, &["broken", "--name", "broken"]);
    assert_eq!(statuses(&publication), ["unchanged", "published", "published"]);
    assert_eq!(world.uploads(), [post("broken-2"), post("broken-3")]);
    assert_eq!(
        record(world, "broken"),
        recorded([("unchanged", arn(1)), ("published", arn(2)), ("published", arn(3))])
    );
}

fn large_layers_go_through_s3_and_only_once(world: &World) {
    let packed = world.pack("large", &[1], LARGE, "60MB");
    assert_eq!(
        packed.status, 1,
        "pack says that a request cannot carry it: {}",
        packed.stdout
    );
    let refused = world.expect(1, &["publish", "large", "--name", "large"]);
    assert!(refused.stderr.contains("give --bucket BUCKET"), "{}", refused.stderr);
    assert_eq!(world.requests(), Vec::<String>::new());

    let with_bucket = [
        "large",
        "--name",
        "large",
        "--bucket",
        "a-bucket",
        "--prefix",
        "team=r/layers",
    ];
    let missing = world.publish(1, &with_bucket);
    let error = &missing["layers"][0]["error"];
    assert_eq!(error["code"], "NoSuchBucket");
    assert!(error["help"].as_str().unwrap().contains("aws s3 mb"), "{error}");
    world.aws(&[
        "s3api",
        "create-bucket",
        "--bucket",
        "a-bucket",
        "--create-bucket-configuration",
        "LocationConstraint=eu-west-1",
    ]);
    world.requests();

    world.break_at(&post("large-1"));
    world.publish(1, &with_bucket);
    let sent = world.uploads();
    assert!(
        sent.iter()
            .filter(|request| request.starts_with("PUT /a-bucket/team"))
            .count()
            > 0,
        "{sent:?}"
    );
    world.mend();
    let publication = world.publish(0, &with_bucket);
    assert_eq!(statuses(&publication), ["published"]);
    assert_eq!(publication["layers"][0]["through_s3"], true);
    assert_eq!(world.uploads(), [post("large-1")], "the zip is in the bucket already");
    let version = world.version("large-1", 1);
    assert_eq!(
        version["Content"]["CodeSha256"],
        publication["layers"][0]["code_sha256"]
    );
    assert_eq!(version["Content"]["CodeSize"], publication["layers"][0]["zipped_bytes"]);
    world.requests();
    assert_eq!(statuses(&world.publish(0, &with_bucket)), ["unchanged"]);
    assert_eq!(world.uploads(), Vec::<String>::new(), "a second run uploads nothing");
}

fn by_reference_zips_stay_in_the_bucket(world: &World) {
    world.pack("kept", &[1], FILE, SMALL);
    let arguments = ["kept", "--name", "kept", "--bucket", "kept-zips", "--by-reference"];
    world.aws(&[
        "s3api",
        "create-bucket",
        "--bucket",
        "kept-zips",
        "--create-bucket-configuration",
        "LocationConstraint=eu-west-1",
    ]);
    world.aws(&[
        "s3api",
        "put-bucket-versioning",
        "--bucket",
        "kept-zips",
        "--versioning-configuration",
        "Status=Enabled",
    ]);
    world.requests();
    let publication = world.publish(0, &arguments);
    assert_eq!(statuses(&publication), ["published"]);
    let sent = world.uploads();
    assert!(sent[0].starts_with("PUT /kept-zips/"), "{sent:?}");
    assert_eq!(sent[1..], [post("kept-1")]);
    let object = &world.version("kept-1", 1)["Content"]["ResolvedS3Object"];
    assert_eq!(object["S3Bucket"], "kept-zips");
    assert!(object["S3ObjectVersion"].is_string(), "{object}");
    let policy: Value = serde_json::from_str(publication["bucket_policy"].as_str().unwrap()).unwrap();
    assert_eq!(policy["Statement"][0]["Principal"]["Service"], "lambda.amazonaws.com");
    world.requests();
    assert_eq!(statuses(&world.publish(0, &arguments)), ["unchanged"]);
    assert_eq!(world.uploads(), Vec::<String>::new(), "a second run uploads nothing");
}

fn a_runtime_of_the_customer_is_named_custom(world: &World) {
    world.pack("old", &[1], FILE, SMALL);
    let tree = ["pack", "old-tree", "-o", "old", "--runtime"];
    let loader = fs_err::read(testdata("host/libfar.so.1")).unwrap();
    world.folder.file("our-own-base/lib64/ld-linux-x86-64.so.2", loader);
    world.expect(0, &["runtimes", "capture", "our-own-base", "-o", "own.toml"]);
    world.expect(0, &[&tree[..], &["provided"]].concat());
    let run = world.expect(1, &["publish", "old", "--name", "old"]);
    assert!(run.stdout.contains("runtime-deprecated"), "{}", run.stdout);
    world.expect(0, &[&tree[..], &["own.toml"]].concat());
    let arguments = ["publish", "old", "--name", "old", "--runtime", "own.toml"];
    let run = world.expect(0, &arguments);
    let warning = "warning: 'our-own-base' is a runtime of your own, which AWS calls 'custom'";
    assert!(run.stderr.contains(warning), "{}", run.stderr);
    assert_eq!(world.expect(0, &[&arguments[..], &["-q"]].concat()).stderr, "");
    assert_eq!(
        world.version("old-1", 1)["CompatibleRuntimes"],
        serde_json::json!(["custom"])
    );
    let snippet = world
        .expect(0, &[&arguments[..], &["--snippet", "sam", "-q"]].concat())
        .stdout;
    assert!(
        snippet.contains("Runtime: custom\n") && snippet.contains("RuntimeArn: RUNTIME_ARN"),
        "{snippet}"
    );
    // Packed for one runtime and published for another: no.
    let run = world.expect(2, &["publish", "old", "--name", "old", "--runtime", "provided.al2023"]);
    assert!(run.stderr.contains("packed for our-own-base"), "{}", run.stderr);
    world.requests();
}

fn without_the_tool_and_with_a_bad_one(world: &World) {
    let empty = world.path("empty");
    world.folder.folder("empty");
    let program = env!("CARGO_BIN_EXE_lambdar-prune");
    let publish = ["publish", "dry", "--name", "bad"];
    let run = world.run_command(world.command(program, &[]).env("PATH", &empty).args(publish));
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("pip install awscli"), "{}", run.stderr);

    // A tool that tells everything that it should not.
    let mut script = String::from("#!/bin/sh\nenv\nenv >&2\n");
    for (name, _) in SECRETS {
        script += &format!("echo \"An error occurred (AccessDenied) with ${name} and x${name}x, Token=${name}\" >&2\n");
    }
    script += "echo \"Could not connect to the endpoint URL: $AWS_ENDPOINT_URL/x\" >&2\nexit 254\n";
    world.folder.file("bad/aws", script).mode("bad/aws", 0o755);
    let bad = world.path("bad");
    for form in ["table", "json"] {
        let mut command = world.command(program, std::slice::from_ref(&bad));
        let run = world.run_command(command.args(publish).args(["--format", form]));
        assert_eq!(run.status, 1);
        let all = run.stdout + &run.stderr;
        assert!(
            all.contains("[AWS_SECRET_ACCESS_KEY]") && all.contains("[AWS_ENDPOINT_URL]"),
            "{all}"
        );
    }
    // Nonsense for an answer is not shown either.
    world.folder.file("bad/aws", "#!/bin/sh\nenv\n");
    let run = world.run_command(world.command(program, std::slice::from_ref(&bad)).args(publish));
    assert_eq!(run.status, 1, "{}", run.stdout);
}

/// Looks through all output and every file that the program has written.
fn nothing_secret_was_seen(world: &World) {
    let output = world.output.borrow();
    let endpoint = ("AWS_ENDPOINT_URL", world.endpoint.as_str());
    for (name, value) in SECRETS.into_iter().chain([endpoint]) {
        assert!(!output.contains(value), "{name} was printed");
        let mut files = 0;
        for folder in ["dry", "direct", "changed", "broken", "large", "old"] {
            for (file, bytes) in world.folder.contents(folder) {
                let found = bytes.windows(value.len()).any(|window| window == value.as_bytes());
                assert!(!found, "{name} was written to {folder}/{file}");
                files += 1;
            }
        }
        assert!(files > 15, "{files}");
    }
    assert!(
        output.len() > 5000 && output.contains("published"),
        "there was something to look through"
    );
}
