//! Reads protobuf, in which kubectl sends what it creates. It knows the few kinds that `kubectl create` and
//! `kubectl auth` send, and returns the same object as JSON. Field numbers are those of the `generated.proto`
//! files of `k8s.io/api` and `k8s.io/apimachinery`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use Shape::{Encoded, Many, Number, One, Text, Texted, Texts};

/// The bytes before every object in this encoding.
const MAGIC: &[u8] = b"k8s\0";

/// A field's number, its name in JSON, and what it holds.
type Field = (u64, &'static str, Shape);

#[derive(Clone, Copy)]
enum Shape {
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// An integer.
    Number,
    /// A map to strings.
    Texted,
    /// A map to bytes.
    Encoded,
    /// A message.
    One(&'static [Field]),
    /// A list of messages.
    Many(&'static [Field]),
}

const METADATA: Field = (
    1,
    "metadata",
    One(&[
        (1, "name", Text),
        (2, "generateName", Text),
        (3, "namespace", Text),
        (11, "labels", Texted),
        (12, "annotations", Texted),
    ]),
);
const RULES: Field = (
    2,
    "rules",
    Many(&[
        (1, "verbs", Texts),
        (2, "apiGroups", Texts),
        (3, "resources", Texts),
        (4, "resourceNames", Texts),
        (5, "nonResourceURLs", Texts),
    ]),
);
const SUBJECTS: Field = (
    2,
    "subjects",
    Many(&[(1, "kind", Text), (2, "apiGroup", Text), (3, "name", Text), (4, "namespace", Text)]),
);
const ROLE_REF: Field = (3, "roleRef", One(&[(1, "apiGroup", Text), (2, "kind", Text), (3, "name", Text)]));
const RESOURCE_ATTRIBUTES: Shape = One(&[
    (1, "namespace", Text),
    (2, "verb", Text),
    (3, "group", Text),
    (4, "version", Text),
    (5, "resource", Text),
    (6, "subresource", Text),
    (7, "name", Text),
]);
const ACCESS: Shape = One(&[
    (1, "resourceAttributes", RESOURCE_ATTRIBUTES),
    (2, "nonResourceAttributes", One(&[(1, "path", Text), (2, "verb", Text)])),
]);
const TOKEN: Shape = One(&[
    (1, "audiences", Texts),
    (3, "boundObjectRef", One(&[(1, "kind", Text), (3, "name", Text)])),
    (4, "expirationSeconds", Number),
]);

/// The fields of each kind that is known.
fn fields(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "Namespace" | "ServiceAccount" | "SelfSubjectReview" => &[METADATA],
        "Role" | "ClusterRole" => &[METADATA, RULES],
        "RoleBinding" | "ClusterRoleBinding" => &[METADATA, SUBJECTS, ROLE_REF],
        "ConfigMap" => &[METADATA, (2, "data", Texted)],
        "Secret" => &[METADATA, (2, "data", Encoded), (3, "type", Text), (4, "stringData", Texted)],
        "SelfSubjectAccessReview" => &[METADATA, (2, "spec", ACCESS)],
        "SelfSubjectRulesReview" => &[METADATA, (2, "spec", One(&[(1, "namespace", Text)]))],
        "TokenRequest" => &[METADATA, (2, "spec", TOKEN)],
        _ => return None,
    })
}

/// The JSON of a protobuf body. `None`: the body is not protobuf, or of another kind.
pub fn to_json(body: &[u8]) -> Option<Vec<u8>> {
    const ABOUT: &[Field] = &[(1, "type", One(&[(1, "apiVersion", Text), (2, "kind", Text)]))];
    let envelope = body.strip_prefix(MAGIC)?;
    let raw = entries(envelope)?.into_iter().find(|(number, _)| *number == 2).map(|(_, entry)| entry);
    let about = message(envelope, ABOUT)?;
    let kind = about["type"]["kind"].as_str()?;
    let mut object = match raw {
        Some(Entry::Bytes(raw)) => message(raw, fields(kind)?)?,
        _ => json!({}),
    };
    object["kind"] = json!(kind);
    object["apiVersion"] = about["type"]["apiVersion"].clone();
    Some(object.to_string().into_bytes())
}

enum Entry<'b> {
    Bytes(&'b [u8]),
    Number(u64),
}

fn message(bytes: &[u8], fields: &[Field]) -> Option<Value> {
    let mut object = Map::new();
    for (number, entry) in entries(bytes)? {
        let Some((_, name, shape)) = fields.iter().find(|(known, ..)| *known == number) else { continue };
        let slot = object.entry(*name).or_insert(Value::Null);
        match (entry, shape) {
            (Entry::Number(number), Number) => *slot = json!(number),
            (Entry::Bytes(bytes), Text) => *slot = json!(text(bytes)),
            (Entry::Bytes(bytes), Texts) => push(slot, json!(text(bytes))),
            (Entry::Bytes(bytes), One(inside)) => *slot = message(bytes, inside)?,
            (Entry::Bytes(bytes), Many(inside)) => push(slot, message(bytes, inside)?),
            (Entry::Bytes(bytes), Texted | Encoded) => {
                let (mut key, mut value) = (&[][..], &[][..]);
                for (number, entry) in entries(bytes)? {
                    match (number, entry) {
                        (1, Entry::Bytes(bytes)) => key = bytes,
                        (2, Entry::Bytes(bytes)) => value = bytes,
                        _ => {}
                    }
                }
                let encoded = matches!(shape, Encoded);
                slot[text(key)] = json!(if encoded { STANDARD.encode(value) } else { text(value) });
            }
            _ => return None,
        }
    }
    // An empty string is a field that was not given.
    object.retain(|_, value| !value.is_null() && *value != "");
    Some(Value::Object(object))
}

fn push(slot: &mut Value, item: Value) {
    match slot {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The fields of a message in their order. `None`: the message is cut short.
fn entries(mut bytes: &[u8]) -> Option<Vec<(u64, Entry<'_>)>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let entry = match tag & 7 {
            0 => Entry::Number(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Entry::Bytes(value)
            }
            _ => return None,
        };
        entries.push((tag >> 3, entry));
    }
    Some(entries)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
