//! The band holds what the facts allow.

use super::*;
use crate::record::{Mark, Stack, TimeWaitEnd};
use crate::settings::SECOND;

const START: i64 = 1_700_000_000 * SECOND;

fn facts(start_s: i64) -> TimeWaitFacts {
    let ts_ns = START + start_s * SECOND;
    TimeWaitFacts::new(Mark::new(ts_ns, 1, 0))
}

fn mark(age_s: i64) -> Mark {
    Mark::new(START + age_s * SECOND, 2, 0)
}

/// The band `age_s` after the start, for one TIME_WAIT of a Linux host that began at the start.
fn band(facts: &TimeWaitFacts, age_s: i64) -> (u64, u64) {
    let mut timeline = Timeline::new(64);
    timeline.enter(facts.start.ts_ns);
    timeline.leave_time_wait(facts);
    let held = timeline.finish(&Length::of_stack(Stack::Linux), START + age_s * SECOND);
    held.last().map_or((0, 0), |h| (h.min, h.max))
}

#[test]
fn a_modelled_end_is_a_band_between_its_least_and_most() {
    let ages = [0, 59, 61, 65, 67].map(|age| band(&facts(0), age));
    assert_eq!(ages, [(1, 1), (1, 1), (0, 1), (0, 1), (0, 0)]);
}

#[test]
fn an_exact_end_leaves_both_bounds_at_once() {
    let ended = TimeWaitFacts { ended: Some((mark(30), TimeWaitEnd::Reused)), ..facts(0) };
    assert_eq!([29, 31].map(|age| band(&ended, age)), [(1, 1), (0, 0)]);
}

#[test]
fn gone_cuts_the_most_and_alive_lifts_the_least() {
    let gone = TimeWaitFacts { gone: Some(mark(62)), ..facts(0) };
    assert_eq!([59, 61, 64].map(|age| band(&gone, age)), [(1, 1), (0, 1), (0, 0)]);
    let alive = TimeWaitFacts { alive: Some(mark(64)), ..facts(0) };
    assert_eq!([61, 62, 65, 67].map(|age| band(&alive, age)), [(1, 1), (1, 1), (0, 1), (0, 0)]);
}

/// Ages are kept in classes 3 % wide, two seconds at a minute: what is gone before its model lets it be is gone when it was.
#[test]
fn gone_is_exact_where_the_model_is_longer() {
    let gone = TimeWaitFacts { gone: Some(mark(61)), ..facts(0) };
    assert_eq!([59, 60, 62].map(|age| band(&gone, age)), [(1, 1), (0, 1), (0, 0)]);
    assert_eq!(band(&gone, 61), (0, 0), "the last packet shows it");
    let just = TimeWaitFacts { gone: Some(mark(65)), ..facts(0) };
    assert_eq!(band(&just, 65), (0, 0), "its class goes on beyond the model");
    let later = TimeWaitFacts { gone: Some(mark(90)), ..facts(0) };
    assert_eq!([59, 64, 66, 90].map(|age| band(&later, age)), [(1, 1), (0, 1), (0, 0), (0, 0)]);
}

#[test]
fn a_possible_kill_leaves_only_the_least() {
    let killed = TimeWaitFacts { possibly_killed: Some(mark(5)), ..facts(0) };
    assert_eq!([4, 6, 70].map(|age| band(&killed, age)), [(1, 1), (0, 1), (0, 0)]);
}

/// The kernel listed it no more, or never: the least is without it from then on, the most is not.
#[test]
fn what_no_listing_had_is_possible_only() {
    let never = TimeWaitFacts { unlisted_ns: Some(START), ..facts(0) };
    assert_eq!([0, 30, 67].map(|age| band(&never, age)), [(0, 1), (0, 1), (0, 0)]);
    let gone = TimeWaitFacts { unlisted_ns: Some(mark(20).ts_ns), ..facts(0) };
    assert_eq!([19, 21, 67].map(|age| band(&gone, age)), [(1, 1), (0, 1), (0, 0)]);
    let answered = TimeWaitFacts { alive: Some(mark(20)), ..never };
    assert_eq!(band(&answered, 19), (1, 1), "the wire proves it: it is there whatever the listing said");
}

#[test]
fn thinning_keeps_the_peak() {
    let held: Vec<Held> =
        (0..10_000).map(|i| Held { ns: i * BUCKET_NS, min: 0, max: if i == 7777 { 9 } else { 1 } }).collect();
    let thin = thinned(&held, 120);
    assert!(thin.len() <= 120);
    assert_eq!(peak(&thin), peak(&held));
    assert!(thin.windows(2).all(|w| w[0].ns < w[1].ns));
}

/// Eleven wait at once for a moment, in a capture of milliseconds and in one of hours: the first is told as it was, and
/// neither lets those that come and go between two counts stay, or leave before they came.
#[test]
fn the_peak_of_a_short_time_is_exact() {
    let mut timeline = Timeline::new(64);
    for i in 0..11 {
        timeline.enter(START + i * MS);
        timeline.leave(START + 20 * MS + i * MS);
    }
    let top = peak(&timeline.finish(&Length::of_stack(Stack::Linux), START + SECOND));
    assert_eq!((top.min, top.max), (11, 11));
    assert!((START + 10 * MS..START + 11 * MS).contains(&top.ns), "{}", top.ns - START);
    assert_eq!(timeline.width_ns(), BUCKET_NS);
    for i in 0..1000 {
        timeline.enter(START + i * 3 * SECOND);
        timeline.leave(START + i * 3 * SECOND + 200 * MS);
    }
    let held = timeline.finish(&Length::of_stack(Stack::Linux), START + 3000 * SECOND);
    assert!(timeline.width_ns() > 10 * SECOND);
    assert!(held.iter().all(|h| h.max <= 1), "{held:?}");
}

#[test]
fn what_leaves_within_its_bucket_was_held_once() {
    let mut timeline = Timeline::new(64);
    for i in 0..5 {
        timeline.enter(START + i * MS);
        timeline.leave(START + i * MS + 1);
    }
    let held = timeline.finish(&Length::of_stack(Stack::Linux), START + SECOND);
    let top = peak(&held);
    assert_eq!((top.min, top.max), (1, 1));
    assert!(top.ns >= START && top.ns <= START + SECOND);
    assert_eq!(peak(&[]), Held::default());
}
