//! Turns permissions into the RBAC objects that grant them: the subject, the place, the rules, and their YAML. Pure.

use std::mem;

use serde_json::Value;

use crate::api::review::Attributes;
use crate::text::escape;

/// The API group of roles and bindings.
const RBAC: &str = "rbac.authorization.k8s.io";

/// The subject of a grant, from a user name as the API server knows it.
pub enum Subject<'a> {
    /// A service account: its namespace and its name.
    Account(&'a str, &'a str),
    /// Any other user.
    User(&'a str),
}

impl Subject<'_> {
    /// `None` if a terminal cannot show the name unchanged.
    pub fn of(user: &str) -> Option<Subject<'_>> {
        if escape(user) != user || user.contains('\u{fffd}') {
            return None;
        }
        let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        // As `SplitUsername` does (k8s.io/apiserver/pkg/authentication/serviceaccount).
        let account = account
            .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains(':'));
        Some(account.map_or(Subject::User(user), |(namespace, name)| Subject::Account(namespace, name)))
    }

    /// The prefix of the names of its roles. Outside the account's own namespace, the prefix includes that namespace,
    /// because each namespace has an account `default`.
    pub fn prefix(&self, place: Option<&str>) -> String {
        match self {
            Subject::Account(namespace, name) if place == Some(*namespace) => (*name).to_owned(),
            Subject::Account(namespace, name) => format!("{namespace}-{name}"),
            Subject::User(_) => "grant".to_owned(),
        }
    }

    /// The subject of a binding, as lines of YAML.
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

/// The namespace of the role that can grant this; `None` if a cluster role must.
pub fn place(attributes: &Attributes) -> Option<&str> {
    match attributes {
        Attributes::Path { .. } => None,
        // RBAC takes the name of a Namespace object as its namespace, but a role cannot exist in a namespace that is
        // not created yet, so a cluster role grants it.
        Attributes::Resource { group, resource, namespace, .. } => {
            namespace.as_deref().filter(|_| !group.is_empty() || resource != "namespaces")
        }
    }
}

/// A rule of a role. It grants each verb on each target, and only on these names, if there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The API group; `None` if the targets are paths.
    group: Option<String>,
    /// Resources, such as `pods` or `pods/log`, or paths.
    targets: Vec<String>,
    /// Names of objects; empty for any name.
    names: Vec<String>,
    verbs: Vec<String>,
}

impl Rule {
    /// The rule that grants exactly this permission.
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

    /// The fields of the rule, each with its values.
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

    /// The rule as an item of a YAML list, with one field on each line.
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

    /// A role with this name and only this rule, as JSON on one line.
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

/// A string in JSON quotes, which YAML reads in the same way.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Combines rules without granting more: two rules become one only if they differ in a single list.
pub fn merged(rules: Vec<Rule>) -> Vec<Rule> {
    let rules = join(rules, |rule| &mut rule.verbs);
    let rules = join(rules, |rule| &mut rule.names);
    join(rules, |rule| &mut rule.targets)
}

fn join(rules: Vec<Rule>, list: fn(&mut Rule) -> &mut Vec<String>) -> Vec<Rule> {
    let mut joined: Vec<(Rule, Vec<String>)> = Vec::new();
    for mut rule in rules {
        let items = mem::take(list(&mut rule));
        // An empty list of names means every name, so it does not combine with a list that has names.
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

/// The role with these rules, and its binding, as two YAML documents.
///
/// The name of the role depends on the subject and on the rules, but not on their order. Another set of rules has
/// another name, so applying these objects removes no earlier grant.
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

/// The FNV-1a hash of a text.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses `GROUP TARGETS NAMES VERBS`, with commas in the lists; the group `/` is for paths.
    fn rule(text: &str) -> Rule {
        let [group, targets, names, verbs] = text.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let list = |text: &str| text.split(',').filter(|item| *item != "-").map(str::to_owned).collect();
        let group = (group != "/").then(|| group.to_owned());
        Rule { group, targets: list(targets), names: list(names), verbs: list(verbs) }
    }

    /// Every combination of a verb, a target and a name that the rules grant.
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
    fn a_service_account_has_two_names() {
        for (user, account) in [
            ("system:serviceaccount:ns-1:k-sa-1", Some(("ns-1", "k-sa-1"))),
            ("system:serviceaccount::", None),
            ("system:serviceaccount:ns-1:", None),
            ("system:serviceaccount::k-sa-1", None),
            ("system:serviceaccount:ns-1:k-sa-1:x", None),
            ("system:serviceaccounts", None),
            ("jane", None),
        ] {
            let found = match Subject::of(user).unwrap() {
                Subject::Account(namespace, name) => Some((namespace, name)),
                Subject::User(_) => None,
            };
            assert_eq!(found, account, "{user}");
        }
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
            // A grant on one name is less than a grant on every name.
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
            // Where two prefixes are the same, the subjects differ, and so do the names.
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
