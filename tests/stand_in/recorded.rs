//! The stand-in is held to what real kube-apiservers said: every recorded exchange is repeated against a
//! cluster that is set up alike, and status, headers and body are compared.

use serde_json::{Map, Value, json};
use testbed::client::{Client, Credential};
use testbed::recordings::{self, exchanges};
use testbed::{Cluster, TokenSpec, Version, World, rbac_path};

#[test]
fn it_answers_as_1_36_does() {
    repeat(&Cluster::start(), recordings::V1_36, |_| ());
}

#[test]
fn it_answers_as_1_20_does() {
    repeat(&Cluster::builder().version(Version::V1_20).start(), recordings::V1_20, |_| ());
}

#[test]
fn it_answers_as_1_36_does_without_anonymous_requests() {
    let cluster = Cluster::builder().anonymous_auth(false).start();
    repeat(&cluster, recordings::V1_36_WITHOUT_ANONYMOUS, |_| ());
}

/// The impersonator is k-sa-1 with one grant after the other.
#[test]
fn it_answers_as_1_36_does_to_impersonation_and_of_aggregated_groups() {
    let cluster = Cluster::start();
    let rule = |group: &str, resource: &str, verb: &str| json!([{ "verbs": [verb], "apiGroups": [group], "resources": [resource] }]);
    let service = json!({ "namespace": "default", "name": "down" });
    cluster.create(
        "/apis/apiregistration.k8s.io/v1/apiservices",
        json!({
            "metadata": { "name": "v1.down.example.com" },
            "spec": { "group": "down.example.com", "version": "v1", "service": service },
        }),
    );
    repeat(&cluster, recordings::V1_36_IMPERSONATION_AND_AGGREGATION, |number| match number {
        0 => {
            cluster.delete(&format!("{}/dangling", rbac_path("ns-1", "rolebindings")));
            cluster.role_with_rules("ns-1", "widgets", rule("down.example.com", "widgets", "list"));
            cluster.role_binding("ns-1", "widgets", "widgets", "ns-1", "granted");
        }
        4 => {
            let jane = json!([{
                "verbs": ["impersonate:user-info"], "apiGroups": ["authentication.k8s.io"],
                "resources": ["users"], "resourceNames": ["jane"],
            }]);
            cluster.cluster_role("jane-info", jane);
            cluster.cluster_role_binding("jane-info", "jane-info", "ns-1", "k-sa-1");
        }
        6 => {
            cluster.role_with_rules("ns-1", "on-list", rule("", "pods", "impersonate-on:user-info:list"));
            cluster.role_binding("ns-1", "on-list", "on-list", "ns-1", "k-sa-1");
        }
        8 => {
            cluster.role_with_rules("ns-1", "jane", rule("", "pods", "list"));
            cluster.create(
                &rbac_path("ns-1", "rolebindings"),
                json!({
                    "metadata": { "name": "jane", "namespace": "ns-1" },
                    "roleRef": { "kind": "Role", "name": "jane" },
                    "subjects": [{ "kind": "User", "name": "jane" }],
                }),
            );
        }
        // Its reviews are asked without these grants.
        11 => cluster.delete(&format!("{}/on-list", rbac_path("ns-1", "rolebindings"))),
        _ => (),
    });
}

/// `before` gets the number of the exchange that comes next.
fn repeat(cluster: &Cluster, recording: &str, before: impl Fn(usize)) {
    let exchanges = exchanges(recording);
    set_up(cluster, &exchanges);
    let tokens = ["k-sa-1", "granted", "wrong-audience", "deleted-account"].map(|who| {
        let wrong = who == "wrong-audience";
        let mut spec = TokenSpec { namespace: "ns-1".to_owned(), ..TokenSpec::default() };
        spec.service_account = if wrong { "k-sa-1".to_owned() } else { who.to_owned() };
        spec.audience = if wrong { "vault".to_owned() } else { spec.audience };
        (who, cluster.token_with(&spec))
    });
    cluster.delete("/api/v1/namespaces/ns-1/serviceaccounts/deleted-account");
    let mut differences = Vec::new();
    for (number, exchange) in exchanges.iter().enumerate() {
        before(number);
        let who = exchange["as"].as_str().unwrap();
        let credential = match who {
            "anonymous" => Credential::None,
            "empty" => Credential::Bearer(String::new()),
            "garbage" => Credential::Bearer("garbage".to_owned()),
            account => {
                let account = if account == "impersonator" { "k-sa-1" } else { account };
                let (_, token) = tokens.iter().find(|(name, _)| *name == account).expect(account);
                Credential::Bearer(token.clone())
            }
        };
        let request = &exchange["request"];
        let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        let body = if request["body"].is_null() { String::new() } else { request["body"].to_string() };
        let mut headers =
            vec![("accept", request["accept"].as_str().unwrap()), ("content-type", "application/json")];
        // One of the recordings was made by a client without a name.
        if !exchange["response"]["body"].as_str().unwrap().contains("\"manager\":\"unknown\"") {
            headers.push(("user-agent", "record"));
        }
        let more = request["headers"].as_array().into_iter().flatten();
        headers.extend(more.map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap())));
        let client = Client::new(&cluster.server(), &cluster.ca_pem(), credential);
        let (status, headers, body) = client.request(method, path, &headers, body.as_bytes()).unwrap();
        let recorded = &exchange["response"];
        let expected_headers = recorded["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (pair[0].as_str().unwrap().to_lowercase(), pair[1].as_str().unwrap().to_owned()));
        let expected =
            said(recorded["status"].as_u64().unwrap(), expected_headers, recorded["body"].as_str().unwrap());
        let actual = said(status.into(), headers.into_iter(), std::str::from_utf8(&body).unwrap());
        if actual != expected {
            differences.push(format!("{method} {path} as {who}\n  recorded {expected}\n  stand-in {actual}"));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// What was in the real clusters when they were asked. Objects that answers show are taken from the answers.
fn set_up(cluster: &Cluster, exchanges: &[Value]) {
    cluster.namespace("ns-1");
    for account in ["k-sa-1", "granted", "deleted-account"] {
        cluster.service_account("ns-1", account);
    }
    cluster.role_binding("ns-1", "dangling", "no-such-role", "ns-1", "k-sa-1");
    cluster.role_with_rules("ns-1", "granted", json!([
        { "verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods", "secrets", "configmaps"] },
        { "verbs": ["list", "create"], "apiGroups": ["apps"], "resources": ["deployments"] },
        { "verbs": ["list"], "apiGroups": ["example.com"], "resources": ["widgets"] },
        { "verbs": ["list"], "apiGroups": [""], "resources": ["gadgets"] },
        { "verbs": ["list"], "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews"] },
    ]));
    cluster.role_binding("ns-1", "granted", "granted", "ns-1", "granted");
    for exchange in exchanges.iter().filter(|exchange| exchange["as"] == "granted") {
        let path = exchange["request"]["path"].as_str().unwrap();
        let resource = ["pods", "configmaps", "secrets"].into_iter().find(|resource| path.contains(resource));
        let (Some(resource), 200) = (resource, exchange["response"]["status"].as_u64().unwrap()) else {
            continue;
        };
        let collection = format!("/api/v1/namespaces/ns-1/{resource}");
        let body = exchange["response"]["body"].as_str().unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let items =
            if path.contains("limit") { body["items"].as_array().cloned() } else { Some(vec![body.clone()]) };
        for mut item in items.unwrap_or_default() {
            // A metadata answer comes first and knows less than the whole object.
            cluster.delete(&format!("{collection}/{}", item["metadata"]["name"].as_str().unwrap()));
            item.as_object_mut().unwrap().retain(|field, _| field != "kind" && field != "apiVersion");
            cluster.create(&collection, item);
        }
        for number in 0..body["metadata"]["remainingItemCount"].as_u64().unwrap_or(0) {
            cluster.create(&collection, json!({ "metadata": { "name": format!("settings-{number}") } }));
        }
    }
}

/// An answer, comparable: without what differs from run to run, and without the order of what has none.
fn said(status: u64, headers: impl Iterator<Item = (String, String)>, body: &str) -> Value {
    // The Date was not recorded, the length follows from what varies in the body, and no Etag is imitated.
    const VARYING: [&str; 3] = ["date", "content-length", "etag"];
    let headers = headers.filter(|(name, _)| !VARYING.contains(&name.as_str()));
    let headers: Map<String, Value> = headers.map(|(name, value)| (name, json!(value))).collect();
    let mut body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
    normalise(&mut body);
    json!({ "status": status, "headers": headers, "body": body })
}

/// Blanks what no two runs have in common.
fn normalise(value: &mut Value) {
    const VARYING: [&str; 7] = [
        "resourceVersion",
        "uid",
        "time",
        "serverAddress",
        "continue",
        "authentication.kubernetes.io/credential-id",
        "creationTimestamp",
    ];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if VARYING.contains(&name.as_str()) && !value.is_null() {
                    *value = json!("…");
                } else {
                    normalise(value);
                }
                if name == "nonResourceRules" {
                    // The authorizer visits bindings in the order of a Go map.
                    value.as_array_mut().unwrap().sort_by_key(Value::to_string);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        _ => {}
    }
}
