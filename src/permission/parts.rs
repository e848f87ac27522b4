//! The parts of a target, each checked by itself: namespace, resource, name, subresource.

use super::caret::{PhraseFault, fault};
use super::model::ResourceName;

/// Why this is not the name of a namespace (a DNS label, RFC 1123), and at which byte; `None` if it is one.
pub fn namespace_fault(name: &str) -> Option<(usize, &'static str)> {
    const LABEL: &str = "a namespace is a DNS label: at most 63 lower-case letters, digits and -, a letter or digit at both ends";
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if let Some(at) = name.find(|c| !inner(c)) {
        return Some((at, LABEL));
    }
    if name.is_empty() || name.starts_with('-') {
        return Some((0, LABEL));
    }
    (name.ends_with('-') || name.len() > 63).then(|| (63.min(name.len() - 1), LABEL))
}

/// The groups of metrics. A metric stands where others have a resource or a subresource, and has dots, colons,
/// underscores and capital letters.
const METRICS: [&str; 2] = ["custom.metrics.k8s.io", "external.metrics.k8s.io"];

/// True for a resource of one of the groups of metrics.
pub fn is_metric(resource: &ResourceName) -> bool {
    resource.qualifier.as_deref().is_some_and(|qualifier| {
        METRICS.iter().any(|group| {
            qualifier.strip_suffix(group).is_some_and(|version| {
                version.is_empty() || version.strip_suffix('.').is_some_and(is_version)
            })
        })
    })
}

/// True for `v1`, `v1beta1` and the like.
pub fn is_version(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next() == Some(b'v')
        && bytes.next().is_some_and(|byte| byte.is_ascii_digit())
        && bytes.all(|byte| byte.is_ascii_alphanumeric())
}

/// Splits the name from its qualifier: at the first dot, but before the group of a metric.
fn split_resource(text: &str) -> (&str, Option<&str>) {
    let group_of_metric = METRICS.iter().find_map(|group| text.strip_suffix(group)?.strip_suffix('.'));
    let Some(stem) = group_of_metric else {
        return text.split_once('.').map_or((text, None), |(name, qualifier)| (name, Some(qualifier)));
    };
    let name =
        stem.rsplit_once('.').filter(|(_, version)| is_version(version)).map_or(stem, |(name, _)| name);
    (name, text.get(name.len() + 1..))
}

/// Parses `RESOURCE`, `RESOURCE.GROUP`, `RESOURCE.VERSION.GROUP` or `RESOURCE.VERSION.` (of any group, as kubectl
/// takes it), which begins at this byte. As rules have them, `RESOURCE.*` is of every group, and `*.` is all of the
/// core group.
pub fn parse_resource(at: usize, text: &str) -> Result<ResourceName, PhraseFault> {
    const RESOURCE: &str =
        "a resource is RESOURCE, RESOURCE.GROUP or RESOURCE.VERSION.GROUP, such as pods or deployments.apps";
    // `pods.` names no group, which is any group.
    let (name, qualifier) = match split_resource(text) {
        (name, Some("")) if name != "*" => (name, None),
        ("*", Some("*")) => ("*", None),
        split => split,
    };
    let resource = ResourceName { name: name.to_owned(), qualifier: qualifier.map(str::to_owned) };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() {
        return fault(at, RESOURCE);
    }
    if is_metric(&resource) {
        return match name.find(|c| !is_of_metric(c)) {
            Some(bad) => fault(at + bad, METRIC),
            None => Ok(resource),
        };
    }
    if let (Some(bad), true) = (name.find(|c| !plain(c)), name != "*") {
        return fault(at + bad, RESOURCE);
    }
    if let Some(qualifier) = qualifier.filter(|qualifier| !matches!(*qualifier, "" | "*")) {
        let mut label_at = at + name.len() + 1;
        let labels = qualifier.strip_suffix('.').filter(|version| is_version(version));
        for label in labels.unwrap_or(qualifier).split('.') {
            if let Some(bad) = label.find(|c| !plain(c)) {
                return fault(label_at + bad, RESOURCE);
            }
            if label.is_empty() {
                return fault(label_at, RESOURCE);
            }
            label_at += label.len() + 1;
        }
    }
    Ok(resource)
}

/// A name is a path segment as the API server takes it: not `.`, not `..`, no `%`. The slashes are the caller's.
pub fn parse_name(at: usize, text: &str) -> Result<Option<String>, PhraseFault> {
    match text {
        "" => fault(at, "a name is missing after the /; * is any name"),
        "*" => Ok(None),
        "." | ".." => fault(at, "a name is not . or .."),
        _ => match text.find(|c: char| !c.is_ascii_graphic() || matches!(c, '%' | '?' | '#' | '\\')) {
            Some(bad) => fault(at + bad, "this character cannot stand in a name"),
            None => Ok(Some(text.to_owned())),
        },
    }
}

/// Parses the name of a signer, which is a domain and a path: `kubernetes.io/kube-apiserver-client`.
pub fn parse_signer(at: usize, text: &str) -> Result<Option<String>, PhraseFault> {
    let mut skipped = 0;
    for segment in text.split('/') {
        if segment.is_empty() {
            return fault(at + skipped, "a name is missing after the /; * is any name");
        }
        skipped += segment.len() + 1;
    }
    parse_name(at, text)
}

const METRIC: &str = "the name of a metric is letters, digits, _, :, . and -";

fn is_of_metric(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_:.-".contains(c)
}

/// Why this is not the subresource of a metric, and at which byte; `None` if it is one.
pub fn metric_fault(text: &str) -> Option<(usize, &'static str)> {
    if text.is_empty() {
        return Some((0, METRIC));
    }
    text.find(|c| !is_of_metric(c)).filter(|_| text != "*").map(|at| (at, METRIC))
}

/// Why this is not a subresource, and at which byte; `None` if it is one. It may have two parts, as
/// `vnc/screenshot` has: aggregated API servers check such permissions themselves.
pub fn subresource_fault(text: &str) -> Option<(usize, &'static str)> {
    const SUBRESOURCE: &str =
        "a subresource is lower-case letters, digits, -, _, : and ., such as log, exec or status";
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_:.".contains(c);
    if text == "*" {
        return None;
    }
    let mut skipped = 0;
    for (count, part) in text.split('/').enumerate() {
        match (count, text.split('/').next()) {
            (1, Some("proxy")) => {
                return Some((skipped, "the path after proxy is not part of a permission: leave it out"));
            }
            (2, _) => {
                return Some((
                    skipped,
                    "a resource has at most RESOURCE/NAME/SUBRESOURCE, and a subresource at most two parts",
                ));
            }
            _ => {}
        }
        if matches!(part, "" | "." | "..") {
            return Some((skipped, SUBRESOURCE));
        }
        if let Some(at) = part.find(|c| !plain(c)) {
            return Some((skipped + at, SUBRESOURCE));
        }
        skipped += part.len() + 1;
    }
    None
}
