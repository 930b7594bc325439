//! The JSON Schemas in `schemas/` are those of the types that are printed.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::analysis::Analysis;
use super::why::Why;
use super::{
    Bootstrapped, Checked, Explanations, Invoked, Linted, Materials, Pruned, Refusal, Replayed, RuleList, RuntimeList,
    RuntimeReport, ShownRules, Verified,
};
use crate::diff::Diff;
use crate::manifest::Manifest;
use crate::pack::CapacityReport;
use crate::publish::Publication;
use crate::recording::Recording;
use crate::timings::Timings;

/// The schema of every document by its name: that of the command, or of the file.
fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("analyze", schema::<Analysis>()),
        ("bootstrap", schema::<Bootstrapped>()),
        ("check", schema::<Checked>()),
        ("diff", schema::<Diff>()),
        ("explain", schema::<Explanations>()),
        ("invoke", schema::<Invoked>()),
        ("layers", schema::<Manifest>()),
        ("capacity", schema::<CapacityReport>()),
        ("prune", schema::<Pruned>()),
        ("publish", schema::<Publication>()),
        ("recording", schema::<Recording>()),
        ("refusal", schema::<Refusal>()),
        ("replay", schema::<Replayed>()),
        ("rules", schema::<RuleList>()),
        ("rules-show", schema::<ShownRules>()),
        ("rules-test", schema::<Linted>()),
        ("runtimes", schema::<RuntimeList>()),
        ("runtimes-show", schema::<RuntimeReport<'_>>()),
        ("sbom", schema::<Materials>()),
        ("timings", schema::<Timings>()),
        ("verify", schema::<Verified>()),
        ("why", schema::<Why>()),
    ]
}

fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with_transform(Closed);
    settings.into_generator().into_root_schema_for::<T>().into()
}

/// Lets no object have a field that its type does not have.
#[derive(Debug, Clone)]
struct Closed;

impl Transform for Closed {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if schema.get("properties").is_none() || schema.get("additionalProperties").is_some() {
            return;
        }
        // The fields of a flattened enum stand in branches next to the others: only all together are closed (JSON Schema
        // 2020-12, 11.3).
        let Some(branches) = schema.get_mut("oneOf").and_then(Value::as_array_mut) else {
            schema.insert("additionalProperties".to_owned(), Value::Bool(false));
            return;
        };
        for branch in branches.iter_mut().filter_map(Value::as_object_mut) {
            branch.remove("additionalProperties");
        }
        schema.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
    }
}

/// Set to anything, the schemas are written anew instead of compared.
const REWRITE: &str = "LAMBDAR_PRUNE_REWRITE";

#[test]
fn the_schemas_in_the_repository_are_current() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for (name, schema) in schemas() {
        let text = super::json(&schema);
        let file = directory.join(format!("{name}.json"));
        if std::env::var_os(REWRITE).is_some() {
            fs_err::create_dir_all(&directory).unwrap();
            fs_err::write(file, text).unwrap();
        } else {
            let there = fs_err::read_to_string(file).unwrap_or_default();
            assert!(
                there == text,
                "schemas/{name}.json is not current: run this test once with {REWRITE}=1"
            );
        }
    }
    let there = fs_err::read_dir(directory).unwrap().count();
    assert_eq!(there, schemas().len(), "a schema of a document that there is not");
}
