//! What is known without a request: the resources of the core group, and those that stand in rules only.

use super::resource::{Resource, Wanted};
use crate::permission::ResourceName;

/// Plural, kind in lower case (which is the singular), short names, namespaced, subresources: the
/// core group as every server since 1.20 serves it (`kubectl api-resources --api-group=""`).
pub type CoreRow = (&'static str, &'static str, &'static [&'static str], bool, &'static [&'static str]);

pub const CORE: [CoreRow; 17] = [
    ("bindings", "binding", &[], true, &[]),
    ("componentstatuses", "componentstatus", &["cs"], false, &[]),
    ("configmaps", "configmap", &["cm"], true, &[]),
    ("endpoints", "endpoints", &["ep"], true, &[]),
    ("events", "event", &["ev"], true, &[]),
    ("limitranges", "limitrange", &["limits"], true, &[]),
    ("namespaces", "namespace", &["ns"], false, &["finalize", "status"]),
    ("nodes", "node", &["no"], false, &["proxy", "status"]),
    ("persistentvolumeclaims", "persistentvolumeclaim", &["pvc"], true, &["status"]),
    ("persistentvolumes", "persistentvolume", &["pv"], false, &["status"]),
    (
        "pods",
        "pod",
        &["po"],
        true,
        &["attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "status"],
    ),
    ("podtemplates", "podtemplate", &[], true, &[]),
    ("replicationcontrollers", "replicationcontroller", &["rc"], true, &["scale", "status"]),
    ("resourcequotas", "resourcequota", &["quota"], true, &["status"]),
    ("secrets", "secret", &[], true, &[]),
    ("serviceaccounts", "serviceaccount", &["sa"], true, &["token"]),
    ("services", "service", &["svc"], true, &["proxy", "status"]),
];

/// Verb, plural and group of what rules speak of and no server lists (kubernetes.io, "User
/// impersonation", "Certificate signing requests").
const IN_RULES_ONLY: [(&str, &str, &str); 7] = [
    ("impersonate", "users", ""),
    ("impersonate", "groups", ""),
    ("impersonate", "uids", "authentication.k8s.io"),
    ("impersonate", "userextras", "authentication.k8s.io"),
    ("approve", "signers", "certificates.k8s.io"),
    ("sign", "signers", "certificates.k8s.io"),
    ("attest", "signers", "certificates.k8s.io"),
];

/// The core group's resource of this name: plural, singular or short.
pub fn core_row(name: &str) -> Option<&'static CoreRow> {
    let name = name.to_ascii_lowercase();
    CORE.iter().find(|(plural, singular, short, ..)| {
        name == *plural || name == *singular || short.contains(&name.as_str())
    })
}

/// Resolves a name without asking: the core group, `*`, and what is in rules only.
pub fn known(wanted: &Wanted) -> Option<Resource> {
    let ResourceName { name, qualifier } = &wanted.resource;
    if name == "*" {
        let group = qualifier.clone().unwrap_or_else(|| "*".into());
        return Some(Resource {
            group,
            version: "*".into(),
            plural: "*".into(),
            namespaced: true,
            verbs: Vec::new(),
        });
    }
    let in_rules = |(verb, plural, group): &&(&str, &str, &str)| {
        wanted.verb == *verb
            && name == plural
            && qualifier.as_deref().is_none_or(|qualifier| qualifier == *group)
    };
    if let Some((_, plural, group)) = IN_RULES_ONLY.iter().find(in_rules) {
        return Some(Resource { group: (*group).into(), plural: (*plural).into(), ..Resource::default() });
    }
    if qualifier.is_some() {
        return None;
    }
    let (plural, _, _, namespaced, subresources) = core_row(name)?;
    let served = |subresource: &String| subresource == "*" || subresources.contains(&subresource.as_str());
    wanted.subresource.as_ref().is_none_or(served).then(|| Resource {
        version: "v1".into(),
        plural: (*plural).into(),
        namespaced: *namespaced,
        ..Resource::default()
    })
}

/// Whether this is a subresource of a resource of the core group, where `RESOURCE/NAME` may have been meant as
/// rules have it: `pods/log`.
pub fn is_core_subresource(resource: &Resource, name: &str) -> bool {
    let row = core_row(&resource.plural).filter(|_| resource.group.is_empty());
    row.is_some_and(|(.., subresources)| subresources.contains(&name))
}
