//! Reads roles as JSON, as `kubectl get role NAME -o json` prints them, and turns each rule into the permissions that
//! it grants.
//!
//! Reads a stream, one rule at a time, because the parsed form of a whole file takes ninety times the memory of its
//! text.

use std::cell::Cell;
use std::fmt;
use std::mem;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::api::json::{ROOM, Sparing};
use crate::permission::{
    Defaults, Expected, MOST, Namespace, Objects, Permission, ResourceName, Target, namespace_fault,
};
use crate::text::escape;

/// The fields of a rule (rbac.authorization.k8s.io, `PolicyRule`).
const FIELDS: [&str; 5] = ["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"];

/// Adds the permissions of every role and list in a text. The error continues a message that begins with the name of
/// the file, as in `, line 3: …`.
pub fn read(text: &str, defaults: &Defaults, permissions: &mut Vec<Permission>) -> Result<(), String> {
    let room = Cell::new(ROOM);
    let mut parser = serde_json::Deserializer::from_slice(text.as_bytes());
    let mut reader = Reader { defaults, permissions, room: &room, rule: 0 };
    loop {
        Piece(&mut reader, Part::Object).deserialize(&mut parser).map_err(|error| located(&error))?;
        // `kubectl create --dry-run=client -o json` prints several objects, one after the other.
        if parser.end().is_ok() {
            return Ok(());
        }
    }
}

/// The position of an error, and the error without the position that the parser appends.
fn located(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let why = escape(text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text));
    if error.is_data() {
        format!(", line {line}: {why}")
    } else {
        format!(", line {line}, column {column}: this is not JSON: {why}")
    }
}

struct Reader<'r> {
    defaults: &'r Defaults,
    permissions: &'r mut Vec<Permission>,
    room: &'r Cell<usize>,
    /// The index of the current rule in its role.
    rule: usize,
}

/// A rule: the lists of its fields.
type Rule = [Vec<String>; FIELDS.len()];

/// Which part of the document is read next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A role, or a list of roles.
    Object,
    /// The same inside a list, where the kind may be missing.
    Item,
    Items,
    Rules,
    Rule,
}

struct Piece<'p, 'r>(&'p mut Reader<'r>, Part);

impl<'de> DeserializeSeed<'de> for Piece<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Piece<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.1 {
            Part::Object | Part::Item => "a Role, a ClusterRole, or a list of them",
            Part::Items => "a list of roles",
            Part::Rules => "a list of rules",
            Part::Rule => "a rule",
        })
    }

    /// A role without rules has `null` instead of a list.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Piece(reader, part) = self;
        let inside = match part {
            Part::Rules => Part::Rule,
            Part::Rule => return Err(A::Error::custom("a rule is an object")),
            Part::Object | Part::Item | Part::Items => Part::Item,
        };
        reader.rule = 0;
        while list.next_element_seed(Piece(reader, inside))?.is_some() {
            reader.rule += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Piece(reader, part) = self;
        if matches!(part, Part::Items | Part::Rules) {
            return Err(A::Error::custom("rules and items are lists"));
        }
        let first = reader.permissions.len();
        let mut object = Map::new();
        let mut rule = Rule::default();
        let (mut has_items, mut has_rules) = (false, false);
        while let Some(Value::String(key)) = map.next_key_seed(reader.value())? {
            match (part, key.as_str()) {
                (Part::Rule, field) => {
                    let value = map.next_value_seed(reader.value())?;
                    take(&mut rule, field, &value).map_err(|why| reader.fault(why))?;
                }
                (_, "items") if !mem::replace(&mut has_items, true) && !has_rules => {
                    map.next_value_seed(Piece(reader, Part::Items))?;
                }
                (_, "rules") if !mem::replace(&mut has_rules, true) && !has_items => {
                    map.next_value_seed(Piece(reader, Part::Rules))?;
                }
                (_, "items" | "rules") => {
                    return Err(A::Error::custom("an object has either rules or items, once"));
                }
                _ => {
                    let value = map.next_value_seed(reader.value())?;
                    object.insert(key, value);
                }
            }
        }
        match part {
            Part::Rule => reader.grant(rule).map_err(|why| reader.fault(why)),
            Part::Object | Part::Item | Part::Items | Part::Rules => {
                reader.role(&object, first, part == Part::Item).map_err(A::Error::custom)
            }
        }
    }
}

impl<'r> Reader<'r> {
    /// Reads the next value, unless it is larger than a rule or the metadata of a role can be.
    fn value(&self) -> Sparing<'r> {
        self.room.set(ROOM);
        Sparing { room: self.room, token: None }
    }

    /// An error in the current rule; `why` continues `rules[3]`.
    fn fault<E: Error>(&self, why: &str) -> E {
        E::custom(format!("rules[{}]{why}", self.rule))
    }

    /// Completes a role after its rules are read; its permissions start at index `first`.
    fn role(&mut self, object: &Map<String, Value>, first: usize, is_item: bool) -> Result<(), String> {
        let text = |first: &str, second: &str| {
            let value = object.get(first);
            let value = if second.is_empty() { value } else { value.and_then(|value| value.get(second)) };
            value.and_then(Value::as_str).unwrap_or_default()
        };
        let (kind, api) = (text("kind", ""), text("apiVersion", ""));
        let (name, namespace) = (text("metadata", "name"), text("metadata", "namespace"));
        if kind.ends_with("RoleBinding") {
            let (role, of) = (text("roleRef", "name"), text("roleRef", "kind").to_ascii_lowercase());
            let place = if of == "role" && !namespace.is_empty() { " -n " } else { "" };
            let at = if place.is_empty() { "" } else { namespace };
            return Err(format!(
                "{kind} {name} is not a role: give the role that it names: kubectl get {of} {role}{place}{at} -o json"
            ));
        }
        let is_rbac = api.is_empty() || api.starts_with("rbac.authorization.k8s.io/");
        match kind {
            "List" | "RoleList" | "ClusterRoleList" => return Ok(()),
            "Role" | "ClusterRole" if is_rbac => {}
            "" if is_item => {}
            _ => {
                return Err(format!(
                    "kind \"{kind}\": a file holds a Role, a ClusterRole, or a list of them"
                ));
            }
        }
        let mut own = None;
        if !namespace.is_empty() {
            if let Some((_, why)) = namespace_fault(namespace) {
                return Err(format!("metadata.namespace \"{namespace}\": {why}"));
            }
            own = Some(Namespace::Named(namespace.to_owned()));
        }
        for permission in self.permissions.iter_mut().skip(first) {
            match (&mut permission.target, &own) {
                (Target::Objects(objects), Some(own)) => objects.namespace.clone_from(own),
                (Target::Path(path), _) if kind == "Role" => {
                    return Err(format!("Role {name} cannot grant {path}: paths stand in a ClusterRole"));
                }
                (Target::Objects(_) | Target::Path(_), _) => {}
            }
        }
        Ok(())
    }

    /// Adds each combination of group, resource, name and verb, or of path and verb.
    fn grant(&mut self, rule: Rule) -> Result<(), &'static str> {
        let [verbs, groups, resources, names, paths] = rule;
        let is_path = !paths.is_empty();
        if verbs.is_empty() {
            return Err(": a rule needs verbs");
        }
        if is_path == (!groups.is_empty() && !resources.is_empty())
            || is_path && !(groups.is_empty() && resources.is_empty() && names.is_empty())
        {
            return Err(": a rule has apiGroups and resources, or nonResourceURLs");
        }
        for path in paths {
            self.add(&verbs, &Target::Path(path))?;
        }
        if names.iter().any(|name| name == "*") {
            return Err(".resourceNames: * is not any name; leave resourceNames out for that");
        }
        if names.iter().any(String::is_empty) {
            return Err(".resourceNames: an empty name is not any name; leave resourceNames out for that");
        }
        let names: Vec<Option<String>> =
            if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
        for group in &groups {
            for resource in &resources {
                let (resource, subresource) = match resource.split_once('/') {
                    Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
                    None => (resource.as_str(), None),
                };
                let all = (resource, group.as_str()) == ("*", "*");
                let resource =
                    ResourceName { name: resource.to_owned(), qualifier: (!all).then(|| group.clone()) };
                for name in &names {
                    let objects = Objects {
                        resource: resource.clone(),
                        name: name.clone(),
                        subresource: subresource.clone(),
                        namespace: self.defaults.namespace.clone(),
                    };
                    self.add(&verbs, &Target::Objects(objects))?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, verbs: &[String], target: &Target) -> Result<(), &'static str> {
        for verb in verbs {
            if self.permissions.len() >= MOST {
                return Err(": these are more than 10000 permissions");
            }
            let (verb, target) = (verb.clone(), target.clone());
            self.permissions.push(Permission { expected: Expected::Can, verb, target, exact: true });
        }
        Ok(())
    }
}

/// Stores a field of a rule. Accepts all that RBAC accepts, except text that a terminal cannot show unchanged.
fn take(rule: &mut Rule, field: &str, value: &Value) -> Result<(), &'static str> {
    const UNKNOWN: &str =
        ": a rule has verbs, apiGroups, resources, resourceNames and nonResourceURLs, and no other field";
    const WORDS: &str = ": each field of a rule is one list of words, such as [\"pods\"]";
    let at = FIELDS.iter().position(|known| field == *known).ok_or(UNKNOWN)?;
    let list = rule.get_mut(at).filter(|list| list.is_empty()).ok_or(WORDS)?;
    let is_name = field == "resourceNames";
    let may_be_empty = is_name || field == "apiGroups";
    let bad = |c: char| c.is_control() || !is_name && (c.is_whitespace() || c == ',');
    let word = |value: &Value| {
        let word = value.as_str()?;
        let nameless = !may_be_empty && (word.is_empty() || field == "resources" && word.starts_with('/'));
        (!nameless && !word.contains(bad)).then(|| word.to_owned())
    };
    let empty = Vec::new();
    let values = if value.is_null() { &empty } else { value.as_array().ok_or(WORDS)? };
    *list = values.iter().map(word).collect::<Option<_>>().ok_or(WORDS)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::parse;

    fn parsed(text: &str) -> Result<Vec<String>, String> {
        let defaults =
            Defaults { namespace: Namespace::Named("own".into()), subresource: Some("log".into()) };
        let mut permissions = Vec::new();
        parse(text.as_bytes(), &defaults, &mut permissions)?;
        Ok(permissions.iter().map(ToString::to_string).collect())
    }

    fn role(kind: &str, rules: &str) -> String {
        format!(r#"{{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"{kind}","rules":[{rules}]}}"#)
    }

    /// A rule, and the permissions that it grants.
    #[test]
    fn rules() {
        for (rule, permissions) in [
            (r#"{"apiGroups":[""],"resources":["pods"],"verbs":["list"]}"#, &["list pods in own"][..]),
            (
                r#"{"verbs":["get","*"],"apiGroups":["","apps"],"resources":["pods","deployments/scale"]}"#,
                &[
                    "get pods in own",
                    "* pods in own",
                    "get deployments/*/scale in own",
                    "* deployments/*/scale in own",
                    "get pods.apps in own",
                    "* pods.apps in own",
                    "get deployments.apps/*/scale in own",
                    "* deployments.apps/*/scale in own",
                ],
            ),
            (
                r#"{"apiGroups":[""],"resources":["secrets"],"resourceNames":["a","b"],"verbs":["get","create"]}"#,
                &[
                    "get secrets/a in own",
                    "create secrets/a in own",
                    "get secrets/b in own",
                    "create secrets/b in own",
                ],
            ),
            // Every group, and the core group alone.
            (r#"{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}"#, &["* * in own"]),
            (r#"{"apiGroups":[""],"resources":["*"],"verbs":["get"]}"#, &["get *. in own"]),
            (r#"{"apiGroups":["apps"],"resources":["*"],"verbs":["get"]}"#, &["get *.apps in own"]),
            (r#"{"apiGroups":["*"],"resources":["pods"],"verbs":["get"]}"#, &["get pods.* in own"]),
            (r#"{"apiGroups":["*"],"resources":["*/scale"],"verbs":["get"]}"#, &["get */*/scale in own"]),
            (r#"{"apiGroups":[""],"resources":["pods/*"],"verbs":["get"]}"#, &["get pods/*/* in own"]),
            // Taken literally, even if it grants nothing useful.
            (r#"{"apiGroups":[""],"resources":["pod"],"verbs":["Get"]}"#, &["Get pod in own"]),
            (
                r#"{"apiGroups":[""],"resources":["users"],"resourceNames":["Jane Doe"],"verbs":["impersonate"]}"#,
                &["impersonate users/Jane Doe in own"],
            ),
            (
                r#"{"apiGroups":["certificates.k8s.io"],"resources":["signers"],"resourceNames":["a.b/*"],"verbs":["sign"]}"#,
                &["sign signers.certificates.k8s.io/a.b/* in own"],
            ),
            (
                r#"{"apiGroups":[""],"resources":["pods"],"resourceNames":[],"nonResourceURLs":null,"verbs":["get"]}"#,
                &["get pods in own"],
            ),
            (
                r#"{"nonResourceURLs":["/healthz","/logs/*","*"],"verbs":["get","post"]}"#,
                &["get /healthz", "post /healthz", "get /logs/*", "post /logs/*", "get *", "post *"],
            ),
        ] {
            assert_eq!(parsed(&role("ClusterRole", rule)).unwrap(), permissions, "{rule}");
        }
    }

    const PODS: &str = r#"{"apiGroups":[""],"resources":["pods"],"verbs":["list"]}"#;

    #[test]
    fn roles_and_lists() {
        let of = |namespace: &str| {
            format!(
                r#"{{"rules":[{PODS}],"metadata":{{"name":"r","namespace":"{namespace}","managedFields":[{{"f":{{}}}}]}},"kind":"Role"}}"#
            )
        };
        let (one, two) = (of("one"), of("two"));
        let cluster = format!(
            r#"{{"aggregationRule":{{"clusterRoleSelectors":[]}},"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{{"name":"c"}},"rules":[{PODS}]}}"#
        );
        for (text, permissions) in [
            (one.clone(), &["list pods in one"][..]),
            (cluster.clone(), &["list pods in own"]),
            (role("Role", PODS), &["list pods in own"]),
            // The fields may come in any order.
            (
                format!(
                    r#"{{"items":[{one},{cluster},{two}],"kind":"List","apiVersion":"v1","metadata":{{}}}}"#
                ),
                &["list pods in one", "list pods in own", "list pods in two"],
            ),
            (
                format!(
                    r#"{{"kind":"RoleList","apiVersion":"rbac.authorization.k8s.io/v1","items":[{{"metadata":{{"namespace":"one"}},"rules":[{PODS}]}},{{"rules":null}}]}}"#
                ),
                &["list pods in one"],
            ),
            // As kubectl prints several roles of one YAML file.
            (format!("\u{feff}{one}\n{two}\n"), &["list pods in one", "list pods in two"]),
            (format!("\n [{one},{cluster}]"), &["list pods in one", "list pods in own"]),
        ] {
            assert_eq!(parsed(&text).unwrap(), permissions, "{text}");
        }
    }

    #[test]
    fn faults() {
        let with = |rule: &str| role("ClusterRole", &format!("{PODS},\n{rule}"));
        let bound = r#"{"kind":"ClusterRoleBinding","metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"view"}}"#;
        for (text, why) in [
            ("{".to_owned(), ", line 1, column 1: this is not JSON: EOF while parsing an object"),
            ("{\n\"kind\": Role}".to_owned(), ", line 2, column 9: this is not JSON: expected value"),
            (role("Role", "") + "x", ", line 1, column 71: this is not JSON: expected value"),
            ("{}".into(), ", line 1: kind \"\": a file holds a Role, a ClusterRole, or a list of them"),
            ("[]".into(), ": it holds no permission"),
            (role("ClusterRole", ""), ": it holds no permission"),
            (
                r#"{"kind":"Pod","apiVersion":"v1"}"#.into(),
                ", line 1: kind \"Pod\": a file holds a Role, a ClusterRole, or a list of them",
            ),
            (
                r#"{"kind":"Role","apiVersion":"iam.example.com/v1"}"#.into(),
                ", line 1: kind \"Role\": a file holds a Role, a ClusterRole, or a list of them",
            ),
            (
                bound.into(),
                ", line 1: ClusterRoleBinding b is not a role: give the role that it names: kubectl get clusterrole view -o json",
            ),
            (
                format!("{{\"kind\":\"List\",\"items\":[\n{},\n{bound}\n]}}", role("ClusterRole", PODS)),
                ", line 3: ClusterRoleBinding b is not a role",
            ),
            ("[1]".into(), ", line 1: invalid type: integer `1`, expected a Role, a ClusterRole, or a list"),
            (r#"{"kind":"Role","rules":{}}"#.into(), ", line 1: rules and items are lists"),
            (
                r#"{"kind":"Role","rules":"x"}"#.into(),
                ", line 1: invalid type: string \"x\", expected a list of rules",
            ),
            (with("7"), ", line 2: invalid type: integer `7`, expected a rule"),
            (with("[]"), ", line 2: a rule is an object"),
            (with(r#"{"verb":["get"]}"#), ", line 2: rules[1]: a rule has verbs, apiGroups,"),
            (with(r#"{"apiGroups":[""],"resources":["pods"]}"#), ", line 2: rules[1]: a rule needs verbs"),
            (
                with(r#"{"resources":["pods"],"verbs":["get"]}"#),
                ", line 2: rules[1]: a rule has apiGroups and",
            ),
            (with(r#"{"apiGroups":[""],"verbs":["get"]}"#), ", line 2: rules[1]: a rule has apiGroups and"),
            (with(r#"{"verbs":["get"]}"#), ", line 2: rules[1]: a rule has apiGroups and"),
            (
                with(r#"{"apiGroups":[""],"nonResourceURLs":["/x"],"verbs":["get"]}"#),
                ", line 2: rules[1]: a rule has apiGroups and resources, or nonResourceURLs",
            ),
            (
                with(r#"{"apiGroups":[""],"resources":["pods"],"nonResourceURLs":["/x"],"verbs":["get"]}"#),
                ", line 2: rules[1]: a rule has apiGroups and resources, or nonResourceURLs",
            ),
            (
                with(r#"{"apiGroups":[""],"resources":["pods"],"verbs":"get"}"#),
                ", line 2: rules[1]: each field of a rule is one list of words",
            ),
            (
                with(r#"{"apiGroups":[""],"resources":["pods"],"verbs":["get,list"]}"#),
                ", line 2: rules[1]: each field of a rule is one list of words",
            ),
            (
                with(r#"{"apiGroups":[""],"resources":["/log"],"verbs":["get"]}"#),
                ", line 2: rules[1]: each field of a rule is one list of words",
            ),
            (
                with(r#"{"apiGroups":[""],"resources":[""],"verbs":["get"]}"#),
                ", line 2: rules[1]: each field of a rule is one list of words",
            ),
            (
                with(r#"{"apiGroups":[""],"resources":["pods"],"resourceNames":["a\nb"],"verbs":["get"]}"#),
                ", line 2: rules[1]: each field of a rule is one list of words",
            ),
            (
                with(r#"{"apiGroups":[""],"resources":["pods"],"resourceNames":["*"],"verbs":["get"]}"#),
                ", line 2: rules[1].resourceNames: * is not any name; leave resourceNames out for that",
            ),
            (
                with(r#"{"apiGroups":[""],"resources":["pods"],"resourceNames":["a",""],"verbs":["get"]}"#),
                ", line 2: rules[1].resourceNames: an empty name is not any name; leave resourceNames out for that",
            ),
            (
                r#"{"kind":"Role","items":[],"rules":[]}"#.into(),
                ", line 1: an object has either rules or items, once",
            ),
            (
                with(r#"{"verbs":["get"],"verbs":["get"]}"#),
                ", line 2: rules[1]: each field of a rule is one list of words",
            ),
            (
                role("Role", r#"{"nonResourceURLs":["/x"],"verbs":["get"]}"#),
                ", line 1: Role  cannot grant /x: paths stand in a ClusterRole",
            ),
            (
                r#"{"kind":"Role","metadata":{"namespace":"A\u001b"}}"#.into(),
                ", line 1: metadata.namespace \"A\\u{1b}\": a namespace is a DNS label",
            ),
        ] {
            let fault = parsed(&text).unwrap_err();
            assert!(fault.starts_with(why), "{text}\n{fault}");
            assert_eq!(fault.lines().count(), 1, "{fault}");
        }
    }

    #[test]
    fn the_most_rules() {
        let rules = |count: usize| role("ClusterRole", &vec![PODS; count].join(","));
        assert_eq!(parsed(&rules(MOST)).unwrap().len(), MOST);
        let fault = parsed(&rules(MOST + 1)).unwrap_err();
        assert_eq!(fault, ", line 1: rules[10000]: these are more than 10000 permissions");
    }
}
