//! One connection's rows: what each packet was, and what it changed.

use super::plan::place;
use super::{Ladder, Row, Target, socket, waits};
use crate::decode::{Flags, Segment};
use crate::engine::{Outcome, Reader};
use crate::http::{Sniff, sniff};
use crate::record::{Role, State};
use crate::tcp::connection::Connection;
use std::collections::VecDeque;

/// Longest start line quoted.
pub const MAX_SUMMARY: usize = 120;

/// The rows of a connection so far.
pub struct Drawing {
    /// Of these and of those: how many at most.
    half: usize,
    /// The first ones.
    rows: Vec<Row>,
    /// The latest of those that follow.
    latest: VecDeque<Row>,
    /// There is something between the two.
    is_broken: bool,
    /// Packets of the connection so far.
    packets: u64,
    isn: [Option<u32>; 2],
    before: Option<Before>,
}

/// What is compared with the packet before, to note what changed.
#[derive(Clone, Copy)]
struct Before {
    states: [State; 2],
    retransmits: [u32; 2],
}

impl Drawing {
    /// Of which at most so many rows will be kept: the first and the last, as many of each.
    pub fn new(most_rows: usize) -> Drawing {
        let half = (most_rows / 2).max(1);
        Drawing {
            half,
            rows: Vec::new(),
            latest: VecDeque::new(),
            is_broken: false,
            packets: 0,
            isn: [None; 2],
            before: None,
        }
    }

    /// A packet, and what the connection is after it.
    pub fn add(&mut self, segment: &Segment<'_>, connection: &Connection<Reader>) {
        // A copy that was removed is no packet of the connection.
        let packets = connection.ends.iter().map(|end| end.packets).sum();
        if self.packets == packets {
            return;
        }
        self.packets = packets;
        let from = connection.sender(segment);
        let (me, peer) = (from as usize, from.peer() as usize);
        let base = *self.isn[me].get_or_insert(segment.seq);
        let has_ack = segment.flags.has(Flags::ACK);
        if has_ack && self.isn[peer].is_none() {
            self.isn[peer] = Some(connection.ends[peer].isn.unwrap_or(segment.ack));
        }
        let peer_base = self.isn[peer].unwrap_or(segment.ack);
        let [client, server] = &connection.ends;
        let row = Row {
            ts_ns: segment.ts_ns,
            frame: segment.frame,
            file: segment.file,
            from,
            flags: flag_names(segment.flags),
            seq: segment.seq.wrapping_sub(base),
            ack: has_ack.then(|| segment.ack.wrapping_sub(peer_base)),
            len: segment.payload_len,
            summary: start_line(segment.payload),
            client_state: client.state,
            server_state: server.state,
            client_proved: client.proved,
            server_proved: server.proved,
            notes: self.notes(segment, connection, from),
        };
        self.keep(row);
        self.before = Some(Before {
            states: [client.state, server.state],
            retransmits: [client.retransmits, server.retransmits],
        });
    }

    fn keep(&mut self, row: Row) {
        if !self.is_broken && self.rows.len() < self.half {
            return self.rows.push(row);
        }
        if self.latest.len() == self.half {
            self.latest.pop_front();
            self.is_broken = true;
        }
        self.latest.push_back(row);
    }

    /// Packets of the connection are not looked at here.
    pub fn leave_out(&mut self) {
        self.is_broken = true;
        self.latest.clear();
    }

    /// What happened with this packet that its flags do not say.
    fn notes(&self, segment: &Segment<'_>, connection: &Connection<Reader>, from: Role) -> Vec<String> {
        let mut notes = Vec::new();
        let Some(before) = self.before else { return notes };
        let end = &connection.ends[from as usize];
        if end.retransmits > before.retransmits[from as usize] {
            notes.push("retransmission".into());
        }
        for role in [Role::Client, Role::Server] {
            let state = connection.ends[role as usize].state;
            if state == State::TimeWait && before.states[role as usize] != State::TimeWait {
                notes.push(entering(role));
            }
        }
        if let Some(reset) = connection
            .reset
            .filter(|r| (r.mark.frame(), r.mark.file(), r.seq) == (segment.frame, segment.file, segment.seq))
        {
            notes.push(format!("reset: {}, {}", reset.kind, reset.effect));
        }
        notes
    }

    /// All that there is to draw.
    pub fn finish(self, target: &Target, outcome: &Outcome) -> Ladder {
        let sight = &target.sight;
        let omitted_after = self.rows.len();
        let mut rows = self.rows;
        rows.extend(self.latest);
        // A frame may hold several packets of a connection: who closes does so by a FIN or a reset.
        let closes = |row: &Row, closer| {
            (row.file, row.frame) == place(closer) && ["FIN", "RST"].iter().any(|flag| row.flags.contains(flag))
        };
        if let Some(closer) = &sight.closer
            && let Some(row) = rows.iter_mut().find(|row| closes(row, closer))
        {
            row.notes.insert(0, "active closer".into());
        }
        let time_wait = waits(sight, outcome);
        for role in [Role::Client, Role::Server] {
            if !time_wait.iter().any(|wait| wait.holder == role) {
                let notes = rows.iter_mut().flat_map(|row| &mut row.notes).filter(|note| **note == entering(role));
                notes.for_each(|note| *note = format!("{} may enter TIME-WAIT", word(role)));
            }
        }
        let is_last = |row: &Row| (row.file, row.frame) == place(&sight.last);
        let is_cut = !rows.is_empty() && !rows.iter().rev().any(is_last);
        if let Some(last) = rows.last_mut().filter(|_| is_cut) {
            last.notes.push("the packets after this one could not be read again".to_owned());
        }
        // As the Summary counts files: from the first that is still there.
        rows.iter_mut().for_each(|row| row.file = row.file.saturating_sub(outcome.first_file));
        Ladder {
            connection: target.connection,
            client: socket(sight.ends[0]),
            server: socket(sight.ends[1]),
            omitted: sight.packets.saturating_sub(rows.len() as u64),
            omitted_after: if is_cut && !self.is_broken { rows.len() } else { omitted_after },
            rows,
            time_wait,
        }
    }
}

/// At its peer's FIN, if that arrives.
fn entering(role: Role) -> String {
    format!("{} enters TIME-WAIT", word(role))
}

const fn word(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
    }
}

/// Flags in the order tcpdump and Wireshark's info column put them.
pub fn flag_names(flags: Flags) -> String {
    const NAMES: [(u16, &str); 8] = [
        (0x02, "SYN"),
        (0x01, "FIN"),
        (0x04, "RST"),
        (0x08, "PSH"),
        (0x10, "ACK"),
        (0x20, "URG"),
        (0x40, "ECE"),
        (0x80, "CWR"),
    ];
    let names: Vec<&str> = NAMES.iter().filter(|(bit, _)| flags.0 & bit != 0).map(|&(_, name)| name).collect();
    names.join(",")
}

/// The start line of an HTTP head and its Connection header, query string hidden.
pub fn start_line(payload: &[u8]) -> Option<String> {
    if !matches!(sniff(payload), Sniff::Request | Sniff::Response) {
        return None;
    }
    let head = payload.get(..payload.len().min(16_384))?;
    let mut lines = head.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut text = hide_query(&String::from_utf8_lossy(lines.next()?));
    let option = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_at_checked(11))
        .find(|(name, _)| name.eq_ignore_ascii_case(b"connection:"))
        .map(|(_, value)| String::from_utf8_lossy(value).trim().to_owned());
    text = text.chars().take(MAX_SUMMARY).collect();
    Some(option.map_or(text.clone(), |value| {
        let value: String = value.chars().take(40).collect();
        format!("{text}, Connection: {value}")
    }))
}

pub fn hide_query(line: &str) -> String {
    let Some((before, after)) = line.split_once('?') else { return line.to_owned() };
    let rest = after.find(' ').map_or("", |at| &after[at..]);
    format!("{before}?…{rest}")
}
