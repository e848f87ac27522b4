//! Over how many connections to spread a round, and how late an answer is too late. Pure: what was measured comes in.

use std::time::Duration;

/// No round has more further connections than this.
const MOST: u32 = 8;

/// A probe, or a gate, has fewer permissions left when it has asked the first.
const FEW: usize = 8;

/// A server that is nearer answers as fast as it can, and not as fast as the network lets it.
const NEAR: Duration = Duration::from_millis(1);

/// What a connection has to save: its handshake costs both sides some milliseconds of CPU time.
const WORTH: Duration = Duration::from_millis(10);

/// Whether a round of so many permissions may have further connections at all.
pub fn is_many(permissions: usize) -> bool {
    permissions > FEW
}

/// How many further connections pay, where an answer took `round_trip`, and so many `permissions` of so many `knocks`
/// are left to ask.
pub fn further(round_trip: Duration, permissions: usize, knocks: usize) -> usize {
    if permissions < FEW || round_trip < NEAR {
        return 0;
    }
    let left = u32::try_from(permissions.saturating_mul(knocks)).unwrap_or(u32::MAX);
    // A connection that is made while others ask has to find something to ask.
    let most = u32::try_from(permissions / 3).unwrap_or(MOST).min(MOST);
    // With one more than `number` connections, each has `1 / (number * (number + 1))` less of it to do.
    let pays = |number: &u32| round_trip.saturating_mul(left) >= WORTH * (number * (number + 1));
    (1..=most).take_while(pays).count()
}

/// After how long a question is given to another connection, too. `left`: until the deadline.
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
            // One permission, a probe, a gate.
            (500, 0, 2, 0),
            (100_000, 0, 2, 0),
            (100_000, 1, 2, 0),
            (100_000, 2, 2, 0),
            (100_000, 7, 2, 0),
            (2_500, 8, 1, 1),
            // Near.
            (300, 99, 2, 0),
            (300, 999, 2, 0),
            (999, 9999, 2, 0),
            // A zone away.
            (2_500, 9, 2, 1),
            (2_500, 9, 1, 1),
            (2_500, 99, 2, 6),
            (2_500, 999, 2, 8),
            // A region away.
            (20_500, 8, 2, 2),
            (20_500, 9, 2, 3),
            (20_500, 9, 1, 3),
            (20_500, 99, 2, 8),
            (20_500, 999, 1, 8),
            // An ocean away.
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
