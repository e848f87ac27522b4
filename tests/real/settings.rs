//! Outcomes that need a cluster of their own: other settings, or servers that are stopped.

use std::thread;
use std::time::Duration;

use testbed::{RealCluster, Stderr, World};

use crate::outcomes::lister;

/// 24 with etcd killed, where the API server says so itself; 21 with the API server stopped; 0 again after it
/// has started.
pub fn outage(mut cluster: RealCluster) {
    let pod = lister(&cluster, "outage");
    // Every authenticated user may read the server's health, and both knocks get the same answer.
    pod.runs(&["check", "get /readyz"]).gives(0, &["ok (0)"], Stderr::Empty);

    cluster.stop_apiserver();
    pod.runs(&["check", "list pods"]).gives(21, &["unreachable", "21"], Stderr::Any);
    pod.runs(&["check", "list pods", "get /version"]).gives(21, &["not asked"], Stderr::Any);
    pod.runs(&["check", "--fail-open", "list pods"]).gives(0, &["unreachable"], Stderr::Any);
    cluster.restart_apiserver();
    pod.runs(&["check", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);

    cluster.stop_etcd();
    pod.runs(&["check", "get /readyz"]).gives(24, &["unavailable", "24", "500"], Stderr::Any);
    pod.runs(&["check", "--fail-open", "get /readyz"]).gives(0, &["unavailable"], Stderr::Any);
    pod.runs(&["get", "/readyz"]).gives(24, &["etcd failed"], Stderr::Any);
    // Authorization needs no etcd: refusals are still refusals, with and without a token.
    pod.runs(&["check", "list secrets"]).gives(10, &["forbidden"], Stderr::Empty);
    pod.runs(&["check", "--review", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
    pod.runs(&["check", "list pods", "--timeout", "1s"]).gives(23, &["timeout", "23"], Stderr::Any);
}

/// Anonymous access is off, and only the administrator may create access reviews.
pub fn hardened(cluster: &RealCluster) {
    let pod = lister(cluster, "hardened");
    pod.runs(&["check", "list pods"]).gives(0, &["ok (0)", "401"], Stderr::Empty);
    pod.runs(&["check", "--forbid-anonymous", "get /version"]).gives(0, &["ok (0)"], Stderr::Empty);
    pod.runs(&["check", "list secrets"]).gives(10, &["forbidden"], Stderr::Empty);
    let tokenless = lister(cluster, "hardened").without_file("token");
    tokenless.runs(&["check", "get /version"]).gives(12, &["anonymous"], Stderr::Any);
    lister(cluster, "hardened").with_file("token", "garbage").runs(&["check", "list pods"]).gives(
        11,
        &["unauthenticated"],
        Stderr::Empty,
    );

    pod.runs(&["check", "cannot delete pods"]).gives(0, &[], Stderr::Empty);
    cluster.delete("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:basic-user");
    let review = &["forbidden", "selfsubjectaccessreviews"];
    pod.runs(&["check", "delete pods"]).gives(10, review, Stderr::Any);
    pod.runs(&["check", "cannot delete pods"]).gives(10, review, Stderr::Any);
}

/// 24 by 429: the API server handles one request at a time, and one is waiting for a frozen etcd.
pub fn overloaded(cluster: &RealCluster) {
    let pod = lister(cluster, "overloaded");
    cluster.freeze_etcd();
    thread::scope(|scope| {
        // It occupies the only slot until its deadline. If a check was using the slot, it gets 429 itself, and
        // tries again.
        scope.spawn(|| {
            let held = |_: &i32| {
                let finished = pod.runs(&["get", "/api/v1/namespaces/overloaded/pods", "--timeout", "5s"]);
                finished.code == Some(23)
            };
            (0..50).find(held).expect("a request that the server holds");
        });
        let mut finished = pod.runs(&["check", "get /healthz/ping", "--timeout", "1s"]);
        for _ in 0..50 {
            if finished.code == Some(24) {
                break;
            }
            thread::sleep(Duration::from_millis(20));
            finished = pod.runs(&["check", "get /healthz/ping", "--timeout", "1s"]);
        }
        finished.gives(24, &["unavailable", "24", "429"], Stderr::Any);
    });
}
