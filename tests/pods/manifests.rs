//! Every manifest of `k8s/`, applied unchanged, in four acts: without the binding, with the binding created
//! while it waits, with the binding from the start, and with the binding deleted. A manifest is an entry of
//! [`MANIFESTS`]; the facts of an act are what a person would check in it.

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Need};
use crate::pod::{Pod, State};
use crate::row::{Row, Tally, is_wanted, say};
use crate::space::{SOON, Space, codes, ensure, eventually, stays, waits_in_init};

/// One thing to check in an act, which began at that time.
type Fact = (&'static str, fn(&Space<'_>, Instant));

struct Manifest {
    file: &'static str,
    needs: &'static [Need],
    /// The label selector of its pods.
    selector: &'static str,
    /// Facts while it is applied without the binding.
    refused: &'static [Fact],
    /// Facts after the binding is created while it waits.
    granted: &'static [Fact],
    /// Facts after it is applied again, with the binding.
    allowed: &'static [Fact],
    /// Facts after the binding is deleted.
    taken: &'static [Fact],
}

const MANIFESTS: &[Manifest] = &[
    Manifest {
        file: "gate.yaml",
        needs: &[],
        selector: GATED,
        refused: &[("waits inside one process", gate_waits)],
        granted: &[("the app starts", gate_opens)],
        allowed: &[("the app starts", gate_is_passed)],
        taken: &[("the app runs on", |space, _| run_on(space, GATED, "app"))],
    },
    Manifest {
        file: "entrypoint.yaml",
        needs: &[],
        selector: ENTRYPOINT,
        refused: &[("the app's container waits, and ends with 143", entrypoint_waits)],
        granted: &[("becomes the app, whose exit code it ends with", entrypoint_becomes_the_app)],
        allowed: &[("becomes the app", entrypoint_is_the_app)],
        taken: &[("the app runs on", |space, _| run_on(space, ENTRYPOINT, "app"))],
    },
    Manifest {
        file: "probes.yaml",
        needs: &[],
        selector: PROBED,
        refused: &[("not ready, and the event says why", probes_say_no)],
        granted: &[("ready", |space, since| probes_say_yes(space, since, 60))],
        allowed: &[("ready", |space, since| probes_say_yes(space, since, 90))],
        // They are restarted, too, which takes minutes: a row of its own, see [`restarted`].
        taken: &[("not ready after the second no", probes_notice)],
    },
    Manifest {
        file: "sidecar.yaml",
        needs: &[Need::Sidecars],
        selector: WATCHED,
        refused: &[("the app waits for the startupProbe", sidecar_holds_the_app)],
        granted: &[("the app starts, and the sidecar says so", sidecar_lets_the_app_start)],
        allowed: &[("the app runs, and the sidecar said one thing", sidecar_is_content)],
        taken: &[("the sidecar says so, the app runs on, and it ends with 0", sidecar_notices)],
    },
    Manifest {
        file: "job.yaml",
        needs: &[],
        selector: AUDIT,
        refused: &[("fails with 10", job_fails), (AT_ONCE, job_is_not_repeated)],
        granted: &[],
        allowed: &[("completes", job_completes)],
        taken: &[],
    },
    Manifest {
        file: "restart-rules.yaml",
        needs: &[Need::RestartRules],
        selector: RULED,
        refused: &[("the pod fails at once", ruled_fails)],
        granted: &[],
        allowed: &[("the app starts", ruled_starts)],
        taken: &[("the app runs on", |space, _| run_on(space, RULED, "app"))],
    },
    Manifest {
        file: "image-volume.yaml",
        needs: &[Need::ImageVolumes],
        selector: MOUNTED,
        refused: &[("the app's container waits, and is not ready", mounted_waits)],
        granted: &[("becomes the app, and is ready", mounted_is_the_app)],
        allowed: &[("becomes the app, and is ready", mounted_is_the_app)],
        taken: &[("not ready, and the app runs on", mounted_is_unready)],
    },
    Manifest {
        file: "regate.yaml",
        needs: &[Need::RestartAllContainers],
        selector: REGATED,
        refused: &[("the gate waits", regated_waits)],
        granted: &[("the app starts", regated_runs)],
        allowed: &[("the app starts", regated_runs)],
        taken: &[("the same pods wait at their gates again", regated_waits_again)],
    },
    Manifest {
        file: "debug.yaml",
        needs: &[],
        selector: DEBUG,
        refused: &[("says no", |space, _| space.last_code("kubeknock", "kubeknock", 10, SOON))],
        granted: &[("says yes", |space, _| space.last_code("kubeknock", "kubeknock", 0, SOON))],
        allowed: &[("says yes once", debug_says_one_thing)],
        taken: &[("says no", |space, _| space.last_code("kubeknock", "kubeknock", 10, SOON))],
    },
];

/// The one fact that needs a feature that its manifest does not need.
const AT_ONCE: &str = "FailJob, at once";

const GATED: &str = "app=gated";
const ENTRYPOINT: &str = "app=entrypoint";
const PROBED: &str = "app=probed";
const WATCHED: &str = "app=watched";
const AUDIT: &str = "job-name=audit";
const RULED: &str = "app=ruled";
const MOUNTED: &str = "app=mounted";
const REGATED: &str = "app=regated";
const DEBUG: &str = "app=kubeknock";

/// Half a minute, which is the default of `--max-interval`, and the time that the kubelet takes to start the
/// app.
const AFTER_THE_GRANT: Duration = Duration::from_secs(45);

#[derive(Clone, Copy)]
enum Act {
    Refused,
    Granted,
    Allowed,
    Taken,
}

impl Act {
    const ALL: [Act; 4] = [Act::Refused, Act::Granted, Act::Allowed, Act::Taken];

    fn title(self) -> &'static str {
        match self {
            Act::Refused => "without the binding",
            Act::Granted => "granted while it waits",
            Act::Allowed => "with the binding",
            Act::Taken => "when it is taken away",
        }
    }

    fn facts(self, of: &Manifest) -> &'static [Fact] {
        match self {
            Act::Refused => of.refused,
            Act::Granted => of.granted,
            Act::Allowed => of.allowed,
            Act::Taken => of.taken,
        }
    }
}

pub fn run(cluster: &Cluster, tally: &Tally) {
    let facts = |act: Act| {
        MANIFESTS.iter().flat_map(move |manifest| {
            let name = move |claim| format!("{}, {}: {claim}", manifest.file, act.title());
            act.facts(manifest).iter().map(move |fact| (name(fact.0), manifest, fact))
        })
    };
    if !Act::ALL.into_iter().flat_map(facts).any(|(name, ..)| is_wanted(&name)) {
        return;
    }
    let space = Space::of_the_manifests(cluster);
    let play = |act: Act| {
        let (space, since) = (&space, Instant::now());
        let row = |(name, manifest, &(claim, fact)): (String, &Manifest, &Fact)| {
            let needs = if claim == AT_ONCE { &[Need::FailurePolicy] } else { manifest.needs };
            Row::new(&name, needs, move || fact(space, since))
        };
        tally.run(cluster, facts(act).map(row).collect());
    };
    let there = |manifest: &&Manifest| manifest.needs.iter().all(|&need| cluster.has(need));

    space.without_binding();
    for manifest in MANIFESTS.iter().filter(there) {
        space.apply_manifest(manifest.file);
    }
    play(Act::Refused);

    space.tutorial();
    play(Act::Granted);

    for manifest in MANIFESTS.iter().filter(there) {
        let options = ["delete", "--cascade=foreground", "--wait=true", "-f", "-"];
        cluster.kubectl.run_with(&options, &space.manifest(manifest.file)).succeeds();
    }
    for manifest in MANIFESTS.iter().filter(there) {
        eventually(&format!("the pods of {} are gone", manifest.file), SOON, || {
            ensure(space.all_pods(manifest.selector).is_empty(), || manifest.selector.to_owned())
        });
        space.apply_manifest(manifest.file);
    }
    play(Act::Allowed);

    space.without_binding();
    play(Act::Taken);
}

/// A container of each of two pods, or of the only one, keeps running and was not restarted.
fn run_on(space: &Space<'_>, selector: &str, container: &str) {
    let count = space.all_pods(selector).len();
    assert!(count > 0, "pods of {selector}");
    stays("it runs on", Duration::from_secs(15), || {
        space.each(selector, count, |pod| pod.container(container)?.runs_at_first())
    });
}

fn gate_waits(space: &Space<'_>, _: Instant) {
    let waits = || {
        space.each(GATED, 2, |pod| {
            waits_in_init(pod, "gate", "app")?;
            let log = space.log(pod.name(), "gate");
            let codes = codes(&log);
            ensure(codes.contains(&10) && codes.iter().all(|&code| code == 10), || {
                format!("{} said:\n{log}", pod.name())
            })
        })
    };
    eventually("both gates wait, and say why", SOON, waits);
    stays("both gates wait", Duration::from_secs(20), waits);
}

fn passed(space: &Space<'_>, pod: &Pod) -> Result<(), String> {
    pod.container("app")?.runs_at_first()?;
    let gate = pod.container("gate")?;
    ensure(gate.restarts == 0 && pod.is_ready(), || pod.summary())?;
    gate.ended()?.is(0, "");
    let log = space.log(pod.name(), "gate");
    // The two phrases that only the ConfigMap has.
    ensure(log.matches("forbidden, as required").count() == 2, || format!("{} said:\n{log}", pod.name()))
}

fn gate_opens(space: &Space<'_>, since: Instant) {
    eventually("both apps run", AFTER_THE_GRANT, || space.each(GATED, 2, |pod| passed(space, pod)));
    say(&format!(
        "                 both apps were seen to run {:.0} s after the grant",
        since.elapsed().as_secs_f32()
    ));
}

fn gate_is_passed(space: &Space<'_>, _: Instant) {
    eventually("both apps run", SOON, || space.each(GATED, 2, |pod| passed(space, pod)));
}

fn entrypoint_waits(space: &Space<'_>, _: Instant) {
    let waits = |pod: &Pod| {
        pod.container("install")?.ended()?.is(0, "");
        pod.container("app")?.runs_at_first()?;
        let log = space.log(pod.name(), "app");
        ensure(codes(&log).contains(&10) && !codes(&log).contains(&0), || {
            format!("{} said:\n{log}", pod.name())
        })
    };
    eventually("both wait, and say why", SOON, || space.each(ENTRYPOINT, 2, waits));
    space.stops("app", 143, |_| {
        eventually("both wait", SOON, || space.each(ENTRYPOINT, 2, waits));
        space.pods(ENTRYPOINT, 2).expect("two pods")[0].name().to_owned()
    });
    eventually("another one waits in its place", SOON, || space.each(ENTRYPOINT, 2, waits));
}

fn is_the_app(space: &Space<'_>, pod: &Pod) -> Result<(), String> {
    pod.container("install")?.ended()?.is(0, "");
    pod.container("app")?.runs_at_first()?;
    let log = space.log(pod.name(), "app");
    ensure(codes(&log).last() == Some(&0), || format!("{} said:\n{log}", pod.name()))
}

fn entrypoint_becomes_the_app(space: &Space<'_>, _: Instant) {
    eventually("both are the app", AFTER_THE_GRANT, || {
        space.each(ENTRYPOINT, 2, |pod| is_the_app(space, pod))
    });
    // /pause exits with 0 on SIGTERM; a kubeknock that waits would exit with 143.
    space.stops("app", 0, |_| {
        eventually("both are the app", SOON, || space.each(ENTRYPOINT, 2, |pod| is_the_app(space, pod)));
        space.pods(ENTRYPOINT, 2).expect("two pods")[0].name().to_owned()
    });
}

fn entrypoint_is_the_app(space: &Space<'_>, _: Instant) {
    eventually("both are the app", SOON, || space.each(ENTRYPOINT, 2, |pod| is_the_app(space, pod)));
}

fn is_unready(pod: &Pod) -> Result<(), String> {
    ensure(pod.container("app")?.state == State::Running && !pod.is_ready(), || pod.summary())
}

fn probes_say_no(space: &Space<'_>, _: Instant) {
    eventually("both apps run", SOON, || space.each(PROBED, 2, is_unready));
    eventually("an event with the probe's output", SOON, || {
        let events = space.events("Unhealthy");
        ensure(events.iter().any(|event| event.contains("Readiness") && event.contains("(10)")), || {
            events.join("\n")
        })
    });
    stays("not ready", Duration::from_secs(15), || space.each(PROBED, 2, is_unready));
}

fn probes_say_yes(space: &Space<'_>, since: Instant, seconds: u64) {
    eventually("both are ready", Duration::from_secs(seconds), || {
        space.each(PROBED, 2, |pod| ensure(pod.is_ready() && pod.container("app")?.ready, || pod.summary()))
    });
    say(&format!("                 both were seen to be ready after {:.0} s", since.elapsed().as_secs_f32()));
}

fn probes_notice(space: &Space<'_>, _: Instant) {
    eventually("both are not ready", Duration::from_secs(60), || space.each(PROBED, 2, is_unready));
}

/// `probes.yaml` in a namespace of its own, which the other manifests do not wait for. Liveness asks every minute: the
/// third refusal comes two minutes after the first.
pub fn restarted(cluster: &Cluster) {
    let space = &Space::new(cluster, "restarted");
    space.tutorial();
    space.apply_manifest("probes.yaml");
    probes_say_yes(space, Instant::now(), 90);
    space.without_binding();
    let since = Instant::now();
    eventually("both are restarted", Duration::from_secs(270), || {
        space.each(PROBED, 2, |pod| {
            let app = pod.container("app")?;
            ensure(app.restarts == 0 || since.elapsed() > Duration::from_secs(110), || pod.summary())
                .expect("not sooner");
            ensure(app.restarts == 1 && app.last.is_some(), || pod.summary())
        })
    });
    say(&format!(
        "                 both were seen to be restarted after {:.0} s",
        since.elapsed().as_secs_f32()
    ));
}

fn sidecar_holds_the_app(space: &Space<'_>, _: Instant) {
    let holds = || {
        space.each(WATCHED, 2, |pod| {
            waits_in_init(pod, "kubeknock", "app")?;
            let log = space.log(pod.name(), "kubeknock");
            ensure(codes(&log) == [10], || format!("{} said:\n{log}", pod.name()))
        })
    };
    eventually("both apps wait", SOON, holds);
    stays("both apps wait", Duration::from_secs(15), holds);
}

fn sidecar_lets_the_app_start(space: &Space<'_>, since: Instant) {
    eventually("both apps run", AFTER_THE_GRANT, || {
        space.each(WATCHED, 2, |pod| {
            pod.container("kubeknock")?.runs_at_first()?;
            pod.container("app")?.runs_at_first()
        })
    });
    say(&format!(
        "                 both apps were seen to run {:.0} s after the grant",
        since.elapsed().as_secs_f32()
    ));
    for pod in space.pods(WATCHED, 2).expect("two pods") {
        space.last_code(pod.name(), "kubeknock", 0, SOON);
    }
}

fn sidecar_is_content(space: &Space<'_>, _: Instant) {
    eventually("both apps run", SOON, || {
        space.each(WATCHED, 2, |pod| {
            pod.container("app")?.runs_at_first()?;
            ensure(space.codes(pod.name(), "kubeknock") == [0], || space.log(pod.name(), "kubeknock"))
        })
    });
}

fn sidecar_notices(space: &Space<'_>, _: Instant) {
    let pods = space.pods(WATCHED, 2).expect("two pods");
    for pod in &pods {
        space.last_code(pod.name(), "kubeknock", 10, SOON);
    }
    run_on(space, WATCHED, "app");
    space.stops("kubeknock", 0, |attempt| {
        assert_eq!(attempt, 0, "a kubelet that knows sidecars loses no end");
        pods[0].name().to_owned()
    });
}

fn mounted_waits(space: &Space<'_>, _: Instant) {
    let waits = || {
        space.each(MOUNTED, 2, |pod| {
            is_unready(pod)?;
            let log = space.log(pod.name(), "app");
            ensure(codes(&log).contains(&10) && !codes(&log).contains(&0), || {
                format!("{} said:\n{log}", pod.name())
            })
        })
    };
    eventually("both wait, and say why", SOON, waits);
    stays("both wait", Duration::from_secs(15), waits);
}

fn mounted_is_the_app(space: &Space<'_>, _: Instant) {
    eventually("both are the app, and ready", SOON, || {
        space.each(MOUNTED, 2, |pod| {
            pod.container("app")?.runs_at_first()?;
            let log = space.log(pod.name(), "app");
            ensure(codes(&log).last() == Some(&0) && pod.is_ready(), || {
                format!("{} said:\n{log}", pod.summary())
            })
        })
    });
}

fn mounted_is_unready(space: &Space<'_>, _: Instant) {
    eventually("both are not ready", Duration::from_secs(60), || space.each(MOUNTED, 2, is_unready));
    run_on(space, MOUNTED, "app");
}

fn regated_waits(space: &Space<'_>, _: Instant) {
    let waits = || space.each(REGATED, 2, |pod| waits_in_init(pod, "gate", "app"));
    eventually("both gates wait", SOON, waits);
    stays("both gates wait", Duration::from_secs(15), waits);
}

fn regated_runs(space: &Space<'_>, _: Instant) {
    eventually("both apps run beside their monitors", SOON, || {
        space.each(REGATED, 2, |pod| {
            pod.container("app")?.runs_at_first()?;
            pod.container("monitor")?.runs_at_first()
        })
    });
}

/// The monitor asks every half minute. The pod restarts in place, and no new pod is created.
fn regated_waits_again(space: &Space<'_>, _: Instant) {
    let uids = |pods: &[Pod]| pods.iter().map(|pod| pod.uid().to_owned()).collect::<Vec<_>>();
    let before = uids(&space.pods(REGATED, 2).expect("two pods"));
    let waits = || {
        let pods = space.pods(REGATED, 2)?;
        ensure(uids(&pods) == before, || "other pods".to_owned())?;
        pods.iter().try_for_each(|pod| {
            ensure(pod.container("gate")?.state == State::Running && !pod.is_ready(), || pod.summary())?;
            ensure(pod.container("app")?.state != State::Running, || pod.summary())
        })
    };
    eventually("both gates wait again", SOON, waits);
    stays("both gates wait", Duration::from_secs(15), waits);
}

fn job_fails(space: &Space<'_>, _: Instant) {
    eventually("a pod of it failed", SOON, || {
        let pods = space.all_pods(AUDIT);
        let pod = pods.first().ok_or("no pod")?;
        ensure(pod.phase() == "Failed", || pod.summary())?;
        pod.container("audit")?.ended()?.is(10, "forbidden");
        Ok(())
    });
}

fn condition(space: &Space<'_>, kind: &str) -> Result<String, String> {
    let job = space.get("job", "audit");
    let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    let mut met = conditions.filter(|condition| condition["type"] == kind && condition["status"] == "True");
    met.next().map(|condition| condition["reason"].to_string()).ok_or_else(|| job["status"].to_string())
}

fn job_is_not_repeated(space: &Space<'_>, _: Instant) {
    let reason = eventually("the job failed", SOON, || condition(space, "Failed"));
    assert_eq!(reason, "\"PodFailurePolicy\"");
    assert_eq!(space.get("job", "audit")["status"]["failed"], 1, "one pod of it failed");
}

fn job_completes(space: &Space<'_>, _: Instant) {
    eventually("the job completed", SOON, || condition(space, "Complete"));
    let pods = space.all_pods(AUDIT);
    assert_eq!(pods.len(), 1, "it took one pod");
    pods[0].container("audit").and_then(crate::pod::Container::ended).expect("its end").is(0, "");
}

fn ruled_fails(space: &Space<'_>, _: Instant) {
    eventually("the pod failed", SOON, || {
        let pod = space.pod("ruled");
        ensure(pod.phase() == "Failed" && pod.container("gate")?.restarts == 0, || pod.summary())?;
        pod.container("gate")?.ended()?.is(10, "forbidden");
        Ok(())
    });
}

fn ruled_starts(space: &Space<'_>, _: Instant) {
    space.running("ruled", "app");
    space.end_of("ruled", "gate").is(0, "");
}

fn debug_says_one_thing(space: &Space<'_>, _: Instant) {
    space.last_code("kubeknock", "kubeknock", 0, SOON);
    assert_eq!(space.codes("kubeknock", "kubeknock"), [0]);
}
