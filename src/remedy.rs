//! The kubectl lines that would grant a permission. Pure.

use crate::api::review::Attributes;

/// Whom to grant it to: a user name as the API server knows it.
struct Subject<'a> {
    /// `--serviceaccount=NAMESPACE:NAME`, or `--user=NAME`.
    flag: String,
    /// A short name for the role.
    short: &'a str,
}

impl Subject<'_> {
    fn of(user: &str) -> Subject<'_> {
        let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        match account {
            Some((namespace, name)) => {
                Subject { flag: format!("--serviceaccount={namespace}:{name}"), short: name }
            }
            None => Subject { flag: format!("--user={}", quote(user)), short: "grant" },
        }
    }
}

/// The two lines that grant it to `user`: a role and its binding, in the namespace or in the cluster.
pub fn grant(attributes: &Attributes, user: &str) -> Vec<String> {
    let subject = Subject::of(user);
    let (rule, place, words) = match attributes {
        Attributes::Path { verb, path } => (
            format!("--verb={} --non-resource-url={}", quote(verb), quote(path)),
            None,
            vec![verb.as_str(), path],
        ),
        Attributes::Resource { verb, group, resource, subresource, name, namespace, .. } => {
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
            let words = [Some(verb), Some(resource), subresource.as_ref(), name.as_ref()];
            (rule, namespace.as_ref(), words.into_iter().flatten().map(String::as_str).collect())
        }
    };
    let name = role_name(subject.short, &words);
    let flag = subject.flag;
    match place {
        Some(namespace) => vec![
            format!("kubectl create role {name} {rule} --namespace={namespace}"),
            format!("kubectl create rolebinding {name} --role={name} {flag} --namespace={namespace}"),
        ],
        None => vec![
            format!("kubectl create clusterrole {name} {rule}"),
            format!("kubectl create clusterrolebinding {name} --clusterrole={name} {flag}"),
        ],
    }
}

/// The line that lets every service account ask access reviews again: the cluster's default.
pub fn grant_reviews() -> Vec<String> {
    vec![
        "kubectl create clusterrolebinding system:basic-user --clusterrole=system:basic-user --group=system:authenticated"
            .to_owned(),
    ]
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

/// Quotes a word for a shell where it needs that.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
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
                    "kubectl create role k-sa-1-patch-deployments-scale-web --verb=patch --resource=deployments.apps/scale --resource-name=web --namespace=prod",
                    "kubectl create rolebinding k-sa-1-patch-deployments-scale-web --role=k-sa-1-patch-deployments-scale-web --serviceaccount=ns-1:k-sa-1 --namespace=prod",
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
                    "kubectl create clusterrole k-sa-1-get-metrics --verb=get --non-resource-url=/metrics",
                    "kubectl create clusterrolebinding k-sa-1-get-metrics --clusterrole=k-sa-1-get-metrics --serviceaccount=ns-1:k-sa-1",
                ],
            ),
        ] {
            assert_eq!(grant(&attributes, user), lines);
        }
    }
}
