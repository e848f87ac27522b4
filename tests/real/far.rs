//! A real API server that is far, asked over several connections.

use std::time::Duration;

use testbed::far::Proxy;
use testbed::{RealCluster, Stderr, World};

use crate::outcomes::lister;

/// Reads, reviews, watches and names that are looked up: what is printed is what one connection finds.
pub fn the_same_over_several_connections(cluster: &RealCluster) {
    let pod = lister(cluster, "far");
    let mut phrases =
        vec!["get /version".to_owned(), "list deployments".to_owned(), "list nothings".to_owned()];
    for number in 0..10 {
        phrases.push(format!("get,list,watch pods in {}", if number == 5 { "far" } else { "default" }));
        phrases.push(format!("create pods in ns-{number}"));
    }
    let check: Vec<&str> = ["check"].into_iter().chain(phrases.iter().map(String::as_str)).collect();
    let near = pod.runs(&check).gives(10, &["watch pods in far "], Stderr::Empty);
    let server = cluster.server().trim_start_matches("https://").parse().unwrap();
    let proxy = Proxy::of(server, Duration::from_millis(20));
    let far = pod.at_server(&format!("https://{}", proxy.address)).runs(&check);
    assert_eq!((far.code, &far.stdout, &far.stderr), (near.code, &near.stdout, &near.stderr));
    // Nine at once; each allowed watch costs one of them, and so does one that is given up.
    assert!((6..=30).contains(&proxy.connections()), "{} connections", proxy.connections());
}
