//! Situations: a few segments written by hand, and what must be concluded from them. Times in seconds.

mod closing;
mod evidence;
mod opening;
mod resting;
mod unseen;

use super::connection::{Connection, usual};
use super::flow_table::FlowTable;
use super::payload::{Payload, Sink, Span};
use super::state::Anomaly;
use super::stream::Piece;
use crate::decode::{Captured, Flags, FlowKey, Header, Segment};
use crate::record::{Address, ConnectionRecord, HttpFacts, Role, RoleBasis, State, TimeWaitFacts, Tunnel};
use crate::settings::{SECOND, Settings};

const S: u16 = 0x02;
const SA: u16 = 0x12;
const A: u16 = 0x10;
const F: u16 = 0x11;
const R: u16 = 0x04;
const RA: u16 = 0x14;
const P: u16 = 0x18;

/// Client and server sequence numbers start here; both are parametrised so that every situation also wraps.
#[derive(Clone, Copy)]
struct Base {
    client: u32,
    server: u32,
}

const BASES: [Base; 3] = [
    Base { client: 1000, server: 5000 },
    Base { client: u32::MAX, server: 0x7fff_ffff },
    Base { client: 0x7fff_fff0, server: u32::MAX - 3 },
];

/// One line of a situation: when (s), who sends, flags, sequence and acknowledgment relative to the ISNs, payload length.
type Line = (f64, char, u16, i64, i64, u32);

#[derive(Default)]
struct Facts {
    records: Vec<ConnectionRecord>,
    anomalies: Vec<Anomaly>,
    is_kept_changed: bool,
}

impl Sink for Facts {
    fn anomaly(&mut self, anomaly: Anomaly) {
        self.anomalies.push(anomaly);
    }
    fn wants_spans(&self) -> bool {
        false
    }
    fn span(&mut self, _: (Role, Address), _: Span) {}
    fn time_wait_span(&mut self, _: (Role, Address), _: i64, _: &TimeWaitFacts) {}
    fn connection(&mut self, record: ConnectionRecord) {
        self.records.push(record);
    }
    fn duplicate(&mut self) {}
    fn overflow(&mut self, _: u64) {}
    fn note_kept(&mut self) {
        self.is_kept_changed = true;
    }
    fn take_kept(&mut self) -> bool {
        std::mem::take(&mut self.is_kept_changed)
    }
    fn given_up(&mut self, _: u64) {}
}

#[derive(Clone, Debug)]
struct NoPayload;

impl Payload for NoPayload {
    type Sink = Facts;
    fn new(_: &Settings, _: u64) -> Self {
        NoPayload
    }
    fn feed(&mut self, _: Role, _: Piece<'_>, _: &mut Facts) {}
    fn fin(&mut self, _: Role, _: &mut Facts) {}
    fn is_over(&self) -> bool {
        false
    }
    fn kept_bytes(&self) -> usize {
        0
    }
    fn kept_requests(&self) -> usize {
        0
    }
    fn give_up(&mut self, _: &mut Facts) -> bool {
        false
    }
    fn finish(self, _: &mut Facts) -> HttpFacts {
        HttpFacts::default()
    }
    fn role_of(_: &[u8]) -> Option<(Role, RoleBasis)> {
        None
    }
}

/// Runs a situation from one base; and once more with every segment going the long way, which must not show.
fn run_from(lines: &[Line], base: Base) -> Facts {
    let mut by_both_ways = [Vec::new(), Vec::new()];
    let [short, long] = &mut by_both_ways;
    let facts = run_watched(lines, base, &mut |connection| {
        resting::is_unchanged(connection);
        short.push(resting::without_course(connection));
    });
    let by_long = usual::long_way::throughout(|| {
        run_watched(lines, base, &mut |connection| long.push(resting::without_course(connection)))
    });
    assert_eq!(by_both_ways[0], by_both_ways[1]);
    assert_eq!(
        format!("{:?} {:?}", facts.records, facts.anomalies),
        format!("{:?} {:?}", by_long.records, by_long.anomalies)
    );
    facts
}

fn run_watched(lines: &[Line], base: Base, watch: &mut impl FnMut(&Connection<NoPayload>)) -> Facts {
    let settings = Settings::default();
    let mut facts = Facts::default();
    let mut table = FlowTable::<NoPayload>::new(&settings);
    let payload = [b'x'; 2000];
    for (i, &(t, who, flags, seq, ack, len)) in lines.iter().enumerate() {
        let client = (Address::v4([10, 0, 0, 1]), 40_000);
        let server = (Address::v4([10, 0, 0, 2]), 80);
        // An upper-case letter: the same side seen through another TTL (an injector).
        let (from, to) = if who.eq_ignore_ascii_case(&'c') { (client, server) } else { (server, client) };
        let (mine, theirs) =
            if who.eq_ignore_ascii_case(&'c') { (base.client, base.server) } else { (base.server, base.client) };
        let relative = |base: u32, n: i64| base.wrapping_add(n as u32);
        let has_ack = flags & A != 0;
        let (key, from_low) = FlowKey::directed(from, to, Tunnel(0));
        let header = Header {
            key,
            from_low,
            partition: key.partition() as u8,
            ordinal: i as u64,
            ts_ns: (t * 1e9).round() as i64,
            frame: i as u64 + 1,
            file: 0,
            interface: 0,
            ttl: if who.is_ascii_uppercase() { 40 } else { 64 },
            ip_id: Some(i as u16 + 1),
            seq: relative(mine, seq),
            ack: if has_ack { relative(theirs, ack) } else { 0 },
            flags: Flags(flags),
            window: if flags & R != 0 && !has_ack { 0 } else { 500 },
            is_window_cut: false,
            options_print: 0,
            options_len: 0,
            checksum_offloaded: false,
            payload_start: 0,
            tunnel_name: 0,
            way: 0,
            depth: 0,
            captured: Captured::Once,
            captured_len: len,
            payload_len: len,
        };
        let segment = Segment::new(&header, &payload);
        table.accept(&segment, &settings, &mut facts, watch);
    }
    table.finish(&mut facts);
    facts.records.sort_by_key(|r| r.ordinal);
    facts
}

/// Runs a situation from every base and checks each.
fn situation(lines: &[Line], check: impl Fn(&[ConnectionRecord])) {
    for base in BASES {
        check(&run_from(lines, base).records);
    }
}

const OPEN: [Line; 3] = [(0.0, 'c', S, 0, 0, 0), (0.001, 's', SA, 0, 1, 0), (0.002, 'c', A, 1, 1, 0)];

/// A handshake, then `rest`.
fn after_open(rest: &[Line]) -> Vec<Line> {
    [&OPEN[..], rest].concat()
}

/// The client closes in four segments from t = 1; its TIME_WAIT starts at 1.003.
const CLIENT_CLOSE: [Line; 4] =
    [(1.0, 'c', F, 1, 1, 0), (1.001, 's', A, 1, 2, 0), (1.002, 's', F, 1, 2, 0), (1.003, 'c', A, 2, 2, 0)];

/// The server closes; its TIME_WAIT starts at 1.003.
const SERVER_CLOSE: [Line; 4] =
    [(1.0, 's', F, 1, 1, 0), (1.001, 'c', A, 1, 2, 0), (1.002, 'c', F, 1, 2, 0), (1.003, 's', A, 2, 2, 0)];

fn closed(close: &[Line], rest: &[Line]) -> Vec<Line> {
    after_open(&[close, rest].concat())
}

fn wait_of(record: &ConnectionRecord, role: Role) -> &TimeWaitFacts {
    record.sides[role as usize].time_wait.as_ref().expect("this side waits")
}

const fn ns(seconds: f64) -> i64 {
    (seconds * SECOND as f64) as i64
}
