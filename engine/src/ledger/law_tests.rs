//! The law: however the connections are split and in whatever order the parts are merged, the Summary is the same.

use super::generated::{START, records};
use super::*;
use crate::record::*;
use crate::settings::{SECOND, TimeWaitRule};
use proptest::prelude::*;

/// The last packet of the generated captures.
const END_NS: i64 = START + 240 * SECOND;

/// A connection from nothing but its ordinal: an open one, of one packet.
pub fn plain(ordinal: u64) -> ConnectionRecord {
    let mark = Mark::new(ordinal as i64 * 1_000_000, ordinal + 1, 0);
    let side = || Side {
        packets: 1,
        bytes: 0,
        retransmits: 0,
        state: State::Established,
        state_proved: State::Established,
        fin: None,
        stack: Stack::Linux,
        ttl: 64,
        time_wait: None,
    };
    ConnectionRecord {
        ordinal,
        client: (Address::v4([10, 0, 0, 1]), 40_000),
        server: (Address::v4([10, 0, 0, 2]), 80),
        role_basis: RoleBasis::Syn,
        tunnel: Tunnel(0),
        first: mark,
        last: mark,
        handshake_rtt_ns: Some(1000),
        sides: [side(), side()],
        history: Letters::default(),
        close: Close::Open,
        active_closer: ActiveCloser::None,
        closer_basis: CloserBasis::NoClose,
        closer: None,
        reset: None,
        ineffective_resets: 0,
        half_close_ns: None,
        idle_before_close_ns: None,
        reuse_of: None,
        predecessor: None,
        syn_count: 1,
        race: None,
        http: HttpFacts::default(),
        quality: Quality(0),
        may_wait_unseen: false,
    }
}

fn json(ledger: Ledger, settings: &Settings) -> String {
    let finished = ledger.finish(settings, capture(), END_NS, |ordinal| ordinal + 1);
    serde_json::to_string(&finished.summary).expect("a Summary is JSON")
}

fn whole(records: &[ConnectionRecord], settings: &Settings) -> Ledger {
    let mut ledger = Ledger::new(settings);
    for record in records {
        ledger.connection(record);
    }
    ledger
}

fn capture() -> CaptureFacts {
    CaptureFacts { first_ns: Some(START), last_ns: Some(END_NS), ..CaptureFacts::default() }
}

/// Some of 0..=1 rules of the user's for a part of the generated servers.
fn settings() -> impl Strategy<Value = Settings> {
    let rule = (0..100_i64).prop_map(|s| TimeWaitRule {
        address: Some(std::net::Ipv4Addr::new(10, 0, 1, 0).into()),
        prefix: 31,
        low_ns: s * SECOND,
        high_ns: (s + 5) * SECOND,
    });
    (0..12_usize, prop::collection::vec(rule, 0..2)).prop_map(|(max_pairs, time_wait)| Settings {
        max_pairs,
        time_wait,
        ..Settings::default()
    })
}

proptest! {
    #[test]
    fn the_summary_of_parts_merged_is_the_summary_of_the_whole(
        settings in settings(),
        records in records(),
        homes in prop::collection::vec(0..5_usize, 60),
        backwards: bool,
    ) {
        let mut parts: Vec<Ledger> = (0..5).map(|_| Ledger::new(&settings)).collect();
        for (record, &home) in records.iter().zip(&homes) {
            parts[home].connection(record);
        }
        if backwards {
            parts.reverse();
        }
        let merged = parts.into_iter().reduce(|mut all, part| { all.merge(part); all });
        prop_assert_eq!(json(merged.expect("five parts"), &settings), json(whole(&records, &settings), &settings));
    }

    #[test]
    fn rows_and_totals_agree_on_every_basis(settings in settings(), records in records()) {
        let Finished { summary, lengths, .. } = whole(&records, &settings).finish(&settings, capture(), END_NS, |o| o);
        let mut counted = summary::Counts::new();
        for record in records {
            for (side, address) in record.sides.iter().zip([record.client.0, record.server.0]) {
                if let Some(facts) = &side.time_wait {
                    let basis = estimate(facts, &lengths.of(address), END_NS).basis;
                    *counted.entry(basis.as_str()).or_default() += 1;
                }
            }
        }
        prop_assert_eq!(counted, summary.totals.time_wait_basis);
    }

    #[test]
    fn pairs_and_hosts_hold_every_connection(settings in settings(), records in records()) {
        let summary = whole(&records, &settings).finish(&settings, capture(), END_NS, |o| o).summary;
        let all = records.len() as u64;
        prop_assert_eq!(summary.totals.connections, all);
        prop_assert_eq!(summary.pairs.iter().map(|pair| pair.connections).sum::<u64>(), all);
        prop_assert_eq!(summary.hosts.iter().map(|host| host.as_client).sum::<u64>(), all);
        let named = summary.pairs.iter().filter(|pair| pair.client.is_some()).map(|pair| pair.connections);
        prop_assert_eq!(named.sum::<u64>() + summary.capture.overflow_connections, all);
    }
}

/// More silent TIME_WAITs than are kept by the millisecond: those long past are put together, and it does not show.
#[test]
fn old_silent_cases_are_put_together_without_showing() {
    let settings = Settings::default();
    let last = 20_000_u64;
    let many: Vec<ConnectionRecord> = (0..=last).map(|second| silent(second, START + second as i64 * SECOND)).collect();
    let capture = CaptureFacts { last_ns: Some(START + last as i64 * SECOND), ..CaptureFacts::default() };
    let basis = whole(&many, &settings)
        .finish(&settings, capture, START + last as i64 * SECOND, |o| o)
        .summary
        .totals
        .time_wait_basis;
    // Linux: censored while younger than 65.2 s.
    assert_eq!((basis["censored"], basis["model"]), (66, last + 1 - 66));
}

pub fn silent(ordinal: u64, ts_ns: i64) -> ConnectionRecord {
    let start = Mark::new(ts_ns, 1, 0);
    let mut record = ConnectionRecord { first: start, last: start, ..plain(ordinal) };
    record.sides[0].time_wait = Some(TimeWaitFacts::new(start));
    record
}
