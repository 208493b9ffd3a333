//! Zeek's `history` string: the life of a connection in letters, upper case for the originator (client).
//!
//! A packet with at most one of SYN, FIN and RST: `S` SYN, `H` SYN-ACK, `F` FIN, `R` RST, each again when its sequence
//! number differs from the last such packet's; or, with none of them, `D` payload or `A` pure ACK. `I` FIN|RST, `Q` any
//! other pair of them. `A`, `D`, `I`, `Q`: the first time per direction. `G` gap, `T` retransmitted payload, `W` zero
//! window: at the 1st, 10th, 100th … time. `^` in front: the first packet came from the responder.
//! Source: Zeek's manual, `Conn::Info$history`, and `update_history`, `update_window` in its `TCPSessionAdapter.cc`.
//! `C` (checksums) is never written: a wrong one is normal where the card computes it.

use super::seq;
use crate::decode::{Flags, Header};
use crate::record::{Letters, Role};

const SYN: u8 = 1;
const FIN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 8;
const DATA: u8 = 16;
const FIN_RST: u8 = 32;
const MULTI: u8 = 64;

/// What happens more than once and is written at powers of ten.
#[derive(Clone, Copy, Debug)]
pub enum Counted {
    /// Bytes that the peer acknowledged and the capture does not hold.
    Gap,
    /// A segment with payload sent before.
    Retransmission,
    /// A window of zero.
    ZeroWindow,
}

/// What one side has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    /// One bit for each kind of packet already written.
    pub(super) seen: u8,
    /// Sequence numbers of the last SYN, FIN and RST.
    pub(super) last: [u32; 3],
    /// How often each [`Counted`] happened.
    pub(super) counts: [u32; 3],
}

/// Letters in order, and what decides which are still to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    pub(super) letters: Letters,
    pub(super) past: [Past; 2],
}

impl History {
    /// Of a connection whose first packet this side sent.
    #[must_use]
    pub fn begun_by(role: Role) -> Self {
        History { letters: Letters::begun_by(role), past: <[Past; 2]>::default() }
    }

    /// Notes the flags and the payload of a packet that the side `role` sent.
    #[inline]
    pub fn packet(&mut self, role: Role, segment: &Header) {
        if segment.flags.0 & (Flags::SYN.0 | Flags::FIN.0 | Flags::RST.0) != 0 {
            self.marked(role, segment);
        } else if segment.payload_len > 0 {
            self.once(role, DATA, b'd');
        } else if segment.flags.has(Flags::ACK) {
            self.once(role, ACK, b'a');
        }
    }

    /// A packet with a SYN, a FIN or an RST.
    fn marked(&mut self, role: Role, segment: &Header) {
        let has = |f: Flags| segment.flags.has(f);
        match (has(Flags::SYN), has(Flags::FIN), has(Flags::RST)) {
            (_, true, true) => self.once(role, FIN_RST, b'i'),
            (true, true, false) | (true, false, true) => self.once(role, MULTI, b'q'),
            (true, false, false) => {
                self.each(role, SYN, if has(Flags::ACK) { b'h' } else { b's' }, segment.seq);
            }
            // A FIN lies after the packet's payload.
            (false, true, false) => self.each(role, FIN, b'f', seq::add(segment.seq, segment.payload_len)),
            (false, false, true) => self.each(role, RST, b'r', segment.seq),
            (false, false, false) => {}
        }
    }

    /// Notes something that is written at powers of ten.
    pub fn counted(&mut self, role: Role, what: Counted) {
        let (at, letter) = match what {
            Counted::Gap => (0, b'g'),
            Counted::Retransmission => (1, b't'),
            Counted::ZeroWindow => (2, b'w'),
        };
        let count = &mut self.past[role as usize].counts[at];
        *count = count.saturating_add(1);
        if is_power_of_ten(*count) {
            self.letters.push(role, letter);
        }
    }

    /// Whether this side has sent a reset.
    #[must_use]
    pub fn has_reset(&self, role: Role) -> bool {
        self.past[role as usize].seen & RST != 0
    }

    /// Whether either side sent a pure ACK: a capture of a whole connection holds at least that of the handshake.
    #[must_use]
    pub fn has_pure_ack(&self) -> bool {
        self.past.iter().any(|past| past.seen & ACK != 0)
    }

    /// Writes the letter the first time.
    #[inline]
    fn once(&mut self, role: Role, kind: u8, letter: u8) {
        let seen = &mut self.past[role as usize].seen;
        if *seen & kind == 0 {
            *seen |= kind;
            self.letters.push(role, letter);
        }
    }

    /// Writes the letter unless the packet repeats the last one of its kind.
    fn each(&mut self, role: Role, kind: u8, letter: u8, seq: u32) {
        let past = &mut self.past[role as usize];
        let last = &mut past.last[kind.trailing_zeros() as usize];
        let repeats = past.seen & kind != 0 && *last == seq;
        (past.seen, *last) = (past.seen | kind, seq);
        if !repeats {
            self.letters.push(role, letter);
        }
    }

    /// The roles turn out to be the other way round.
    pub fn flip(&mut self) {
        self.past.swap(0, 1);
        self.letters.flip();
    }

    /// The letters so far.
    #[must_use]
    pub const fn letters(&self) -> Letters {
        self.letters
    }
}

const fn is_power_of_ten(n: u32) -> bool {
    matches!(n, 1 | 10 | 100 | 1_000 | 10_000 | 100_000 | 1_000_000 | 10_000_000 | 100_000_000 | 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Captured, FlowKey};
    use crate::record::{Address, Tunnel};
    use Role::{Client, Server};

    fn packet(flags: u16, seq: u32, payload: &[u8]) -> Header {
        let (source, target) = ((Address::v4([10, 0, 0, 1]), 1), (Address::v4([10, 0, 0, 2]), 2));
        let (key, from_low) = FlowKey::directed(source, target, Tunnel(0));
        Header {
            key,
            from_low,
            partition: key.partition() as u8,
            ordinal: 0,
            ts_ns: 0,
            frame: 1,
            file: 0,
            interface: 0,
            ttl: 64,
            ip_id: None,
            seq,
            ack: 0,
            flags: Flags(flags),
            window: 1,
            is_window_cut: false,
            options_print: 0,
            options_len: 0,
            checksum_offloaded: false,
            payload_start: 0,
            tunnel_name: 0,
            way: 0,
            depth: 0,
            captured: Captured::Once,
            captured_len: payload.len() as u32,
            payload_len: payload.len() as u32,
        }
    }

    fn text(packets: &[(Role, u16, u32, &[u8])]) -> String {
        let mut history = History::begun_by(packets[0].0);
        for &(role, flags, seq, payload) in packets {
            history.packet(role, &packet(flags, seq, payload));
        }
        history.letters().to_string()
    }

    const A: u16 = Flags::ACK.0;
    const S: u16 = Flags::SYN.0;
    const F: u16 = Flags::FIN.0;
    const R: u16 = Flags::RST.0;

    #[test]
    fn acks_and_payload_are_written_once_per_direction() {
        let talk: &[(Role, u16, u32, &[u8])] = &[
            (Client, S, 9, b""),
            (Server, S | A, 5, b""),
            (Client, A, 10, b""),
            (Client, A, 10, b"x"),
            (Server, A, 6, b""),
            (Client, A, 11, b"y"),
            (Server, A, 6, b""),
            (Client, A, 12, b""),
        ];
        assert_eq!(text(talk), "ShADa");
    }

    #[test]
    fn syn_fin_and_rst_are_written_again_with_another_sequence_number() {
        assert_eq!(text(&[(Client, S, 9, b""), (Client, S, 9, b""), (Client, S, 8, b"")]), "SS");
        assert_eq!(text(&[(Client, R, 9, b""), (Client, R, 9, b""), (Client, R, 8, b"")]), "RR");
        // A FIN whose payload is repeated with it lies where it lay.
        assert_eq!(text(&[(Client, F | A, 9, b"ab"), (Client, F | A, 11, b""), (Client, F | A, 12, b"")]), "FF");
        // Simultaneous open: the SYN-ACK repeats the SYN.
        assert_eq!(text(&[(Client, S, 9, b""), (Server, S, 5, b""), (Client, S | A, 9, b"")]), "Ss");
    }

    #[test]
    fn a_packet_has_one_letter_and_contradictions_their_own() {
        let talk: &[(Role, u16, u32, &[u8])] = &[
            (Client, S, 9, b"early"),
            (Client, F | A, 20, b"x"),
            (Client, F | R, 1, b""),
            (Client, S | F, 2, b""),
            (Client, S | R, 2, b""),
        ];
        assert_eq!(text(talk), "SFIQ");
    }

    #[test]
    fn a_responder_that_speaks_first_is_marked_and_turning_changes_case() {
        let mut history = History::begun_by(Server);
        history.packet(Server, &packet(S | A, 5, b""));
        assert_eq!(history.letters().to_string(), "^h");
        history.flip();
        assert_eq!(history.letters().to_string(), "H");
    }

    #[test]
    fn what_is_counted_is_written_at_powers_of_ten() {
        let mut history = History::default();
        (0..99).for_each(|_| history.counted(Server, Counted::Retransmission));
        history.counted(Client, Counted::Gap);
        history.counted(Server, Counted::Retransmission);
        history.counted(Server, Counted::ZeroWindow);
        assert_eq!(history.letters().to_string(), "ttGtw");
    }

    #[test]
    fn a_full_string_takes_no_more() {
        let mut history = History::default();
        (0..100).for_each(|seq| history.packet(Client, &packet(R, seq, b"")));
        assert_eq!(history.letters().to_string().len(), 30);
    }
}
