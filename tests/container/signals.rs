//! Signals to PID 1 of a container, which has no default action for them.

use std::time::Duration;

use testbed::RealCluster;
use testbed::real::say;

use crate::inside::newcomer;
use crate::podman::{Container, OTHER_USER, OWN_USER};

/// Much less than the thirty seconds after which SIGKILL comes (137), and enough for podman on a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// `wait` exits with 143 or 130, `monitor` with 0, and neither writes a termination message.
pub fn end_it(cluster: &RealCluster) {
    newcomer(cluster, "signals");
    for user in [OWN_USER, OTHER_USER] {
        let container = Container::of(cluster, "signals", user);
        let gate = || {
            let gate = container.starts(&["wait", "list pods", "--timeout", "0"]);
            gate.complains("forbidden (10)");
            gate
        };
        let sidecar = || {
            let sidecar = container.starts(&["monitor", "list pods"]);
            sidecar.prints("forbidden (10)");
            sidecar
        };
        for (what, took) in [
            ("podman stop of wait: 143", gate().stopped(143)),
            ("SIGTERM to wait: 143", gate().killed("TERM", 143)),
            ("SIGINT to wait: 130", gate().killed("INT", 130)),
            ("podman stop of monitor: 0", sidecar().stopped(0)),
            ("SIGTERM to monitor: 0", sidecar().killed("TERM", 0)),
        ] {
            say(&format!("       UID {}: {what} after {:.2} s", user.uid, took.as_secs_f32()));
            assert!(took < SOON, "{what}: {took:?}");
        }
        assert_eq!(container.termination_message(), "", "no verdict");
    }
}
