//! Rows that take as long as a token lives.

use std::time::Duration;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::modes::project;
use crate::row::{Row, say};
use crate::space::{SOON, Space, codes, ensure, stays};

pub fn rows(cluster: &Cluster) -> Vec<Row<'_>> {
    vec![Row::new("a token of 600 s, renewed under a running monitor", &[], || renewed(cluster))]
}

/// Twelve minutes with a token that lives ten: one report, the first.
fn renewed(cluster: &Cluster) {
    let space = Space::new(cluster, "renewed");
    space.grant("list", "pods");
    let mut pod = space.knocker("monitor", &["monitor", "list pods", "-o", "json", "--interval", "5s"]);
    project(&mut pod["spec"]);
    space.apply(&pod);
    space.last_code("monitor", "kubeknock", 0, SOON);
    let claims = || -> Value {
        let who = space.exec("monitor", &["whoami", "-o", "json"]).succeeds().object();
        who["claims"].clone()
    };
    let first = claims();
    stays("it says yes, and nothing else", Duration::from_secs(12 * 60), || {
        let log = space.log("monitor", "kubeknock");
        ensure(codes(&log) == [0], || log.clone())
    });
    let last = claims();
    say(&format!("                 the token's end was {}, and is {}", first["expires"], last["expires"]));
    assert!(last["issued"].as_u64() > first["issued"].as_u64(), "the token was renewed: {first} {last}");
    space
        .pod("monitor")
        .container("kubeknock")
        .and_then(|monitor| monitor.runs_at_first())
        .expect("it ran on");
}
