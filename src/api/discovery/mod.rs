//! Resolves resource names to group, version, plural and scope, as kubectl does.
//!
//! The core group's resources are known without asking. For others the aggregated documents are
//! asked for (Kubernetes 1.27 and later: one request), and the older ones are read where the server
//! answers with those. Here is which documents are asked for; what they hold and who looks for it is below.

mod document;
mod known;
mod resource;
mod search;
pub mod spelling;

use serde_json::Value;

use super::{Reply, Request};
use crate::failure::Failure;
use document::{Candidate, Document, is_plain, versions_of};
use known::{CORE, is_core, may_be_core};
use search::{Search, group_fit};

pub use known::{FINALIZERS, SERVED, known};
pub use resource::{Resource, Unresolved, Wanted};

/// Aggregated discovery, v2 (1.30) and v2beta1 (1.27), with the older documents after them.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// Sends the first of some requests, and may send more of them at once; gives the answers, in order. Only the first
/// one's error is the connection's.
pub type Send<'s> = &'s mut dyn FnMut(&[Request]) -> Vec<Result<Reply, Failure>>;

/// Resolves names by asking: `send` sends requests as the identity that asks. At most two requests on a server with
/// aggregated discovery.
pub fn resolve(wanted: &[Wanted], send: Send<'_>) -> Vec<Result<Resource, Unresolved>> {
    let mut search = Search::new(wanted);
    let asked = ask_groups(&mut search, send).and_then(|()| ask_core(&mut search, send));
    search.results(asked.err().as_ref())
}

/// One request.
fn send_one(request: Request, send: Send<'_>) -> Result<Reply, Unresolved> {
    let answer = send(&[request]).pop();
    answer.unwrap_or(Err(Failure::Closed(String::new()))).map_err(Unresolved::Failed)
}

/// The groups: `/apis`, and on older servers each group's documents.
fn ask_groups(search: &mut Search<'_>, send: Send<'_>) -> Result<(), Unresolved> {
    if !search.open(|wanted| !is_core(wanted)) {
        return Ok(());
    }
    let reply = send_one(Request { accept: AGGREGATED, ..Request::get("/apis") }, send)?;
    let Document::Older(groups) = read(search, reply, "", "")? else {
        return Ok(());
    };
    let mut left = Vec::new();
    for group in groups.get("groups").and_then(Value::as_array).into_iter().flatten() {
        let name = group.get("name").and_then(Value::as_str).unwrap_or_default();
        let versions = versions_of(group);
        if is_plain(name) && versions.iter().all(|version| is_plain(version)) {
            left.extend(versions.into_iter().map(|version| (name, version)));
        }
    }
    let is_open = |search: &Search<'_>, name: &str, version: &str| {
        search.open(|wanted| !is_core(wanted) && group_fit(wanted, name, version).is_some())
    };
    loop {
        left.retain(|(name, version)| is_open(search, name, version));
        let requests: Vec<_> =
            left.iter().map(|(name, version)| Request::get(format!("/apis/{name}/{version}"))).collect();
        let answers = send(&requests);
        if answers.is_empty() {
            return Ok(());
        }
        let mut again = Vec::new();
        for (at, ((name, version), answer)) in
            left.drain(..answers.len().min(left.len())).zip(answers).enumerate()
        {
            let reply = match answer {
                Ok(reply) => reply,
                // What is not answered beside the first is asked again, as the first, unless it is of no use any more.
                Err(_) if at > 0 => {
                    again.push((name, version));
                    continue;
                }
                Err(failure) => return Err(Unresolved::Failed(failure)),
            };
            let is_open = is_open(search, name, &version);
            // Only the first connection has to be kept in order.
            if !is_open && at > 0 {
                continue;
            }
            // A group whose server is down, or answers with something else, costs only itself.
            if is_open && reply.status() == 200 {
                match read(search, reply, name, &version) {
                    Err(Unresolved::Failed(Failure::Unintelligible(_))) => search.note_silent(name, &version),
                    read => drop(read?),
                }
                continue;
            }
            if is_open {
                search.note_silent(name, &version);
            }
            reply.drain().map_err(Unresolved::Failed)?;
        }
        again.append(&mut left);
        left = again;
    }
}

/// The core group, for what the table does not know: `/api`, on older servers `/api/v1`.
fn ask_core(search: &mut Search<'_>, send: Send<'_>) -> Result<(), Unresolved> {
    for (name, singular, short, ..) in CORE {
        let singulars = vec![singular.to_owned()];
        let short_names = short.iter().map(|&name| name.to_owned()).collect();
        search.note_nearest(
            "",
            &Candidate { plural: name.into(), singulars, short_names, ..Candidate::default() },
        );
    }
    let unfound = search.misses(may_be_core);
    if !unfound {
        return Ok(());
    }
    let reply = send_one(Request { accept: AGGREGATED, ..Request::get("/api") }, send)?;
    if let Document::Older(_) = read(search, reply, "", "")? {
        let reply = send_one(Request::get("/api/v1"), send)?;
        read(search, reply, "", "v1")?;
    }
    Ok(())
}

/// Reads a document and passes its findings to the search.
fn read(search: &mut Search<'_>, reply: Reply, group: &str, version: &str) -> Result<Document, Unresolved> {
    document::read(reply, group, version, &mut |found| search.take(&found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::ResourceName;
    use std::cell::RefCell;
    use ureq::http;

    const RECORDED_1_20: &str = include_str!("../../../tests/recordings/v1.20.2.json");
    const RECORDED_1_36: &str = include_str!("../../../tests/recordings/v1.36.2.json");

    fn wanted(name: &str) -> Wanted {
        // As in a rule: `=deployments.apps`.
        let (exact, name) = name.strip_prefix('=').map_or((false, name), |name| (true, name));
        let (resource, subresource) = match name.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (name, None),
        };
        let (name, qualifier) = match resource.split_once('.') {
            Some((name, qualifier)) => (name, Some(qualifier.to_owned())),
            None => (resource, exact.then(String::new)),
        };
        let resource = ResourceName { name: name.into(), qualifier };
        Wanted { verb: "list".into(), resource, subresource, exact }
    }

    fn reply(status: u16, content_type: &str, body: &str) -> Reply {
        let (head, ()) = http::Response::builder()
            .status(status)
            .header("content-type", content_type)
            .body(())
            .unwrap()
            .into_parts();
        Reply {
            head,
            body: crate::api::Body::plain(ureq::Body::builder().data(body.as_bytes())),
            server: "server".into(),
            token: None,
        }
    }

    /// `GROUP/VERSION PLURAL SCOPE`, or why not; and how many requests it took.
    fn resolved(
        names: &[&str],
        answer: impl Fn(&Request) -> (u16, String, String),
    ) -> (Vec<String>, Vec<String>) {
        resolved_at_once(1, names, answer)
    }

    /// The same by a client that sends so many requests at once, if there are so many.
    fn resolved_at_once(
        at_once: usize,
        names: &[&str],
        answer: impl Fn(&Request) -> (u16, String, String),
    ) -> (Vec<String>, Vec<String>) {
        let asked = RefCell::new(Vec::new());
        let wanted: Vec<Wanted> = names.iter().map(|name| wanted(name)).collect();
        let results = resolve(&wanted, &mut |requests| {
            let answer = |request: &Request| {
                asked.borrow_mut().push(request.path.clone());
                match answer(request) {
                    (0, _, why) => Err(Failure::Timeout(why)),
                    (status, content_type, body) => Ok(reply(status, &content_type, &body)),
                }
            };
            requests.iter().take(at_once).map(answer).collect()
        });
        let shown = results.into_iter().map(|result| match result {
            Ok(Resource { group, version, plural, namespaced, .. }) => {
                format!("{group}/{version} {plural} {}", if namespaced { "namespaced" } else { "cluster" })
            }
            Err(Unresolved::Unknown { nearest, silent }) => {
                format!("unknown, near {}, silent {}", nearest.join(" "), silent.join(" "))
            }
            Err(Unresolved::NoSubresource { resource, nearest }) => {
                format!("no such subresource of {resource}, near {nearest}")
            }
            Err(other) => format!("{other:?}"),
        });
        (shown.collect(), asked.into_inner())
    }

    /// As a recorded server answered; 404 for what was not recorded.
    fn recorded(recording: &str) -> impl Fn(&Request) -> (u16, String, String) {
        let exchanges: Vec<Value> = serde_json::from_str(recording).unwrap();
        move |request| {
            let exchange = exchanges.iter().find(|exchange| {
                let seen = &exchange["request"];
                exchange["as"] == "k-sa-1"
                    && seen["path"] == *request.path
                    && seen["accept"].as_str().unwrap().contains("apidiscovery")
                        == request.accept.contains("apidiscovery")
            });
            let Some(exchange) = exchange else {
                return (404, "text/plain".into(), "404 page not found\n".into());
            };
            let response = &exchange["response"];
            let headers = response["headers"].as_array().unwrap();
            let content_type = headers
                .iter()
                .find(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case("content-type"))
                .unwrap();
            (
                u16::try_from(response["status"].as_u64().unwrap()).unwrap(),
                content_type[1].as_str().unwrap().into(),
                response["body"].as_str().unwrap().into(),
            )
        }
    }

    #[test]
    fn on_1_36_one_request_resolves_everything() {
        let (shown, asked) = resolved(
            &[
                "deploy",
                "Deployment",
                "deployments.v1.apps",
                "deployments.app",
                "deployments/scale",
                "cj",
                "ing",
                "ingresses.networking",
                "nodes.metrics.k8s.io",
                "events.events.k8s.io",
                "sc",
                "CLUSTERROLES",
                "hpa",
                "leases",
            ],
            recorded(RECORDED_1_36),
        );
        assert_eq!(
            shown,
            [
                "apps/v1 deployments namespaced",
                "apps/v1 deployments namespaced",
                "apps/v1 deployments namespaced",
                "apps/v1 deployments namespaced",
                "apps/v1 deployments namespaced",
                "batch/v1 cronjobs namespaced",
                "networking.k8s.io/v1 ingresses namespaced",
                "networking.k8s.io/v1 ingresses namespaced",
                "unknown, near nodes, silent ",
                "events.k8s.io/v1 events namespaced",
                "storage.k8s.io/v1 storageclasses cluster",
                "rbac.authorization.k8s.io/v1 clusterroles cluster",
                "autoscaling/v2 horizontalpodautoscalers namespaced",
                "coordination.k8s.io/v1 leases namespaced",
            ]
        );
        assert_eq!(asked, ["/apis"]);
        let (shown, asked) = resolved(&["deploymentz", "pods/nope", "widget"], recorded(RECORDED_1_36));
        assert!(shown[0].starts_with("unknown, near deployments.apps"), "{shown:?}");
        // Rules may have what is not listed.
        assert_eq!(shown[1], "/v1 pods namespaced");
        assert!(shown[2].starts_with("unknown, near"), "{shown:?}");
        assert_eq!(asked, ["/apis", "/api"]);
    }

    /// A rule's name is taken literally, and a name that no server has stands for itself.
    #[test]
    fn of_rules_names_are_exact() {
        let names = [
            "=deployments.apps",
            "=deployments.apps/sclae",
            "=pods/lgo",
            "=deploy.apps",
            "=Deployments.apps",
            "=ingresses.networking",
            "=ingresses.extensions",
            "=deployments",
            "=pods.apps",
            "=nodes.",
        ];
        let shown = [
            "apps/v1 deployments namespaced",
            "apps/v1 deployments namespaced",
            "/v1 pods namespaced",
            "apps/ deploy namespaced",
            "apps/ Deployments namespaced",
            "networking/ ingresses namespaced",
            "extensions/ ingresses namespaced",
            "/ deployments namespaced",
            "apps/ pods namespaced",
            "/v1 nodes cluster",
        ];
        assert_eq!(
            resolved(&names, recorded(RECORDED_1_36)),
            (shown.map(str::to_owned).into(), vec!["/apis".to_owned(), "/api".to_owned()])
        );
        // For the core group alone no other group is asked for, and known resources need no request.
        assert_eq!(resolved(&["=deployments"], recorded(RECORDED_1_36)).1, ["/api"]);
        for (name, shown) in [
            ("=pods", Some("/v1 pods true")),
            ("=po", None),
            ("=pod", None),
            ("=PODS", None),
            ("=pods.*", Some("*/* pods true")),
            ("=nodes.*", Some("*/* nodes false")),
            ("=deployments.*", Some("*/* deployments true")),
            ("=*.", Some("/* * true")),
            ("=*.apps", Some("apps/* * true")),
            ("=*.*", Some("*/* * true")),
        ] {
            let found = known(&wanted(name));
            let found = found.map(|found| {
                format!("{}/{} {} {}", found.group, found.version, found.plural, found.namespaced)
            });
            assert_eq!(found.as_deref(), shown, "{name}");
        }
        // A group whose server is down may have it.
        let down = resolved(&["=jobs.batch", "=x.apps"], recorded(RECORDED_1_20));
        assert!(down.0[0].ends_with("silent batch batch"), "{down:?}");
        assert_eq!(down.0[1], "apps/ x namespaced");
    }

    #[test]
    fn on_1_20_the_older_documents_are_read() {
        let (shown, asked) =
            resolved(&["deployments.apps", "deployments.apps/scale"], recorded(RECORDED_1_20));
        assert_eq!(shown, ["apps/v1 deployments namespaced", "apps/v1 deployments namespaced"]);
        assert_eq!(asked, ["/apis", "/apis/apps/v1"]);
        let (shown, _) = resolved(&["deploy", "pods.apps", "secretz"], recorded(RECORDED_1_20));
        assert_eq!(shown[0], "apps/v1 deployments namespaced");
        assert_eq!(shown[1], "unknown, near pods, silent ");
        // Only apps was recorded: each other group's server is down here, and may know the name.
        assert!(shown[2].starts_with("unknown, near secrets, silent "), "{shown:?}");
        let names = ["deploy", "secretz", "scale.apps"];
        let (one_by_one, asked) = resolved(&names, recorded(RECORDED_1_20));
        for at_once in [2, 7, 100] {
            let (shown, of_several) = resolved_at_once(at_once, &names, recorded(RECORDED_1_20));
            assert_eq!((shown, of_several), (one_by_one.clone(), asked.clone()), "{at_once}");
        }
        let (shown, asked) = resolved_at_once(4, &["deployments"], recorded(RECORDED_1_20));
        assert_eq!(shown, ["apps/v1 deployments namespaced"]);
        assert_eq!(asked.len(), 5, "{asked:?}");
    }

    const AGGREGATED_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

    fn aggregated(groups: &'static str) -> impl Fn(&Request) -> (u16, String, String) {
        move |request| {
            let items = if request.path == "/apis" { groups } else { "" };
            (200, AGGREGATED_TYPE.into(), format!(r#"{{"kind":"APIGroupDiscoveryList","items":[{items}]}}"#))
        }
    }

    #[test]
    fn ambiguous_names_mean_what_kubectl_prefers() {
        let groups = r#"
            {"metadata":{"name":"first"},"versions":[
                {"version":"v2","resources":[{"resource":"widgets","singularResource":"widget","scope":"Namespaced","shortNames":["gz"]}]},
                {"version":"v1","resources":[
                    {"resource":"widgets","singularResource":"widget","scope":"Namespaced"},
                    {"resource":"olds","responseKind":{"kind":"OldThing"},"scope":"Cluster","verbs":null,"subresources":null}]}]},
            {"metadata":{"name":"second"},"versions":[
                {"version":"v1","resources":[{"resource":"widgets","scope":"Cluster"},{"resource":"gz","scope":"Cluster"}],"freshness":"Current"},
                {"version":"v0","resources":null,"freshness":"Stale"}]},
            {"metadata":{"name":"second.longer"},"versions":[
                {"version":"v1","resources":[{"resource":"widgets","scope":"Namespaced"},{"resource":"rares","scope":"Cluster"}]}]},
            {"metadata":{"name":"empty"},"versions":null}"#;
        let (shown, asked) = resolved(
            &[
                "widgets",
                "widgets.second",
                "widgets.sec",
                "widgets.second.longer",
                "widgets.v1.first",
                "olds",
                "oldthing",
                "gz",
                "rares.second",
                "widgets.v3.first",
                "nothing.second",
                "nothing.first",
            ],
            aggregated(groups),
        );
        assert_eq!(
            shown,
            [
                "first/v2 widgets namespaced",
                "second/v1 widgets cluster",
                "second/v1 widgets cluster",
                "second.longer/v1 widgets namespaced",
                "first/v1 widgets namespaced",
                "first/v1 olds cluster",
                "first/v1 olds cluster",
                "second/v1 gz cluster",
                "second.longer/v1 rares cluster",
                "unknown, near widgets.first widgets.second widgets.second.longer, silent ",
                "unknown, near , silent second",
                "unknown, near , silent ",
            ]
        );
        assert_eq!(asked, ["/apis"]);
    }

    /// The order after a program has parsed the document and written it: the name of a version comes after its resources.
    #[test]
    fn keys_in_the_order_of_the_alphabet() {
        let groups = r#"
            {"metadata":{"name":"first"},"versions":[{"freshness":"Current","resources":[
                {"resource":"moons","scope":"Cluster","verbs":["list"],"subresources":[{"subresource":"status"}]}],"version":"v2beta1"}]},
            {"metadata":{"name":"second"},"versions":[
                {"freshness":"Current","resources":[{"resource":"stars","scope":"Cluster","verbs":["list"]}],"version":"v1beta1"},
                {"freshness":"Current","resources":[{"resource":"stars","scope":"Cluster","verbs":["list"]}],"version":"v1alpha1"},
                {"freshness":"Stale","resources":[],"version":"v0"}]},
            {"metadata":{"name":"third"},"versions":[{"resources":[{"resource":"suns","scope":"Cluster"}]}]}"#;
        let names = [
            "moons/status",
            "stars",
            "stars.v1alpha1.second",
            "stars.v1beta1.second",
            "comets.v0.second",
            "stars.v2beta1.second",
            "suns",
        ];
        let (shown, _) = resolved(&names, aggregated(groups));
        assert_eq!(
            shown,
            [
                "first/v2beta1 moons cluster",
                "second/v1beta1 stars cluster",
                "second/v1alpha1 stars cluster",
                "second/v1beta1 stars cluster",
                "unknown, near , silent second",
                "unknown, near stars.second, silent ",
                // Its version has no name, so no path can ask for it.
                "unknown, near , silent second",
            ]
        );
    }

    #[test]
    fn subresources_that_are_not_listed() {
        let names = [
            "pods/lgo",
            "pods/ephemeralcontainer",
            "deployments/sclae",
            "deployments.apps/finalizers",
            "deployments.apps/api",
            "namespaces/statuss",
            "pods.v1./nope",
            "pods.v2.",
            "deployments.v1.",
            "certificatesigningrequests/selfnodeclient",
        ];
        let (shown, _) = resolved(&names, recorded(RECORDED_1_36));
        assert_eq!(
            shown,
            [
                "no such subresource of pods, near log",
                "no such subresource of pods, near ephemeralcontainers",
                "no such subresource of deployments.apps, near scale",
                "apps/v1 deployments namespaced",
                "apps/v1 deployments namespaced",
                "no such subresource of namespaces, near status",
                "/v1 pods namespaced",
                "unknown, near pods, silent ",
                "apps/v1 deployments namespaced",
                "certificates.k8s.io/v1 certificatesigningrequests cluster",
            ]
        );
    }

    /// Older documents by path; of any other path 404.
    fn older(
        documents: &'static [(&'static str, &'static str)],
    ) -> impl Fn(&Request) -> (u16, String, String) {
        move |request| match documents.iter().find(|(path, _)| *path == request.path) {
            Some((_, body)) => (200, "application/json".into(), (*body).into()),
            None => (404, "text/plain".into(), "404 page not found".into()),
        }
    }

    const OLDER_GROUPS: &str = r#"{"kind":"APIGroupList","groups":[
        {"name":"subresources.kubevirt.io","versions":[{"version":"v1"}]},
        {"name":"kubevirt.io","versions":[{"version":"v1"}]},
        {"name":"broken.io","versions":[{"version":"v1"}]}]}"#;

    const KUBEVIRT: &str = r#"{"kind":"APIResourceList","groupVersion":"kubevirt.io/v1","resources":[
        {"name":"vmis/status","namespaced":true,"verbs":["get"]},
        {"name":"vmis","singularName":"vmi","namespaced":true,"kind":"VMI","verbs":["get","list"]}]}"#;

    const SUBRESOURCES: &str = r#"{"kind":"APIResourceList","groupVersion":"subresources.kubevirt.io/v1","resources":[
        {"name":"vmis/console","namespaced":true,"verbs":["get"]},
        {"name":"vmis/vnc/screenshot","namespaced":true,"verbs":["get"]}]}"#;

    #[test]
    fn subresources_without_their_resource() {
        let documents = &[
            ("/apis", OLDER_GROUPS),
            ("/apis/subresources.kubevirt.io/v1", SUBRESOURCES),
            ("/apis/kubevirt.io/v1", KUBEVIRT),
        ];
        let names = [
            "vmis.subresources.kubevirt.io/console",
            "vmis.subresources.kubevirt.io/vnc/screenshot",
            "vmis.subresources.kubevirt.io/consol",
            // The resource itself goes before what only has its subresources.
            "vmis",
            "vmis.kubevirt.io/status",
        ];
        let (shown, _) = resolved(&names, older(documents));
        assert_eq!(
            shown,
            [
                "subresources.kubevirt.io/ vmis namespaced",
                "subresources.kubevirt.io/ vmis namespaced",
                "no such subresource of vmis.subresources.kubevirt.io, near console",
                "kubevirt.io/v1 vmis namespaced",
                "kubevirt.io/v1 vmis namespaced",
            ]
        );
    }

    /// A group that does not answer beside others is asked again only if that is of use.
    #[test]
    fn a_group_that_is_late_holds_nothing_up() {
        let documents = &[
            ("/apis", OLDER_GROUPS),
            ("/apis/subresources.kubevirt.io/v1", SUBRESOURCES),
            ("/apis/kubevirt.io/v1", KUBEVIRT),
        ];
        for (late, times) in [("/apis/broken.io/v1", 1), ("/apis/kubevirt.io/v1", 2)] {
            let is_asked = std::cell::Cell::new(false);
            let (shown, asked) = resolved_at_once(3, &["vmis"], |request| {
                if request.path == late && !is_asked.replace(true) {
                    return (0, String::new(), "late".into());
                }
                older(documents)(request)
            });
            assert_eq!(shown, ["kubevirt.io/v1 vmis namespaced"], "{late}");
            assert_eq!(asked.iter().filter(|path| *path == late).count(), times, "{asked:?}");
        }
    }

    #[test]
    fn one_groups_document_costs_only_that_group() {
        for body in [
            "",
            "<html>Sign in</html>",
            "{",
            "{}",
            "[]",
            "null",
            "{\"kind\":\"Status\"}",
            "{\"resources\":7}",
        ] {
            let names = ["vmis.kubevirt.io", "vmis", "things.broken.io", "zebras"];
            let (shown, _) = resolved(&names, |request| match request.path.as_str() {
                "/apis/broken.io/v1" => (200, "application/json".into(), body.into()),
                "/apis" => (200, "application/json".into(), OLDER_GROUPS.into()),
                "/apis/kubevirt.io/v1" => (200, "application/json".into(), KUBEVIRT.into()),
                "/apis/subresources.kubevirt.io/v1" => (200, "application/json".into(), SUBRESOURCES.into()),
                "/api" => (200, "application/json".into(), r#"{"kind":"APIVersions"}"#.into()),
                _ => (200, "application/json".into(), r#"{"resources":null}"#.into()),
            });
            assert_eq!(
                shown,
                [
                    "kubevirt.io/v1 vmis namespaced",
                    "kubevirt.io/v1 vmis namespaced",
                    "unknown, near , silent broken.io",
                    "unknown, near , silent broken.io",
                ],
                "{body}"
            );
        }
    }

    /// Verb, name, and the group and scope that are known without asking; nothing where discovery is asked.
    #[test]
    fn what_only_rules_know() {
        for (verb, name, found) in [
            ("approve", "signers", Some("certificates.k8s.io cluster")),
            ("sign", "signers.certificates.k8s.io", Some("certificates.k8s.io cluster")),
            ("approve", "signers.v1.certificates.k8s.io", Some("certificates.k8s.io cluster")),
            ("approve", "signers.cert-manager.io", Some("cert-manager.io cluster")),
            ("*", "signers.cert-manager.io", Some("cert-manager.io cluster")),
            ("get", "signers.example.com", None),
            ("impersonate", "users", Some(" cluster")),
            ("impersonate", "userextras/scopes", Some("authentication.k8s.io cluster")),
            ("impersonate", "serviceaccounts", Some(" namespaced")),
            ("impersonate:user-info", "users", Some("authentication.k8s.io cluster")),
            ("impersonate:user-info", "groups.authentication.k8s.io", Some("authentication.k8s.io cluster")),
            ("impersonate:serviceaccount", "serviceaccounts", Some("authentication.k8s.io namespaced")),
            ("impersonate:arbitrary-node", "nodes", Some("authentication.k8s.io cluster")),
            ("impersonate-on:user-info:list", "pods", Some(" namespaced")),
            ("request-serviceaccounts-token-audience", "vault", Some(" namespaced")),
            ("get", "nodes/metrics", Some(" cluster")),
            ("get", "nodes/configz", Some(" cluster")),
            ("update", "pods/finalizers", Some(" namespaced")),
            ("list", "pods.v1.", Some(" namespaced")),
            ("list", "pods.v2.", None),
            ("get", "nodes/other", None),
        ] {
            let found_now = known(&Wanted { verb: verb.into(), ..wanted(name) });
            let shown = found_now.map(|resource| {
                format!("{} {}", resource.group, if resource.namespaced { "namespaced" } else { "cluster" })
            });
            assert_eq!(shown.as_deref(), found, "{verb} {name}");
        }
        // Where discovery knows nothing of them.
        let names = [
            "queue_messages.external.metrics.k8s.io",
            "pods.v1beta1.custom.metrics.k8s.io/http_requests",
            "nodes.custom.metrics.k8s.io/cpu",
            "signers.example.com",
        ];
        let (shown, _) = resolved(&names, aggregated(""));
        assert_eq!(
            shown,
            [
                "external.metrics.k8s.io/ queue_messages namespaced",
                "custom.metrics.k8s.io/ pods namespaced",
                "custom.metrics.k8s.io/ nodes cluster",
                "example.com/ signers cluster",
            ]
        );
    }

    #[test]
    fn answers_that_are_not_documents() {
        for (status, content_type, body) in [
            (200, "application/json", "{"),
            (200, "application/json", "[]"),
            (200, AGGREGATED_TYPE, "{\"items\":[{\"metadata\""),
            (200, AGGREGATED_TYPE, "[]"),
            (200, AGGREGATED_TYPE, "{\"items\":7}"),
            (403, "application/json", "{}"),
            (503, "text/plain", "down"),
            (200, "text/html", "<html>"),
        ] {
            let (shown, _) = resolved(&["deployments"], |_| (status, content_type.into(), body.into()));
            assert!(!shown[0].starts_with("apps"), "{shown:?}");
            let how = if status == 200 { "Failed(Unintelligible" } else { "Answered" };
            assert!(shown[0].starts_with(how), "{status}: {shown:?}");
        }
    }
}
