//! The law: however the connections are split and in whatever order the parts are merged, the Summary is the same.

use super::*;
use crate::record::*;
use proptest::prelude::*;

/// A connection from nothing but its ordinal: an open one, of one packet.
pub fn plain(ordinal: u64) -> ConnectionRecord {
    let mark = Mark { ts_ns: ordinal as i64 * 1_000_000, frame: ordinal + 1, file: 0 };
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
        history: "ShA".into(),
        close: Close::Open,
        active_closer: ActiveCloser::None,
        closer_basis: CloserBasis::NoClose,
        closer: None,
        reset: None,
        ineffective_resets: 0,
        half_close_ns: None,
        idle_before_close_ns: None,
        reuse_of: None,
        syn_count: 1,
        race: None,
        http: HttpFacts::default(),
        quality: Quality(0),
    }
}

prop_compose! {
    fn wait()(start in 0_i64..200, ages in prop::collection::vec(prop::option::of(0_i64..90), 4), reused: bool) -> TimeWaitFacts {
        let at = |s: i64| Mark { ts_ns: s * 1_000_000_000 + s, frame: s as u64, file: 0 };
        let end = if reused { TimeWaitEnd::Reused } else { TimeWaitEnd::Killed };
        TimeWaitFacts {
            start: at(start),
            start_uncertainty_ns: 0,
            restarts: 0,
            restarted_ns: at(start).ts_ns,
            possibly_restarted_ns: at(start).ts_ns,
            alive: ages[0].map(|a| at(start + a)),
            gone: ages[1].map(|a| at(start + a)),
            ended: ages[2].filter(|_| ages[1].is_none()).map(|a| (at(start + a), end)),
            possibly_killed: ages[3].map(|a| at(start + a)),
            same_host: None,
        }
    }
}

prop_compose! {
    fn record()(
        host in 1_u8..7, port in 0_u16..5, server in 1_u8..4,
        closer in 0..5_usize, close in 0..9_usize,
        waits in prop::array::uniform2(prop::option::of(wait())),
        idle in prop::option::of(0_i64..4_000_000_000),
        http in (0_u32..40, any::<bool>(), any::<bool>(), any::<bool>()),
        agent in prop::option::of("[a-l]"),
    ) -> ConnectionRecord {
        let mut record = plain(0);
        record.client = (Address::v4([10, 0, 0, host]), 40_000 + port);
        record.server.0 = Address::v4([10, 0, 1, server]);
        record.active_closer = ActiveCloser::ALL[closer];
        record.close = Close::ALL[close];
        record.idle_before_close_ns = idle;
        for (side, wait) in record.sides.iter_mut().zip(waits) {
            side.time_wait = wait;
        }
        record.http.requests = http.0;
        record.http.responses = http.0;
        record.http.response_persistent = Some(http.1);
        record.http.request_persistent = Some(true);
        record.http.announced_server = !http.1;
        record.http.reusable = Some(http.2);
        record.http.longest_reuse_gap_ns = http.3.then_some(i64::from(http.0) * 1_000_000);
        record.http.user_agent = agent.map(Into::into);
        record
    }
}

fn json(ledger: Ledger, settings: &Settings) -> String {
    let capture = CaptureFacts { last_ns: Some(250_000_000_000), ..CaptureFacts::default() };
    let finished = ledger.finish(settings, capture, |ordinal| ordinal + 1);
    serde_json::to_string(&finished.summary).expect("a Summary is JSON")
}

fn whole(records: &[ConnectionRecord], settings: &Settings) -> Ledger {
    let mut ledger = Ledger::new(settings);
    records.iter().for_each(|record| ledger.connection(record));
    ledger
}

fn numbered(mut records: Vec<ConnectionRecord>) -> Vec<ConnectionRecord> {
    for (record, ordinal) in records.iter_mut().zip(0..) {
        record.ordinal = ordinal;
        record.first = plain(ordinal).first;
        record.last = record.first;
    }
    records
}

proptest! {
    #[test]
    fn the_summary_of_parts_merged_is_the_summary_of_the_whole(
        records in prop::collection::vec(record(), 0..60).prop_map(numbered),
        homes in prop::collection::vec(0..5_usize, 60),
        max_pairs in 1..20_usize,
        backwards: bool,
    ) {
        let settings = Settings { max_pairs, ..Settings::default() };
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
    fn rows_and_totals_agree_on_every_basis(records in prop::collection::vec(record(), 0..60).prop_map(numbered)) {
        let settings = Settings::default();
        let capture = CaptureFacts { last_ns: Some(250_000_000_000), ..CaptureFacts::default() };
        let Finished { summary, lengths } = whole(&records, &settings).finish(&settings, capture, |o| o);
        let mut counted = summary::Counts::new();
        for record in &records {
            for (side, address) in record.sides.iter().zip([record.client.0, record.server.0]) {
                if let Some(facts) = &side.time_wait {
                    let basis = estimate(facts, &lengths.of(address), 250_000_000_000).basis;
                    *counted.entry(basis.as_str()).or_default() += 1;
                }
            }
        }
        prop_assert_eq!(counted, summary.totals.time_wait_basis);
    }
}
