//! A second look at a few connections: every packet, with both endpoints' states after it.
//!
//! The first look keeps no packets, but where each connection lies and what became of its TIME_WAITs. This one reads the
//! packets of those asked for again, through the same state machines.

use crate::capture::stream::Packets;
use crate::capture::{Batch, SourceError};
use crate::decode::{Flags, FlowKey, Header, NotAnalysed, Segment, decode};
use crate::engine::{Engine, Outcome, Reader};
use crate::http::{Sniff, sniff};
use crate::ledger::estimate;
use crate::record::{Address, Mark, Role, Sight, State, Tunnel};
use crate::settings::Settings;
use crate::tcp::connection::Connection;
use crate::tcp::time_wait::recycled_isn;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Rows kept per ladder: the first and, once they are full, the last of the rest.
const MAX_ROWS: usize = 400;
/// Longest start line quoted.
const MAX_SUMMARY: usize = 120;

/// A connection to draw.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its number.
    pub connection: u64,
    /// Where it is.
    pub sight: Sight,
}

impl Target {
    /// Whatever is around it: what was captured beside its tunnel belongs to it, too.
    fn key(&self) -> FlowKey {
        FlowKey::new(self.sight.ends[0], self.sight.ends[1], Tunnel::default())
    }

    /// Its packets, and those of the incarnation before it.
    fn spans(&self) -> impl Iterator<Item = [Mark; 2]> {
        self.sight.predecessor.into_iter().chain([[self.sight.first, self.sight.last]])
    }
}

/// A packet's place in the order of the capture: file and frame.
type Place = (u32, u64);

const fn place(mark: &Mark) -> Place {
    (mark.file(), mark.frame())
}

/// A place in the order of time.
const fn by_time(ts_ns: i64) -> Place {
    (0, ts_ns.cast_unsigned() ^ (1 << 63))
}

/// One connection, packet by packet.
#[derive(Clone, Debug, Serialize)]
pub struct Ladder {
    /// Its number.
    pub connection: u64,
    /// `address:port`.
    pub client: String,
    /// `address:port`.
    pub server: String,
    /// Rows left out after the first [`MAX_ROWS`].
    pub omitted: u64,
    /// In capture order.
    pub rows: Vec<Row>,
    /// How the connection's TIME_WAITs ended.
    pub time_wait: Vec<Wait>,
}

/// One packet.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are the contract's columns")]
pub struct Row {
    pub ts_ns: i64,
    pub frame: u64,
    pub file: u32,
    pub from: Role,
    pub flags: String,
    pub seq: u32,
    pub ack: Option<u32>,
    pub len: u32,
    pub summary: Option<String>,
    pub client_state: State,
    pub server_state: State,
    pub client_proved: State,
    pub server_proved: State,
    pub notes: Vec<String>,
}

/// What became of one endpoint's TIME_WAIT.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are the contract's columns")]
pub struct Wait {
    pub holder: Role,
    pub start_ns: i64,
    pub basis: &'static str,
    pub end: &'static str,
    pub lower_ns: Option<i64>,
    pub upper_ns: Option<i64>,
    pub point_ns: Option<i64>,
    pub model_low_ns: i64,
    pub model_high_ns: i64,
    pub evidence_ns: Option<i64>,
    pub evidence_frame: Option<u64>,
    pub snd_nxt: u32,
    pub recycled_isn: u32,
    pub same_host: Option<bool>,
    pub restarts: u32,
}

/// Draws the ladders of `targets` from `set`, of which only the parts that hold them are read where it can be opened at
/// any place, and only those are decoded in any case.
///
/// # Errors
/// [`SourceError`] if a file cannot be read again.
pub fn draw(
    set: &mut dyn Packets,
    targets: &[Target],
    outcome: &Outcome,
    settings: &Settings,
) -> Result<Vec<Ladder>, SourceError> {
    let settings =
        Settings { threads: 1, keep_connections: false, keep_exchanges: false, states: None, ..settings.clone() };
    // Where files are interleaved, neither files nor frames say what comes after what: times do, and all is read.
    let is_interleaved = set.is_interleaved();
    let order = |mark: &Mark| if is_interleaved { by_time(mark.ts_ns) } else { place(mark) };
    let mut wanted: HashMap<FlowKey, Vec<(Place, Place)>> = HashMap::new();
    for target in targets {
        wanted
            .entry(target.key())
            .or_default()
            .extend(target.spans().map(|[first, last]| (order(&first), order(&last))));
    }
    let mut spans: Vec<(Place, Place)> = wanted.values().flatten().copied().collect();
    spans.sort_unstable();
    if is_interleaved {
        spans = vec![((0, 0), (u32::MAX, u64::MAX))];
    }
    let is_wanted = |header: &Header| {
        let at = if is_interleaved { by_time(header.ts_ns) } else { (header.file, header.frame) };
        let spans = wanted.get(&header.key.within(Tunnel::default()));
        spans.is_some_and(|spans| spans.iter().any(|&(from, to)| from <= at && at <= to))
    };
    // By their first packets: where files are gone by now, those that are left are counted from another one on.
    let mut drawings: BTreeMap<Place, Drawing> =
        targets.iter().map(|t| (place(&t.sight.first), Drawing::default())).collect();
    let mut engine = Engine::new(&settings);
    let mut batch = Batch::default();
    let mut done = None;
    for (from, to) in spans {
        if done.is_some_and(|done| to <= done) {
            continue; // it was in the parts read for others
        }
        if done.is_none_or(|done| done < from) {
            set.skip_to(from.0, from.1)?;
        }
        while set.next_batch(&mut batch, settings.batch_packets)? {
            let Some(last) = batch.packets.last().map(|packet| (packet.file, packet.frame)) else { break };
            if from <= last {
                let (mut header, depth) = (Header::default(), settings.max_tunnel_depth);
                let wanted = |packet: &_| match decode(packet, batch.bytes(packet), 0, depth, &mut header) {
                    Ok(()) => is_wanted(&header),
                    // Whose it is, and with which others, is known when the datagram is whole.
                    Err(reason) => reason == NotAnalysed::Fragment,
                };
                let mask: Vec<bool> = batch.packets.iter().map(wanted).collect();
                engine.feed_watching(&mut batch, Some(&mask), &mut |segment, connection| {
                    if let Some(drawing) = drawings.get_mut(&place(&connection.first)) {
                        drawing.add(segment, connection);
                    }
                });
            }
            done = Some(last);
            if to <= last {
                break;
            }
        }
    }
    engine.let_go_watching(&mut |segment, connection| {
        if let Some(drawing) = drawings.get_mut(&place(&connection.first)) {
            drawing.add(segment, connection);
        }
    });
    drop((batch, engine));
    set.check()?;
    let drawn = targets.iter().map(|target| {
        let drawing = drawings.remove(&place(&target.sight.first)).unwrap_or_default();
        drawing.finish(target, outcome)
    });
    Ok(drawn.collect())
}

#[derive(Default)]
struct Drawing {
    rows: Vec<Row>,
    omitted: u64,
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
    fn add(&mut self, segment: &Segment<'_>, connection: &Connection<Reader>) {
        // A copy that was removed is no packet of the connection.
        let packets = connection.ends.iter().map(|end| end.packets).sum();
        if self.packets == packets {
            return;
        }
        self.packets = packets;
        if self.rows.len() >= MAX_ROWS {
            self.omitted += 1;
            return;
        }
        let from = connection.sender(segment);
        let (me, peer) = (from as usize, from.peer() as usize);
        let base = *self.isn[me].get_or_insert(segment.seq);
        let has_ack = segment.flags.has(Flags::ACK);
        if has_ack && self.isn[peer].is_none() {
            self.isn[peer] = Some(connection.ends[peer].isn.unwrap_or(segment.ack));
        }
        let peer_base = self.isn[peer].unwrap_or(segment.ack);
        let [client, server] = &connection.ends;
        self.rows.push(Row {
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
        });
        self.before = Some(Before {
            states: [client.state, server.state],
            retransmits: [client.retransmits, server.retransmits],
        });
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
                notes.push(format!("{} enters TIME-WAIT", word(role)));
            }
        }
        if let Some(reset) =
            connection.reset.filter(|r| (r.mark.frame(), r.mark.file()) == (segment.frame, segment.file))
        {
            notes.push(format!("reset: {}, {}", reset.kind, reset.effect));
        }
        notes
    }

    fn finish(self, target: &Target, outcome: &Outcome) -> Ladder {
        let mut rows = self.rows;
        let sight = &target.sight;
        if let Some(closer) = &sight.closer
            && let Some(row) = rows.iter_mut().find(|row| (row.file, row.frame) == place(closer))
        {
            row.notes.insert(0, "active closer".into());
        }
        let is_cut = rows.last().is_some_and(|row| row.ts_ns < sight.last.ts_ns) && self.omitted == 0;
        if let Some(last) = rows.last_mut().filter(|_| is_cut) {
            last.notes.push("the packets after this one could not be read again".to_owned());
        }
        // As the Summary counts files: from the first that is still there.
        rows.iter_mut().for_each(|row| row.file = row.file.saturating_sub(outcome.first_file));
        let name = |end: (Address, u16)| crate::ladder::socket(end);
        Ladder {
            connection: target.connection,
            client: name(sight.ends[0]),
            server: name(sight.ends[1]),
            omitted: self.omitted,
            rows,
            time_wait: waits(sight, outcome),
        }
    }
}

fn waits(sight: &Sight, outcome: &Outcome) -> Vec<Wait> {
    let roles = [Role::Client, Role::Server].into_iter().zip(sight.ends).zip(&sight.waits);
    roles
        .filter_map(|((holder, (address, _)), facts)| {
            let facts = facts.as_ref()?;
            let guess = estimate(facts, &outcome.lengths.of(address), outcome.capture_end_ns);
            let evidence = facts.ended.map(|e| e.0).or(facts.gone).or(facts.possibly_killed).or(facts.alive);
            Some(Wait {
                holder,
                start_ns: facts.start.ts_ns,
                basis: guess.basis.as_str(),
                end: guess.end.as_str(),
                lower_ns: guess.lower_ns,
                upper_ns: guess.upper_ns,
                point_ns: guess.point_ns,
                model_low_ns: guess.model_low_ns,
                model_high_ns: guess.model_high_ns,
                evidence_ns: evidence.map(|m| m.ts_ns),
                evidence_frame: evidence.map(|m| m.frame()),
                snd_nxt: facts.snd_nxt,
                recycled_isn: recycled_isn(facts.snd_nxt),
                same_host: facts.same_host,
                restarts: facts.restarts,
            })
        })
        .collect()
}

const fn word(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
    }
}

/// `address:port`, IPv6 in brackets.
#[must_use]
pub fn socket((address, port): (Address, u16)) -> String {
    std::net::SocketAddr::new(address.ip(), port).to_string()
}

/// Flags in the order tcpdump and Wireshark's info column put them.
fn flag_names(flags: Flags) -> String {
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
fn start_line(payload: &[u8]) -> Option<String> {
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

fn hide_query(line: &str) -> String {
    let Some((before, after)) = line.split_once('?') else { return line.to_owned() };
    let rest = after.find(' ').map_or("", |at| &after[at..]);
    format!("{before}?…{rest}")
}

#[cfg(test)]
mod tests;
