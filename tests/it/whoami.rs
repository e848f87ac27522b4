//! `whoami` on the stand-in, as 1.36 and as 1.20, with valid tokens and without.

use serde_json::json;
use testbed::scene::{USER, report};
use testbed::{Cluster, Stderr, Version, World};

use crate::{Pod, Scene};

#[test]
fn shows_everything_that_1_36_knows() {
    let scene = Scene::new();
    let lines = [
        "anonymous  system:anonymous",
        "token      system:serviceaccount:ns-1:k-sa-1",
        "groups        system:serviceaccounts, system:serviceaccounts:ns-1, system:authenticated",
        "pod-name      k-sa-1-pod",
        "node-name     node-1",
        "credential-id JTI=",
        "issuer        https://kubernetes.default.svc.cluster.local",
        "expires       in 60m",
        "warn after    in 60m",
        "ok (0)",
    ];
    scene.runs(&["whoami"]).gives(0, &lines, Stderr::Empty);
    let finished = scene.runs(&["whoami", "-ojson"]).gives(0, &[], Stderr::Empty);
    let report = report(&finished);
    assert_eq!(report["schema"], "kubeknock/v1");
    assert_eq!(report["identity"], json!({ "user": USER, "source": "server" }));
    assert_eq!((&report["token"]["confirmed"], &report["token"]["source"]), (&json!(true), &json!("review")));
    assert_eq!(report["token"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["k-sa-1-pod"]));
    assert_eq!(report["anonymous"]["status"], 403);
    assert_eq!(report["claims"]["pod"], "k-sa-1-pod");
}

#[test]
fn takes_the_user_from_a_refusal_on_1_20() {
    let scene = Scene::of(Version::V1_20);
    let lines = ["token      system:serviceaccount:ns-1:k-sa-1", "source        a refusal", "ok (0)"];
    scene.runs(&["whoami"]).gives(0, &lines, Stderr::Empty);
    let finished = scene.runs(&["whoami", "-ojson"]).gives(0, &[], Stderr::Empty);
    assert_eq!(report(&finished)["token"]["user"], USER);
    let token = &report(&finished)["token"];
    assert_eq!((&token["confirmed"], &token["source"]), (&json!(true), &json!("refusal")));
}

#[test]
fn marks_the_claims_unconfirmed_if_nothing_is_refused_on_1_20() {
    let scene = Scene::of(Version::V1_20);
    scene.cluster.cluster_role_binding("admin", "cluster-admin", "ns-1", "k-sa-1");
    scene.runs(&["whoami"]).gives(
        0,
        &[USER, "(claimed by the token, not confirmed by the API server)", "ok (0)"],
        Stderr::Empty,
    );
    let finished = scene.runs(&["whoami", "-ojson"]).gives(0, &[], Stderr::Empty);
    assert_eq!(report(&finished)["identity"], json!({ "user": USER, "source": "token" }));
    assert_eq!(report(&finished)["token"]["confirmed"], false);
}

#[test]
fn without_a_good_token() {
    let scene = Scene::new().with_token(|spec| spec.expires_in = -(3 * 3600 + 30));
    scene.runs(&["whoami"]).gives(
        11,
        &["rejected (401)", "expired 3h0m ago", "unauthenticated (11)"],
        Stderr::Empty,
    );
    let mut scene = scene.with_file("token", "");
    scene.runs(&["whoami"]).gives(12, &["system:anonymous", "anonymous (12)", "automount"], Stderr::Empty);
    scene.cluster.anonymous_auth(false);
    scene.runs(&["whoami"]).gives(12, &["anonymous (12)"], Stderr::Empty);
    scene.cluster.anonymous_auth(true);
    scene.cluster.strip_tokens(true);
    scene.pod = Pod::of(&scene.cluster, "ns-1", "k-sa-1");
    scene.runs(&["whoami"]).gives(12, &["removes the Authorization header"], Stderr::Empty);
    scene.cluster.stop();
    scene.runs(&["whoami", "-ojson"]).gives(21, &["\"exitCode\":21"], Stderr::Empty);
    scene.runs(&["whoami"]).gives(21, &["unreachable (21)", "expires"], Stderr::Empty);
}

#[test]
fn behind_kubectl_proxy() {
    let scene = Scene::on(Cluster::builder().plain_http("jane").start());
    scene.runs(&["whoami"]).gives(0, &["proxy      jane"], Stderr::Empty);
}
