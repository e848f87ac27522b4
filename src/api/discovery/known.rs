//! What is known without a request: the resources of the core group, and those that stand in rules only.

use super::resource::{Resource, Wanted};
use crate::permission::{ResourceName, is_metric, is_version};

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

/// The verbs that API servers serve resources by. Others (`impersonate`, `bind`, `use`, `*`) stand in rules only.
pub const SERVED: [&str; 8] =
    ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

/// What a kubelet is asked for, as subresources of its node: no API server lists them (kubernetes.io, "Kubelet
/// authorization").
const KUBELET: [&str; 10] =
    ["checkpoint", "configz", "flagz", "healthz", "log", "metrics", "pods", "spec", "stats", "statusz"];

/// A subresource of every resource, in rules only: who may set `blockOwnerDeletion` (kubernetes.io, "Admission
/// control", OwnerReferencesPermissionEnforcement).
pub const FINALIZERS: &str = "finalizers";

const AUTHENTICATION: &str = "authentication.k8s.io";

/// Verb, plural and group of what rules speak of and no server lists (kubernetes.io, "User
/// impersonation").
const IN_RULES_ONLY: [(&str, &str, &str); 4] = [
    ("impersonate", "users", ""),
    ("impersonate", "groups", ""),
    ("impersonate", "uids", AUTHENTICATION),
    ("impersonate", "userextras", AUTHENTICATION),
];

/// Who may be impersonated by the verbs `impersonate:MODE`, all of them in `authentication.k8s.io`; true for what
/// lies in a namespace (kubernetes.io, "Constrained impersonation").
const IMPERSONATED: [(&str, bool); 6] = [
    ("groups", false),
    ("nodes", false),
    ("serviceaccounts", true),
    ("uids", false),
    ("userextras", false),
    ("users", false),
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
    if wanted.resource.is_wildcard() {
        let group = qualifier.clone().unwrap_or_else(|| "*".into());
        return Some(Resource {
            group,
            version: "*".into(),
            plural: name.clone(),
            namespaced: core_row(name).is_none_or(|(_, _, _, namespaced, _)| *namespaced),
            ..Resource::default()
        });
    }
    if let Some(resource) = in_rules_only(wanted) {
        return Some(resource);
    }
    let (plural, _, _, namespaced, subresources) = core(wanted)?;
    let kubelet = if *plural == "nodes" { &KUBELET[..] } else { &[] };
    let known = |name: &String| {
        name == "*" || name == FINALIZERS || subresources.iter().chain(kubelet).any(|known| known == name)
    };
    // All others have all verbs that are asked by a read.
    let verbs: &[&str] = match *plural {
        "bindings" => &["create"],
        "componentstatuses" => &["get", "list"],
        _ => &[],
    };
    wanted.subresource.as_ref().is_none_or(known).then(|| Resource {
        version: "v1".into(),
        verbs: verbs.iter().map(|&verb| verb.to_owned()).collect(),
        plural: (*plural).into(),
        namespaced: *namespaced,
        subresources: subresources.iter().chain(kubelet).map(|&name| name.to_owned()).collect(),
        ..Resource::default()
    })
}

/// The resource of the core group that is known without asking.
fn core(wanted: &Wanted) -> Option<&'static CoreRow> {
    let row = core_row(&wanted.resource.name).filter(|_| may_be_core(wanted))?;
    (!wanted.exact || row.0 == wanted.resource.name).then_some(row)
}

/// Whether nothing but the core group has to be looked at.
pub fn is_core(wanted: &Wanted) -> bool {
    wanted.resource.qualifier.as_deref() == Some("") || core(wanted).is_some()
}

/// Whether the name may be one of the core group: it names no group, and no version but `v1`.
pub fn may_be_core(wanted: &Wanted) -> bool {
    matches!(wanted.resource.qualifier.as_deref(), None | Some("" | "v1."))
}

/// What no server lists by this verb.
fn in_rules_only(wanted: &Wanted) -> Option<Resource> {
    let Wanted { verb, resource: ResourceName { name, qualifier }, .. } = wanted;
    let of_group = |group: &str| qualifier.as_deref().is_none_or(|qualifier| qualifier == group);
    let resource = |group: &str, namespaced| Resource {
        group: group.to_owned(),
        plural: name.clone(),
        namespaced,
        ..Resource::default()
    };
    if wanted.resource.is_signers() && !SERVED.contains(&verb.as_str()) {
        return in_rules(wanted);
    }
    if verb.starts_with("impersonate:") {
        let impersonated = IMPERSONATED.iter().find(|(plural, _)| name == plural);
        return impersonated
            .filter(|_| of_group(AUTHENTICATION))
            .map(|(_, namespaced)| resource(AUTHENTICATION, *namespaced));
    }
    // The resource is an audience, and the object is a service account.
    if verb == "request-serviceaccounts-token-audience" {
        return Some(resource(qualifier.as_deref().unwrap_or_default(), true));
    }
    let listed = IN_RULES_ONLY
        .iter()
        .find(|(known, plural, group)| verb == known && name == plural && of_group(group));
    listed.map(|(_, _, group)| resource(group, false))
}

/// What may stand in rules though no server lists it: signers of any group, and metrics, which come and go.
pub fn in_rules(wanted: &Wanted) -> Option<Resource> {
    let ResourceName { name, qualifier } = &wanted.resource;
    let is_metric = is_metric(&wanted.resource);
    if !is_metric && !wanted.resource.is_signers() {
        return None;
    }
    let qualifier = qualifier.as_deref().unwrap_or("certificates.k8s.io");
    let group = match qualifier.split_once('.') {
        Some((version, group)) if is_version(version) => group,
        _ => qualifier,
    };
    let namespaced = is_metric && core_row(name).is_none_or(|(_, _, _, namespaced, _)| *namespaced);
    Some(Resource { group: group.to_owned(), plural: name.clone(), namespaced, ..Resource::default() })
}
