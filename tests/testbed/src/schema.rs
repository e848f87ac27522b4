//! Checks JSON output against `kubeknock.schema.json`.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

/// The published schema. It allows fields that a later version adds.
pub fn published() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kubeknock.schema.json");
    serde_json::from_str(&fs::read_to_string(path).expect("kubeknock.schema.json")).expect("JSON")
}

/// The same schema, but a field that it does not describe is an error.
static STRICT: LazyLock<Validator> = LazyLock::new(|| {
    let mut schema = published();
    schema["unevaluatedProperties"] = json!(false);
    let definitions = schema["$defs"].as_object_mut().expect("$defs");
    for definition in definitions.values_mut().filter_map(Value::as_object_mut) {
        // Definitions without a type are parts of the object at the top.
        if definition.contains_key("properties") && definition.contains_key("type") {
            definition.insert("additionalProperties".to_owned(), json!(false));
        }
    }
    jsonschema::validator_for(&schema).expect("a schema")
});

/// Panics if an object of kubeknock among these lines does not match the schema.
#[track_caller]
pub fn holds(lines: &str) {
    // A body that `get` passes on may be large, and is not described here.
    for line in lines.lines().filter(|line| line.contains("\"schema\":\"kubeknock/v1\"")) {
        let object: Value = serde_json::from_str(line).expect("JSON");
        let faults: Vec<String> = STRICT.iter_errors(&object).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "not as kubeknock.schema.json says: {}\n{line}", faults.join("\n"));
    }
}

/// Whether this object matches the schema.
pub fn accepts(object: &Value) -> bool {
    STRICT.is_valid(object)
}

/// Panics unless the schema is valid by its own meta-schema.
pub fn is_a_schema() {
    if let Err(fault) = jsonschema::meta::validate(&published()) {
        panic!("{fault}");
    }
}
