use super::*;
use crate::capture::stream::StreamSource;
use crate::engine::analyze;
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures")).join(name).join("capture.pcap")
}

fn follow(path: PathBuf, follow: bool) -> Live {
    let settings = Settings::default();
    let opened = settings.clone();
    let open = move || Ok(Box::new(StreamSource::open(&[path], &opened, follow, None)?) as Box<dyn Source>);
    Live::start(Box::new(open), &settings).unwrap()
}

fn told(outcome: &Outcome) -> String {
    serde_json::to_string_pretty(&outcome.summary).unwrap()
}

/// The same packets give the same answer, whether they are read from a file or taken as they come.
#[test]
fn live_says_what_analyze_says() {
    for name in ["reuse-at-ages", "proxy-both-legs", "abort-by-server", "vxlan-fragments"] {
        let (expected, _) = analyze(&[fixture(name)], &Settings::default(), None).unwrap().unwrap();
        let live = follow(fixture(name), false);
        while live.wait(Duration::from_secs(1)).unwrap() {}
        assert_eq!(live.counters().packets, expected.summary.capture.packets);
        let snapshot = live.snapshot().unwrap();
        assert_eq!(snapshot.outcome.summary.totals.connections, expected.summary.totals.connections, "{name}");
        assert_eq!(told(&live.finish().unwrap().outcome), told(&expected), "{name}");
    }
}

/// A snapshot in the middle ends nothing: what comes after it is added, and the answer is that of the whole.
#[test]
fn a_snapshot_changes_nothing_and_says_what_a_capture_that_ended_there_would() {
    let whole = std::fs::read(fixture("reuse-at-ages")).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let half = crate::capture::forge::record_ends(&whole).nth(39).unwrap();
    std::fs::write(file.path(), &whole[..half]).unwrap();
    let (expected, _) = analyze(&[file.path().to_owned()], &Settings::default(), None).unwrap().unwrap();
    let live = follow(file.path().to_owned(), true);
    while live.counters().packets < 40 {
        assert!(live.wait(Duration::from_millis(10)).unwrap(), "a file that is followed is not over");
    }
    let now = live.snapshot().unwrap().outcome.summary;
    assert_eq!(now.totals.close, expected.summary.totals.close);
    assert_eq!(now.hosts.len(), expected.summary.hosts.len());
    assert!(now.capture.live.goes_on && !expected.summary.capture.live.goes_on);
    std::io::Write::write_all(&mut std::fs::OpenOptions::new().append(true).open(file.path()).unwrap(), &whole[half..])
        .unwrap();
    let (expected, _) = analyze(&[file.path().to_owned()], &Settings::default(), None).unwrap().unwrap();
    while live.counters().packets < expected.summary.capture.packets {
        live.wait(Duration::from_millis(10)).unwrap();
    }
    assert_eq!(told(&live.finish().unwrap().outcome), told(&expected));
}

/// Who asks before the first byte came is answered: there is nothing yet.
#[test]
fn a_silent_pipe_can_be_asked_and_left() {
    let (gate, opened) = channel::<()>();
    let open = move || {
        let _ = opened.recv();
        Err(SourceError::new("-", "over"))
    };
    let live = Live::start(Box::new(open), &Settings::default()).unwrap();
    assert!(live.wait(Duration::from_millis(10)).unwrap());
    assert_eq!(live.snapshot().unwrap().outcome.summary.capture.packets, 0);
    assert_eq!(live.finish().unwrap().outcome.summary.capture.packets, 0);
    drop(gate);
    assert!(live.wait(Duration::from_secs(9)).unwrap_err().to_string().contains("over"));
}

/// A capture of so many packets as a set: connections that are refused at once, one a second, after `open` that never end.
fn refusals(open: u16, refused: u32) -> crate::capture::CaptureSet {
    let frame = crate::engine::tests::frame;
    let begun = (0..open).map(|port| (0, frame(10_000 + port, true, 0x02, 7)));
    let ended = (1..=refused).flat_map(|second| {
        let port = 20_000 + (second % 40_000) as u16;
        [(second, frame(port, true, 0x02, 0)), (second, frame(port, false, 0x14, 0))]
    });
    let packets: Vec<(u32, Vec<u8>)> = begun.chain(ended).collect();
    let packets: Vec<(u32, &[u8])> = packets.iter().map(|(second, bytes)| (*second, &bytes[..])).collect();
    let file = std::io::Cursor::new(crate::capture::forge::pcap(&packets));
    crate::capture::CaptureSet::from_reader("x", file, &Settings::default()).unwrap()
}

/// Connections that stay open and silent (keep-alive, ssh) do not keep those in memory that are over.
#[test]
fn what_is_over_is_forgotten_though_older_ones_stay_open() {
    let settings = Settings { idle_expiry_ns: 300 * crate::settings::SECOND, ..Settings::default() };
    let (mut set, mut engine, mut batch) = (refusals(500, 20_000), Engine::new(&settings), Batch::default());
    while set.next_batch(&mut batch, 1000).unwrap() {
        engine.feed_watching(&mut batch, None, &mut |_, _| ());
    }
    engine.let_go_watching(&mut |_, _| ());
    let (all, tracked, evicted) = engine.connections();
    assert_eq!((all, evicted), (20_500, 0));
    // Those of the last 300 s, those since the last look (every 4,096 packets), and the 500.
    assert!((800..=800 + 2048).contains(&tracked), "{tracked}");
    assert_eq!(engine.finish(set.facts()).unwrap().summary.totals.connections, 20_500);
}

/// What waits for its copy in a tunnel is counted as soon as it is too old for one, not when there are more packets.
#[test]
fn few_packets_do_not_wait_for_more() {
    let (mut set, mut engine, mut batch) = (refusals(0, 6_000), Engine::new(&Settings::default()), Batch::default());
    let mut packets = 0;
    while set.next_batch(&mut batch, 2).unwrap() {
        packets += batch.packets.len() as u64;
        engine.feed_watching(&mut batch, None, &mut |_, _| ());
        engine.let_old_go_watching(&mut |_, _| ());
        let (all, ..) = engine.connections();
        assert!(all + 1 >= packets / 2, "{all} of {packets}");
    }
    assert_eq!(engine.finish(set.facts()).unwrap().summary.totals.connections, 6_000);
}

/// Numbers that nobody asks for can be forgotten again and again; the answer is the same.
#[test]
fn forgotten_numbers_do_not_show() {
    let answer = |forgets: bool| {
        let settings = Settings::default();
        let (mut set, mut engine, mut batch) = (refusals(50, 3_000), Engine::new(&settings), Batch::default());
        while set.next_batch(&mut batch, 500).unwrap() {
            engine.feed_watching(&mut batch, None, &mut |_, _| ());
            if forgets {
                engine.shards.iter_mut().for_each(crate::engine::shard::Shard::forget_numbers);
            }
        }
        told(&engine.finish(set.facts()).unwrap())
    };
    assert_eq!(answer(true), answer(false));
}

/// A handshake under way is an open connection; after 3 s without an answer, or at the end, it failed.
#[test]
fn an_attempt_is_given_time_to_be_answered() {
    let frame = crate::engine::tests::frame;
    let alone = (5, frame(1000, true, 0x02, 7));
    let half = [(5, frame(2000, true, 0x02, 0)), (5, frame(2000, false, 0x12, 0))];
    let packets: Vec<(u32, Vec<u8>)> = std::iter::once(alone).chain(half).collect();
    let packets: Vec<(u32, &[u8])> = packets.iter().map(|(second, bytes)| (*second, &bytes[..])).collect();
    let file = std::io::Cursor::new(crate::capture::forge::pcap(&packets));
    let settings = Settings::default();
    let mut set = crate::capture::CaptureSet::from_reader("x", file, &settings).unwrap();
    let (mut engine, mut batch) = (Engine::new(&settings), Batch::default());
    assert!(set.next_batch(&mut batch, 1000).unwrap());
    let begun_ns = batch.packets[0].ts_ns;
    engine.feed_watching(&mut batch, None, &mut |_, _| ());
    engine.let_go_watching(&mut |_, _| ());
    let told = |outcome: Outcome| {
        let words = ["open", "unanswered", "half_open"];
        words.map(|word| serde_json::to_value(&outcome.summary.totals.close).unwrap()[word].as_u64().unwrap_or(0))
    };
    let after = |ns: i64| {
        let now_ns = Some(begun_ns + ns);
        told(engine.provisional(now_ns).conclude(SetFacts::default(), &settings, now_ns).unwrap())
    };
    assert_eq!(after(2_999_999_999), [2, 0, 0]);
    assert_eq!(after(3_000_000_000), [0, 1, 1]);
    assert_eq!(told(engine.finish(SetFacts::default()).unwrap()), [0, 1, 1], "at the end nothing is waited for");
}

/// A folder that is followed for days: the newest files are listed, the others totalled, and examples are of listed ones.
#[test]
fn a_followed_folder_lists_its_newest_files() {
    let folder = tempfile::tempdir().unwrap();
    let frame = crate::engine::tests::frame;
    for second in 0..1003_u32 {
        let port = 2000 + second as u16;
        let packets = [(second, frame(port, true, 0x02, 0)), (second, frame(port, false, 0x14, 0))];
        let packets: Vec<(u32, &[u8])> = packets.iter().map(|(second, bytes)| (*second, &bytes[..])).collect();
        let path = folder.path().join(format!("at-{second:04}.pcap"));
        std::fs::write(&path, crate::capture::forge::pcap(&packets)).unwrap();
        let at = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(second.into());
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
    }
    let live = follow(folder.path().to_owned(), true);
    let begun = Instant::now();
    while live.counters().packets < 2006 {
        assert!(live.wait(Duration::from_millis(10)).unwrap() && begun.elapsed() < Duration::from_secs(60));
    }
    let summary = live.finish().unwrap().outcome.summary;
    let (files, lost) = (&summary.capture.files, &summary.capture.live);
    assert_eq!((files.len(), lost.unlisted_files, lost.unlisted_packets), (1000, 3, 6));
    assert_eq!((lost.unread_files, lost.overwritten_files, summary.capture.packets), (0, 0, 2006));
    assert!(files.first().is_some_and(|file| file.path.ends_with("at-0003.pcap")));
    assert_eq!(summary.totals.connections, 1003);
}

/// A source that never ends; the count of its `Arc` says when it is let go.
#[allow(dead_code, reason = "held, not read")]
struct Endless(std::sync::Arc<()>);

impl Source for Endless {
    fn next(&mut self, _: &mut Batch, wait: Duration) -> Result<Came, SourceError> {
        std::thread::sleep(wait);
        Ok(Came::Nothing)
    }
    fn facts(&self) -> SetFacts {
        SetFacts::default()
    }
    fn counters(&self) -> SourceCounters {
        SourceCounters::default()
    }
    fn has_replay(&self) -> bool {
        false
    }
    fn replay(&mut self) -> Result<Box<dyn Replay>, SourceError> {
        Err(SourceError::new("endless", "nothing"))
    }
    fn close(&mut self) {}
}

/// A capture that is forgotten without being finished lets its source go.
#[test]
fn a_capture_that_is_dropped_ends() {
    let held = std::sync::Arc::new(());
    let source = Endless(std::sync::Arc::clone(&held));
    let live = Live::start(Box::new(move || Ok(Box::new(source) as Box<dyn Source>)), &Settings::default()).unwrap();
    assert!(live.wait(Duration::from_millis(20)).unwrap());
    drop(live);
    let begun = Instant::now();
    while std::sync::Arc::strong_count(&held) > 1 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the thread goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
}
