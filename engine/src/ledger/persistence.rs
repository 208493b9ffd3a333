//! A pair's HTTP persistence: who said what, and who then closed (semantics D2, D4).

use super::histogram::Histogram;
use super::idle::Idle;
use super::summary::{ClosedAfter, Ending, MessageCount, PairHttp};
use crate::record::{ActiveCloser, Announced, ConnectionOption, ConnectionRecord, Lasting, Race, Role};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Texts kept of each header.
const TEXTS: usize = 8;
/// Distinct announced timeouts kept.
const TIMEOUTS: usize = 16;

const OPTIONS: usize = ConnectionOption::ALL.len();
const CLOSERS: usize = ActiveCloser::ALL.len();
const ANNOUNCED: usize = Announced::ALL.len();
const LASTINGS: usize = Lasting::ALL.len();

/// Who announced close.
#[must_use]
pub fn announced(record: &ConnectionRecord) -> Announced {
    match (record.http.announced_client, record.http.announced_server) {
        (true, true) => Announced::Both,
        (true, false) => Announced::Client,
        (false, true) => Announced::Server,
        (false, false) => Announced::None,
    }
}

/// One exchange that both sides allowed to be followed by another, and the client closed.
#[must_use]
pub fn is_single_request_client_close(record: &ConnectionRecord) -> bool {
    record.http.requests == 1 && record.http.reusable == Some(true) && record.active_closer == ActiveCloser::Client
}

/// What the last message of a side said of the connection's future.
const fn lasting(persistent: Option<bool>, option: Option<ConnectionOption>) -> Lasting {
    match (persistent, option) {
        (None, _) => Lasting::Unseen,
        (Some(true), _) => Lasting::Persists,
        (Some(false), Some(ConnectionOption::Close)) => Lasting::Close,
        (Some(false), _) => Lasting::Http10,
    }
}

/// Running totals.
#[derive(Clone, Debug, Default)]
pub struct Persistence {
    connections: u64,
    requests: u64,
    responses: u64,
    /// By power of two: 1, 2, 3-4, 5-8 …
    per_connection: Classes,
    /// By role, minor version and option: messages, and those that let the connection persist.
    messages: [[[(u64, u64); OPTIONS]; 2]; 2],
    /// By who announced close and who closed.
    closed_after: [[u64; CLOSERS]; ANNOUNCED],
    /// By the last request, the last response and who closed: connections, and their requests.
    endings: [[[(u64, u64); CLOSERS]; LASTINGS]; LASTINGS],
    single_request_client_close: u64,
    reusable_closed_by_client: u64,
    reusable_closed_by_server: u64,
    idle_before_close: Histogram,
    idle: Idle,
    announced_timeout_s: BTreeSet<u32>,
    longest_reuse_gap_ns: Option<i64>,
    reuse_wait: Histogram,
    keepalive_races: u64,
    stale_reuses: u64,
    unprocessed: u64,
    smuggling: u64,
    forwarded: u64,
    server_software: BTreeSet<Box<str>>,
    user_agents: BTreeSet<Box<str>>,
    /// The last server software and user agent: what was just kept need not be looked for.
    last_texts: [Option<Arc<str>>; 2],
}

impl Persistence {
    /// One more connection.
    pub fn add(&mut self, record: &ConnectionRecord) {
        if let Some(idle) = record.idle_before_close_ns {
            self.idle_before_close.add(idle);
        }
        let http = &record.http;
        if http.requests == 0 && http.responses == 0 {
            return;
        }
        self.connections += u64::from(http.requests > 0);
        self.requests += u64::from(http.requests);
        self.responses += u64::from(http.responses);
        if http.requests > 0 {
            self.per_connection.add(http.requests);
        }
        http.messages.each(|role, version, option, all, lasting| {
            let slot = &mut self.messages[role as usize][usize::from(version & 1)][option as usize];
            *slot = (slot.0 + u64::from(all), slot.1 + u64::from(lasting));
        });
        // A side whose heads were cut or not captured may have announced what it liked.
        if record.has_all_responses() || (http.requests > 0 && http.responses > 0) {
            self.closed_after[announced(record) as usize][record.active_closer as usize] += 1;
            let request = lasting(http.request_persistent, http.request_connection);
            let response = match lasting(http.response_persistent, http.response_connection) {
                Lasting::Unseen if record.sides[1].bytes == 0 => Lasting::Silent,
                said => said,
            };
            let slot = &mut self.endings[request as usize][response as usize][record.active_closer as usize];
            *slot = (slot.0 + 1, slot.1 + u64::from(http.requests));
        }
        self.add_close(record);
        self.add_waits(record);
        keep_text(&mut self.server_software, &mut self.last_texts[0], http.server_software.as_ref());
        keep_text(&mut self.user_agents, &mut self.last_texts[1], http.user_agent.as_ref());
    }

    fn add_close(&mut self, record: &ConnectionRecord) {
        let http = &record.http;
        self.single_request_client_close += u64::from(is_single_request_client_close(record));
        if http.reusable == Some(true) {
            self.reusable_closed_by_client += u64::from(record.active_closer == ActiveCloser::Client);
            self.reusable_closed_by_server += u64::from(record.active_closer == ActiveCloser::Server);
        }
        self.keepalive_races += u64::from(record.race == Some(Race::KeepaliveRace));
        self.stale_reuses += u64::from(record.race == Some(Race::StaleReuse));
        // Where responses were cut or not captured, none of them is missing for certain.
        if record.has_all_responses() {
            self.unprocessed += u64::from(http.unprocessed);
        }
        self.smuggling += u64::from(http.smuggling);
        self.forwarded += u64::from(http.forwarded);
        self.idle.add(record);
    }

    fn add_waits(&mut self, record: &ConnectionRecord) {
        if let Some(timeout_s) = record.http.keep_alive_timeout_s {
            self.announced_timeout_s.insert(timeout_s);
            trim(&mut self.announced_timeout_s, TIMEOUTS);
        }
        let answered = record.http.longest_reuse_gap_ns;
        self.longest_reuse_gap_ns = self.longest_reuse_gap_ns.max(answered);
        if let Some(wait_ns) = answered.max(record.http.unanswered_wait_ns) {
            self.reuse_wait.add(wait_ns);
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: Self) {
        self.connections += other.connections;
        self.requests += other.requests;
        self.responses += other.responses;
        self.per_connection.merge(&other.per_connection);
        let mine = self.messages.as_flattened_mut().as_flattened_mut();
        for (slot, (all, lasting)) in mine.iter_mut().zip(other.messages.as_flattened().as_flattened()) {
            *slot = (slot.0 + all, slot.1 + lasting);
        }
        for (slot, count) in self.closed_after.as_flattened_mut().iter_mut().zip(other.closed_after.as_flattened()) {
            *slot += count;
        }
        let mine = self.endings.as_flattened_mut().as_flattened_mut();
        for (slot, (all, requests)) in mine.iter_mut().zip(other.endings.as_flattened().as_flattened()) {
            *slot = (slot.0 + all, slot.1 + requests);
        }
        self.single_request_client_close += other.single_request_client_close;
        self.reusable_closed_by_client += other.reusable_closed_by_client;
        self.reusable_closed_by_server += other.reusable_closed_by_server;
        self.idle_before_close.merge(&other.idle_before_close);
        self.idle.merge(&other.idle);
        self.announced_timeout_s.extend(other.announced_timeout_s);
        trim(&mut self.announced_timeout_s, TIMEOUTS);
        self.longest_reuse_gap_ns = self.longest_reuse_gap_ns.max(other.longest_reuse_gap_ns);
        self.reuse_wait.merge(&other.reuse_wait);
        self.keepalive_races += other.keepalive_races;
        self.stale_reuses += other.stale_reuses;
        self.unprocessed += other.unprocessed;
        self.smuggling += other.smuggling;
        self.forwarded += other.forwarded;
        self.server_software.extend(other.server_software);
        trim(&mut self.server_software, TEXTS);
        self.user_agents.extend(other.user_agents);
        trim(&mut self.user_agents, TEXTS);
    }

    fn message_counts(&self) -> Vec<MessageCount> {
        let of = |role: Role, version: u8, option: ConnectionOption| {
            let (count, persistent) = self.messages[role as usize][usize::from(version)][option as usize];
            MessageCount {
                side: if role == Role::Client { "request" } else { "response" },
                version: if version == 0 { "HTTP/1.0" } else { "HTTP/1.1" },
                option: option.as_str(),
                count,
                persistent,
            }
        };
        let versions = [Role::Client, Role::Server].into_iter().flat_map(|role| [(role, 0), (role, 1)]);
        let options = |(role, version)| ConnectionOption::ALL.iter().map(move |&option| of(role, version, option));
        versions.flat_map(options).filter(|message| message.count > 0).collect()
    }

    fn closes(&self) -> Vec<ClosedAfter> {
        let of = |by: &Announced, closer: &ActiveCloser| ClosedAfter {
            announced_by: by.as_str(),
            active_closer: closer.as_str(),
            count: self.closed_after[*by as usize][*closer as usize],
        };
        let all = Announced::ALL.iter().flat_map(|by| ActiveCloser::ALL.iter().map(move |closer| of(by, closer)));
        all.filter(|closed| closed.count > 0).collect()
    }

    fn endings(&self) -> Vec<Ending> {
        let pairs =
            || Lasting::ALL.iter().flat_map(|&request| Lasting::ALL.iter().map(move |&response| (request, response)));
        let all = pairs().flat_map(|(request, response)| {
            ActiveCloser::ALL.iter().map(move |&closer| {
                let (count, requests) = self.endings[request as usize][response as usize][closer as usize];
                let active_closer = closer.as_str();
                Ending { request: request.as_str(), response: response.as_str(), active_closer, count, requests }
            })
        });
        all.filter(|ending| ending.count > 0).collect()
    }

    /// For the Summary. A server's settings are inferred only where all connections are `one_server`'s.
    #[must_use]
    pub fn finish(self, one_server: bool) -> PairHttp {
        let texts = |set: BTreeSet<Box<str>>| set.into_iter().map(String::from).collect();
        PairHttp {
            connections: self.connections,
            requests: self.requests,
            responses: self.responses,
            requests_per_connection: self.per_connection.iter().map(|(n, count)| (class_name(n), count)).collect(),
            messages: self.message_counts(),
            closed_after: self.closes(),
            endings: self.endings(),
            single_request_client_close: self.single_request_client_close,
            reusable_closed_by_client: self.reusable_closed_by_client,
            reusable_closed_by_server: self.reusable_closed_by_server,
            idle_before_close: self.idle_before_close.distribution(),
            idle_timeout: self.idle.timeout(self.longest_reuse_gap_ns).filter(|_| one_server),
            announced_timeout_s: self.announced_timeout_s.into_iter().collect(),
            max_requests: self.idle.max_requests().filter(|_| one_server),
            longest_reuse_gap_ns: self.longest_reuse_gap_ns,
            reuse_wait: self.reuse_wait.distribution(),
            keepalive_races: self.keepalive_races,
            stale_reuses: self.stale_reuses,
            unprocessed: self.unprocessed,
            smuggling: self.smuggling,
            forwarded: self.forwarded,
            server_software: texts(self.server_software),
            user_agents: texts(self.user_agents),
        }
    }
}

/// Requests per connection by power of two.
#[derive(Clone, Debug)]
struct Classes([u64; CLASSES]);

/// Powers of two up to the largest count.
const CLASSES: usize = 33;

impl Default for Classes {
    fn default() -> Self {
        Classes([0; CLASSES])
    }
}

impl Classes {
    fn add(&mut self, requests: u32) {
        let class = u64::from(requests).next_power_of_two().trailing_zeros() as usize;
        self.0[class % CLASSES] += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// The powers that occurred, and how often.
    fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().enumerate().filter(|&(_, &count)| count > 0).map(|(power, &count)| (1 << power, count))
    }
}

/// Keeps the least ones: which those are depends on the set alone.
fn trim<T: Ord>(set: &mut BTreeSet<T>, most: usize) {
    while set.len() > most {
        set.pop_last();
    }
}

fn keep_text(set: &mut BTreeSet<Box<str>>, last: &mut Option<Arc<str>>, text: Option<&Arc<str>>) {
    let Some(text) = text else { return };
    if last.as_ref().is_some_and(|last| Arc::ptr_eq(last, text)) {
        return;
    }
    *last = Some(Arc::clone(text));
    if !set.contains(&**text) {
        set.insert((&**text).into());
        trim(set, TEXTS);
    }
}

fn class_name(power: u64) -> String {
    if power <= 2 { power.to_string() } else { format!("{}-{power}", power / 2 + 1) }
}
