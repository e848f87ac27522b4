//! The surroundings of the binary in its container, seen from outside while it runs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use testbed::real::say;
use testbed::{RealCluster, Stderr, World};

use crate::podman::{ACCOUNT, Container, Inside, MOUNT, OTHER_USER, OWN_USER, TokenFile, User};

const MEMORY_LIMIT: u64 = 16 * 1024 * 1024;

/// What podman puts into the root folder of every container. The files are empty, or contain the container's
/// name.
const PODMANS: &[&str] = &["etc/hostname", "etc/mtab", "run/.containerenv"];

/// A namespace with the service account.
pub fn newcomer(cluster: &RealCluster, namespace: &str) {
    cluster.namespace(namespace);
    cluster.service_account(namespace, ACCOUNT);
}

/// The same; the account may list the pods there.
pub fn lister(cluster: &RealCluster, namespace: &str) {
    newcomer(cluster, namespace);
    cluster.role(namespace, "pod-lister", &["list"], "", &["pods"]);
    cluster.role_binding(namespace, "pod-lister-binding", "pod-lister", namespace, ACCOUNT);
}

/// The binary is alone, has no privileges and no more memory than its limit, and works.
pub fn confined(cluster: &RealCluster) {
    newcomer(cluster, "confined");
    for user in [OWN_USER, OTHER_USER] {
        let container = Container::of(cluster, "confined", user);
        let gate = container.starts(&["wait", "list pods", "--timeout", "0"]);
        gate.complains("waiting: list pods in confined: forbidden (10)");
        has_no_rights(&gate, user);
        sees_a_mount_as_the_kubelet_makes_it(&gate, user);
        is_alone(&gate);
        assert_eq!(gate.memory("memory.limit_in_bytes", "memory.max"), MEMORY_LIMIT);
        let peak = gate.memory("memory.max_usage_in_bytes", "memory.peak") / 1024;
        say(&format!(
            "       UID {}: {} resident at the most; the container's whole cgroup {peak} KiB of 16384",
            user.uid,
            gate.status("VmHWM")
        ));
        gate.killed("TERM", 143);
    }
}

fn has_no_rights(inside: &Inside, user: User) {
    assert_eq!(inside.status("NSpid").split(' ').next_back(), Some("1"), "it is PID 1");
    for (field, id) in [("Uid", user.uid), ("Gid", user.gid)] {
        assert_eq!(inside.status(field), format!("{id} {id} {id} {id}"), "{field}");
    }
    for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(inside.status(field), "0000000000000000", "{field}");
    }
    assert_eq!(inside.status("NoNewPrivs"), "1");
    assert_eq!(inside.status("Seccomp"), "2", "a filter");
    // The fields are: ID PARENT DEVICE ROOT POINT OPTIONS …
    let mounts = fs::read_to_string(inside.process("mountinfo")).expect("its mounts");
    let mounts: Vec<_> = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).collect();
    let options = |point: &str| {
        let mount = mounts.iter().find(|mount| mount[4] == point);
        mount.unwrap_or_else(|| panic!("{point} is not mounted: {mounts:?}"))[5]
    };
    for point in ["/", MOUNT] {
        assert!(options(point).split(',').any(|option| option == "ro"), "{point} is {}", options(point));
    }
    for mount in mounts.iter().filter(|mount| mount[5].split(',').any(|option| option == "rw")) {
        let point = Path::new(mount[4]);
        assert!(["/dev", "/proc", "/sys"].iter().any(|of| point.starts_with(of)), "writable: {mount:?}");
    }
}

fn sees_a_mount_as_the_kubelet_makes_it(inside: &Inside, user: User) {
    let mount = inside.process("root").join(MOUNT.trim_start_matches('/'));
    let leads = |name: &str| fs::read_link(mount.join(name)).expect("a link").display().to_string();
    assert!(leads("..data").starts_with("..20"), "{}", leads("..data"));
    for (name, TokenFile { uid, gid, mode }) in [
        ("token", user.token),
        ("ca.crt", TokenFile { uid: 0, gid: 0, mode: 0o644 }),
        ("namespace", TokenFile { uid: 0, gid: 0, mode: 0o644 }),
    ] {
        assert_eq!(leads(name), format!("..data/{name}"));
        let found = fs::metadata(mount.join(name)).expect("a file");
        assert_eq!(
            (found.uid(), found.gid(), found.permissions().mode() & 0o7777),
            (uid, gid, mode),
            "{name}"
        );
    }
}

fn is_alone(inside: &Inside) {
    let root = inside.process("root");
    let mut files = BTreeSet::new();
    walk(&root, &root, &mut files);
    for name in PODMANS {
        files.remove(*name);
    }
    assert_eq!(files, BTreeSet::from(["kubeknock".to_owned()]), "the files of the root folder");
    for name in ["etc/resolv.conf", "etc/hosts"] {
        let found = root.join(name).symlink_metadata();
        assert!(found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound), "{name} is there");
    }
}

/// Everything except folders below `folder`, without the kernel's file systems and without the service account
/// mount.
fn walk(root: &Path, folder: &Path, files: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the container") {
        let path = entry.expect("an entry").path();
        let name = path.strip_prefix(root).expect("below the root").display().to_string();
        if ["dev", "proc", "sys", MOUNT.trim_start_matches('/')].contains(&name.as_str()) {
            continue;
        }
        if path.symlink_metadata().expect("an entry").is_dir() {
            walk(root, &path, files);
        } else {
            files.insert(name);
        }
    }
}

/// 31: no folder is writable, and the message has the kernel's reason.
pub fn read_only(cluster: &RealCluster) {
    newcomer(cluster, "read-only");
    for user in [OWN_USER, OTHER_USER] {
        let container = Container::of(cluster, "read-only", user);
        container.runs(&["install", "/beside"]).gives(31, &[], Stderr::Has("Read-only file system"));
        let message = container.termination_message();
        assert!(message.starts_with("setup (31): cannot install to /beside: "), "{message}");
    }
}

/// 20: without the variables the API server has only a name, which does not resolve without `/etc/resolv.conf`.
pub fn no_name_server(cluster: &RealCluster) {
    newcomer(cluster, "no-name-server");
    let container = Container::of(cluster, "no-name-server", OWN_USER).without_variables();
    let lines = ["unresolved (20)", "/etc/resolv.conf", "use the API server's address"];
    container.runs(&["check", "list pods"]).gives(20, &lines, Stderr::Empty);
}

/// A token that belongs to a group (`fsGroup`) can be read by its members; a token of another user leads to 31.
pub fn owners_of_the_token(cluster: &RealCluster) {
    lister(cluster, "owners");
    let user = |gid, mode| User { token: TokenFile { uid: 0, gid, mode }, ..OWN_USER };
    let container = Container::of(cluster, "owners", user(2000, 0o640));
    let unreadable = "token: Permission denied";
    container.runs(&["check", "list pods"]).gives(31, &[], Stderr::Has(unreadable));
    container.with("--group-add=2000").runs(&["check", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
    let container = Container::of(cluster, "owners", user(0, 0o600));
    container.runs(&["check", "list pods"]).gives(31, &[], Stderr::Has(unreadable));
}
