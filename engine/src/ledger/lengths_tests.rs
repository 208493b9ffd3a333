//! Semantics B4 and F, case by case.

use super::*;
use crate::record::Mark;

const START: i64 = 1_700_000_000 * SECOND;

fn at(age_s: i64) -> Mark {
    Mark::new(START + age_s * SECOND, 1, 0)
}

fn facts() -> TimeWaitFacts {
    TimeWaitFacts::new(at(0))
}

fn linux(facts: &TimeWaitFacts, end_s: i64) -> Estimate {
    estimate(facts, &Length::of_stack(Stack::Linux), START + end_s * SECOND)
}

#[test]
fn silence_is_the_model_once_the_capture_outlasts_it() {
    let told = linux(&facts(), 66);
    assert_eq!((told.basis, told.end, told.point_ns), (TimeWaitBasis::Model, TimeWaitEnd::Unknown, Some(60 * SECOND)));
    assert_eq!((told.lower_ns, told.upper_ns), (None, None));
}

#[test]
fn silence_is_censored_before() {
    let told = linux(&facts(), 10);
    assert_eq!(
        (told.basis, told.end, told.lower_ns, told.point_ns),
        (TimeWaitBasis::Censored, TimeWaitEnd::Unknown, None, None)
    );
}

#[test]
fn a_restart_moves_the_model_and_proves_a_lower_bound() {
    let restart = START + 20 * SECOND;
    let told = linux(
        &TimeWaitFacts {
            restarts: 1,
            restarted_ns: restart,
            possibly_restarted_ns: restart,
            alive: Some(at(20)),
            ..facts()
        },
        200,
    );
    assert_eq!((told.basis, told.lower_ns), (TimeWaitBasis::LowerOnly, Some(20 * SECOND)));
    assert_eq!((told.model_low_ns, told.model_high_ns), (80 * SECOND, 85_200 * MS));
    assert_eq!((told.point_ns, told.end), (Some(80 * SECOND), TimeWaitEnd::Unknown));
}

#[test]
fn a_reuse_is_exact() {
    let told = linux(&TimeWaitFacts { ended: Some((at(30), TimeWaitEnd::Reused)), ..facts() }, 200);
    assert_eq!((told.basis, told.end), (TimeWaitBasis::ObservedExact, TimeWaitEnd::Reused));
    assert_eq!(
        (told.lower_ns, told.upper_ns, told.point_ns),
        (Some(30 * SECOND), Some(30 * SECOND), Some(30 * SECOND))
    );
}

#[test]
fn gone_at_61_s_bounds_from_above() {
    let told = linux(&TimeWaitFacts { gone: Some(at(61)), ..facts() }, 61);
    assert_eq!(
        (told.basis, told.end, told.upper_ns),
        (TimeWaitBasis::UpperOnly, TimeWaitEnd::Expired, Some(61 * SECOND))
    );
    assert_eq!(told.point_ns, Some(60 * SECOND));
}

#[test]
fn gone_at_30_s_rejects_the_length_of_linux() {
    let told = linux(&TimeWaitFacts { gone: Some(at(30)), ..facts() }, 200);
    assert_eq!((told.basis, told.point_ns, told.upper_ns), (TimeWaitBasis::ModelRejected, None, Some(30 * SECOND)));
}

#[test]
fn a_possible_restart_contradicts_nothing() {
    let told = linux(&TimeWaitFacts { gone: Some(at(61)), possibly_restarted_ns: START + 20 * SECOND, ..facts() }, 200);
    assert_eq!(told.basis, TimeWaitBasis::UpperOnly);
    let told =
        linux(&TimeWaitFacts { alive: Some(at(70)), possibly_restarted_ns: START + 20 * SECOND, ..facts() }, 200);
    assert_eq!((told.basis, told.point_ns), (TimeWaitBasis::LowerOnly, Some(70 * SECOND)));
    let told = linux(&TimeWaitFacts { alive: Some(at(70)), ..facts() }, 200);
    assert_eq!(told.basis, TimeWaitBasis::ModelRejected);
}

#[test]
fn a_possible_kill_counts_only_while_nothing_follows() {
    let killed = TimeWaitFacts { possibly_killed: Some(at(5)), ..facts() };
    assert_eq!(linux(&killed, 200).basis, TimeWaitBasis::PossiblyKilled);
    let survived = TimeWaitFacts { alive: Some(at(7)), ..killed.clone() };
    assert_eq!(linux(&survived, 200).basis, TimeWaitBasis::LowerOnly);
    let gone = linux(&TimeWaitFacts { gone: Some(at(7)), ..killed }, 200);
    assert_eq!(
        (gone.basis, gone.end, gone.upper_ns),
        (TimeWaitBasis::UpperOnly, TimeWaitEnd::Unknown, Some(7 * SECOND))
    );
}

#[test]
fn the_most_specific_rule_wins() {
    let rule = |address: Option<&str>, prefix, s: i64| TimeWaitRule {
        address: address.map(|a| a.parse().unwrap()),
        prefix,
        low_ns: s * SECOND,
        high_ns: s * SECOND,
    };
    let time_wait =
        vec![rule(None, 0, 1), rule(Some("10.0.0.0"), 8, 2), rule(Some("10.1.0.0"), 16, 3), rule(Some("fd00::"), 8, 4)];
    let settings = Settings { time_wait, ..Settings::default() };
    let low_s = |host| rule_for(&settings, host).unwrap().low_ns / SECOND;
    assert_eq!(low_s(Some(Address::v4([10, 1, 2, 3]))), 3);
    assert_eq!(low_s(Some(Address::v4([10, 2, 2, 3]))), 2);
    assert_eq!(low_s(Some(Address::v4([11, 2, 2, 3]))), 1);
    assert_eq!(low_s(Some(Address([0xfd; 16]))), 4);
    assert_eq!(low_s(None), 1);
}
