//! The parts of a target, each checked by itself: namespace, resource, name, subresource.

use super::caret::{PhraseFault, fault};
use super::model::ResourceName;

/// Why this is no namespace name (a DNS label, RFC 1123), and at which byte; `None` if it is one.
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

/// Parses `RESOURCE`, `RESOURCE.GROUP` or `RESOURCE.VERSION.GROUP`, which begins at this byte.
pub fn parse_resource(at: usize, text: &str) -> Result<ResourceName, PhraseFault> {
    const RESOURCE: &str =
        "a resource is RESOURCE, RESOURCE.GROUP or RESOURCE.VERSION.GROUP, such as pods or deployments.apps";
    let (name, qualifier) = match text.split_once('.') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (text, None),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() {
        return fault(at, RESOURCE);
    }
    if let (Some(bad), true) = (name.find(|c| !plain(c)), name != "*") {
        return fault(at + bad, RESOURCE);
    }
    if let Some(qualifier) = qualifier {
        let mut label_at = at + name.len() + 1;
        for label in qualifier.split('.') {
            if let Some(bad) = label.find(|c| !plain(c)) {
                return fault(label_at + bad, RESOURCE);
            }
            if label.is_empty() {
                return fault(label_at, RESOURCE);
            }
            label_at += label.len() + 1;
        }
    }
    Ok(ResourceName { name: name.to_owned(), qualifier: qualifier.map(str::to_owned) })
}

/// A name is a path segment as the API server takes it: not `.`, not `..`, no `/`, no `%`.
pub fn parse_name(at: usize, text: &str) -> Result<Option<String>, PhraseFault> {
    match text {
        "" => fault(at, "a name is missing behind the /; * is any name"),
        "*" => Ok(None),
        "." | ".." => fault(at, "a name is not . or .."),
        _ => match text.find(|c: char| !c.is_ascii_graphic() || matches!(c, '%' | '?' | '#' | '\\')) {
            Some(bad) => fault(at + bad, "this character cannot stand in a name"),
            None => Ok(Some(text.to_owned())),
        },
    }
}

/// Why this is no subresource, and at which byte; `None` if it is one.
pub fn subresource_fault(text: &str) -> Option<(usize, &'static str)> {
    const SUBRESOURCE: &str =
        "a subresource is lower-case letters, digits and -, such as log, exec or status";
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() {
        return Some((0, SUBRESOURCE));
    }
    text.find(|c| !plain(c)).filter(|_| text != "*").map(|at| (at, SUBRESOURCE))
}
