use super::*;
use crate::ledger::generated::records;
use crate::ledger::law_tests::{plain, silent};
use crate::ledger::summary::CaptureFacts;
use crate::ledger::{Finished, Ledger};
use crate::record::{Mark, Stack, TimeWaitEnd};
use proptest::prelude::*;

const READ: i64 = 1_000 * SECOND;
const FIRST: i64 = 900 * SECOND;
const LAST: i64 = 1_100 * SECOND;

/// A client that waits from `start_s` on, from port `port`.
fn waiting(port: u16, start_s: i64) -> ConnectionRecord {
    let mut record = silent(u64::from(port), start_s * SECOND);
    record.client.1 = port;
    record
}

fn wait_of(record: &mut ConnectionRecord) -> &mut TimeWaitFacts {
    record.sides[0].time_wait.as_mut().expect("it waits")
}

/// The table of that client: port, and when the timer ends.
fn table(waits: &[(u16, i64)]) -> HostTable {
    let (client, server) = (plain(1).client.0.ip(), plain(1).server);
    let waits = waits.iter().map(|&(port, ends_s)| (client, port, server.0.ip(), server.1, ends_s * SECOND)).collect();
    HostTable { addresses: vec![client], read_ns: (READ, READ + MS), waits }
}

fn lengths() -> Lengths {
    Lengths::new(HashMap::new(), Length::of_stack(Stack::Linux))
}

fn told(table: HostTable, records: &mut [ConnectionRecord]) -> KernelFacts {
    let mut ledger = KernelLedger::new(&Settings { host_tables: vec![table], ..Settings::default() });
    records.iter_mut().for_each(|record| ledger.hold(record));
    ledger.finish(&lengths(), Some((FIRST, LAST)), LAST).remove(0)
}

#[test]
fn what_both_show_has_the_timer_of_the_kernel() {
    let mut records = [waiting(1, 950), waiting(2, 990)];
    let facts = told(table(&[(1, 1_010), (2, 1_049)]), &mut records);
    assert_eq!((facts.kernel, facts.both, facts.wire), (2, 2, (2, 2)));
    assert!(facts.only_kernel.is_empty() && facts.only_wire.is_empty());
    let ends = records.each_mut().map(|record| wait_of(record).kernel_end_ns);
    assert_eq!(ends, [Some(1_010 * SECOND), Some(1_049 * SECOND)]);
}

#[test]
fn the_wire_alone_is_certain_only_within_its_least_length_and_before_the_last_packet() {
    // 950: 50 s old; 937: 63 s, between 60 and 65.2; 930: over; 1001: not begun.
    let mut records = [waiting(1, 950), waiting(2, 937), waiting(3, 930), waiting(4, 1_001)];
    let facts = told(table(&[]), &mut records);
    assert_eq!(facts.only_wire, Counts::from([("certain", 1), ("possible", 1)]));
    assert_eq!(facts.wire, (1, 2));
    let late = HostTable { read_ns: (LAST + SECOND, LAST + SECOND), ..table(&[]) };
    let after = told(late, &mut [waiting(1, 1_090)]);
    assert_eq!(after.only_wire, Counts::from([("possible", 1)]), "what came after the last packet is unknown");
}

#[test]
fn what_only_the_kernel_shows_has_its_reason() {
    let mut open = plain(3);
    open.client.1 = 3;
    (open.first, open.last) = (Mark::new(FIRST, 1, 0), Mark::new(READ, 2, 0));
    let (before_s, after_s) = (FIRST / SECOND + 59, LAST / SECOND + 61);
    let facts = told(table(&[(1, before_s), (2, after_s), (3, 1_050), (4, 1_050)]), &mut [open]);
    let expected = [("before_capture", 1), ("after_capture", 1), ("unproven", 1), ("not_captured", 1)];
    assert_eq!(facts.only_kernel, Counts::from(expected));
    assert_eq!((facts.both, facts.examples.len()), (0, 4));
}

#[test]
fn a_timer_that_may_have_been_restarted_later_ends_nothing() {
    let mut record = waiting(1, 990);
    wait_of(&mut record).possibly_restarted_ns = READ + SECOND;
    assert_eq!(told(table(&[(1, 1_050)]), std::slice::from_mut(&mut record)).both, 1);
    assert_eq!(wait_of(&mut record).kernel_end_ns, None);
}

#[test]
fn a_table_may_come_after_its_connections_have_ended() {
    let mut ended = waiting(1, 950);
    wait_of(&mut ended).ended = Some((Mark::new(READ + SECOND, 9, 0), TimeWaitEnd::Reused));
    let watched = Settings { watched_hosts: vec![ended.client.0.ip()], ..Settings::default() };
    for (settings, both) in [(watched, 1), (Settings::default(), 0)] {
        let mut ledger = KernelLedger::new(&settings);
        ledger.hold(&mut ended.clone());
        ledger.replace(&[table(&[(1, 1_010)])]);
        assert_eq!(ledger.finish(&lengths(), Some((FIRST, LAST)), LAST).remove(0).both, both);
    }
}

fn watching() -> KernelLedger {
    let settings =
        Settings { watched_hosts: vec![plain(1).client.0.ip()], idle_expiry_ns: 300 * SECOND, ..Settings::default() };
    KernelLedger::new(&settings)
}

/// The table as it was read so many seconds later.
fn later(after_s: i64, waits: &[(u16, i64)]) -> HostTable {
    let read_ns = READ + after_s * SECOND;
    HostTable { read_ns: (read_ns, read_ns + MS), ..table(waits) }
}

#[test]
fn what_an_earlier_table_told_stays_when_the_socket_is_gone() {
    let mut ledger = watching();
    ledger.replace(&[later(0, &[(1, 1_050), (3, 1_050)])]);
    ledger.replace(&[later(10, &[(1, 1_050)])]);
    ledger.replace(&[later(70, &[])]);
    let mut copy = ledger.provisional();
    for told in [&mut copy, &mut ledger] {
        let mut records = [waiting(1, 990), waiting(2, 990), waiting(3, 990)];
        records.iter_mut().for_each(|record| told.hold(record));
        let ends = records.each_mut().map(|record| wait_of(record).kernel_end_ns);
        assert_eq!(ends, [Some(1_050 * SECOND), None, None], "of the third the kernel let go before its time");
        let unlisted = records.each_mut().map(|record| wait_of(record).unlisted_ns);
        assert_eq!(unlisted, [None, Some(990 * SECOND), Some(READ)], "never, and from the last that had it on");
    }
    let facts = ledger.finish(&lengths(), Some((FIRST, LAST)), LAST).remove(0);
    assert_eq!((facts.both, facts.never_listed), (0, 1));
    assert_eq!(facts.examples.iter().map(|one| one.kind).collect::<Vec<_>>(), ["never_listed"]);
    let facts = copy.finish(&lengths(), Some((FIRST, LAST)), LAST).remove(0);
    assert_eq!(facts.never_listed, 1, "a copy tells the same");
}

#[test]
fn never_listed_is_only_what_must_have_been_there_when_the_kernel_was_read() {
    let mut ledger = watching();
    // Of 1 no table is of the time in which it is sure to wait, of 2 the only one is of after a reuse.
    ledger.replace(&[later(0, &[])]);
    let mut reused = waiting(2, 999);
    wait_of(&mut reused).ended = Some((Mark::new(READ - MS, 9, 0), TimeWaitEnd::Reused));
    [waiting(1, 1_001), reused, waiting(3, 960)].iter_mut().for_each(|record| ledger.hold(record));
    assert_eq!(ledger.provisional().finish(&lengths(), Some((FIRST, LAST)), LAST).remove(0).never_listed, 0);
    ledger.replace(&[later(5, &[])]);
    ledger.hold(&mut waiting(4, 1_001));
    assert_eq!(ledger.finish(&lengths(), Some((FIRST, LAST)), LAST).remove(0).never_listed, 1);
}

#[test]
fn of_several_listings_the_quickest_tells_the_timer() {
    let mut ledger = watching();
    ledger.replace(&[later(0, &[(1, 1_050)])]);
    let slow = later(2, &[(1, 1_051)]);
    ledger.replace(&[HostTable { read_ns: (slow.read_ns.0, slow.read_ns.0 + 2 * SECOND), ..slow }]);
    let mut record = waiting(1, 990);
    ledger.hold(&mut record);
    assert_eq!(wait_of(&mut record).kernel_end_ns, Some(1_050 * SECOND));
}

#[test]
fn a_capture_that_goes_on_is_not_over_at_its_last_packet() {
    let mut ledger = watching();
    let after_s = (LAST - READ) / SECOND + 30;
    ledger.replace(&[later(after_s, &[(1, LAST / SECOND + 75)])]);
    let facts = ledger.finish(&lengths(), Some((FIRST, LAST)), LAST).remove(0);
    assert_eq!(facts.only_kernel, Counts::from([("not_captured", 1)]));
}

#[test]
fn a_socket_that_is_listed_again_is_another_time_wait() {
    let mut ledger = watching();
    ledger.replace(&[later(0, &[(1, 1_050)])]);
    let (mut first, mut second) = (waiting(1, 990), waiting(1, 1_055));
    ledger.hold(&mut first);
    ledger.hold(&mut second);
    let ends = [&mut first, &mut second].map(|record| wait_of(record).kernel_end_ns);
    assert_eq!(ends, [Some(1_050 * SECOND), None]);
}

/// As a client that waits from `start_ns` on, from port 1.
fn began(start_ns: i64) -> ConnectionRecord {
    let mut record = silent(1, start_ns);
    record.client.1 = 1;
    record
}

#[test]
fn a_port_that_came_again_as_the_kernel_was_read_has_not_the_timer_that_was_before() {
    // As measured: the first waits for 20 s, is listed with 40 s left, and the port comes again within 10 ms.
    let mut first = waiting(1, 980);
    wait_of(&mut first).ended = Some((Mark::new(READ + 5 * MS, 9, 0), TimeWaitEnd::Reused));
    let own_ns = |after_ns: i64, watched: bool, listings: &[HostTable]| {
        let mut record = began(READ + after_ns);
        let mut ledger = if watched { watching() } else { KernelLedger::new(&Settings::default()) };
        ledger.replace(&listings[..1]);
        ledger.hold(&mut first.clone());
        listings[1..].iter().for_each(|one| ledger.replace(std::slice::from_ref(one)));
        ledger.hold(&mut record);
        wait_of(&mut record).kernel_end_ns
    };
    let listed = later(0, &[(1, 1_040)]);
    for after_ms in [-40, 0, 6, 50] {
        for watched in [false, true] {
            assert_eq!(own_ns(after_ms * MS, watched, std::slice::from_ref(&listed)), None, "{after_ms} ms, {watched}");
        }
        let again = [listed.clone(), later(2, &[(1, 1_060)])];
        assert_eq!(own_ns(after_ms * MS, true, &again), Some(1_060 * SECOND), "{after_ms} ms: the next has its own");
    }
    assert_eq!(own_ns(-50 * MS, true, &[later(0, &[(1, 1_060)])]), Some(1_060 * SECOND), "it was there for sure");
    let slow = HostTable { read_ns: (READ + 10 * SECOND, READ + 50 * SECOND), ..later(0, &[(1, 1_060)]) };
    let of_both = own_ns(9 * SECOND, true, &[listed, slow]);
    assert_eq!(of_both, Some(1_060 * SECOND), "about the same, within a slow listing's time, is not the same");
}

#[test]
fn a_timer_that_was_restarted_as_the_kernel_was_read_is_not_measured() {
    for (after_ms, end) in [(6, None), (-40, None), (-50, Some(1_020 * SECOND))] {
        let mut record = waiting(1, 960);
        let facts = wait_of(&mut record);
        facts.restarted_ns = READ + after_ms * MS;
        facts.possibly_restarted_ns = facts.restarted_ns;
        told(table(&[(1, 1_020)]), std::slice::from_mut(&mut record));
        assert_eq!(wait_of(&mut record).kernel_end_ns, end, "{after_ms} ms");
    }
}

#[test]
fn a_timer_that_is_over_and_did_not_fire_yet_measures_nothing() {
    // 60.33 s after its start the socket is still listed, with 0 ms left (`middle_ns` of host/model.py, rounded down).
    let began_ns = READ - 60_330 * MS;
    let (client, server) = (plain(1).client.0.ip(), plain(1).server);
    let of = |read_ns: i64, ends_ns: i64| HostTable {
        read_ns: (read_ns, read_ns + MS),
        waits: vec![(client, 1, server.0.ip(), server.1, ends_ns)],
        ..table(&[])
    };
    let over = of(READ, READ + MS / 2);
    let mut record = began(began_ns);
    assert_eq!(told(over.clone(), std::slice::from_mut(&mut record)).both, 1, "it is there all the same");
    assert_eq!(wait_of(&mut record).kernel_end_ns, None);

    let (running, end) = (of(READ - SECOND, began_ns + 60 * SECOND), Some(began_ns + 60 * SECOND));
    let next = of(READ + 60 * SECOND, READ + 119 * SECOND);
    for (listings, end) in [
        (vec![over.clone()], None),
        (vec![running.clone(), over.clone()], end),
        (vec![running, over.clone(), of(READ + 180 * MS, READ + 180 * MS + MS / 2)], end),
    ] {
        let mut ledger = watching();
        listings.iter().for_each(|one| ledger.replace(std::slice::from_ref(one)));
        let mut record = began(began_ns);
        ledger.hold(&mut record);
        assert_eq!((wait_of(&mut record).kernel_end_ns, wait_of(&mut record).unlisted_ns), (end, None));
    }
    let mut ledger = watching();
    [over, next].iter().for_each(|one| ledger.replace(std::slice::from_ref(one)));
    let mut record = began(READ + 59 * SECOND);
    ledger.hold(&mut record);
    assert_eq!(wait_of(&mut record).kernel_end_ns, Some(READ + 119 * SECOND), "another one on the same port");

    let mut ledger = watching();
    let late_ns = READ + 61 * SECOND;
    [of(READ, READ + 40 * SECOND), of(late_ns, late_ns + MS / 2)].into_iter().for_each(|one| ledger.replace(&[one]));
    let mut record = began(READ + SECOND);
    ledger.hold(&mut record);
    assert_eq!(wait_of(&mut record).kernel_end_ns, None, "nor has it the running timer of the one before");
}

#[test]
fn listings_remembered_are_bounded_and_what_is_beyond_is_not_told_to_be_missing() {
    let mut listed = Listed::new(300 * SECOND);
    let (client, server) = (plain(1).client.0.ip(), plain(1).server.0.ip());
    let waits = |ends_s: i64| {
        (0..300_000_u32).map(|n| (client, n as u16, server, 1 + (n >> 16) as u16, ends_s * SECOND)).collect()
    };
    listed.take(&Table::of(&HostTable { waits: waits(1_050), ..table(&[]) }));
    let ends = |port: u16| ((client.into(), port), (server.into(), 9));
    let facts = wait_of(&mut waiting(1, 999)).clone();
    assert!(!listed.never_had(ends(1), &facts), "it may be one of those that found no room");
    assert_eq!(listed.remembered(), 1 << 18);
    listed.take(&Table::of(&later(500, &[])));
    assert_eq!(listed.remembered(), 0, "what ended long ago makes room");
}

#[test]
fn what_is_remembered_is_bounded() {
    let settings = Settings { watched_hosts: vec![plain(1).client.0.ip()], ..Settings::default() };
    let mut ledger = KernelLedger::new(&settings);
    for ordinal in 0..70_000 {
        ledger.hold(&mut silent(ordinal, READ));
    }
    assert_eq!(ledger.recent.len(), MOST_RECENT);
    ledger.hold(&mut silent(70_000, READ + RECENT_NS + 2));
    assert_eq!(ledger.recent.len(), 1);
}

#[test]
fn what_ended_long_ago_is_forgotten_behind_what_did_not() {
    let settings = Settings { watched_hosts: vec![plain(1).client.0.ip()], ..Settings::default() };
    let mut ledger = KernelLedger::new(&settings);
    // The first ends late: a clock that was wrong for a packet, or one of many that were told out of order.
    ledger.hold(&mut silent(0, READ + 3600 * SECOND));
    (1..2000).for_each(|ordinal| ledger.hold(&mut silent(ordinal, READ)));
    (2000..5000).for_each(|ordinal| ledger.hold(&mut silent(ordinal, READ + 2 * RECENT_NS)));
    let old = |recent: &&Recent| recent.last_ns < READ + RECENT_NS;
    assert_eq!(ledger.recent.iter().filter(old).count(), 0);
    assert!(ledger.recent.len() >= 3000, "and what did not end long ago is there: {}", ledger.recent.len());
}

#[test]
fn timers_measure_the_length_and_how_late_they_are_is_the_kernels() {
    let mut record = waiting(1, 950);
    told(table(&[(1, 1_010)]), std::slice::from_mut(&mut record));
    let mut ledger = Ledger::new(&Settings::default());
    ledger.connection(&record);
    let capture = CaptureFacts { first_ns: Some(FIRST), last_ns: Some(LAST), ..CaptureFacts::default() };
    let Finished { summary, .. } = ledger.finish(&Settings::default(), capture, LAST, |ordinal| ordinal);
    let wait = summary.hosts.iter().find_map(|host| host.time_wait.as_ref()).expect("a TIME_WAIT");
    let length = (wait.length.low_ns, wait.length.high_ns, wait.length.source);
    assert_eq!(length, (60 * SECOND, 60 * SECOND + TIMER_SLACK_NS, "kernel"));
    assert_eq!(wait.basis, Counts::from([("kernel", 1)]));
}

proptest! {
    #[test]
    fn parts_merged_tell_what_the_whole_tells(records in records(), homes in prop::collection::vec(0..3_usize, 60)) {
        let wait = |r: &ConnectionRecord| (r.client.0.ip(), r.client.1, r.server.0.ip(), r.server.1, r.last.ts_ns);
        let middle = records.first().map_or(0, |record| record.last.ts_ns);
        let table = HostTable {
            addresses: records.iter().flat_map(|r| [r.client.0.ip(), r.server.0.ip()]).collect(),
            read_ns: (middle, middle),
            waits: records.iter().map(wait).collect(),
        };
        let settings = Settings { host_tables: vec![table], ..Settings::default() };
        let mut parts: Vec<KernelLedger> = (0..3).map(|_| KernelLedger::new(&settings)).collect();
        let mut whole = KernelLedger::new(&settings);
        for (record, &home) in records.iter().zip(&homes) {
            parts[home].hold(&mut record.clone());
            whole.hold(&mut record.clone());
        }
        let merged = parts.into_iter().reduce(|mut all, part| { all.merge(part); all }).expect("three parts");
        let json = |ledger: KernelLedger| {
            serde_json::to_string(&ledger.finish(&lengths(), Some((FIRST, LAST)), LAST)).expect("JSON")
        };
        prop_assert_eq!(json(merged), json(whole));
    }
}
