//! What an auditor sees: the README's table, held to what the stand-in receives.

use testbed::{Version, audit};

use crate::Scene;

const AGENT: &str = concat!("kubeknock/", env!("CARGO_PKG_VERSION"));

/// A scene of this version whose pod may list pods, and no request yet.
fn scene(version: Version) -> Scene {
    let scene = Scene::of(version);
    scene.grant_list();
    scene.cluster.forget();
    scene
}

#[test]
fn the_table_is_what_a_server_receives() {
    let scene = scene(Version::V1_36);
    audit::holds(&scene.pod, false, || scene.cluster.audited(AGENT));
}

#[test]
fn the_table_is_what_an_old_server_receives() {
    let scene = scene(Version::V1_20);
    audit::holds(&scene.pod, true, || scene.cluster.audited(AGENT));
}
