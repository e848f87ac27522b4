//! The request that asks about one permission, and the result of one identity's knock.

use std::time::{Duration, Instant};

use crate::api::discovery::spelling::nearest;
use crate::api::discovery::{self, FINALIZERS, Resource, SERVED, Wanted};
use crate::api::review::Attributes;
use crate::api::status::{self, Answer, Shape};
use crate::api::{Reply, Request};
use crate::failure::{Failure, Fault};
use crate::permission::{Namespace, Objects, Permission, ResourceName, Target, is_metric};

/// Metadata only, with plain JSON after it against 406.
const LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
const OBJECT: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// The result of one knock, and how long it took.
#[derive(Clone, Debug)]
pub struct Knock {
    /// The answer, or why there is none.
    pub result: Result<Answer, Failure>,
    /// From sending to the end of the answer.
    pub elapsed: Duration,
}

impl Knock {
    /// Waits for the answer to a request that was sent at `start`.
    pub fn finish(sent: Result<Reply, Failure>, shape: &Shape, start: Instant) -> Knock {
        Knock { result: sent.and_then(|reply| status::answer(reply, shape)), elapsed: start.elapsed() }
    }
}

/// A permission with everything resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The phrase in full: plural, group, namespace.
    pub phrase: String,
    /// The attributes, for a review and for the remedy.
    pub attributes: Attributes,
    /// The shape of a valid answer.
    pub shape: Shape,
    /// The request, which is the same for both knocks. `None` after it was sent, because there may be thousands of
    /// questions.
    pub request: Option<Box<Request>>,
    /// Notes about how the phrase was understood.
    pub notes: Vec<String>,
    /// The verb is likely misspelled, so that a grant of it would be wrong.
    pub misspelled: bool,
}

/// True where no single harmless read asks it, so that an access review has to.
pub fn needs_review(permission: &Permission) -> bool {
    let verb = permission.verb.as_str();
    match &permission.target {
        Target::Path(path) => verb != "get" || permission.exact || path.contains('*'),
        Target::Objects(objects) => {
            let read = match verb {
                "list" | "watch" => true,
                "get" => {
                    objects.name.is_some()
                        && (objects.namespace != Namespace::All
                            || is_cluster_scoped(objects, permission.exact))
                }
                _ => false,
            };
            // What only rules may know has no URL.
            let in_rules = objects.resource.is_signers() || is_metric(&objects.resource);
            let no_url = |name: &String| {
                name.contains(['/', '%', ',', '=', '\\']) || matches!(name.as_str(), "." | "..")
            };
            !read
                || objects.subresource.is_some()
                || objects.resource.is_wildcard()
                || in_rules
                || objects.name.as_ref().is_some_and(no_url)
        }
    }
}

/// True for what is known to lie in no namespace: there `in *` means nothing.
fn is_cluster_scoped(objects: &Objects, exact: bool) -> bool {
    let wanted = Wanted { verb: "get".into(), resource: objects.resource.clone(), subresource: None, exact };
    discovery::known(&wanted).is_some_and(|resource| !resource.namespaced)
}

impl Question {
    /// Asks about a non-resource URL.
    pub fn path(permission: &Permission, path: &str, review: bool) -> Question {
        let attributes = Attributes::Path { verb: permission.verb.clone(), path: path.to_owned() };
        let (shape, request) = if review || needs_review(permission) {
            (Shape::Review, attributes.access_review())
        } else {
            (
                Shape::of_path(path),
                Request { accept: "application/json, */*", ..Request::get(percent_encode(path)) },
            )
        };
        let odd = OddVerb::of(&permission.verb, &METHODS, &FOR_PATHS);
        let misspelled = odd.as_ref().is_some_and(|odd| odd.near.is_some());
        let notes = odd.iter().map(|odd| odd.note("the verb of a path is an HTTP method")).collect();
        let request = Some(Box::new(request));
        Question { phrase: permission.to_string(), attributes, shape, request, notes, misspelled }
    }

    /// Asks about objects, which the server serves as `resource`. `own_namespace` is used only where
    /// one is needed and none was said.
    pub fn objects(
        permission: &Permission,
        objects: &Objects,
        resource: &Resource,
        own_namespace: &dyn Fn() -> Result<String, Fault>,
        review: bool,
    ) -> Result<Question, Fault> {
        let namespace = match &objects.namespace {
            _ if !resource.namespaced => None,
            Namespace::All => None,
            Namespace::Named(named) => Some(named.clone()),
            Namespace::Own => Some(own_namespace()?),
        };
        // In the path of a request, a namespace lies in the namespace of its own name.
        let is_namespace = resource.group.is_empty()
            && resource.plural == "namespaces"
            && matches!(permission.verb.as_str(), "get" | "update" | "patch" | "delete");
        let attributes = Attributes::Resource {
            verb: permission.verb.clone(),
            group: resource.group.clone(),
            version: resource.version.clone(),
            resource: resource.plural.clone(),
            subresource: objects.subresource.clone(),
            name: objects.name.clone(),
            namespace: if is_namespace { objects.name.clone() } else { namespace.clone() },
        };
        let of_rules = resource.unlisted || permission.exact && lacks(resource, &permission.verb);
        let (shape, request) = if review || of_rules || needs_review(permission) {
            (Shape::Review, attributes.access_review())
        } else {
            harmless_read(&permission.verb, resource, objects.name.as_deref(), namespace.as_deref())
        };
        let odd = OddVerb::of(&permission.verb, &VERBS, &FOR_RESOURCES);
        let misspelled = odd.as_ref().is_some_and(|odd| odd.near.is_some());
        let of_resources = format!("the verbs of resources are {}", SERVED.join(", "));
        let mut notes = notes(&permission.verb, objects, resource);
        notes.extend(odd.map(|odd| odd.note(&of_resources)));
        let unsaid = if resource.plural == "*" { "*" } else { "" };
        let shown = Objects {
            resource: ResourceName {
                name: resource.plural.clone(),
                qualifier: (resource.group != unsaid).then(|| resource.group.clone()),
            },
            namespace: match namespace {
                Some(namespace) => Namespace::Named(namespace),
                None if resource.namespaced => Namespace::All,
                None => Namespace::Own,
            },
            ..objects.clone()
        };
        let phrase = Permission { target: Target::Objects(shown), ..permission.clone() }.to_string();
        Ok(Question { phrase, attributes, shape, request: Some(Box::new(request)), notes, misspelled })
    }
}

/// The verbs that a Kubernetes API server asks its authorizer about for resources, beside `impersonate:` and
/// `impersonate-on:` with what follows.
const VERBS: [&str; 17] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "*",
    "use",
    "bind",
    "escalate",
    "impersonate",
    "approve",
    "sign",
    "attest",
    "request-serviceaccounts-token-audience",
];

/// The verbs of paths.
const METHODS: [&str; 8] = ["get", "head", "post", "put", "patch", "delete", "options", "*"];

/// Words that are typed for a verb of a resource, too far from it to be a slip.
const FOR_RESOURCES: [(&str, &str); 12] = [
    ("add", "create"),
    ("apply", "patch"),
    ("describe", "get"),
    ("edit", "update"),
    ("head", "get"),
    ("options", "get"),
    ("post", "create"),
    ("put", "update"),
    ("read", "get"),
    ("remove", "delete"),
    ("view", "get"),
    ("write", "update"),
];

/// The same for a path.
const FOR_PATHS: [(&str, &str); 6] = [
    ("create", "post"),
    ("deletecollection", "delete"),
    ("list", "get"),
    ("read", "get"),
    ("update", "put"),
    ("watch", "get"),
];

/// A verb that no API server knows.
struct OddVerb<'v> {
    verb: &'v str,
    /// The known one that was likely meant.
    near: Option<&'static str>,
}

impl OddVerb<'_> {
    fn of<'v>(
        verb: &'v str,
        known: &[&'static str],
        other_words: &[(&str, &'static str)],
    ) -> Option<OddVerb<'v>> {
        // Such as `impersonate:user-info`, or `associated-node:update` of dynamic resource allocation: new ones come.
        if known.contains(&verb) || verb.contains(':') {
            return None;
        }
        let meant = other_words.iter().find(|(word, _)| *word == verb).map(|(_, meant)| *meant);
        Some(OddVerb { verb, near: meant.or_else(|| nearest(verb, known.iter().copied())) })
    }

    /// What to say of it; `what` where nothing near is known.
    fn note(&self, what: &str) -> String {
        let OddVerb { verb, near } = self;
        match near {
            Some(near) => format!("no Kubernetes API server knows the verb {verb}; close to it: {near}"),
            None => format!("no Kubernetes API server knows the verb {verb}: {what}"),
        }
    }
}

fn notes(verb: &str, objects: &Objects, resource: &Resource) -> Vec<String> {
    let mut notes = Vec::new();
    if let (Namespace::Named(named), false) = (&objects.namespace, resource.namespaced) {
        notes.push(format!("{} are cluster-scoped: the namespace {named} is ignored", resource.plural));
    }
    let full = ResourceName {
        name: resource.plural.clone(),
        qualifier: Some(resource.group.clone()).filter(|group| !group.is_empty() && group != "*"),
    };
    if let (Some(name), None) = (&objects.name, &objects.subresource)
        && (resource.subresources.contains(name)
            || name == FINALIZERS
            || (resource.plural == "*" && matches!(name.as_str(), "scale" | "status")))
    {
        notes.push(format!("{name} is taken for an object's name; the subresource is {full}/*/{name}"));
    }
    if let (None, true) = (&objects.subresource, resource.unlisted) {
        notes.push(format!("the API server serves no {full}: only rules may know it"));
    }
    if let (Some(name), true) = (&objects.subresource, resource.unlisted) {
        let near = nearest(name, resource.subresources.iter().map(String::as_str));
        let near = near.map(|near| format!("; close to it: {near}")).unwrap_or_default();
        notes.push(format!(
            "the API server lists no subresource {name} of {full}: only rules may know it{near}"
        ));
    }
    // Kubernetes lets a grant for all of a domain's signers stand for each of them.
    if let (Some(name), "certificates.k8s.io") = (&objects.name, resource.group.as_str())
        && let (true, Some((domain, _))) = (objects.resource.is_signers(), name.split_once('/'))
        && !name.ends_with("/*")
    {
        notes.push(format!("a grant for signers/{domain}/* is as good: ask about that too"));
    }
    if lacks(resource, verb) {
        let of = objects.subresource.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        notes.push(format!("the API server serves no {verb} on {}{of}", resource.plural));
    }
    notes
}

/// True for a verb that other resources of the server have, but not this one.
fn lacks(resource: &Resource, verb: &str) -> bool {
    !resource.verbs.is_empty()
        && SERVED.contains(&verb)
        && !resource.verbs.iter().any(|served| served == verb)
}

/// The one harmless read that asks a `list`, a `watch`, or a `get` with a name.
fn harmless_read(
    verb: &str,
    resource: &Resource,
    name: Option<&str>,
    namespace: Option<&str>,
) -> (Shape, Request) {
    let root =
        if resource.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", resource.group) };
    let place = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
    let collection = format!("{root}/{}{place}/{}", resource.version, resource.plural);
    // With it, rules with resourceNames apply (kubernetes.io, RBAC, "Referring to resources").
    let field = name.map(|name| format!("fieldSelector=metadata.name%3D{}", percent_encode(name)));
    let join = |first: &str| {
        [Some(first.to_owned()), field.clone()].into_iter().flatten().collect::<Vec<_>>().join("&")
    };
    match (verb, name) {
        ("get", Some(name)) => (
            Shape::Object(name.to_owned()),
            Request { accept: OBJECT, ..Request::get(format!("{collection}/{}", percent_encode(name))) },
        ),
        ("watch", _) => (Shape::Watch, Request::get(format!("{collection}?{}", join("watch=true")))),
        _ => (
            Shape::List,
            Request { accept: LIST, ..Request::get(format!("{collection}?{}", join("limit=1"))) },
        ),
    }
}

/// Percent-encodes what cannot stand in a path (RFC 3986, `pchar` and `/`).
fn percent_encode(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~:@!$'()*,;/%".contains(c) {
            escaped.push(c);
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
