//! The URL of a resource, as the phrase that asks the same. Reads a URL as the API server reads it to authorize a
//! request (k8s.io/apiserver, pkg/endpoints/request, `RequestInfo`).

use super::model::{Expected, Namespace, Objects};
use super::parts::{is_metric, metric_fault, namespace_fault, parse_name, parse_resource, subresource_fault};

/// What lies in no namespace in the core group. Others get `in *`, which means nothing where there is none.
const CLUSTER_SCOPED: [&str; 4] = ["componentstatuses", "namespaces", "nodes", "persistentvolumes"];

/// `get /api/v1/namespaces/ns-1/pods` is `list pods in ns-1`: the phrase, with a remark in brackets where it leaves
/// something out, or why no phrase asks the same. `None` if it is not the URL of a resource: `/api/VERSION` and
/// `/apis/GROUP/VERSION` themselves are discovery paths.
pub fn equivalent(path: &str, expected: Expected, verbs: &[String]) -> Option<Result<String, String>> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let plain = path.trim_matches('/');
    let is_resource =
        match plain.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().as_slice() {
            ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => !rest.is_empty(),
            _ => false,
        };
    is_resource.then(|| {
        let path = decoded(plain).ok_or("its percent-encoding is broken")?;
        let segments: Vec<&str> = path.split('/').collect();
        let reads = verbs.iter().all(|verb| matches!(verb.as_str(), "get" | "head" | "list" | "watch"));
        let url = Url::read(&segments, query, reads)?;
        let cannot = if expected == Expected::Cannot { "cannot " } else { "" };
        let mut asked: Vec<&str> = verbs.iter().map(|verb| url.verb(verb)).collect();
        // Two methods may be one verb.
        let mut seen = Vec::new();
        asked.retain(|verb| {
            !seen.contains(verb) && {
                seen.push(*verb);
                true
            }
        });
        let verbs = asked.join(",");
        let can = if cannot.is_empty() && matches!(verbs.as_str(), "can" | "cannot") { "can " } else { "" };
        let remark = url.remark.map(|remark| format!(" ({remark})")).unwrap_or_default();
        Ok(format!("\"{cannot}{can}{verbs} {}\"{remark}", url.objects))
    })
}

/// A URL, read.
struct Url {
    objects: Objects,
    /// The older way to watch, `/api/v1/watch/pods`, whatever the method.
    below_watch: bool,
    /// `?watch=1` on a collection.
    watches: bool,
    /// It names no object.
    collection: bool,
    remark: Option<&'static str>,
}

impl Url {
    /// `reads`: only what lists and watches heeds the query.
    fn read(segments: &[&str], query: &str, reads: bool) -> Result<Url, String> {
        if segments.iter().any(|segment| segment.is_empty()) {
            return Err("it has an empty segment".into());
        }
        let (group, version, rest) = match segments {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err("it is not below /api or /apis".into()),
        };
        let (below_watch, rest) = match rest {
            ["watch", rest @ ..] => (true, rest),
            ["proxy", ..] => return Err("API servers no longer serve proxy before the resource".into()),
            rest => (false, rest),
        };
        let (namespace, rest) = match rest {
            // `namespaces/NAME/status` and `/finalize` are subresources of the namespace itself.
            ["namespaces", _, "status" | "finalize", ..] | ["namespaces"] | ["namespaces", _] => (None, rest),
            ["namespaces", namespace, rest @ ..] => (Some(*namespace), rest),
            _ => (None, rest),
        };
        let [plural, tail @ ..] = rest else { return Err("it names no resource".into()) };
        let dot = |text: &str| if text.is_empty() { String::new() } else { format!(".{text}") };
        let typed = match (group, version) {
            // What servers prefer needs no version; of autoscaling that is v2.
            (group, "v1") if group != "autoscaling" => format!("{plural}{}", dot(group)),
            ("", version) => format!("{plural}.{version}."),
            (group, version) => format!("{plural}.{version}.{group}"),
        };
        let resource = parse_resource(0, &typed).map_err(|fault| fault.why)?;
        let is_metric = is_metric(&resource);
        if resource.name != *plural || (!is_metric && plural.bytes().any(|byte| byte.is_ascii_uppercase())) {
            return Err(format!("no API server serves a resource of the name {plural}"));
        }
        if resource.is_signers() {
            return Err("signers stand in rules only: no API server serves them".into());
        }
        let (name, subresource, more) = match tail {
            [] => (None, None, &[][..]),
            [name] => (Some(*name), None, &[][..]),
            [name, subresource, more @ ..] => (Some(*name), Some(*subresource), more),
        };
        let collection = name.is_none();
        let name = match name {
            None => selected(query).filter(|_| reads && !below_watch),
            Some(name) if name.contains('"') => return Err("a quote cannot stand in a name".into()),
            Some("*") if !is_metric => return Err("* is not the name of an object".into()),
            Some(name) => Some(name.to_owned()),
        };
        let name = name.map(|name| parse_name(0, &name)).transpose().map_err(|fault| fault.why)?.flatten();
        let (subresource, remark) = match (subresource, more) {
            (None, _) => (None, None),
            (Some(name), []) => (Some(name.to_owned()), None),
            (Some(name), _) if name == "proxy" => {
                (Some(name.to_owned()), Some("the path after proxy is not part of a permission"))
            }
            (Some(name), _) if group.is_empty() => {
                (Some(name.to_owned()), Some("the path after the subresource is not part of a permission"))
            }
            (Some(name), more) => (Some(format!("{name}/{}", more.join("/"))), None),
        };
        let fault = if is_metric { metric_fault } else { subresource_fault };
        if let Some((_, why)) = subresource.as_deref().filter(|name| *name != "*").and_then(fault) {
            return Err(why.into());
        }
        if subresource.as_deref() == Some("*") {
            return Err("* is not a subresource".into());
        }
        let cluster_scoped = group.is_empty() && CLUSTER_SCOPED.contains(plural);
        let namespace = match namespace {
            Some(_) if cluster_scoped => return Err(format!("{plural} are cluster-scoped")),
            Some(name) => match namespace_fault(name) {
                Some((_, why)) => return Err(why.into()),
                None => Namespace::Named(name.to_owned()),
            },
            None if cluster_scoped => Namespace::Own,
            // Only what lies in no namespace has such a URL.
            None if !group.is_empty() && !collection && !is_metric => Namespace::Own,
            None => Namespace::All,
        };
        let watches = collection && is_on(query, "watch");
        Ok(Url {
            objects: Objects { resource, name, subresource, namespace },
            below_watch,
            watches,
            collection,
            remark,
        })
    }

    /// The verb of an HTTP method. A verb that is not one stays.
    fn verb<'v>(&self, verb: &'v str) -> &'v str {
        match verb {
            "get" | "head" | "post" | "put" | "patch" | "delete" if self.below_watch => "watch",
            "get" | "head" if self.watches => "watch",
            "get" | "head" if !self.collection => "get",
            "get" | "head" => "list",
            "post" => "create",
            "put" => "update",
            "delete" if self.collection => "deletecollection",
            verb => verb,
        }
    }
}

/// The one object that a field selector picks: `fieldSelector=metadata.name=web`.
fn selected(query: &str) -> Option<String> {
    let selector = parameter(query, "fieldSelector")?;
    let selector = decoded(selector)?;
    let mut terms = selector.split(',');
    terms.find_map(|term| {
        let (field, name) = term.split_once("==").or_else(|| term.split_once('='))?;
        (field == "metadata.name").then(|| name.to_owned())
    })
}

/// A switch of the query: on, but for `false` and `0`.
fn is_on(query: &str, name: &str) -> bool {
    parameter(query, name).is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
}

fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

/// Without percent-encoding; `None` where it is broken, or is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        if !code.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use crate::permission::{Defaults, Namespace, Objects, Permission, Target, parse};

    /// What the API server authorizes a request as: verb, group, resource, namespace, name, subresource. After
    /// `RequestInfoFactory.NewRequestInfo` of k8s.io/apiserver, line by line.
    fn request_info(method: &str, path: &str, query: &str) -> Option<[String; 6]> {
        let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let take = |parts: &mut Vec<&str>| (!parts.is_empty()).then(|| parts.remove(0).to_owned());
        let group = match take(&mut parts)?.as_str() {
            "api" => String::new(),
            "apis" => take(&mut parts)?,
            _ => return None,
        };
        take(&mut parts)?;
        let mut verb = match method {
            "post" => "create",
            "get" | "head" => "get",
            "put" => "update",
            method => method,
        };
        let special = parts.first() == Some(&"watch");
        if special {
            take(&mut parts)?;
            verb = "watch";
        }
        let mut namespace = String::new();
        if parts.first() == Some(&"namespaces") && parts.len() > 1 {
            namespace = parts[1].to_owned();
            if parts.len() > 2 && !["status", "finalize"].contains(&parts[2]) {
                parts.drain(..2);
            }
        }
        let part = |at: usize| parts.get(at).copied().unwrap_or_default().to_owned();
        let (resource, mut name, subresource) = (part(0), part(1), part(2));
        if name.is_empty() && verb == "get" {
            let watches =
                query.split('&').any(|pair| pair == "watch" || pair == "watch=1" || pair == "watch=true");
            verb = if watches { "watch" } else { "list" };
            if let Some((_, selected)) = query.split_once("fieldSelector=metadata.name%3D") {
                name = selected.split('&').next().unwrap().to_owned();
            }
        }
        if name.is_empty() && verb == "delete" {
            verb = "deletecollection";
        }
        // A namespace lies in itself.
        if resource == "namespaces" && name == namespace {
            namespace.clear();
        }
        (!resource.is_empty()).then(|| [verb.to_owned(), group, resource, namespace, name, subresource])
    }

    fn permission_info(permission: Permission) -> [String; 6] {
        let Target::Objects(Objects { resource, name, subresource, namespace }) = permission.target else {
            panic!("a path: {permission:?}");
        };
        let group = resource.qualifier.unwrap_or_default();
        let is_version =
            |label: &str| label.starts_with('v') && label[1..].starts_with(|c: char| c.is_ascii_digit());
        let group = match group.split_once('.') {
            Some((version, group)) if is_version(version) => group.to_owned(),
            _ => group,
        };
        let namespace = match namespace {
            Namespace::Named(name) => name,
            Namespace::Own | Namespace::All => String::new(),
        };
        let [name, subresource] = [name, subresource].map(Option::unwrap_or_default);
        [permission.verb, group, resource.name, namespace, name, subresource]
    }

    /// What is offered for a URL is a phrase, and asks what the API server authorizes that URL as, or it says that
    /// no phrase does.
    #[test]
    fn what_is_offered_asks_the_same() {
        let defaults = Defaults { namespace: Namespace::Own, subresource: None };
        let methods = ["get", "head", "post", "put", "patch", "delete"];
        let roots = [
            "/api/v1",
            "/api/v2",
            "/apis/apps/v1",
            "/apis/autoscaling/v2",
            "/apis/example.com/v1alpha1",
            "/apis/custom.metrics.k8s.io/v1beta2",
            "/apis/external.metrics.k8s.io/v1beta1",
            "/apis/subresources.kubevirt.io/v1",
            "/apis/e_e/v1",
        ];
        let places =
            ["", "/namespaces/ns-1", "/namespaces/Ns_1", "/watch", "/watch/namespaces/ns-1", "/proxy"];
        let resources = [
            "pods",
            "nodes",
            "namespaces",
            "services",
            "queue_messages",
            "deployments.apps",
            "Pods",
            "a:b",
            "",
            "pods%2Fx",
            "*",
            "signers",
        ];
        let tails = [
            "",
            "/",
            "/web",
            "/http:y:",
            "/http%3Ay%3A",
            "/*",
            "/a%20b",
            "/a%zz",
            "/..",
            "//x",
            "/web/log",
            "/web/status",
            "/*/http_requests",
            "/*/queueDepth",
            "/web/Log",
            "/web/*",
            "/web/proxy/",
            "/web/proxy/metrics/cadvisor",
            "/web/vnc/screenshot",
            "/web/a/b/c/d",
            "/web/exec/..",
            "/w\"b",
            "/\u{e9}",
        ];
        let queries = [
            "",
            "?watch=1",
            "?watch=false",
            "?watch",
            "?limit=5",
            "?fieldSelector=metadata.name%3Dweb",
            "?x=%",
        ];
        let (mut offered, mut refused) = (0, 0);
        for method in methods {
            for (root, place) in roots.iter().flat_map(|root| places.map(|place| (root, place))) {
                for (resource, tail) in resources.iter().flat_map(|name| tails.map(|tail| (name, tail))) {
                    // The other methods heed no query.
                    let reads = matches!(method, "get" | "delete");
                    for query in queries.iter().filter(|query| reads || query.is_empty()) {
                        let path = format!("{root}{place}/{resource}{tail}");
                        let phrase = format!("{method} {path}{query}");
                        let Err(text) = parse(std::slice::from_ref(&phrase), &defaults) else {
                            assert_eq!(request_info(method, &path, ""), None, "{phrase}: taken for a path");
                            continue;
                        };
                        let line = text.lines().next().unwrap();
                        let Some((_, rest)) = line.split_once("as a phrase: \"") else {
                            assert!(
                                line.contains("no phrase asks the same: ") || line.contains(" a path"),
                                "{text}"
                            );
                            refused += 1;
                            continue;
                        };
                        let again = parse(&[rest.split('"').next().unwrap().to_owned()], &defaults);
                        let again = again.unwrap_or_else(|fault| panic!("{phrase}: {text}\n{fault}"));
                        let [permission] = again.as_slice() else { panic!("{phrase}: {text}") };
                        let decoded = super::decoded(&path).unwrap();
                        let mut asked =
                            request_info(method, &decoded, query.trim_start_matches('?')).unwrap();
                        let mut found = permission_info(permission.clone());
                        if root.contains("metrics") && asked[4] == "*" {
                            asked[4].clear();
                        }
                        if let (true, Some((first, _))) = (root.contains("/apis/"), found[5].split_once('/'))
                        {
                            // An aggregated server authorizes by the second part too.
                            found[5] = first.to_owned();
                        }
                        // The phrase leaves the namespace out only where there is none to say.
                        if let Target::Objects(Objects { namespace: Namespace::Own, .. }) = &permission.target
                        {
                            assert!(asked[3].is_empty(), "{phrase}: {text}");
                        }
                        assert_eq!(found, asked, "{phrase}: {text}");
                        offered += 1;
                    }
                }
            }
        }
        assert!(offered > 10_000 && refused > 10_000, "{offered} offered, {refused} refused");
        println!("{offered} offered, {refused} refused");
    }
}
