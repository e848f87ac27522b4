//! The tutorial from inside a pod, and the other ways to run the image in one. Pods differ in what they are
//! given, and the result must not.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{Cluster, Need};
use crate::manifests;
use crate::pod::{Container, State, container};
use crate::row::{Row, say};
use crate::space::{ACCOUNT, PAUSE, SOON, Space, codes, ensure, eventually};

const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const OTHER_USER: u32 = 1_000_650_000;

pub fn rows(cluster: &Cluster) -> Vec<Row<'_>> {
    let row = |name: &str, needs: &[Need], run: fn(&Cluster)| Row::new(name, needs, move || run(cluster));
    vec![
        // First, because it takes the longest.
        row("probes.yaml, when it is taken away: restarted at the third no", &[], manifests::restarted),
        row("tutorial, from inside a pod: six steps", &[], tutorial),
        row("the remedy's lines, typed as they are printed, grant it", &[], remedy),
        row("exit code, phase and termination message of each end", &[], ends),
        row("SIGTERM ends monitor with 0 and wait with 143, at once", &[], sigterm),
        row("exec: check, whoami, rules, doctor", &[], exec),
        row("job.yaml, a permission too many: fails with 13", &[], job_excess),
        row("install into an emptyDir from a read-only root; another user runs it", &[], install),
        row("automountServiceAccountToken: false", &[], no_mount),
        row("another serviceAccountName", &[], another_account),
        row("hostNetwork", &[], |cluster| {
            mode(cluster, "host-network", |spec| spec["hostNetwork"] = true.into());
        }),
        row("user 1000650000", &[], |cluster| {
            mode(cluster, "other-user", |spec| {
                spec["securityContext"]["runAsUser"] = OTHER_USER.into();
                spec["securityContext"]["runAsGroup"] = OTHER_USER.into();
            });
        }),
        row("a user namespace (hostUsers: false)", &[Need::UserNamespaces], |cluster| {
            mode(cluster, "user-namespace", |spec| spec["hostUsers"] = false.into());
        }),
        row("dnsPolicy: None, and no name server", &[], |cluster| {
            mode(cluster, "no-names", |spec| {
                spec["dnsPolicy"] = "None".into();
                spec["dnsConfig"] = json!({"nameservers": ["127.0.0.1"]});
            });
        }),
        row("a projected token of 600 s", &[], |cluster| mode(cluster, "projected", project)),
        row("the API server by its name", &[], by_name),
        row("the API server at an IPv6 address", &[Need::Ipv6], ipv6),
        row("16 MiB of memory", &[], memory),
        row("the service account deleted under a monitor: 11", &[], account_deleted),
        row("the namespace deleted under a monitor", &[], namespace_deleted),
        row("a token bound to a pod that is deleted: 11", &[], pod_of_the_token_deleted),
        row("Pod Security restricted is enforced", &[Need::PodSecurity], pod_security),
        row("kubectl debug without --target: 31", &[Need::Debug], debug_alone),
        row("kubectl debug with --target, as the same user", &[Need::Debug], debug_same_user),
        row("kubectl debug with --target, as another user: 31", &[Need::Debug], debug_other_user),
        row("kubectl knock, before and after the grant", &[Need::Debug, Need::Knock], knock),
        row("the image as a volume, run by a probe", &[Need::ImageVolumes], image_volume),
    ]
}

fn tutorial(cluster: &Cluster) {
    let space = Space::new(cluster, "tutorial");
    space.apply_manifest("debug.yaml");
    space.running("kubeknock", "kubeknock");
    let knock = |arguments: &[&str], code| space.exec("kubeknock", arguments).ends_with(code).object();
    let path = format!("/api/v1/namespaces/{}/pods", space.name);
    let account = format!("system:serviceaccount:{}:{ACCOUNT}", space.name);
    let refuses = |status: &Value, user: &str| {
        assert_eq!(status["code"], 403, "{status}");
        assert!(status["message"].as_str().is_some_and(|message| message.contains(user)), "{status}");
    };
    // 1, 2, 3: the API server is there, and refuses both anonymous requests and the pod.
    let version = knock(&["get", "/version", "--anonymous"], 0);
    assert_eq!(version["gitVersion"], cluster.version.as_str(), "{version}");
    refuses(&knock(&["get", &path, "--anonymous"], 12), "system:anonymous");
    refuses(&knock(&["get", &path], 10), &account);
    let report = knock(&["check", "-o", "json", "list pods"], 10);
    assert_eq!(
        (&report["outcome"], &report["identity"]["user"]),
        (&"forbidden".into(), &account.into()),
        "{report}"
    );
    let knocks = &report["permissions"][0];
    assert_eq!(
        (&knocks["anonymous"]["status"], &knocks["token"]["status"]),
        (&403.into(), &403.into()),
        "{report}"
    );
    // 4: the permission is granted.
    space.grant("list", "pods");
    // 5: the pod may list pods, and only here.
    eventually("the grant has reached the API server", SOON, || {
        let ran = space.exec("kubeknock", &["check", "-q", "list pods"]);
        ensure(ran.code == Some(0), || ran.transcript())
    });
    let pods = knock(&["get", &path], 0);
    assert!(pods["kind"] == "PodList" && pods["items"][0]["metadata"]["name"] == "kubeknock", "{pods}");
    let report = knock(&["check", "-o", "json", "list pods"], 0);
    let knocks = &report["permissions"][0];
    assert_eq!(
        (&knocks["anonymous"]["status"], &knocks["token"]["status"]),
        (&403.into(), &200.into()),
        "{report}"
    );
    // 6: not in other namespaces.
    refuses(&knock(&["get", "/api/v1/namespaces/default/pods"], 10), "default");
}

fn remedy(cluster: &Cluster) {
    let space = Space::new(cluster, "remedy");
    space
        .once("before", &["check", "-o", "json", "list pods", "get deployments.apps/web"])
        .is(10, "forbidden");
    let report = space.report("before");
    let mut lines = 0;
    for permission in report["permissions"].as_array().expect("permissions") {
        for line in permission["remedy"].as_array().expect("a remedy") {
            let line = line.as_str().expect("a line").strip_prefix("kubectl ").expect("a line of kubectl");
            cluster.kubectl.must(&line.split(' ').collect::<Vec<_>>());
            lines += 1;
        }
    }
    assert_eq!(lines, 4, "a role and a binding for each: {report}");
    space.once("after", &["wait", "list pods", "get deployments.apps/web", "--timeout", "1m"]).is(0, "");
}

fn ends(cluster: &Cluster) {
    type End = (&'static str, u64, &'static str, &'static [&'static str]);
    const ENDS: &[End] = &[
        ("ok", 0, "", &["check", "get /version"]),
        ("forbidden", 10, "forbidden", &["check", "list pods"]),
        ("gate", 10, "forbidden", &["wait", "list pods", "--timeout", "3s"]),
        ("gate-fast", 10, "forbidden", &["wait", "list pods", "--timeout", "0", "--fail-fast"]),
        ("no-token", 12, "anonymous", &["check", "list pods", "--token-file", "/dev/null"]),
        ("excess", 13, "excess", &["check", "cannot get /version"]),
        ("exposed", 14, "exposed", &["check", "--forbid-anonymous", "get /version"]),
        ("unreachable", 21, "unreachable", &["check", "list pods", "--server", "https://127.0.0.1:1"]),
        ("untrusted", 22, "untrusted", &["check", "list pods", "--tls-server-name", "another.example"]),
        ("usage", 30, "usage", &["check", "list"]),
        ("setup", 31, "setup", &["install", "/beside"]),
        ("becomes", 0, "", &["wait", "get /version", "--", "/kubeknock", "whoami"]),
    ];
    let space = Space::new(cluster, "ends");
    for (name, _, _, arguments) in ENDS {
        space.apply(&space.knocker(name, arguments));
    }
    space.apply(&space.knocker("becomes-nothing", &["wait", "get /version", "--", "/no-such-program"]));
    for &(name, code, outcome, _) in ENDS {
        space.end_of(name, "kubeknock").is(code, outcome);
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        eventually(phase, SOON, || {
            let pod = space.pod(name);
            ensure(pod.phase() == phase, || pod.summary())
        });
    }
    assert_eq!(space.end_of("becomes-nothing", "kubeknock").code, 127);
}

fn sigterm(cluster: &Cluster) {
    let space = Space::new(cluster, "sigterm");
    for (command, code) in [("monitor", 0), ("wait", 143)] {
        space.stops("kubeknock", code, |attempt| {
            let pod = format!("{command}-{attempt}");
            space.apply(&space.knocker(&pod, &[command, "list pods"]));
            space.running(&pod, "kubeknock");
            space.last_code(&pod, "kubeknock", 10, SOON);
            pod
        });
    }
}

fn exec(cluster: &Cluster) {
    let space = Space::new(cluster, "exec");
    space.grant("list", "pods");
    space.apply(&space.knocker("monitor", &["monitor", "list pods"]));
    space.running("monitor", "kubeknock");
    let account = format!("system:serviceaccount:{}:{ACCOUNT}", space.name);
    let knock = |arguments: &[&str], code| {
        let report = space.exec("monitor", &[arguments, &["-o", "json"]].concat()).ends_with(code).object();
        assert_eq!(report["exitCode"], code, "{report}");
        report
    };
    knock(&["check", "list pods", "cannot list secrets"], 0);
    let report = knock(&["check", "--token-only", "list secrets"], 10);
    assert!(report["permissions"][0]["anonymous"].is_null(), "one request a probe: {report}");
    let who = knock(&["whoami"], 0);
    assert_eq!(who["identity"]["user"], account.as_str(), "{who}");
    assert_eq!(who["token"]["user"], account.as_str(), "{who}");
    let rules = knock(&["rules"], 0);
    assert!(rules.to_string().contains("pods"), "{rules}");
    knock(&["doctor", "list pods"], 0);
    knock(&["doctor", "list secrets"], 10);
    // Only PID 1 writes the termination message; other processes in the container never do.
    space.stops("kubeknock", 0, |attempt| {
        let pod = if attempt == 0 { "monitor".to_owned() } else { format!("monitor-{attempt}") };
        if attempt > 0 {
            space.apply(&space.knocker(&pod, &["monitor", "list pods"]));
            space.running(&pod, "kubeknock");
            space.exec(&pod, &["check", "-q", "list secrets"]).ends_with(10);
        }
        pod
    });
}

fn job_excess(cluster: &Cluster) {
    let space = Space::new(cluster, "job");
    space.tutorial();
    space.grant("list", "secrets");
    space.apply_manifest("job.yaml");
    eventually("a pod of it failed", SOON, || {
        let pods = space.all_pods("job-name=audit");
        let pod = pods.first().ok_or("no pod")?;
        pod.container("audit")?.ended()?.is(13, "excess");
        Ok(())
    });
}

fn install(cluster: &Cluster) {
    let space = Space::new(cluster, "install");
    let mut pod = space.knocker("install", &["check", "get /version"]);
    let mounts = json!([{"name": "shared", "mountPath": "/shared"}]);
    let mut init = container("install", &cluster.image, &["install", "/shared"]);
    init["volumeMounts"] = mounts.clone();
    pod["spec"]["initContainers"] = json!([init]);
    pod["spec"]["volumes"] = json!([{"name": "shared", "emptyDir": {"sizeLimit": "4Mi"}}]);
    let app = &mut pod["spec"]["containers"][0];
    app["image"] = PAUSE.into();
    app["command"] = json!(["/shared/kubeknock"]);
    app["volumeMounts"] = mounts;
    app["securityContext"]["runAsUser"] = OTHER_USER.into();
    space.apply(&pod);
    space.end_of("install", "install").is(0, "");
    space.end_of("install", "kubeknock").is(0, "");
}

fn no_mount(cluster: &Cluster) {
    let space = Space::new(cluster, "no-mount");
    let mut pod = space.knocker("no-mount", &["check", "list pods"]);
    pod["spec"]["automountServiceAccountToken"] = false.into();
    space.apply(&pod);
    let end = space.end_of("no-mount", "kubeknock");
    end.is(31, "setup");
    assert!(end.message.contains("automountServiceAccountToken"), "{}", end.message);
}

fn another_account(cluster: &Cluster) {
    let space = Space::new(cluster, "account");
    space.grant("list", "pods");
    space.kubectl(&["create", "serviceaccount", "k-sa-2"]);
    for (name, account, code, outcome) in [("one", ACCOUNT, 0, ""), ("two", "k-sa-2", 10, "forbidden")] {
        let mut pod = space.knocker(name, &["check", "-o", "json", "list pods"]);
        pod["spec"]["serviceAccountName"] = account.into();
        // Its token may be created a moment after the account.
        eventually("the pod is accepted", SOON, || {
            let options = ["--namespace", &space.name, "apply", "-f", "-"];
            let ran = cluster.kubectl.run_with(&options, &pod.to_string());
            ensure(ran.code == Some(0), || ran.transcript())
        });
        space.end_of(name, "kubeknock").is(code, outcome);
        let report = space.report(name);
        let user = format!("system:serviceaccount:{}:{account}", space.name);
        assert_eq!(report["identity"]["user"], user, "{report}");
    }
}

/// A pod that has no permission at first and then gets one, with a change to its spec.
fn mode(cluster: &Cluster, name: &str, change: impl Fn(&mut Value)) {
    let space =
        if name == "host-network" { Space::privileged(cluster, name) } else { Space::new(cluster, name) };
    let knock = |name: &str| {
        let mut pod = space.knocker(name, &["wait", "list pods", "--timeout", "5s", "-o", "json"]);
        change(&mut pod["spec"]);
        space.apply(&pod);
        let end = space.end_of(name, "kubeknock");
        let report = space.report(name);
        assert_eq!(report["exitCode"], end.code, "{report}");
        (end, report)
    };
    let (end, report) = knock("before");
    end.is(10, "forbidden");
    assert_eq!(report["permissions"][0]["anonymous"]["status"], 403, "{report}");
    space.grant("list", "pods");
    let (end, report) = knock("after");
    end.is(0, "");
    assert_eq!(report["permissions"][0]["token"]["status"], 200, "{report}");
}

/// A projected service account mount in the pod's own spec, with a token that lives 600 s.
pub fn project(spec: &mut Value) {
    let namespace = json!([{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]);
    spec["automountServiceAccountToken"] = false.into();
    spec["volumes"] = json!([{"name": "mount", "projected": {"sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": namespace}},
    ]}}]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "mount", "mountPath": MOUNT, "readOnly": true}]);
}

fn by_name(cluster: &Cluster) {
    let space = Space::new(cluster, "by-name");
    let server = ["--server", "https://kubernetes.default.svc.cluster.local"];
    space.once("by-name", &[&["check", "list pods"], &server[..]].concat()).is(10, "forbidden");
}

fn ipv6(cluster: &Cluster) {
    let space = Space::new(cluster, "ipv6");
    space.once("ipv6", &["check", "-o", "json", "list pods"]).is(10, "forbidden");
    let report = space.report("ipv6");
    assert!(report["server"].as_str().is_some_and(|server| server.starts_with("https://[")), "{report}");
}

fn memory(cluster: &Cluster) {
    let space = Space::new(cluster, "memory");
    space.grant("list", "pods");
    let phrases =
        ["list pods", "cannot list secrets", "cannot create deployments.apps", "cannot get nodes/*/proxy"];
    let options = ["--interval", "200ms", "--max-interval", "200ms"];
    let mut pod = space.knocker("memory", &[&["monitor"], &phrases[..], &options[..]].concat());
    // Only memory is limited: the process that starts a probe counts as part of the container.
    pod["spec"]["containers"][0]["resources"]["limits"] = json!({"memory": "16Mi"});
    space.apply(&pod);
    space.last_code("memory", "kubeknock", 0, SOON);
    // Some fifty rounds, with probes beside them.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(12) {
        space.exec("memory", &["check", "-q", "--token-only", "list pods"]).succeeds();
    }
    let pod = space.pod("memory");
    pod.container("kubeknock").and_then(|container| container.runs_at_first()).expect("not killed");
    if let Some(peak) = cluster.peak_memory(pod.uid()) {
        say(&format!("                 the cgroup's peak: {} KiB of 16384, probes included", peak / 1024));
        assert!(peak < 16 << 20, "{peak} bytes");
    }
}

fn account_deleted(cluster: &Cluster) {
    let space = Space::new(cluster, "account-deleted");
    space.grant("list", "pods");
    space.apply(
        &space.knocker("monitor", &["monitor", "list pods", "--interval", "1s", "--max-interval", "1s"]),
    );
    space.last_code("monitor", "kubeknock", 0, SOON);
    space.kubectl(&["delete", "serviceaccount", ACCOUNT]);
    space.last_code("monitor", "kubeknock", 11, SOON);
    space
        .pod("monitor")
        .container("kubeknock")
        .and_then(|monitor| monitor.runs_at_first())
        .expect("it runs on");
}

fn namespace_deleted(cluster: &Cluster) {
    let ended = (0..5).any(|attempt| {
        let space = Space::new(cluster, &format!("deleted-{attempt}"));
        space.grant("list", "pods");
        space.apply(
            &space.knocker("monitor", &["monitor", "list pods", "--interval", "1s", "--max-interval", "1s"]),
        );
        space.last_code("monitor", "kubeknock", 0, SOON);
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        let follow = ["--namespace", &space.name, "logs", "--follow", "monitor"];
        let mut follower = cluster.kubectl.starts(&follow, log.reopen().expect("open a temporary file"));
        let end = space.end_after("monitor", "kubeknock", || {
            cluster.kubectl.must(&["delete", "namespace", &space.name, "--wait=false"]);
        });
        drop(follower.kill());
        drop(follower.wait());
        let log = fs::read_to_string(log.path()).expect("read a log");
        let codes = codes(&log);
        assert!(codes.first() == Some(&0) && codes.iter().all(|code| [0, 10, 11].contains(code)), "{log}");
        say(&format!("                 it said: {codes:?}"));
        end.inspect(|end| end.is(0, "")).is_some()
    });
    assert!(ended, "the kubelet lost how the monitor ended, five times");
}

fn pod_of_the_token_deleted(cluster: &Cluster) {
    let space = Space::new(cluster, "bound");
    space.grant("list", "pods");
    space.apply(&space.knocker("holder", &["monitor", "list pods"]));
    space.running("holder", "kubeknock");
    let reference = json!({"kind": "Pod", "apiVersion": "v1", "name": "holder"});
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [], "expirationSeconds": 3600, "boundObjectRef": reference},
    });
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{ACCOUNT}/token", space.name);
    let create = ["create", "--raw", &path, "-f", "-"];
    let answer = cluster.kubectl.run_with(&create, &request.to_string()).succeeds().object();
    let token = &answer["status"]["token"];
    space.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "stringData": {"token": token},
    }));
    let arguments =
        ["monitor", "list pods", "--token-file", "/bound/token", "--interval", "1s", "--max-interval", "1s"];
    let mut pod = space.knocker("borrower", &arguments);
    pod["spec"]["volumes"] = json!([{"name": "bound", "secret": {"secretName": "token"}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "bound", "mountPath": "/bound"}]);
    space.apply(&pod);
    space.last_code("borrower", "kubeknock", 0, SOON);
    space.kubectl(&["delete", "pod", "holder"]);
    space.last_code("borrower", "kubeknock", 11, SOON);
}

fn pod_security(cluster: &Cluster) {
    let space = Space::new(cluster, "security");
    let mut pod = space.knocker("root", &["check", "get /version"]);
    pod["spec"]["securityContext"] = json!({"runAsUser": 0});
    let create = ["--namespace", &space.name, "create", "-f", "-"];
    let ran = cluster.kubectl.run_with(&create, &pod.to_string()).ends_with(1);
    assert!(ran.stderr.contains("violates PodSecurity"), "{}", ran.transcript());
    space.once("confined", &["check", "get /version"]).is(0, "");
}

/// A pod whose app runs as this user, and in it a debug container that runs as the image's own user, 65532.
fn debugged<'a>(
    cluster: &'a Cluster,
    row: &str,
    user: u32,
    options: &[&str],
    arguments: &[&str],
) -> (Space<'a>, Container) {
    let space = Space::new(cluster, row);
    space.grant("list", "pods");
    let mut pod = space.knocker("app", &[]);
    for field in ["runAsUser", "runAsGroup"] {
        pod["spec"]["securityContext"].as_object_mut().expect("an object").remove(field);
    }
    let app = &mut pod["spec"]["containers"][0];
    *app = container("app", PAUSE, &[]);
    app["securityContext"]["runAsUser"] = user.into();
    space.apply(&pod);
    space.running("app", "app");
    let image = format!("--image={}", cluster.image);
    let debug = ["debug", "app", &image, "--profile=restricted", "--container=kubeknock"];
    space.kubectl(&[&debug[..], options, &["--", "/kubeknock"], arguments].concat());
    let ended = eventually("the debugging container has ended", SOON, || {
        let container = space.pod("app").container("kubeknock")?;
        ensure(matches!(container.state, State::Ended(_)), || format!("{container:?}"))?;
        Ok(container)
    });
    (space, ended)
}

fn debug_alone(cluster: &Cluster) {
    let (_space, container) = debugged(cluster, "debug-alone", 65532, &[], &["check", "list pods"]);
    container.ended().expect("an end").is(31, "setup");
}

fn debug_same_user(cluster: &Cluster) {
    let (space, container) =
        debugged(cluster, "debug-same", 65532, &["--target=app"], &["check", "list pods"]);
    let log = space.log("app", "kubeknock");
    assert_eq!(container.ended().expect("an end").code, 0, "{log}");
    assert!(log.contains("using the mount of process 1: /proc/1/root/"), "{log}");
}

fn debug_other_user(cluster: &Cluster) {
    let (space, container) =
        debugged(cluster, "debug-other", OTHER_USER, &["--target=app"], &["check", "list pods"]);
    let log = space.log("app", "kubeknock");
    assert_eq!(container.ended().expect("an end").code, 31, "{log}");
    let advice = format!("{{\"securityContext\":{{\"runAsUser\":{OTHER_USER},");
    assert!(log.contains(&advice) && log.contains("--custom=/dev/stdin"), "{log}");
}

/// The plugin, for an app of another user than the image's.
fn knock(cluster: &Cluster) {
    let space = Space::new(cluster, "knock");
    let mut pod = space.knocker("app", &[]);
    for field in ["runAsUser", "runAsGroup"] {
        pod["spec"]["securityContext"][field] = OTHER_USER.into();
    }
    pod["spec"]["containers"][0] = container("app", PAUSE, &[]);
    space.apply(&pod);
    space.running("app", "app");
    let knock = || {
        let options = ["app", "--namespace", &space.name, "--image", &cluster.image];
        cluster.kubectl.knock(&[&options[..], &["check", "list pods"]].concat())
    };
    let ran = knock().ends_with(10);
    assert!(
        ran.stdout.contains("kubectl create role ") && ran.stdout.contains("(10)"),
        "{}",
        ran.transcript()
    );
    space.grant("list", "pods");
    let ran = knock().ends_with(0);
    assert!(ran.stdout.contains("ok (0)"), "{}", ran.transcript());
}

fn image_volume(cluster: &Cluster) {
    let space = Space::new(cluster, "image-volume");
    let mut pod = space.knocker("app", &[]);
    pod["spec"]["containers"][0] = container("app", PAUSE, &[]);
    pod["spec"]["volumes"] = json!([{"name": "image", "image": {"reference": cluster.image}}]);
    let app = &mut pod["spec"]["containers"][0];
    app["volumeMounts"] = json!([{"name": "image", "mountPath": "/kk"}]);
    app["readinessProbe"] = json!({
        "exec": {"command": ["/kk/kubeknock", "check", "--token-only", "--timeout", "2s", "list pods"]},
        "periodSeconds": 2, "timeoutSeconds": 3,
    });
    space.apply(&pod);
    space.running("app", "app");
    eventually("a probe that says no", SOON, || {
        let events = space.events("Unhealthy");
        ensure(events.iter().any(|event| event.contains("(10)")), || events.join("\n"))
    });
    assert!(!space.pod("app").is_ready());
    space.grant("list", "pods");
    eventually("a probe that says yes", SOON, || {
        ensure(space.pod("app").is_ready(), || space.pod("app").summary())
    });
}
