//! Writes a capture of many short HTTP connections, the same bytes for the same arguments: what `bench/` measures on.
//!
//! ```text
//! cargo run --release --example generate -- --connections 200000 --requests 1 --out bench/data/short.pcap
//! ```
//!
//! Modelled on a measured capture (an nginx proxy in front of an nginx origin): a few ten connections alive at any
//! moment, 14,116 even source ports used in turn, handshakes with Linux's options, HTTP/1.0 with `Connection: close`, the server's FIN first,
//! and a 4-tuple that comes back while the server's TIME_WAIT still stands, so that the new ISN is the old
//! `snd_nxt` + 65537 (semantics B3, L3). With `--requests` above one the connections are HTTP/1.1 and kept open; with
//! a large `--response-bytes` they are bulk transfers in segments of 1,448 bytes. With `--clients N` and `--servers N` the
//! connections go round so many addresses of each.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io::{self, BufWriter, Write};

/// The first client and the first server; the others are in 10.3.0.0/16 and 10.4.0.0/16.
const CLIENT: [u8; 4] = [10, 2, 0, 1];
const SERVER: [u8; 4] = [10, 2, 0, 20];
const SERVER_PORT: u16 = 80;
/// Linux's range from 32768, even ports first (semantics C).
const FIRST_PORT: u16 = 32_768;
const PORTS: u64 = 14_116;
const MSS_PAYLOAD: usize = 1_448;
/// Microseconds between two new connections: 14,300 a second.
const OPEN_EVERY_US: u64 = 70;
/// 2026-01-01 00:00:00 UTC.
const EPOCH_S: u64 = 1_767_225_600;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// What the command line asks for.
struct Arguments {
    connections: u64,
    requests: u32,
    response_bytes: usize,
    clients: u16,
    servers: u16,
    seed: u64,
    out: String,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut a = Arguments {
            connections: 200_000,
            requests: 1,
            response_bytes: 120,
            clients: 1,
            servers: 1,
            seed: 1,
            out: String::new(),
        };
        while let Some(name) = words.next() {
            let value = words.next().ok_or(format!("{name} needs a value"))?;
            let wrong = |e: std::num::ParseIntError| format!("{name} {value}: {e}");
            match name.as_str() {
                "--connections" => a.connections = value.parse().map_err(wrong)?,
                "--requests" => a.requests = value.parse().map_err(wrong)?,
                "--response-bytes" => a.response_bytes = value.parse().map_err(wrong)?,
                "--clients" => a.clients = value.parse().map_err(wrong)?,
                "--servers" => a.servers = value.parse().map_err(wrong)?,
                "--seed" => a.seed = value.parse().map_err(wrong)?,
                "--out" => a.out = value,
                _ => return Err(format!("unknown option {name}")),
            }
        }
        if a.out.is_empty() || a.requests == 0 || a.clients == 0 || a.servers == 0 {
            return Err("--out FILE is needed; --requests, --clients and --servers from 1".into());
        }
        Ok(a)
    }
}

/// SplitMix64: small, seeded, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Uniform enough for gaps: `low..low + width`.
    fn within(&mut self, low: u64, width: u64) -> u64 {
        low + self.next() % width
    }
}

/// What the next packet of a connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Syn,
    SynAck,
    HandshakeAck,
    Request,
    RequestAck,
    Response,
    ResponseAck,
    ServerFin,
    ClientFin,
    LastAck,
}

/// Who talks to whom: number of the client, its port, number of the server.
type Tuple = (u16, u16, u16);

/// The address of a number: `first` itself for 0, then one of a /16 of its own (10.`second`.x.y).
fn address(first: [u8; 4], second: u8, number: u16) -> [u8; 4] {
    let [high, low] = number.to_be_bytes();
    if number == 0 { first } else { [10, second, high, low] }
}

/// A connection under way.
struct Flow {
    tuple: Tuple,
    step: Step,
    requests_left: u32,
    /// Bytes of the current response already sent.
    sent: usize,
    client_next: u32,
    server_next: u32,
}

/// One segment before it has headers.
struct Segment<'a> {
    from_client: bool,
    flags: u8,
    seq: u32,
    ack: u32,
    payload: &'a [u8],
}

/// The messages that every connection carries.
struct Messages {
    request: Vec<u8>,
    last_request: Vec<u8>,
    response: Vec<u8>,
    last_response: Vec<u8>,
}

impl Messages {
    fn new(a: &Arguments) -> Self {
        let (version, keep) = if a.requests == 1 { ("1.0", "") } else { ("1.1", "Connection: keep-alive\r\n") };
        let request = |option: &str| {
            format!("GET /item HTTP/{version}\r\nHost: origin.example\r\n{option}User-Agent: generate\r\n\r\n")
                .into_bytes()
        };
        let response = |option: &str| {
            let head =
                format!("HTTP/1.1 200 OK\r\nServer: generate\r\nContent-Length: {}\r\n{option}\r\n", a.response_bytes);
            [head.into_bytes(), vec![b'x'; a.response_bytes]].concat()
        };
        Messages {
            request: request(keep),
            last_request: request("Connection: close\r\n"),
            response: response(keep),
            last_response: response("Connection: close\r\n"),
        }
    }
    fn request(&self, flow: &Flow) -> &[u8] {
        if flow.requests_left == 1 { &self.last_request } else { &self.request }
    }
    fn response(&self, flow: &Flow) -> &[u8] {
        if flow.requests_left == 1 { &self.last_response } else { &self.response }
    }
}

impl Flow {
    /// The segment of the current step.
    fn segment<'a>(&self, messages: &'a Messages) -> Segment<'a> {
        let (from_client, flags, payload): (bool, u8, &[u8]) = match self.step {
            Step::Syn => (true, SYN, &[]),
            Step::SynAck => (false, SYN | ACK, &[]),
            Step::HandshakeAck | Step::ResponseAck => (true, ACK, &[]),
            Step::Request => (true, PSH | ACK, messages.request(self)),
            Step::RequestAck | Step::LastAck => (false, ACK, &[]),
            Step::Response => (false, PSH | ACK, self.piece(messages)),
            Step::ServerFin => (false, FIN | ACK, &[]),
            Step::ClientFin => (true, FIN | ACK, &[]),
        };
        let (seq, ack) =
            if from_client { (self.client_next, self.server_next) } else { (self.server_next, self.client_next) };
        Segment { from_client, flags, seq, ack: if self.step == Step::Syn { 0 } else { ack }, payload }
    }

    /// The part of the response that goes out now.
    fn piece<'a>(&self, messages: &'a Messages) -> &'a [u8] {
        let rest = messages.response(self).get(self.sent..).unwrap_or(&[]);
        rest.get(..MSS_PAYLOAD).unwrap_or(rest)
    }

    /// Moves on after `segment` was sent; `false` after the last one.
    fn advance(&mut self, segment: &Segment<'_>, messages: &Messages) -> bool {
        let occupied = segment.payload.len() as u32 + u32::from(segment.flags & (SYN | FIN) != 0);
        let next = if segment.from_client { &mut self.client_next } else { &mut self.server_next };
        *next = next.wrapping_add(occupied);
        self.step = match self.step {
            Step::Syn => Step::SynAck,
            Step::SynAck => Step::HandshakeAck,
            Step::HandshakeAck => Step::Request,
            Step::Request => Step::RequestAck,
            Step::RequestAck => Step::Response,
            Step::Response => self.after_piece(segment.payload.len()),
            Step::ResponseAck => self.after_response_ack(messages),
            Step::ServerFin => Step::ClientFin,
            Step::ClientFin => Step::LastAck,
            Step::LastAck => return false,
        };
        true
    }

    /// The receiver acknowledges every second full segment, and the last one.
    fn after_piece(&mut self, len: usize) -> Step {
        let odd = (self.sent / MSS_PAYLOAD).is_multiple_of(2);
        self.sent += len;
        if odd && len == MSS_PAYLOAD { Step::Response } else { Step::ResponseAck }
    }

    fn after_response_ack(&mut self, messages: &Messages) -> Step {
        if self.sent < messages.response(self).len() {
            return Step::Response;
        }
        self.sent = 0;
        self.requests_left -= 1;
        if self.requests_left == 0 { Step::ServerFin } else { Step::Request }
    }
}

/// The one's complement sum of RFC 1071, not yet folded.
fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| (u32::from(pair[0]) << 8) + u32::from(*pair.get(1).unwrap_or(&0))).sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The pcap file being written, µs, Ethernet.
struct Capture<W: Write> {
    out: W,
    frame: Vec<u8>,
    packets: u64,
}

impl<W: Write> Capture<W> {
    fn new(mut out: W) -> io::Result<Self> {
        for word in [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 262_144, 1] {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Capture { out, frame: Vec::with_capacity(2048), packets: 0 })
    }

    fn write(&mut self, ts_us: u64, tuple: Tuple, segment: &Segment<'_>) -> io::Result<()> {
        self.build(ts_us, tuple, segment);
        let len = self.frame.len() as u32;
        let seconds = (EPOCH_S + ts_us / 1_000_000) as u32;
        for word in [seconds, (ts_us % 1_000_000) as u32, len, len] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.packets += 1;
        self.out.write_all(&self.frame)
    }

    /// Ethernet, IPv4 and TCP around the payload, checksums right.
    fn build(&mut self, ts_us: u64, (client, port, server): Tuple, s: &Segment<'_>) {
        let options = tcp_options(ts_us, s.flags);
        let tcp_len = 20 + options.len() + s.payload.len();
        let f = &mut self.frame;
        f.clear();
        let (to, from) = if s.from_client { (20, 1) } else { (1, 20) };
        f.extend([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0]);
        let (client, server) = (address(CLIENT, 3, client), address(SERVER, 4, server));
        let (src, dst) = if s.from_client { (client, server) } else { (server, client) };
        let ports = if s.from_client { (port, SERVER_PORT) } else { (SERVER_PORT, port) };
        ipv4_header(f, tcp_len as u16 + 20, self.packets as u16, src, dst);
        let tcp_start = f.len();
        f.extend(ports.0.to_be_bytes());
        f.extend(ports.1.to_be_bytes());
        f.extend(s.seq.to_be_bytes());
        f.extend(s.ack.to_be_bytes());
        f.push(((5 + options.len() / 4) << 4) as u8);
        f.push(s.flags);
        f.extend(if s.flags & SYN == 0 { 502_u16 } else { 64_240 }.to_be_bytes());
        f.extend([0; 4]);
        f.extend(&options);
        f.extend(s.payload);
        let pseudo = sum(&src) + sum(&dst) + 6 + tcp_len as u32;
        let checksum = fold(pseudo + sum(&f[tcp_start..]));
        f[tcp_start + 16..tcp_start + 18].copy_from_slice(&checksum.to_be_bytes());
    }
}

fn ipv4_header(f: &mut Vec<u8>, total_len: u16, id: u16, src: [u8; 4], dst: [u8; 4]) {
    let start = f.len();
    f.extend([0x45, 0]);
    f.extend(total_len.to_be_bytes());
    f.extend(id.to_be_bytes());
    f.extend([0x40, 0, 64, 6, 0, 0]);
    f.extend(src);
    f.extend(dst);
    let checksum = fold(sum(&f[start..]));
    f[start + 10..start + 12].copy_from_slice(&checksum.to_be_bytes());
}

/// Linux's options and their order: MSS, SACK permitted, timestamps, window scale on a SYN; timestamps afterwards.
fn tcp_options(ts_us: u64, flags: u8) -> Vec<u8> {
    let mut o = Vec::with_capacity(20);
    if flags & SYN == 0 {
        o.extend([1, 1]);
    } else {
        o.extend([2, 4, 5, 180, 4, 2]);
    }
    let millis = (ts_us / 1_000) as u32;
    let echo = if flags & ACK == 0 { 0 } else { millis };
    o.extend([8, 10]);
    o.extend((millis + 1).to_be_bytes());
    o.extend(echo.to_be_bytes());
    if flags & SYN != 0 {
        o.extend([1, 3, 3, 7]);
    }
    o
}

/// All connections, each one's next packet waiting for its time.
struct Traffic {
    random: Random,
    messages: Messages,
    requests: u32,
    clients: u16,
    servers: u16,
    flows: HashMap<u64, Flow>,
    due: BinaryHeap<Reverse<(u64, u64)>>,
    /// The server's `snd_nxt` when a tuple was last used.
    last_server_next: HashMap<Tuple, u32>,
}

impl Traffic {
    /// Opens connection `index` at `now_us`. ISNs tick at 64 ns per tuple as Linux's do, unless the server's TIME_WAIT decides.
    fn open(&mut self, index: u64, now_us: u64) {
        let port = FIRST_PORT + 2 * (index % PORTS) as u16;
        let (client, server) = (index % u64::from(self.clients), index / u64::from(self.clients));
        let tuple = (client as u16, port, (server % u64::from(self.servers)) as u16);
        let offset = u32::from(port).wrapping_mul(0x9e37_79b1);
        let clock = (now_us * 1_000 / 64) as u32;
        let fresh = clock.wrapping_add(offset.rotate_left(16));
        let reused = self.last_server_next.get(&tuple).map(|next| next.wrapping_add(65_537));
        let server_next = reused.unwrap_or(fresh);
        let flow = Flow {
            tuple,
            step: Step::Syn,
            requests_left: self.requests,
            sent: 0,
            client_next: clock.wrapping_add(offset),
            server_next,
        };
        self.flows.insert(index, flow);
        self.due.push(Reverse((now_us, index)));
    }

    /// Sends the earliest packet that is due before `until_us`; `false` if there is none.
    fn send<W: Write>(&mut self, until_us: u64, capture: &mut Capture<W>) -> io::Result<bool> {
        let Some(&Reverse((now_us, index))) = self.due.peek() else {
            return Ok(false);
        };
        if now_us >= until_us {
            return Ok(false);
        }
        self.due.pop();
        let Some(flow) = self.flows.get_mut(&index) else {
            return Ok(true);
        };
        let segment = flow.segment(&self.messages);
        capture.write(now_us, flow.tuple, &segment)?;
        if flow.advance(&segment, &self.messages) {
            self.due.push(Reverse((now_us + self.random.within(20, 300), index)));
        } else {
            self.last_server_next.insert(flow.tuple, flow.server_next);
            self.flows.remove(&index);
        }
        Ok(true)
    }
}

fn generate(a: &Arguments) -> io::Result<u64> {
    let mut capture = Capture::new(BufWriter::with_capacity(1 << 20, File::create(&a.out)?))?;
    let mut traffic = Traffic {
        random: Random(a.seed),
        messages: Messages::new(a),
        requests: a.requests,
        clients: a.clients,
        servers: a.servers,
        flows: HashMap::new(),
        due: BinaryHeap::new(),
        last_server_next: HashMap::new(),
    };
    for index in 0..a.connections {
        let opens_us = index * OPEN_EVERY_US;
        while traffic.send(opens_us, &mut capture)? {}
        traffic.open(index, opens_us);
    }
    while traffic.send(u64::MAX, &mut capture)? {}
    capture.out.flush()?;
    Ok(capture.packets)
}

fn main() {
    let done =
        Arguments::parse(std::env::args().skip(1)).and_then(|a| generate(&a).map_err(|e| format!("{}: {e}", a.out)));
    match done {
        Ok(packets) => println!("{packets} packets"),
        Err(problem) => {
            eprintln!("generate: {problem}");
            std::process::exit(2);
        }
    }
}
