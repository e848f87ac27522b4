//! Every command in a container, run by the image's own user and by another one. (`monitor` is in `rotation`.)

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use testbed::{RealCluster, Stderr};

use crate::inside::{lister, newcomer};
use crate::podman::{ACCOUNT, Container, OTHER_USER, OWN_USER};

/// Each command does its job, and `wait` becomes CMD, or says why not, in an image that has only one program.
pub fn each_once(cluster: &RealCluster) {
    lister(cluster, "commands");
    let pods = "/api/v1/namespaces/commands/pods";
    let account = "system:serviceaccount:commands:k-sa-1";
    for user in [OWN_USER, OTHER_USER] {
        let container = Container::of(cluster, "commands", user);
        // The default of the image: the CMD of the Containerfile.
        let allowed = "list pods in commands  anonymous 403  token 200  ok\n\
                       ok (0): every permission is as required\n";
        container.runs(&[]).is(0, allowed, "");
        container.runs(&["check", "list secrets"]).gives(
            10,
            &[
                "anonymous 403  token 403  forbidden",
                account,
                "kubectl create rolebinding ",
                "forbidden (10)",
            ],
            Stderr::Empty,
        );
        container.runs(&["wait", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
        let become_whoami = ["wait", "list pods", "--", "/kubeknock", "whoami"];
        let finished = container.runs(&become_whoami).gives(0, &[account], Stderr::Has("ok (0)"));
        assert!(!finished.stdout.contains("list pods"), "stdout is CMD's\n{}", finished.transcript());
        let become_nothing = ["wait", "list pods", "--", "/no-such-program"];
        container.runs(&become_nothing).gives(127, &[], Stderr::Has("/no-such-program"));
        let become_a_folder = ["wait", "list pods", "--", "/dev"];
        container.runs(&become_a_folder).gives(126, &[], Stderr::Has("/dev"));
        container.runs(&["get", pods]).gives(0, &["PodList"], Stderr::Empty);
        container.runs(&["get", "--anonymous", pods]).gives(12, &["system:anonymous"], Stderr::Any);
        container.runs(&["whoami"]).gives(0, &["system:anonymous", account], Stderr::Empty);
        container.runs(&["rules"]).gives(0, &["pods ", "[list]"], Stderr::Empty);
        container.runs(&["doctor"]).gives(
            0,
            &["✓ TLS", "list pods in commands: anonymous 403, token 200"],
            Stderr::Empty,
        );
    }
}

/// One container installs into an `emptyDir`. Another one, of another user, runs the copy from there, and does
/// not need to install again.
pub fn installed_copy(cluster: &RealCluster) {
    lister(cluster, "installed");
    for (user, neighbour) in [(OWN_USER, OTHER_USER), (OTHER_USER, OWN_USER)] {
        let empty_dir = tempfile::tempdir().expect("a folder for the volume");
        fs::set_permissions(empty_dir.path(), Permissions::from_mode(0o777)).expect("set a mode");
        let container =
            Container::of(cluster, "installed", user).with_volume(empty_dir.path(), "/shared", "rw");
        container.runs(&["install", "/shared"]).is(0, "installed /shared/kubeknock\n", "");
        // The copy in the image says that it is identical.
        container.runs(&["install", "/shared"]).is(0, "already installed /shared/kubeknock\n", "");
        let copy = fs::metadata(empty_dir.path().join("kubeknock")).expect("a copy");
        assert_eq!((copy.uid(), copy.permissions().mode() & 0o7777), (user.uid, 0o755), "the copy");
        assert_eq!(
            fs::read_dir(empty_dir.path()).expect("the volume").count(),
            1,
            "nothing is left beside it"
        );
        let neighbour = Container::of(cluster, "installed", neighbour)
            .with_volume(empty_dir.path(), "/shared", "ro")
            .with("--entrypoint=/shared/kubeknock");
        neighbour.runs(&["check", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
    }
}

/// PID 1 writes the verdict into the mounted file, in place, and replaces its content. Success writes nothing.
pub fn termination_message(cluster: &RealCluster) {
    newcomer(cluster, "message");
    for user in [OWN_USER, OTHER_USER] {
        let container = Container::of(cluster, "message", user);
        container.runs(&["check", "get /version"]).gives(0, &["ok (0)"], Stderr::Empty);
        assert_eq!(container.termination_message(), "");
        for arguments in [&["check", "list pods"][..], &["wait", "list pods", "--fail-fast"]] {
            container.runs(arguments).gives(10, &["forbidden (10)"], Stderr::Any);
            assert_eq!(
                container.termination_message(),
                format!(
                    "\
forbidden (10): the token's identity does not have the permission
list pods in message: forbidden
  pods is forbidden: User \"system:serviceaccount:message:{ACCOUNT}\" cannot list resource \"pods\" in API group \"\" in the namespace \"message\"; to grant it, as an admin:
  kubectl create role {ACCOUNT}-list-pods --verb=list --resource=pods --namespace=message
  kubectl create rolebinding {ACCOUNT}-list-pods --role={ACCOUNT}-list-pods --serviceaccount=message:{ACCOUNT} --namespace=message
"
                )
            );
        }
        container.runs(&["check", "list"]).gives(30, &[], Stderr::Any);
        let message = container.termination_message();
        assert!(message.starts_with("usage (30)") && !message.contains("forbidden"), "{message}");
    }
}
