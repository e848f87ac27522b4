//! What grants permissions in RBAC: the subject, the place, the rules, and the objects made of them. Pure.

use std::mem;

use serde_json::Value;

use crate::api::review::Attributes;
use crate::text::escape;

/// The API group of roles and bindings.
const RBAC: &str = "rbac.authorization.k8s.io";

/// The subject of a grant: a user name as the API server knows it.
pub enum Subject<'a> {
    /// A service account: its namespace and its name.
    Account(&'a str, &'a str),
    /// Any other user.
    User(&'a str),
}

impl Subject<'_> {
    /// `None` if a terminal does not show the name unchanged.
    pub fn of(user: &str) -> Option<Subject<'_>> {
        if escape(user) != user || user.contains('\u{fffd}') {
            return None;
        }
        let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        let account = account.filter(|(_, name)| !name.contains(':'));
        Some(account.map_or(Subject::User(user), |(namespace, name)| Subject::Account(namespace, name)))
    }

    /// The prefix of its role names. Outside of the account's own namespace it includes that namespace, because each
    /// namespace has an account `default`.
    pub fn prefix(&self, place: Option<&str>) -> String {
        match self {
            Subject::Account(namespace, name) if place == Some(*namespace) => (*name).to_owned(),
            Subject::Account(namespace, name) => format!("{namespace}-{name}"),
            Subject::User(_) => "grant".to_owned(),
        }
    }

    /// The subject in a binding, as lines of YAML.
    fn yaml(&self) -> String {
        match self {
            Subject::Account(namespace, name) => {
                let (namespace, name) = (quoted(namespace), quoted(name));
                format!("- kind: ServiceAccount\n  name: {name}\n  namespace: {namespace}\n")
            }
            Subject::User(name) => format!("- apiGroup: {RBAC}\n  kind: User\n  name: {}\n", quoted(name)),
        }
    }
}

/// The namespace of the role that grants it. `None`: a cluster role.
pub fn place(attributes: &Attributes) -> Option<&str> {
    match attributes {
        Attributes::Path { .. } => None,
        // A namespace is in itself, but nothing can be created in it before it exists.
        Attributes::Resource { group, resource, namespace, .. } => {
            namespace.as_deref().filter(|_| !group.is_empty() || resource != "namespaces")
        }
    }
}

/// A rule of a role. Each verb is granted on each of its targets, and on each of the names, if there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The API group; `None`: the targets are paths.
    group: Option<String>,
    /// `pods` or `pods/log`, or paths.
    targets: Vec<String>,
    /// Empty: any name.
    names: Vec<String>,
    verbs: Vec<String>,
}

impl Rule {
    /// The rule that grants this permission and nothing else.
    pub fn of(attributes: &Attributes) -> Rule {
        match attributes {
            Attributes::Path { verb, path } => Rule {
                group: None,
                targets: vec![path.clone()],
                names: Vec::new(),
                verbs: vec![verb.clone()],
            },
            Attributes::Resource { verb, group, resource, subresource, name, .. } => {
                let tail = subresource.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
                Rule {
                    group: Some(group.clone()),
                    targets: vec![format!("{resource}{tail}")],
                    names: name.iter().cloned().collect(),
                    verbs: vec![verb.clone()],
                }
            }
        }
    }

    /// The fields of the rule, each with its list.
    fn fields(&self) -> Vec<(&'static str, String)> {
        let list = |items: &[String]| Value::from(items).to_string();
        let mut fields = Vec::new();
        match &self.group {
            None => fields.push(("nonResourceURLs", list(&self.targets))),
            Some(group) => {
                fields.push(("apiGroups", format!("[{}]", quoted(group))));
                fields.push(("resources", list(&self.targets)));
                if !self.names.is_empty() {
                    fields.push(("resourceNames", list(&self.names)));
                }
            }
        }
        fields.push(("verbs", list(&self.verbs)));
        fields
    }

    /// The rule as an item of a YAML list: each field on a line.
    fn yaml(&self) -> String {
        let mut text = String::new();
        for (field, list) in self.fields() {
            text.push_str(if text.is_empty() { "- " } else { "  " });
            text.push_str(field);
            text.push_str(": ");
            text.push_str(&list);
            text.push('\n');
        }
        text
    }

    /// A role of this name with this rule alone, on one line.
    pub fn json(&self, kind: &str, name: &str) -> String {
        let mut rule = String::new();
        for (field, list) in self.fields() {
            rule.push_str(if rule.is_empty() { "{\"" } else { ",\"" });
            rule.push_str(field);
            rule.push_str("\":");
            rule.push_str(&list);
        }
        let name = quoted(name);
        format!(
            "{{\"apiVersion\":\"{RBAC}/v1\",\"kind\":\"{kind}\",\"metadata\":{{\"name\":{name}}},\"rules\":[{rule}}}]}}"
        )
    }
}

/// A text in the quotes of JSON, which YAML reads in the same way.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Combines rules without granting more: two become one if they differ in one list only.
pub fn merged(rules: Vec<Rule>) -> Vec<Rule> {
    let rules = join(rules, |rule| &mut rule.verbs);
    let rules = join(rules, |rule| &mut rule.names);
    join(rules, |rule| &mut rule.targets)
}

fn join(rules: Vec<Rule>, list: fn(&mut Rule) -> &mut Vec<String>) -> Vec<Rule> {
    let mut joined: Vec<(Rule, Vec<String>)> = Vec::new();
    for mut rule in rules {
        let items = mem::take(list(&mut rule));
        // A list without names is every name.
        let is_same =
            |(other, kept): &&mut (Rule, Vec<String>)| *other == rule && kept.is_empty() == items.is_empty();
        let Some((_, kept)) = joined.iter_mut().find(is_same) else {
            joined.push((rule, items));
            continue;
        };
        for item in items {
            let at = kept.partition_point(|other| *other < item);
            if kept.get(at) != Some(&item) {
                kept.insert(at, item);
            }
        }
    }
    let whole = |(mut rule, items): (Rule, Vec<String>)| {
        *list(&mut rule) = items;
        rule
    };
    joined.into_iter().map(whole).collect()
}

/// The role with these rules, and its binding, as two documents of YAML.
///
/// No other set of rules has the same name for this subject, so applying it removes no earlier grant; the order
/// of the rules does not change the name.
pub fn yaml(subject: &Subject<'_>, place: Option<&str>, rules: &[Rule]) -> String {
    let subjects = subject.yaml();
    let (mut text, mut sum) = (String::new(), hash(&subjects));
    for rule in rules {
        let rule = rule.yaml();
        sum = sum.wrapping_add(hash(&rule));
        text.push_str(&rule);
    }
    let name = quoted(&format!("{}-{sum:08x}", subject.prefix(place)));
    let (kind, namespace) = match place {
        Some(namespace) => ("Role", format!("\n  namespace: {}", quoted(namespace))),
        None => ("ClusterRole", String::new()),
    };
    let head = format!("apiVersion: {RBAC}/v1\nkind: {kind}");
    let metadata = format!("\nmetadata:\n  name: {name}{namespace}\n");
    format!(
        "{head}{metadata}rules:\n{text}---\n{head}Binding{metadata}roleRef:\n  apiGroup: {RBAC}\n  kind: {kind}\n  \
         name: {name}\nsubjects:\n{subjects}"
    )
}

/// FNV-1a.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `GROUP TARGETS NAMES VERBS`, lists with commas; the group `/` is of paths.
    fn rule(text: &str) -> Rule {
        let [group, targets, names, verbs] = text.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let list = |text: &str| text.split(',').filter(|item| *item != "-").map(str::to_owned).collect();
        let group = (group != "/").then(|| group.to_owned());
        Rule { group, targets: list(targets), names: list(names), verbs: list(verbs) }
    }

    /// Each verb on each target and name, apart.
    fn apart(rules: &[Rule]) -> Vec<String> {
        let mut apart = Vec::new();
        for Rule { group, targets, names, verbs } in rules {
            let names = if names.is_empty() { vec!["-".to_owned()] } else { names.clone() };
            for target in targets {
                for name in &names {
                    apart.extend(verbs.iter().map(|verb| format!("{group:?} {target} {name} {verb}")));
                }
            }
        }
        apart.sort();
        apart.dedup();
        apart
    }

    #[test]
    fn what_is_put_together_is_no_wider() {
        for (rules, together) in [
            (&["a pods - get", "a pods - list", "a pods - get"][..], &["a pods - get,list"][..]),
            (&["a pods - list", "a jobs - list"], &["a jobs,pods - list"]),
            (&["a pods - list", "b pods - list"], &["a pods - list", "b pods - list"]),
            (&["a pods - get", "a jobs - list"], &["a pods - get", "a jobs - list"]),
            (&["a x n get", "a x m get", "a y n get"], &["a x m,n get", "a y n get"]),
            (&["a x n get", "a x m get", "a y n get", "a y m get"], &["a x,y m,n get"]),
            // A name is less than every name.
            (&["a x n get", "a x - get"], &["a x n get", "a x - get"]),
            (&["a x n get", "a y - get"], &["a x n get", "a y - get"]),
            (&["/ /b - get", "/ /a - get", "/ /a - post"], &["/ /b - get", "/ /a - get,post"]),
            (&["/ /b - get", "/ /a - get"], &["/ /a,/b - get"]),
            (&["* * - *", "a pods - get"], &["* * - *", "a pods - get"]),
        ] {
            let rules: Vec<Rule> = rules.iter().map(|text| rule(text)).collect();
            let found = merged(rules.clone());
            assert_eq!(found, together.iter().map(|text| rule(text)).collect::<Vec<_>>());
            assert_eq!(apart(&found), apart(&rules));
        }
    }

    #[test]
    fn names_are_of_the_rules_and_the_subject() {
        let subject = |user| Subject::of(user).unwrap();
        let account = subject("system:serviceaccount:ns-1:k-sa-1");
        let rules = [rule("a pods - get"), rule("b jobs - list")];
        let name_of = |subject: &Subject<'_>, place: Option<&str>, rules: &[Rule]| {
            let text = yaml(subject, place, rules);
            let name = text.lines().find_map(|line| line.strip_prefix("  name: ")).unwrap();
            assert_eq!(text.matches(name).count(), 3, "{text}");
            name.to_owned()
        };
        let name = name_of(&account, Some("ns-1"), &rules);
        assert!(name.starts_with("\"k-sa-1-"), "{name}");
        assert_eq!(name, name_of(&account, Some("ns-1"), &[rules[1].clone(), rules[0].clone()]));
        let mut names = vec![
            name,
            name_of(&account, Some("ns-1"), &rules[..1]),
            name_of(&account, Some("ns-2"), &rules),
            // Where two prefixes are the same, the subjects are not.
            name_of(&subject("system:serviceaccount:a:b-c"), None, &rules),
            name_of(&subject("system:serviceaccount:a-b:c"), None, &rules),
            name_of(&subject("jane"), None, &rules),
            name_of(&subject("joe"), None, &rules),
        ];
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 7, "{names:?}");
    }
}
