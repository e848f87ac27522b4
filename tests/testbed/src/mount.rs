//! Writes a service account mount as the kubelet does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

/// Writes a service account mount as the kubelet does: a new timestamped folder, the link `..data` moved to it
/// in one step, and the three files as links through `..data`.
pub fn write_mount(dir: &Path, token: &str, ca_pem: &str, namespace: &str) {
    write_mount_with(dir, token, ca_pem, namespace, |_| {});
}

/// The same; `finish` gets the timestamped folder before it becomes visible, to set owners and modes.
pub fn write_mount_with(dir: &Path, token: &str, ca_pem: &str, namespace: &str, finish: impl FnOnce(&Path)) {
    static ROTATIONS: AtomicUsize = AtomicUsize::new(0);
    let files = [("token", token), ("ca.crt", ca_pem), ("namespace", namespace)];
    let folder = format!("..2026_11_23_21_16_27.{}", 1_000_000 + ROTATIONS.fetch_add(1, Ordering::SeqCst));
    let (data, fresh) = (dir.join("..data"), dir.join("..data_tmp"));
    fs::create_dir_all(dir.join(&folder)).unwrap();
    for (name, content) in files {
        fs::write(dir.join(&folder).join(name), content).unwrap();
    }
    finish(&dir.join(&folder));
    let old = fs::read_link(&data).ok();
    symlink(&folder, &fresh).unwrap();
    fs::rename(&fresh, &data).unwrap();
    for (name, _) in files {
        if dir.join(name).symlink_metadata().is_err() {
            symlink(Path::new("..data").join(name), dir.join(name)).unwrap();
        }
    }
    if let Some(old) = old {
        fs::remove_dir_all(dir.join(old)).unwrap();
    }
}

/// A kubeconfig by which kubectl asks this server as the pod: a mount is not where it looks for one.
pub fn kubeconfig(mount: &Path, server: &str, namespace: &str) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "pod",
        "contexts": [{"name": "pod", "context": {"cluster": "real", "user": "pod", "namespace": namespace}}],
        "clusters": [{"name": "real", "cluster": {
            "server": server, "certificate-authority": mount.join("ca.crt"),
        }}],
        "users": [{"name": "pod", "user": {"tokenFile": mount.join("token")}}],
    });
    config.to_string()
}
