//! Reads what a request asks for: path, query and `Accept` header in the API server's terms. Decides nothing.

use super::Seen;
use super::rbac::Attributes;

/// What a request asks for, as the API server's `RequestInfo` has it.
pub fn attributes(method: &str, path: &str, query: &Query) -> Attributes {
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(unescape).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let no_resource =
        || Attributes { verb: method.to_lowercase(), path: Some(path.to_owned()), ..Attributes::default() };
    let (group, version, mut rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return no_resource(),
    };
    let mut verb = match method {
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "get",
    };
    if rest[0] == "watch" && rest.len() > 1 {
        (verb, rest) = ("watch", &rest[1..]);
    }
    let mut namespace = "";
    if let ["namespaces", place, inside @ ..] = rest {
        namespace = place;
        if !inside.is_empty() && !["status", "finalize"].contains(&inside[0]) {
            rest = inside;
        }
    }
    let part = |index: usize| rest.get(index).copied().unwrap_or_default();
    let mut name = part(1).to_owned();
    if name.is_empty() && verb == "get" {
        verb = if query.is_true("watch") { "watch" } else { "list" };
    }
    if name.is_empty() && verb == "delete" {
        verb = "deletecollection";
    }
    if name.is_empty() && ["list", "watch", "deletecollection"].contains(&verb) {
        name = query.selected_name().unwrap_or_default();
    }
    let (group, version, verb) = (group.to_owned(), version.to_owned(), verb.to_owned());
    let (resource, subresource, namespace) = (part(0).to_owned(), part(2).to_owned(), namespace.to_owned());
    Attributes { verb, group, version, resource, subresource, namespace, name, path: None }
}

/// The form of an answer that the `Accept` header prefers, among those that are served.
#[derive(Clone, Copy, PartialEq)]
pub enum Accepted {
    /// Plain JSON.
    Plain,
    /// `PartialObjectMetadata`.
    Metadata,
    /// `PartialObjectMetadataList`.
    MetadataList,
    /// Aggregated discovery.
    Aggregated,
    /// A form that is not served: a 406.
    Nothing,
}

impl Accepted {
    /// The form that this request prefers. Without the header it is plain JSON.
    pub fn of(seen: &Seen) -> Self {
        let accept = seen.header("accept").unwrap_or_default();
        if accept.is_empty() {
            return Self::Plain;
        }
        let known = accept.split(',').find_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let json = ["application/json", "application/*", "*/*"].contains(&parts.next()?);
            let parameter = |wanted: &str| {
                let mut pairs = range.split(';').skip(1).filter_map(|pair| pair.trim().split_once('='));
                pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value).unwrap_or_default()
            };
            match (parameter("as"), parameter("g"), parameter("v")) {
                _ if !json => None,
                ("", _, _) => Some(Self::Plain),
                ("PartialObjectMetadata", "meta.k8s.io", "v1") => Some(Self::Metadata),
                ("PartialObjectMetadataList", "meta.k8s.io", "v1") => Some(Self::MetadataList),
                ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Some(Self::Aggregated),
                _ => None,
            }
        });
        known.unwrap_or(Self::Nothing)
    }
}

/// The query of a request, with its escapes resolved.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the text after the `?`.
    pub fn new(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(pairs.map(|(name, value)| (unescape(name), unescape(&value.replace('+', " ")))).collect())
    }

    /// The value of a parameter, if it is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// Whether a parameter is true.
    pub fn is_true(&self, name: &str) -> bool {
        ["true", "1"].contains(&self.get(name).unwrap_or_default())
    }

    /// The name to which `fieldSelector=metadata.name=NAME` narrows a list.
    pub fn selected_name(&self) -> Option<String> {
        let mut terms = self.get("fieldSelector")?.split(',');
        terms.find_map(|term| {
            let name = term.strip_prefix("metadata.name=")?;
            Some(name.strip_prefix('=').unwrap_or(name).to_owned())
        })
    }
}

/// Resolves escapes such as `%41`. Anything else stays as it is.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped =
            after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
