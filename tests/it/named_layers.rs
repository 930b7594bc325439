//! Layers with names: what is in them, what is said of them, and what stays as it was.

use serde_json::Value;

use crate::support::Sandbox;

/// The recipe's two layers.
const RECIPE: &str = "[[layer]]\nname = 'R'\npaths = ['R/**']\n\n[[layer]]\nname = 'subsystem'\npaths = ['**']\n";

/// Bytes that do not shrink.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let blocks = (0_u32..).flat_map(|number| {
        let seed = [seed.to_le_bytes(), number.to_le_bytes()].concat();
        *blake3::hash(&seed).as_bytes()
    });
    blocks.take(length).collect()
}

fn tree(sandbox: &Sandbox) {
    for (number, path) in ["R/a", "R/b/c", "lib/x", "lib/y", "share/z"].into_iter().enumerate() {
        sandbox.file(&format!("opt/{path}"), noise(u32::try_from(number).unwrap(), 3_000));
    }
}

fn pack(sandbox: &Sandbox, max: &str) -> (Value, String) {
    let run = sandbox.run(["pack", "opt", "--max", max, "--format", "json"]);
    let run = run.expect_status(0);
    (run.json(), run.stderr)
}

/// The name, file and paths of each layer.
fn layers(manifest: &Value) -> Vec<(Option<&str>, &str, Vec<&str>)> {
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers
        .map(|layer| {
            let contents = layer["contents"].as_array().unwrap().iter();
            let paths = contents.map(|entry| entry["path"].as_str().unwrap()).collect();
            (layer["name"].as_str(), layer["file"].as_str().unwrap(), paths)
        })
        .collect()
}

#[test]
fn the_recipes_two_layers_come_out_by_name() {
    let sandbox = Sandbox::new();
    tree(&sandbox);
    sandbox.file("lambdar-prune.toml", RECIPE);
    let (manifest, stderr) = pack(&sandbox, "50MB");
    assert_eq!(
        layers(&manifest),
        [
            (Some("R"), "R.zip", vec!["R/a", "R/b/c"]),
            (Some("subsystem"), "subsystem.zip", vec!["lib/x", "lib/y", "share/z"]),
        ]
    );
    assert_eq!(manifest["totals"]["layers"], 2);
    assert_eq!(stderr, "", "that the rest is the rest needs no word");
    sandbox.run(["check", "layers"]).expect_status(0);
    // What was packed is there, and nothing else.
    let mut names: Vec<String> = sandbox.contents("layers").into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["R.zip", "layers.json", "subsystem.zip"]);
    let (again, _) = pack(&sandbox, "50MB");
    let layers = again["layers"].as_array().unwrap();
    assert!(layers.iter().all(|layer| layer["change"] == "unchanged"));
    let report = sandbox.run(["pack", "opt"]).expect_status(0).stdout;
    assert!(report.contains("Next: lambdar-prune publish layers\n"), "{report}");

    // Without names, the zips of before go.
    fs_err::remove_file(sandbox.path("lambdar-prune.toml")).unwrap();
    let (manifest, _) = pack(&sandbox, "50MB");
    assert_eq!(layers_files(&manifest), ["layer-1.zip"]);
    let names: Vec<String> = sandbox.contents("layers").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["layer-1.zip", "layers.json"]);
}

fn layers_files(manifest: &Value) -> Vec<&str> {
    layers(manifest).into_iter().map(|(_, file, _)| file).collect()
}

#[test]
fn the_rest_is_packed_as_before_and_stays_where_it_was() {
    let sandbox = Sandbox::new();
    tree(&sandbox);
    let (before, _) = pack(&sandbox, "7kB");
    sandbox.file("lambdar-prune.toml", "[[layer]]\nname = 'R'\npaths = ['R']\n");
    let (manifest, stderr) = pack(&sandbox, "7kB");
    assert_eq!(stderr, "");
    assert_eq!(layers_files(&manifest), ["R.zip", "layer-1.zip", "layer-2.zip"]);
    assert_eq!(manifest["totals"]["lower_bound"], 3);
    let fewer = layers_files(&before).len();
    assert_eq!(fewer, 3);
    // A file more takes no other out of its layer.
    let places = |manifest: &Value| -> Vec<(String, String)> {
        let layers = layers(manifest).into_iter();
        layers
            .flat_map(|(_, file, paths)| paths.into_iter().map(move |path| (path.to_owned(), file.to_owned())))
            .collect()
    };
    sandbox.file("opt/lib/w", noise(9, 3_000));
    let (after, _) = pack(&sandbox, "7kB");
    let now = places(&after);
    assert_eq!(now.len(), 6);
    for place in places(&manifest) {
        assert!(now.contains(&place), "{place:?}: {now:?}");
    }
}

#[test]
fn a_named_layer_keeps_to_the_limits() {
    let sandbox = Sandbox::new();
    tree(&sandbox);
    sandbox.file("lambdar-prune.toml", RECIPE);
    let run = sandbox.run(["pack", "opt", "--max", "7kB"]).expect_status(1);
    for words in ["layer subsystem does not fit", "7.00 kB", "another [[layer]]", "lib/x"] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    assert!(!sandbox.path("layers").exists());
    let run = sandbox.run(["pack", "opt", "--max-layers", "1"]).expect_status(1);
    assert!(run.stderr.contains("2 layers"), "{}", run.stderr);
}

#[test]
fn what_one_may_not_expect_is_said() {
    let sandbox = Sandbox::new();
    tree(&sandbox);
    sandbox.file(
        "lambdar-prune.toml",
        "[[layer]]\nname = 'one'\npaths = ['R/**', 'lib/x', 'libx']\n\
         [[layer]]\nname = 'two'\npaths = ['lib/**', 'R/a']\n\
         [[layer]]\nname = 'three'\npaths = ['nowhere/**']\n",
    );
    let (manifest, stderr) = pack(&sandbox, "50MB");
    assert_eq!(layers_files(&manifest), ["one.zip", "two.zip", "layer-1.zip"]);
    assert_eq!(layers(&manifest)[1].2, ["lib/y"]);
    for words in [
        "'libx' of layer one matches nothing that is packed",
        "layers one and two both match R/a and 1 more: they are in one, which comes first",
        "'nowhere/**' of layer three matches nothing that is packed",
        "layer three is empty and is not written",
    ] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
}

#[test]
fn a_zip_of_someone_else_is_not_touched() {
    let sandbox = Sandbox::new();
    tree(&sandbox);
    sandbox.file("layers/R.zip", "mine");
    sandbox.file("lambdar-prune.toml", RECIPE);
    let run = sandbox.run(["pack", "opt"]).expect_status(2);
    assert!(run.stderr.contains("R.zip is in the way"), "{}", run.stderr);
    assert_eq!(fs_err::read(sandbox.path("layers/R.zip")).unwrap(), b"mine");
    assert!(!sandbox.path("layers/subsystem.zip").exists());
}

#[test]
fn a_name_in_a_manifest_that_leads_elsewhere_is_refused() {
    let sandbox = Sandbox::new();
    tree(&sandbox);
    sandbox.file("lambdar-prune.toml", RECIPE);
    pack(&sandbox, "50MB");
    let path = sandbox.path("layers/layers.json");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replace("\"name\": \"R\"", "\"name\": \"--cli-input-json\"")).unwrap();
    let run = sandbox.run(["publish", "layers", "--dry-run"]).expect_status(2);
    assert!(run.stderr.contains("is not a name for a layer"), "{}", run.stderr);
}

/// A function may have one of the layers without the other.
#[test]
fn no_link_leads_from_one_layer_into_another() {
    let sandbox = Sandbox::new();
    for path in ["R/a.dat", "R/b.dat", "lib/a.dat", "lib/b.dat"] {
        sandbox.file(&format!("opt/{path}"), noise(1, 20_000));
    }
    let links = |manifest: &Value| {
        let changed = manifest["changed"].as_array().unwrap().iter();
        let paths = changed
            .filter(|file| file["by"] == "dedupe")
            .map(|file| file["path"].as_str().unwrap());
        paths.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let (manifest, _) = pack(&sandbox, "50MB");
    assert_eq!(
        links(&manifest).len(),
        3,
        "without names, one of four stays: {manifest}"
    );
    sandbox.file("lambdar-prune.toml", RECIPE);
    let (manifest, _) = pack(&sandbox, "50MB");
    assert_eq!(links(&manifest).len(), 2, "one of two in each layer: {manifest}");
    let of_layers = links(&manifest)
        .iter()
        .map(|path| path[..2].to_owned())
        .collect::<Vec<_>>();
    assert_eq!(of_layers, ["R/", "li"]);
}
