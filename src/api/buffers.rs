//! The buffers of a connection: a request is written into one, and an answer is read from the other, which grows only
//! when an answer needs more. With ureq's own, which have their full size from the start, a check takes 20 KiB more.

use ureq::unversioned::transport;

/// The bytes by which the input grows: few answers to a question have more.
const PIECE: usize = 4096;

pub struct Buffers {
    output: Vec<u8>,
    /// Filled up to `filled`, and used up to `used`.
    input: Vec<u8>,
    filled: usize,
    used: usize,
    /// The most that the input grows to, in bytes.
    most: usize,
    /// Whether the last look at the input used some of it. If not, ureq needs more before it looks again.
    progress: bool,
}

impl Buffers {
    /// For request heads and answer heads of up to so many bytes. Bodies pass through them in parts.
    pub fn new(request: usize, answer: usize) -> Buffers {
        Buffers {
            output: vec![0; request],
            input: Vec::new(),
            filled: 0,
            used: 0,
            most: answer,
            progress: false,
        }
    }
}

impl transport::Buffers for Buffers {
    fn output(&mut self) -> &mut [u8] {
        &mut self.output
    }

    fn input(&self) -> &[u8] {
        self.input.get(self.used..self.filled).unwrap_or_default()
    }

    /// Empty when there are as many bytes as it may hold, and none of them is used.
    fn input_append_buf(&mut self) -> &mut [u8] {
        self.input.copy_within(self.used..self.filled, 0);
        self.filled -= self.used;
        self.used = 0;
        if self.filled == self.input.len() {
            self.input.resize(self.most.min(self.filled + PIECE), 0);
        }
        self.input.get_mut(self.filled..).unwrap_or_default()
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled += amount;
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.used += amount;
    }

    /// The first is for bodies of an unknown length, and no request has one.
    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        (&mut [], &mut self.output)
    }

    fn can_use_input(&self) -> bool {
        self.progress && !self.input().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::unversioned::transport::Buffers as _;

    /// Puts in as many of these bytes as there is room for, and returns how many.
    fn receive(buffers: &mut Buffers, bytes: &[u8]) -> usize {
        let room = buffers.input_append_buf();
        let amount = room.len().min(bytes.len());
        room[..amount].copy_from_slice(&bytes[..amount]);
        buffers.input_appended(amount);
        amount
    }

    #[test]
    fn the_input_grows_to_its_limit_and_no_further() {
        let head: Vec<u8> = (0..=u8::MAX).cycle().take(3 * PIECE).collect();
        let mut buffers = Buffers::new(1, 2 * PIECE + 10);
        let rooms: Vec<usize> = (0..4)
            .map_while(|_| {
                let rest = head.get(buffers.input().len()..)?;
                Some(receive(&mut buffers, rest))
            })
            .collect();
        assert_eq!(rooms, [PIECE, PIECE, 10, 0]);
        assert_eq!(buffers.input(), &head[..2 * PIECE + 10]);
    }

    #[test]
    fn what_is_used_makes_room() {
        let mut buffers = Buffers::new(1, PIECE);
        assert_eq!(receive(&mut buffers, &[7; PIECE]), PIECE);
        assert_eq!(receive(&mut buffers, b"more"), 0);
        buffers.input_consume(PIECE - 2);
        assert_eq!(buffers.input(), [7, 7]);
        assert_eq!(receive(&mut buffers, b"more"), 4);
        assert_eq!(buffers.input(), b"\x07\x07more");
    }

    #[test]
    fn ureq_waits_for_more_after_a_look_that_used_nothing() {
        let mut buffers = Buffers::new(1, PIECE);
        receive(&mut buffers, b"HTTP/1.1 200 OK\r\n");
        buffers.input_consume(0);
        assert!(!buffers.can_use_input());
        buffers.input_consume(17);
        assert!(!buffers.can_use_input(), "all of it is used");
        receive(&mut buffers, b"12");
        buffers.input_consume(1);
        assert!(buffers.can_use_input());
    }
}
