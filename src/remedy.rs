//! The kubectl lines that would grant a permission. Pure.

use crate::api::review::Attributes;
use crate::grant::{Rule, Subject, place};
use crate::text::quote;

/// The two lines that grant it to `user`: a role and its binding, in the namespace or in the cluster. None where the
/// name cannot be typed.
pub fn grant(attributes: &Attributes, user: &str) -> Vec<String> {
    let Some(subject) = Subject::of(user) else { return Vec::new() };
    let place = place(attributes);
    let (rule, words) = match attributes {
        Attributes::Path { verb, path } => {
            (format!("--verb={} --non-resource-url={}", quote(verb), quote(path)), vec![verb.as_str(), path])
        }
        Attributes::Resource { verb, group, resource, subresource, name, .. } => {
            let mut what = resource.clone();
            if !group.is_empty() {
                what = format!("{what}.{group}");
            }
            if let Some(subresource) = subresource {
                what = format!("{what}/{subresource}");
            }
            let mut rule = format!("--verb={} --resource={}", quote(verb), quote(&what));
            if let Some(name) = name {
                rule.push_str(&format!(" --resource-name={}", quote(name)));
            }
            // `events` of the core group and of its own are two: the group's first label keeps them apart.
            let group = group.split('.').next().filter(|group| !group.is_empty() && *group != "*");
            let words = [Some(verb.as_str()), Some(resource), group, subresource.as_deref(), name.as_deref()];
            (rule, words.into_iter().flatten().collect())
        }
    };
    let name = role_name(&subject.prefix(place), &words);
    let flag = flag(&subject);
    let (kind, at) = match place {
        Some(namespace) => ("role", format!(" --namespace={namespace}")),
        None => ("clusterrole", String::new()),
    };
    let first = if kubectl_creates(attributes) {
        format!("kubectl create {kind} {name} {rule}{at}")
    } else {
        let capital = if place.is_some() { "Role" } else { "ClusterRole" };
        format!("echo {} | kubectl create -f -{at}", quote(&Rule::of(attributes).json(capital, &name)))
    };
    vec![first, format!("kubectl create {kind}binding {name} --{kind}={name} {flag}{at}")]
}

/// Whether `kubectl create role` takes it: it requires resources that are served, and knows for some verbs what
/// they are for (k8s.io/kubectl, pkg/cmd/create, `validateResource` and `specialVerbs`).
fn kubectl_creates(attributes: &Attributes) -> bool {
    const RBAC: &str = "rbac.authorization.k8s.io";
    match attributes {
        Attributes::Path { verb, .. } => {
            matches!(verb.as_str(), "*" | "get" | "post" | "put" | "delete" | "patch" | "head" | "options")
        }
        Attributes::Resource { group, resource, .. } if group == "*" || resource == "*" => {
            resource == "*" && !group.is_empty()
        }
        Attributes::Resource { verb, group, resource, version, .. } => {
            match (verb.as_str(), resource.as_str()) {
                ("impersonate", "users" | "groups" | "serviceaccounts") => group.is_empty(),
                ("impersonate", "userextras") => group == "authentication.k8s.io",
                ("bind" | "escalate", "roles" | "clusterroles") => group == RBAC,
                ("use", "podsecuritypolicies") => true,
                ("impersonate" | "bind" | "escalate" | "use", _) | (_, "signers") => false,
                // A resource that only rules know has no version, and kubectl asks the server for it.
                _ => !version.is_empty(),
            }
        }
    }
}

/// The line that gives a user one of the cluster's default roles, which every account has unless its binding was deleted.
/// The binding is not to `system:authenticated`: some providers refuse to bind that group.
pub fn grant_default(role: &str, user: Option<&str>) -> Vec<String> {
    let (prefix, flag) = match user {
        Some(user) => {
            let Some(subject) = Subject::of(user) else { return Vec::new() };
            (subject.prefix(None), flag(&subject))
        }
        None => ("serviceaccounts".to_owned(), "--group=system:serviceaccounts".to_owned()),
    };
    let name = role_name(&prefix, &[role.trim_start_matches("system:")]);
    vec![format!("kubectl create clusterrolebinding {name} --clusterrole={role} {flag}")]
}

fn flag(subject: &Subject<'_>) -> String {
    match subject {
        Subject::Account(namespace, name) => format!("--serviceaccount={namespace}:{name}"),
        Subject::User(name) => format!("--user={}", quote(name)),
    }
}

/// `k-sa-1-list-pods`: a name that says what it is for, and that needs no quotes.
fn role_name(account: &str, words: &[&str]) -> String {
    let mut name = account.to_owned();
    for word in words {
        let plain: String = word
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        let plain = plain.trim_matches('-');
        name.push('-');
        name.push_str(if plain.is_empty() { "all" } else { plain });
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants() {
        let resource = |verb: &str, what: (&str, &str, &str), name: &str, namespace: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Attributes::Resource {
                verb: verb.into(),
                group: what.1.into(),
                version: "v1".into(),
                resource: what.0.into(),
                subresource: some(what.2),
                name: some(name),
                namespace: some(namespace),
            }
        };
        let account = "system:serviceaccount:ns-1:k-sa-1";
        for (attributes, user, lines) in [
            (
                resource("list", ("pods", "", ""), "", "ns-1"),
                account,
                [
                    "kubectl create role k-sa-1-list-pods --verb=list --resource=pods --namespace=ns-1",
                    "kubectl create rolebinding k-sa-1-list-pods --role=k-sa-1-list-pods --serviceaccount=ns-1:k-sa-1 --namespace=ns-1",
                ],
            ),
            (
                resource("patch", ("deployments", "apps", "scale"), "web", "prod"),
                account,
                [
                    "kubectl create role ns-1-k-sa-1-patch-deployments-apps-scale-web --verb=patch --resource=deployments.apps/scale --resource-name=web --namespace=prod",
                    "kubectl create rolebinding ns-1-k-sa-1-patch-deployments-apps-scale-web --role=ns-1-k-sa-1-patch-deployments-apps-scale-web --serviceaccount=ns-1:k-sa-1 --namespace=prod",
                ],
            ),
            (
                resource("*", ("*", "*", ""), "", ""),
                "jane o'hara",
                [
                    "kubectl create clusterrole grant-all-all --verb='*' --resource='*.*'",
                    r"kubectl create clusterrolebinding grant-all-all --clusterrole=grant-all-all --user='jane o'\''hara'",
                ],
            ),
            (
                Attributes::Path { verb: "get".into(), path: "/metrics".into() },
                account,
                [
                    "kubectl create clusterrole ns-1-k-sa-1-get-metrics --verb=get --non-resource-url=/metrics",
                    "kubectl create clusterrolebinding ns-1-k-sa-1-get-metrics --clusterrole=ns-1-k-sa-1-get-metrics --serviceaccount=ns-1:k-sa-1",
                ],
            ),
        ] {
            assert_eq!(grant(&attributes, user), lines);
        }
        let lines = grant(&resource("list", ("pods", "", ""), "", "ns-1"), "system:serviceaccount:a:b:c");
        assert!(lines[1].contains(" --user=system:serviceaccount:a:b:c "), "{lines:?}");
        // kubectl creates no role for a resource that no server lists in any version.
        let mut attributes = resource("get", ("pods", "custom.metrics.k8s.io", "http_requests"), "", "ns-1");
        if let Attributes::Resource { version, .. } = &mut attributes {
            version.clear();
        }
        let lines = grant(&attributes, account);
        assert!(lines[0].starts_with("echo '{") && lines[0].ends_with(" --namespace=ns-1"), "{lines:?}");
        // A name with slashes is one name, and kubectl does not create roles for signers.
        let name = "kubernetes.io/kube-apiserver-client";
        let lines = grant(&resource("approve", ("signers", "certificates.k8s.io", ""), name, ""), account);
        let [role, binding] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(role.contains(r#""resourceNames":["kubernetes.io/kube-apiserver-client"]"#), "{role}");
        let role_name = "ns-1-k-sa-1-approve-signers-certificates-kubernetes-io-kube-apiserver-client";
        assert!(
            role.contains(role_name) && binding.contains(&format!("--clusterrole={role_name} ")),
            "{binding}"
        );
        for user in ["a\nb", "\u{1b}[31m", "\u{202e}x", "caf\u{fffd}"] {
            assert!(grant(&resource("list", ("pods", "", ""), "", "ns-1"), user).is_empty(), "{user:?}");
            assert!(grant_default("system:discovery", Some(user)).is_empty(), "{user:?}");
        }
    }

    #[test]
    fn default_roles() {
        for (user, line) in [
            (
                Some("system:serviceaccount:ns-1:k-sa-1"),
                "kubectl create clusterrolebinding ns-1-k-sa-1-basic-user --clusterrole=system:basic-user --serviceaccount=ns-1:k-sa-1",
            ),
            (
                Some("jane"),
                "kubectl create clusterrolebinding grant-basic-user --clusterrole=system:basic-user --user=jane",
            ),
            (
                None,
                "kubectl create clusterrolebinding serviceaccounts-basic-user --clusterrole=system:basic-user --group=system:serviceaccounts",
            ),
        ] {
            assert_eq!(grant_default("system:basic-user", user), [line]);
        }
    }
}
