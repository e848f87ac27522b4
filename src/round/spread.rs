//! Decides over how many connections to spread a round, and when an answer is late. Pure: its arguments are
//! measurements.

use std::time::Duration;

/// The most connections that a round opens besides the first.
const MOST: u32 = 8;

/// A round with fewer permissions than this left to ask keeps to one connection, as probes and gates do.
const FEW: usize = 8;

/// With a shorter round trip than this, the server's work takes the time and not the network, so further connections
/// save nothing.
const NEAR: Duration = Duration::from_millis(1);

/// The time that a further connection must save: its handshake costs client and server some milliseconds of CPU.
const WORTH: Duration = Duration::from_millis(10);

/// Whether a round of this many permissions may open further connections at all.
pub fn is_many(permissions: usize) -> bool {
    permissions > FEW
}

/// How many further connections pay off if an answer takes `round_trip`, and this many `permissions`, each with this
/// many `knocks`, are left to ask.
pub fn further(round_trip: Duration, permissions: usize, knocks: usize) -> usize {
    if permissions < FEW || round_trip < NEAR {
        return 0;
    }
    let left = u32::try_from(permissions.saturating_mul(knocks)).unwrap_or(u32::MAX);
    // While a further connection is being opened, the others continue to ask: enough must be left for it.
    let most = u32::try_from(permissions / 3).unwrap_or(MOST).min(MOST);
    // Compared with `number` connections, one more saves each of them `1 / (number * (number + 1))` of the whole work.
    let pays = |number: &u32| round_trip.saturating_mul(left) >= WORTH * (number * (number + 1));
    (1..=most).take_while(pays).count()
}

/// How long to wait for an answer before asking the same on another connection. `left`: the time until the deadline.
pub fn too_late(round_trip: Duration, left: Duration) -> Duration {
    Duration::from_secs(1).max(round_trip * 20).min(left / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn further_connections_pay_where_much_is_left_and_the_server_is_far() {
        for (microseconds, permissions, knocks, expected) in [
            // One permission, as in a probe or a gate.
            (500, 0, 2, 0),
            (100_000, 0, 2, 0),
            (100_000, 1, 2, 0),
            (100_000, 2, 2, 0),
            (100_000, 7, 2, 0),
            (2_500, 8, 1, 1),
            // A server nearby.
            (300, 99, 2, 0),
            (300, 999, 2, 0),
            (999, 9999, 2, 0),
            // A server in another zone.
            (2_500, 9, 2, 1),
            (2_500, 9, 1, 1),
            (2_500, 99, 2, 6),
            (2_500, 999, 2, 8),
            // A server in another region.
            (20_500, 8, 2, 2),
            (20_500, 9, 2, 3),
            (20_500, 9, 1, 3),
            (20_500, 99, 2, 8),
            (20_500, 999, 1, 8),
            // A server across an ocean.
            (100_500, 9, 2, 3),
            (100_500, 20, 2, 6),
            (100_500, 999, 2, 8),
            (100_500, usize::MAX, 2, 8),
        ] {
            let round_trip = Duration::from_micros(microseconds);
            assert_eq!(
                further(round_trip, permissions, knocks),
                expected,
                "{round_trip:?} {permissions} {knocks}"
            );
        }
    }

    #[test]
    fn what_is_too_late() {
        for (round_trip, left, expected) in [
            (2, 10_000, 1000),
            (20, 10_000, 1000),
            (100, 10_000, 2000),
            (100, 4_000, 1000),
            (2, 1_000, 250),
            (2, 0, 0),
        ] {
            let late = too_late(milliseconds(round_trip), milliseconds(left));
            assert_eq!(late, milliseconds(expected), "{round_trip} {left}");
        }
    }
}
