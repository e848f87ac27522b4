//! The manifests in a cluster that fails around them: no answer is not reported as a no, nothing restarts
//! because of it, and everything recovers by itself.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::{Cluster, Need};
use crate::pod::Pod;
use crate::row::{Row, Tally, say};
use crate::space::{SOON, Space, codes, ensure, eventually};

const A_MINUTE: Duration = Duration::from_secs(60);

/// What runs during the faults: one namespace whose pods may list pods, and one with gates that may not.
struct Bystanders<'a> {
    granted: Space<'a>,
    refused: Space<'a>,
    sidecars: bool,
}

type Fault = (&'static str, &'static [Need], fn(&Bystanders<'_>));

const FAULTS: &[Fault] = &[
    ("the API server stopped for a minute", &[], stopped),
    ("anonymous access off", &[], anonymous_off),
    // This one also turns anonymous access on again.
    ("another serving certificate", &[], another_certificate),
    ("another authority", &[], another_authority),
    ("the kubelet restarted", &[], kubelet_restarted),
    ("the pods cut off: job.yaml tries again, and completes", &[], cut_job),
    ("the pods cut off: restart-rules.yaml tries again, and starts", &[Need::RestartRules], cut_rules),
    ("gates that waited through all of it pass", &[], gates_pass),
];

pub fn run(cluster: &Cluster, tally: &Tally) {
    let bystanders = cluster.has(Need::Control).then(|| Bystanders::start(cluster));
    // One fault after the other.
    for &(name, needs, fault) in FAULTS {
        let row = || fault(bystanders.as_ref().expect("a row that is not left out"));
        tally.run(cluster, vec![Row::new(name, &[&[Need::Control], needs].concat(), row)]);
    }
}

impl<'a> Bystanders<'a> {
    fn start(cluster: &'a Cluster) -> Self {
        let bystanders = Bystanders {
            granted: Space::new(cluster, "granted"),
            refused: Space::new(cluster, "refused"),
            sidecars: cluster.has(Need::Sidecars),
        };
        bystanders.granted.tutorial();
        bystanders.refused.tutorial();
        bystanders.refused.without_binding();
        bystanders.refused.apply_manifest("gate.yaml");
        for file in ["probes.yaml", "gate.yaml", "entrypoint.yaml"] {
            bystanders.granted.apply_manifest(file);
        }
        bystanders.attentive("debug.yaml", "/spec/containers/0/args");
        if bystanders.sidecars {
            bystanders.attentive("sidecar.yaml", "/spec/template/spec/initContainers/0/args");
        }
        bystanders.impatient();
        bystanders.are_well(SOON);
        bystanders
    }

    /// A manifest whose monitor asks every five seconds, so that it notices a fault, and the end of it, sooner.
    fn attentive(&self, file: &str, arguments: &str) {
        let options = ["create", "--dry-run=client", "--validate=false", "-o=json", "-f", "-"];
        let kubectl = &self.granted.cluster.kubectl;
        let mut object = kubectl.run_with(&options, &self.granted.manifest(file)).succeeds().object();
        let list =
            object.pointer_mut(arguments).and_then(Value::as_array_mut).expect("the monitor's arguments");
        assert_eq!(list[0], "monitor", "{list:?}");
        if let Some(at) = list.iter().position(|argument| argument == "--interval") {
            list.drain(at..at + 2);
        }
        list.extend(["--interval", "5s", "--max-interval", "5s"].map(Value::from));
        self.granted.apply(&object);
    }

    /// The probed app once more, with liveness every five seconds: a minute without `--fail-open` would restart
    /// it.
    fn impatient(&self) {
        let patient = self.granted.manifest("probes.yaml");
        let impatient =
            patient.replace("probed", "impatient").replace("periodSeconds: 60", "periodSeconds: 5");
        assert!(impatient.matches("periodSeconds: 5\n").count() == 1 && impatient.contains("--fail-open"));
        self.granted.cluster.kubectl.apply(&[], &impatient);
    }

    /// Everything that may list pods is ready and was never restarted; the gates that may not still wait in
    /// their first process.
    #[track_caller]
    fn are_well(&self, within: Duration) {
        let ready = |pod: &Pod| {
            ensure(pod.is_ready(), || pod.summary())?;
            pod.container("app").or_else(|_| pod.container("kubeknock"))?.runs_at_first()
        };
        eventually("all is well", within, || {
            for app in ["app=probed", "app=impatient", "app=gated", "app=entrypoint"] {
                self.granted.each(app, 2, ready)?;
            }
            self.granted.each("app=kubeknock", 1, ready)?;
            if self.sidecars {
                self.granted.each("app=watched", 2, ready)?;
            }
            self.refused.each("app=gated", 2, |pod| pod.container("gate")?.runs_at_first())
        });
        for (pod, container) in self.monitors() {
            self.granted.last_code(&pod, container, 0, SOON);
        }
    }

    /// Each monitor that may list pods: its pod and its container.
    fn monitors(&self) -> Vec<(String, &'static str)> {
        let mut monitors = vec![("kubeknock".to_owned(), "kubeknock")];
        if self.sidecars {
            let pods = self.granted.pods("app=watched", 2).expect("two pods");
            monitors.extend(pods.iter().map(|pod| (pod.name().to_owned(), "kubeknock")));
        }
        monitors
    }

    /// The codes that each monitor has printed so far.
    fn said(&self) -> Vec<Vec<u64>> {
        self.monitors().iter().map(|(pod, container)| self.granted.codes(pod, container)).collect()
    }

    /// The codes that each has printed since then. None is a no, because the pods were never refused.
    #[track_caller]
    fn said_since(&self, before: &[Vec<u64>]) -> Vec<Vec<u64>> {
        let since: Vec<Vec<u64>> =
            self.said().iter().zip(before).map(|(now, then)| now[then.len()..].to_vec()).collect();
        say(&format!("                 the monitors said: {since:?}"));
        for codes in &since {
            assert!(codes.iter().all(|code| !(10..20).contains(code)), "a false no: {since:?}");
        }
        since
    }

    fn cluster(&self) -> &Cluster {
        self.granted.cluster
    }
}

fn stopped(bystanders: &Bystanders<'_>) {
    let before = bystanders.said();
    let gates = bystanders.refused.pods("app=gated", 2).expect("two gates");
    bystanders.cluster().control(&["api", "stop"]);
    thread::sleep(A_MINUTE);
    bystanders.cluster().control(&["api", "start"]);
    bystanders.are_well(SOON * 2);
    for codes in bystanders.said_since(&before) {
        assert!(
            codes.first().is_some_and(|code| [21, 23, 24].contains(code)),
            "the outage was seen: {codes:?}"
        );
    }
    for gate in gates {
        let log = bystanders.refused.log(gate.name(), "gate");
        assert!(codes(&log).iter().any(|code| [21, 23, 24].contains(code)), "the gate saw it:\n{log}");
        assert!(!codes(&log).contains(&0), "{log}");
    }
}

fn anonymous_off(bystanders: &Bystanders<'_>) {
    let before = bystanders.said();
    bystanders.cluster().control(&["api", "start", "--anonymous-auth=false"]);
    let look = || {
        let ran = bystanders.granted.exec("kubeknock", &["check", "-o", "json", "list pods"]);
        ensure(ran.code == Some(0), || ran.transcript()).map(|()| ran.object())
    };
    let report = eventually("the token gets in", SOON, look);
    let knocks = &report["permissions"][0];
    assert_eq!(
        (&knocks["anonymous"]["status"], &knocks["token"]["status"]),
        (&401.into(), &200.into()),
        "{report}"
    );
    bystanders.are_well(SOON);
    bystanders.said_since(&before);
}

fn another_certificate(bystanders: &Bystanders<'_>) {
    let before = bystanders.said();
    bystanders.cluster().control(&["api", "certificate"]);
    bystanders.are_well(SOON);
    for codes in bystanders.said_since(&before) {
        assert!(!codes.contains(&22), "its authority is the same: {codes:?}");
    }
}

fn another_authority(bystanders: &Bystanders<'_>) {
    let before = bystanders.said();
    bystanders.cluster().control(&["api", "authority"]);
    let start = Instant::now();
    let check = ["check", "-q", "--token-only", "list pods"];
    let followed = |code: Option<i32>| {
        eventually(&format!("{code:?}"), SOON * 3, || {
            let ran = bystanders.granted.exec("kubeknock", &check);
            ensure(ran.code == code || ran.code == Some(0), || ran.transcript())
        });
    };
    // Until kube-root-ca.crt has been updated, the pod must not trust the server.
    followed(Some(22));
    followed(Some(0));
    say(&format!("                 trusted again after {:.0} s", start.elapsed().as_secs_f32()));
    bystanders.are_well(SOON * 2);
    bystanders.said_since(&before);
}

fn kubelet_restarted(bystanders: &Bystanders<'_>) {
    let before = bystanders.said();
    bystanders.cluster().control(&["kubelet"]);
    bystanders.are_well(SOON * 2);
    for codes in bystanders.said_since(&before) {
        assert!(codes.is_empty(), "nothing to say: {codes:?}");
    }
}

/// Refuses the connections of this namespace's pods to the API server, and no others.
fn cut(bystanders: &Bystanders<'_>, during: impl Fn()) {
    bystanders.cluster().control(&["cut"]);
    // Repaired also if the row fails.
    let ended = catch_unwind(AssertUnwindSafe(during));
    bystanders.cluster().control(&["mend"]);
    if let Err(why) = ended {
        resume_unwind(why);
    }
}

fn cut_job(bystanders: &Bystanders<'_>) {
    let space = &bystanders.granted;
    let job = || space.get("job", "audit")["status"].clone();
    cut(bystanders, || {
        space.apply_manifest("job.yaml");
        eventually("two of its pods got no answer", SOON, || {
            let pods = space.all_pods("job-name=audit");
            let ends = pods.iter().filter_map(|pod| pod.container("audit").ok()?.ended().ok());
            let codes: Vec<_> = ends.map(|end| end.code).collect();
            ensure(codes.len() >= 2, || format!("{codes:?}"))?;
            assert!(codes.iter().all(|&code| code == 21), "{codes:?}");
            Ok(())
        });
    });
    eventually("it completed", SOON * 2, || {
        let status = job();
        ensure(status["succeeded"] == 1, || status.to_string())
    });
    let failed = &job()["failed"];
    if bystanders.cluster().has(Need::FailurePolicy) {
        assert!(failed.is_null() || failed == 0, "no answer is not counted: {}", job());
    }
    bystanders.are_well(SOON);
}

fn cut_rules(bystanders: &Bystanders<'_>) {
    let space = &bystanders.granted;
    cut(bystanders, || {
        space.apply_manifest("restart-rules.yaml");
        eventually("its gate was restarted", SOON, || {
            let gate = space.pod("ruled").container("gate")?;
            ensure(gate.restarts >= 1, || format!("{gate:?}"))?;
            gate.last.expect("its end").is(21, "unreachable");
            Ok(())
        });
    });
    eventually("its app runs", SOON * 2, || space.pod("ruled").container("app")?.runs_at_first());
}

fn gates_pass(bystanders: &Bystanders<'_>) {
    bystanders.refused.grant("list", "pods");
    let start = Instant::now();
    eventually("both apps run", Duration::from_secs(45), || {
        bystanders.refused.each("app=gated", 2, |pod| {
            pod.container("gate")?.ended()?.is(0, "");
            pod.container("app")?.runs_at_first()
        })
    });
    say(&format!(
        "                 both were seen to run {:.0} s after the grant",
        start.elapsed().as_secs_f32()
    ));
}
