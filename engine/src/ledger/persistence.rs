//! A pair's HTTP persistence: who said what, and who then closed (semantics D2, D4).

use super::histogram::Histogram;
use super::idle::Idle;
use super::summary::{ClosedAfter, MessageCount, PairHttp};
use crate::record::{ActiveCloser, Announced, ConnectionOption, ConnectionRecord, Quality, Race, Role};
use std::collections::{BTreeMap, BTreeSet};

/// Texts kept of each header.
const TEXTS: usize = 8;
/// Distinct announced timeouts kept.
const TIMEOUTS: usize = 16;

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

/// Whether bytes of the connection are not in the capture.
fn is_partly_unseen(record: &ConnectionRecord) -> bool {
    record.quality.0 & (Quality::TRUNCATED | Quality::GAP | Quality::ONE_SIDED) != 0
}

/// Running totals.
#[derive(Clone, Debug, Default)]
pub struct Persistence {
    connections: u64,
    requests: u64,
    responses: u64,
    /// By power of two: 1, 2, 3-4, 5-8 …
    per_connection: BTreeMap<u32, u64>,
    messages: BTreeMap<(Role, u8, ConnectionOption), (u64, u64)>,
    closed_after: BTreeMap<(Announced, ActiveCloser), u64>,
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
    server_software: BTreeSet<Box<str>>,
    user_agents: BTreeSet<Box<str>>,
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
            *self.per_connection.entry(http.requests.next_power_of_two().max(1)).or_default() += 1;
        }
        for (role, version, option, all, lasting) in http.messages.iter() {
            let slot = self.messages.entry((role, version, option)).or_default();
            *slot = (slot.0 + u64::from(all), slot.1 + u64::from(lasting));
        }
        // A side whose heads were cut or not captured may have announced what it liked.
        if !is_partly_unseen(record) || (http.requests > 0 && http.responses > 0) {
            *self.closed_after.entry((announced(record), record.active_closer)).or_default() += 1;
        }
        self.add_close(record);
        self.add_waits(record);
        keep_text(&mut self.server_software, http.server_software.as_deref());
        keep_text(&mut self.user_agents, http.user_agent.as_deref());
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
        if !is_partly_unseen(record) {
            self.unprocessed += u64::from(http.unprocessed);
        }
        self.smuggling += u64::from(http.smuggling);
        self.idle.add(record);
    }

    fn add_waits(&mut self, record: &ConnectionRecord) {
        if let Some(timeout_s) = record.http.keep_alive_timeout_s {
            self.announced_timeout_s.insert(timeout_s);
            trim(&mut self.announced_timeout_s, TIMEOUTS);
        }
        if let Some(gap_ns) = record.http.longest_reuse_gap_ns {
            self.longest_reuse_gap_ns = self.longest_reuse_gap_ns.max(Some(gap_ns));
            self.reuse_wait.add(gap_ns);
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: Self) {
        self.connections += other.connections;
        self.requests += other.requests;
        self.responses += other.responses;
        for (class, count) in other.per_connection {
            *self.per_connection.entry(class).or_default() += count;
        }
        for (key, (all, lasting)) in other.messages {
            let slot = self.messages.entry(key).or_default();
            *slot = (slot.0 + all, slot.1 + lasting);
        }
        for (key, count) in other.closed_after {
            *self.closed_after.entry(key).or_default() += count;
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
        self.server_software.extend(other.server_software);
        trim(&mut self.server_software, TEXTS);
        self.user_agents.extend(other.user_agents);
        trim(&mut self.user_agents, TEXTS);
    }

    /// For the Summary. A server's settings are inferred only where all connections are `one_server`'s.
    #[must_use]
    pub fn finish(self, one_server: bool) -> PairHttp {
        let texts = |set: BTreeSet<Box<str>>| set.into_iter().map(String::from).collect();
        PairHttp {
            connections: self.connections,
            requests: self.requests,
            responses: self.responses,
            requests_per_connection: self.per_connection.iter().map(|(&n, &count)| (class_name(n), count)).collect(),
            messages: self.messages.into_iter().map(message_count).collect(),
            closed_after: self
                .closed_after
                .into_iter()
                .map(|((announced_by, closer), count)| ClosedAfter {
                    announced_by: announced_by.as_str(),
                    active_closer: closer.as_str(),
                    count,
                })
                .collect(),
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
            server_software: texts(self.server_software),
            user_agents: texts(self.user_agents),
        }
    }
}

/// Keeps the least ones: which those are depends on the set alone.
fn trim<T: Ord>(set: &mut BTreeSet<T>, most: usize) {
    while set.len() > most {
        set.pop_last();
    }
}

fn keep_text(set: &mut BTreeSet<Box<str>>, text: Option<&str>) {
    if let Some(text) = text
        && !set.contains(text)
    {
        set.insert(text.into());
        trim(set, TEXTS);
    }
}

fn class_name(power: u32) -> String {
    if power <= 2 { power.to_string() } else { format!("{}-{power}", power / 2 + 1) }
}

fn message_count(
    ((role, version, option), (count, persistent)): ((Role, u8, ConnectionOption), (u64, u64)),
) -> MessageCount {
    MessageCount {
        side: if role == Role::Client { "request" } else { "response" },
        version: if version == 0 { "HTTP/1.0" } else { "HTTP/1.1" },
        option: option.as_str(),
        count,
        persistent,
    }
}
