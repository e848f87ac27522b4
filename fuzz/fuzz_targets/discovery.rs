//! Discovery documents: a resolved name can be part of a path, and the message about an unknown name contains
//! no token.
#![no_main]

use kubeknock_fuzz::api::Reply;
use kubeknock_fuzz::api::discovery::{Unresolved, Wanted, resolve};
use kubeknock_fuzz::permission::ResourceName;
use kubeknock_fuzz::{SECRET, TOKEN, choose};
use libfuzzer_sys::fuzz_target;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fuzz_target!(|data: &[u8]| {
    let Some(([content_type], body)) = choose(data) else { return };
    let content_type = [AGGREGATED, "application/json"][content_type % 2];
    let wanted = [
        ("deploy", None),
        ("pods", Some("metrics.k8s.io")),
        ("widgets", Some("v1.example.com")),
        ("deployments", Some("apps")),
    ];
    let wanted = wanted.map(|(name, qualifier)| Wanted {
        verb: "list".into(),
        resource: ResourceName { name: name.into(), qualifier: qualifier.map(str::to_owned) },
        subresource: (name == "widgets").then(|| "scale".to_owned()),
        exact: name == "deployments",
    });
    // The first document is the fuzzer's first part; each further document is the next part.
    let mut documents = body.split(|&byte| byte == 0).take(20);
    let results = resolve(&wanted, &mut |requests| {
        let Some(request) = requests.first() else { return Vec::new() };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/.-".contains(c);
        assert!(request.path.chars().all(plain) && !request.path.contains("/.."), "{}", request.path);
        vec![Ok(match documents.next() {
            Some(body) => Reply::of(200, content_type, body, Some(&TOKEN)),
            None => Reply::of(404, "text/plain", b"404 page not found", Some(&TOKEN)),
        })]
    });
    for result in results {
        match result {
            Ok(resource) => {
                let names = [&resource.group, &resource.version, &resource.plural];
                assert!(names.into_iter().all(|name| !name.contains(['/', ';', ' ', '\''])));
                assert!(resource.subresources.len() <= 64);
                assert!(resource.subresources.iter().all(|name| !name.contains([';', ' ', '\''])));
                assert!(resource.subresources.iter().all(|name| !name.contains(SECRET)));
            }
            Err(Unresolved::NoSubresource { resource, nearest }) => {
                assert!(!format!("{resource} {nearest}").contains(SECRET));
            }
            Err(Unresolved::Failed(failure)) => assert!(!failure.text().contains(SECRET)),
            Err(Unresolved::Answered(_)) => {}
            Err(Unresolved::Unknown { nearest, silent }) => {
                assert!(nearest.len() <= 3 && silent.len() <= 10);
                assert!(nearest.iter().chain(&silent).all(|name| !name.contains(SECRET)));
            }
        }
    }
});
