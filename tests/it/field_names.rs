//! Names and phrases from the field: what only rules know, what is misspelled, and what is offered for a URL.

use serde_json::{Value, json};
use testbed::{Fault, Stderr, Times, Version, World, custom_resource_definition};

use crate::Scene;

/// The rule in the object that a remedy creates: `echo '…' | kubectl create -f -`.
fn rule(line: &str) -> Value {
    let object = line.split('\'').nth(1).unwrap_or_else(|| panic!("{line}"));
    serde_json::from_str::<Value>(object).unwrap()["rules"][0].clone()
}

/// Their names hold slashes, and no server lists them.
#[test]
fn signers_of_any_group() {
    for (phrase, group, name) in [
        (
            "approve signers/kubernetes.io/kube-apiserver-client",
            "certificates.k8s.io",
            Some("kubernetes.io/kube-apiserver-client"),
        ),
        ("sign signers.certificates.k8s.io/example.com/*", "certificates.k8s.io", Some("example.com/*")),
        ("attest signers/*", "certificates.k8s.io", None),
        (
            "approve signers.cert-manager.io/issuers.cert-manager.io/ns-1.ca",
            "cert-manager.io",
            Some("issuers.cert-manager.io/ns-1.ca"),
        ),
        (
            "approve signers.cert-manager.io/clusterissuers.cert-manager.io/*",
            "cert-manager.io",
            Some("clusterissuers.cert-manager.io/*"),
        ),
    ] {
        let scene = Scene::new();
        let verb = phrase.split(' ').next().unwrap();
        scene.runs(&["check", &format!("cannot {phrase}")]).gives(
            0,
            &["forbidden, as required"],
            Stderr::Empty,
        );
        let refused = scene.runs(&["check", phrase]).gives(10, &["token no  forbidden"], Stderr::Empty);
        let line = refused.stdout.lines().find(|line| line.contains("echo")).unwrap();
        let granted = rule(line);
        let mut wanted = json!({ "verbs": [verb], "apiGroups": [group], "resources": ["signers"] });
        if let Some(name) = name {
            wanted["resourceNames"] = json!([name]);
        }
        assert_eq!(granted, wanted, "{phrase}");
        scene.grant_everywhere("signers", json!([granted]));
        scene.runs(&["check", phrase]).gives(0, &["token yes  ok"], Stderr::Empty);
        scene.runs(&["check", &format!("cannot {phrase}")]).gives(13, &[], Stderr::Empty);
    }
    Scene::new().runs(&["check", "approve signers/example.com/a"]).gives(
        10,
        &["a grant for signers/example.com/* is as good: ask about that too"],
        Stderr::Empty,
    );
}

/// Verb, apiGroup, resource: granted, the phrase is allowed; before, it is refused. Never unserved, nor usage.
#[test]
fn what_only_rules_know_is_asked_by_review() {
    for version in [Version::V1_36, Version::V1_20] {
        for (phrase, group, resource) in [
            ("get nodes/*/metrics", "", "nodes/metrics"),
            ("get nodes/n1/stats", "", "nodes/stats"),
            ("get nodes/*/pods", "", "nodes/pods"),
            ("get widgets.example.com/w/api", "example.com", "widgets/api"),
            ("update widgets.example.com/*/finalizers", "example.com", "widgets/finalizers"),
            ("update deployments.apps/*/finalizers", "apps", "deployments/finalizers"),
            (
                "create csr/*/selfnodeclient",
                "certificates.k8s.io",
                "certificatesigningrequests/selfnodeclient",
            ),
            ("get widgets.example.com/*/vnc/screenshot", "example.com", "widgets/vnc/screenshot"),
            ("impersonate:user-info users", "authentication.k8s.io", "users"),
            ("impersonate:serviceaccount serviceaccounts", "authentication.k8s.io", "serviceaccounts"),
            ("impersonate-on:user-info:list pods", "", "pods"),
            ("impersonate userextras/*/scopes", "authentication.k8s.io", "userextras/scopes"),
            ("request-serviceaccounts-token-audience vault", "", "vault"),
            ("get pods.custom.metrics.k8s.io/*/http_requests", "custom.metrics.k8s.io", "pods/http_requests"),
            ("get pods.custom.metrics.k8s.io/*/queueDepth", "custom.metrics.k8s.io", "pods/queueDepth"),
            ("list queue_messages.external.metrics.k8s.io", "external.metrics.k8s.io", "queue_messages"),
            ("list pods.v1.", "", "pods"),
            ("list deployments.v1.", "apps", "deployments"),
        ] {
            let scene = Scene::of(version);
            scene.cluster.custom_resource("example.com", "v1", "widgets", "Widget", "Namespaced");
            let refused = scene.runs(&["check", phrase]).gives(10, &["forbidden"], Stderr::Empty);
            // kubectl creates no role for a resource that no server lists, but for those it knows.
            let listed =
                ["nodes", "pods", "deployments", "widgets", "certificatesigningrequests", "userextras"];
            let is_listed = listed.contains(&resource.split('/').next().unwrap());
            let is_metric = group.ends_with(".metrics.k8s.io");
            let by_name =
                refused.stdout.contains("role ns-1-k-sa-1-") || refused.stdout.contains("role k-sa-1-");
            assert_eq!(by_name, is_listed && !is_metric, "{}", refused.stdout);
            let verb = phrase.split(' ').next().unwrap();
            scene.grant_everywhere(
                "it",
                json!([{ "verbs": [verb], "apiGroups": [group], "resources": [resource] }]),
            );
            scene.runs(&["check", phrase]).gives(0, &["  ok\n"], Stderr::Empty);
        }
    }
}

#[test]
fn a_subresource_that_is_not_listed_is_said() {
    let scene = Scene::new();
    scene.cluster.custom_resource("example.com", "v1", "widgets", "Widget", "Namespaced");
    scene.runs(&["check", "get pods/*/nope"]).gives(
        10,
        &["the API server lists no subresource nope of pods: only rules may know it; nothing grants it"],
        Stderr::Empty,
    );
    scene.runs(&["check", "get deployments.apps/*/stat"]).gives(
        10,
        &["the API server lists no subresource stat of deployments.apps: only rules may know it"],
        Stderr::Empty,
    );
    // These need no such words.
    for phrase in ["get nodes/*/metrics", "update pods/*/finalizers", "get pods/*/log", "approve signers/a/b"]
    {
        let finished = scene.runs(&["check", phrase]).gives(10, &[], Stderr::Empty);
        assert!(!finished.stdout.contains("lists no subresource"), "{}", finished.stdout);
    }
}

/// Resources of a version that is not v1: the request is that version's, on a server whose documents have their keys
/// sorted (the stand-in's have).
#[test]
fn versions_of_custom_resources() {
    let scene = Scene::new();
    scene.cluster.custom_resource("a.example.com", "v1", "gadgets", "Gadget", "Namespaced");
    scene.cluster.custom_resource("example.com", "v1beta1", "widgets", "Widget", "Namespaced");
    scene.cluster.custom_resource("example.com", "v2alpha1", "planets", "Planet", "Cluster");
    scene.grant_everywhere("all", json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]));
    for (phrase, path) in [
        ("list widgets", "/apis/example.com/v1beta1/namespaces/ns-1/widgets"),
        ("list widget.example.com", "/apis/example.com/v1beta1/namespaces/ns-1/widgets"),
        ("list planets.v2alpha1.example.com", "/apis/example.com/v2alpha1/planets"),
        ("get planets/mars", "/apis/example.com/v2alpha1/planets/mars"),
    ] {
        scene.asked();
        scene.runs(&["check", "--token-only", phrase]).gives(0, &["ok (0)"], Stderr::Empty);
        let asked = scene.asked();
        let wanted = format!("token GET {path}");
        assert!(asked.iter().any(|line| line.split('?').next() == Some(&wanted)), "{phrase}: {asked:?}");
    }
    scene.runs(&["check", "list widgets.v1.example.com"]).gives(
        25,
        &["no resource of that name"],
        Stderr::Empty,
    );
}

/// A slip of the finger is not asked: a `cannot` would be satisfied by it.
#[test]
fn a_misspelled_subresource_is_unserved() {
    for version in [Version::V1_36, Version::V1_20] {
        let scene = Scene::of(version);
        for (name, resource, nearest) in [
            ("pods/web-0/lgo", "pods", "log"),
            ("pods/*/logs", "pods", "log"),
            ("pods/*/exce", "pods", "exec"),
            ("pods/*/portfoward", "pods", "portforward"),
            ("deploy/web/sclae", "deployments.apps", "scale"),
            ("serviceaccounts/x/tokens", "serviceaccounts", "token"),
        ] {
            for word in ["", "cannot "] {
                scene.runs(&["check", &format!("{word}create {name}")]).is(
                    25,
                    &format!(
                        "\
{word}create {name}  anonymous -  token -  unserved
    {resource} has no such subresource; similar names: {nearest}
    write it as {resource}/*/{nearest}, or with an object's name for the *
unserved (25): not refused, but the API server has no such resource or path
"
                    ),
                    "",
                );
            }
        }
    }
}

/// A name that stands where a subresource was likely meant is said, for every resource.
#[test]
fn a_name_where_a_subresource_was_meant() {
    for version in [Version::V1_36, Version::V1_20] {
        let scene = Scene::of(version);
        scene.grant_everywhere("all", json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]));
        let mut widgets =
            custom_resource_definition("example.com", "v1beta1", "widgets", "Widget", "Namespaced");
        widgets["spec"]["names"]["shortNames"] = json!(["wdg"]);
        widgets["spec"]["versions"][0]["subresources"] = json!({ "scale": {}, "status": {} });
        scene.cluster.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widgets);
        for (phrase, resource, name) in [
            ("patch deployments.apps/scale", "deployments.apps", "scale"),
            ("patch deploy/status", "deployments.apps", "status"),
            ("get sts/scale", "statefulsets.apps", "scale"),
            ("update csr/approval", "certificatesigningrequests.certificates.k8s.io", "approval"),
            ("create pods/exec", "pods", "exec"),
            ("get nodes/metrics", "nodes", "metrics"),
            ("get namespaces/finalize", "namespaces", "finalize"),
            ("update deployments.apps/finalizers", "deployments.apps", "finalizers"),
            ("update pods/finalizers", "pods", "finalizers"),
            ("patch widgets/status", "widgets.example.com", "status"),
            ("update wdg/scale", "widgets.example.com", "scale"),
            ("patch widgets/finalizers", "widgets.example.com", "finalizers"),
            ("patch *.apps/scale", "*.apps", "scale"),
            ("update */status", "*", "status"),
        ] {
            let words =
                format!("{name} is taken for an object's name; the subresource is {resource}/*/{name}");
            scene.runs(&["check", phrase]).gives(0, &[&words], Stderr::Empty);
        }
        let finished = scene.runs(&["check", "patch deployments.apps/web"]).gives(0, &[], Stderr::Empty);
        assert!(!finished.stdout.contains("taken for"), "{}", finished.stdout);
    }
}

/// Custom verbs exist, and are asked; a likely slip is said, and no grant of it is offered.
#[test]
fn verbs_that_no_api_server_knows() {
    let scene = Scene::new();
    for (phrase, note) in [
        ("lst pods", "no Kubernetes API server knows the verb lst; close to it: list"),
        ("lists pods", "no Kubernetes API server knows the verb lists; close to it: list"),
        ("gte pods", "no Kubernetes API server knows the verb gte; close to it: get"),
        ("crate pods", "no Kubernetes API server knows the verb crate; close to it: create"),
        ("post pods", "no Kubernetes API server knows the verb post; close to it: create"),
        ("read pods", "no Kubernetes API server knows the verb read; close to it: get"),
        ("list /metrics", "no Kubernetes API server knows the verb list; close to it: get"),
        ("create /metrics", "no Kubernetes API server knows the verb create; close to it: post"),
    ] {
        let finished = scene.runs(&["check", phrase]).gives(10, &[note], Stderr::Empty);
        assert!(!finished.stdout.contains("kubectl"), "{}", finished.stdout);
    }
    scene.runs(&["check", "reconcile pods"]).gives(
        10,
        &["no Kubernetes API server knows the verb reconcile: ", "--verb=reconcile"],
        Stderr::Empty,
    );
    scene.grant("custom", &["lst"], "", &["pods"]);
    scene.runs(&["check", "lst pods"]).gives(0, &["knows the verb lst"], Stderr::Empty);
    for phrase in ["use pods", "bind roles", "impersonate:user-info users", "* pods", "deletecollection pods"]
    {
        let finished = scene.runs(&["check", phrase]).gives(10, &[], Stderr::Empty);
        assert!(!finished.stdout.contains("knows the verb"), "{}", finished.stdout);
    }
}

/// One group's document that is none costs that group.
#[test]
fn a_group_whose_document_is_broken() {
    let scene = Scene::of(Version::V1_20);
    scene.cluster.custom_resource("example.com", "v1", "widgets", "Widget", "Namespaced");
    scene.grant("lister", &["list"], "*", &["*"]);
    for (content_type, body) in [
        ("application/json", ""),
        ("text/html", "<html>Sign in</html>"),
        ("application/json", "{\"resources\": ["),
        ("application/json", "{}"),
        ("application/json", "[]"),
        ("application/json", "null"),
        ("application/json", "{\"kind\":\"Status\",\"status\":\"Failure\"}"),
        ("text/plain", "upstream connect error"),
    ] {
        let broken = Fault::raw(200, content_type, body);
        scene.cluster.fail_if(Times::All, broken, |seen| seen.path_and_query == "/apis/example.com/v1");
        scene.runs(&["check", "list deployments.apps", "list cronjobs"]).gives(0, &["ok (0)"], Stderr::Empty);
        scene.runs(&["check", "list widgets.example.com", "list deployments.apps"]).gives(
            24,
            &[
                "an API group whose server does not answer: example.com",
                "list deployments.apps in ns-1  anonymous 403  token 200  ok",
            ],
            Stderr::Empty,
        );
        scene.cluster.heal();
    }
}

/// A group whose API service is down is said, and costs no other; as recorded from 1.36.
#[test]
fn an_api_service_that_is_down() {
    for version in [Version::V1_36, Version::V1_20] {
        let scene = Scene::of(version);
        scene.cluster.create(
            "/apis/apiregistration.k8s.io/v1/apiservices",
            json!({
                "metadata": { "name": "v1.down.example.com" },
                "spec": {
                    "group": "down.example.com", "version": "v1",
                    "service": { "namespace": "default", "name": "down" },
                },
            }),
        );
        scene.grant("lister", &["list"], "*", &["*"]);
        for phrase in
            ["list widgets.down.example.com", "cannot list widgets.v1.down.example.com", "list wdgts"]
        {
            scene.runs(&["check", "list deployments.apps", phrase]).gives(
                24,
                &[
                    "an API group whose server does not answer: down.example.com",
                    "list the API services that are down: kubectl get apiservices",
                    "list deployments.apps in ns-1",
                ],
                Stderr::Empty,
            );
        }
        scene.runs(&["check", "list deployments.apps", "list cronjobs.batch"]).gives(
            0,
            &["ok (0)"],
            Stderr::Empty,
        );
        scene.runs(&["get", "/apis/down.example.com/v1/namespaces/ns-1/widgets"]).gives(
            24,
            &["service unavailable"],
            Stderr::Has("kubectl get apiservices v1.down.example.com"),
        );
    }
}

/// What is offered for a URL is a phrase that asks for that very URL, where one request asks it.
#[test]
fn the_phrase_for_a_url_asks_it() {
    let scene = Scene::new();
    scene.cluster.custom_resource("example.com", "v1", "planets", "Planet", "Cluster");
    scene.grant_everywhere("all", json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]));
    for (url, by_itself) in [
        ("/api/v1/pods", true),
        ("/api/v1/nodes", true),
        ("/api/v1/nodes/n1", true),
        ("/api/v1/namespaces/ns-1/pods", true),
        ("/api/v1/namespaces/ns-1/pods/web", true),
        ("/api/v1/namespaces/ns-1", true),
        ("/apis/apps/v1/deployments", true),
        ("/apis/apps/v1/namespaces/ns-1/deployments/web", true),
        ("/apis/autoscaling/v1/namespaces/ns-1/horizontalpodautoscalers", true),
        ("/apis/autoscaling/v2/namespaces/ns-1/horizontalpodautoscalers", true),
        ("/apis/example.com/v1/planets", true),
        ("/apis/example.com/v1/planets/mars", true),
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles", true),
        ("/api/v1/nodes/n1/proxy/metrics/cadvisor", false),
        ("/api/v1/namespaces/x/services/http:y:/proxy/z", false),
        ("/api/v1/namespaces/x/pods/web/log", false),
        ("/apis/custom.metrics.k8s.io/v1beta1/namespaces/x/pods/*/http_requests", false),
        ("/apis/custom.metrics.k8s.io/v1beta2/nodes/*/cpu", false),
        ("/apis/external.metrics.k8s.io/v1beta1/namespaces/x/queue_messages", false),
        ("/apis/apps/v1/namespaces/ns-1/deployments/web/scale", false),
    ] {
        let refused = scene.runs(&["check", &format!("get {url}")]).has_no_stdout();
        assert_eq!(refused.code, Some(30), "{url}");
        let (_, rest) =
            refused.stderr.split_once("as a phrase: \"").unwrap_or_else(|| panic!("{}", refused.stderr));
        let phrase = rest.split('"').next().unwrap();
        scene.asked();
        scene.runs(&["check", "--token-only", phrase]).gives(0, &["ok (0)"], Stderr::Empty);
        let asked = scene.asked();
        let is_asked = asked.iter().any(|line| line.split('?').next() == Some(&format!("token GET {url}")));
        assert_eq!(is_asked, by_itself, "{phrase}: {asked:?}");
    }
    for (url, why) in [
        ("/api/v1/namespaces/ns-1/nodes", "nodes are cluster-scoped"),
        ("/api/v1/namespaces/Ns/pods", "a namespace is a DNS label"),
        ("/api/v1/namespaces/ns-1/pods/a%2", "its percent-encoding is broken"),
        ("/api/v1/namespaces/ns-1/pods/*", "* is not the name of an object"),
        ("/api/v1/proxy/nodes/n1", "API servers no longer serve proxy before the resource"),
        ("/api/v1//pods", "it has an empty segment"),
    ] {
        let line = format!("kubeknock: this is the URL of a resource, and no phrase asks the same: {why}");
        let finished = scene.runs(&["check", &format!("get {url}")]).gives(30, &[], Stderr::Any);
        assert!(finished.stderr.starts_with(&line), "{}", finished.stderr);
    }
}
