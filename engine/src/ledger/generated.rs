//! Connection records of every shape, made by proptest.

use crate::decode::Flags;
use crate::record::{
    ActiveCloser, Address, Close, CloserBasis, ConnectionOption, ConnectionRecord, HttpFacts, Letters, Mark, Protocol,
    Quality, Race, ResetBy, ResetEffect, ResetFacts, ResetKind, Role, RoleBasis, Side, Stack, State, TimeWaitEnd,
    TimeWaitFacts, Tunnel,
};
use crate::settings::SECOND;
use proptest::prelude::*;

/// The generated captures begin here.
pub const START: i64 = 1_700_000_000 * SECOND;

fn word<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(all)
}

fn mark() -> impl Strategy<Value = Mark> {
    (0..200_000_u64, 1..9_u64).prop_map(|(ms, frame)| Mark::new(START + ms as i64 * 1_000_000, frame, 0))
}

fn later(start: Mark) -> impl Strategy<Value = Option<Mark>> {
    let ages = prop_oneof![1..70_000_i64, 59_000..67_000_i64];
    prop::option::of(ages.prop_map(move |ms| start.at(start.ts_ns + ms * 1_000_000)))
}

prop_compose! {
    fn time_wait()(start in mark())(
        start in Just(start),
        alive in later(start),
        gone in later(start),
        ended in prop::option::weighted(0.2, (later(start), word(&[TimeWaitEnd::Reused, TimeWaitEnd::Killed]))),
        possibly_killed in later(start),
        restart_ms in prop_oneof![Just(0), 0..30_000_i64],
        maybe_ms in prop_oneof![Just(0), 0..30_000_i64],
        same_host in any::<Option<bool>>(),
        kernel_ms in prop::option::of(0..70_000_i64),
        unseen_ms in prop::option::weighted(0.2, 0..60_000_i64),
    ) -> TimeWaitFacts {
        let restarted_ns = start.ts_ns + restart_ms * 1_000_000;
        TimeWaitFacts {
            restarts: u32::from(restart_ms > 0),
            restarted_ns,
            possibly_restarted_ns: restarted_ns + maybe_ms * 1_000_000,
            alive,
            gone,
            ended: ended.and_then(|(mark, end)| Some((mark?, end))),
            possibly_killed,
            same_host,
            kernel_end_ns: kernel_ms.map(|ms| restarted_ns + ms * 1_000_000),
            unseen_from_ns: gone.and(unseen_ms).map(|ms| restarted_ns + ms * 1_000_000),
            ..TimeWaitFacts::new(start)
        }
    }
}

prop_compose! {
    fn side()(
        packets in 0..60_u64,
        bytes in 0..5000_u64,
        retransmits in 0..3_u32,
        state in word(State::ALL),
        fin in prop::option::of(mark()),
        stack in word(Stack::ALL),
        time_wait in prop::option::of(time_wait()),
    ) -> Side {
        Side { packets, bytes, retransmits, state, state_proved: state, fin, stack, ttl: 64, time_wait }
    }
}

prop_compose! {
    fn http()(
        protocol in prop::option::of(word(Protocol::ALL)),
        requests in 0..7_u32,
        responses in 0..7_u32,
        request_version in prop::option::of(0..2_u8),
        response_connection in prop::option::of(word(ConnectionOption::ALL)),
        persistent in any::<[Option<bool>; 3]>(),
        announced in any::<[bool; 2]>(),
        keep_alive_timeout_s in prop::option::of(0..40_u32),
        gap in prop::option::of(0..9_i64),
        name in prop::option::of("[a-r]"),
        option in word(ConnectionOption::ALL),
    ) -> HttpFacts {
        let mut made = HttpFacts {
            protocol,
            requests,
            responses,
            request_version,
            response_connection,
            request_persistent: persistent[0],
            response_persistent: persistent[1],
            reusable: persistent[2],
            announced_client: announced[0],
            announced_server: announced[1],
            keep_alive_timeout_s,
            unprocessed: requests.saturating_sub(responses),
            longest_reuse_gap_ns: gap.map(|s| s * SECOND),
            server_software: name.clone().map(Into::into),
            user_agent: name.map(Into::into),
            ..HttpFacts::default()
        };
        for _ in 0..requests {
            made.messages.add(Role::Client, request_version.unwrap_or(1), option, persistent[0] == Some(true));
        }
        made
    }
}

prop_compose! {
    fn reset()(mark in mark(), by in word(ResetBy::ALL), kind in word(ResetKind::ALL), effect in word(ResetEffect::ALL)) -> ResetFacts {
        ResetFacts { mark, by, role: Role::Client, kind, effect, provoked_by: None, flags: Flags::RST, seq: 0 }
    }
}

prop_compose! {
    fn words()(
        role_basis in word(RoleBasis::ALL),
        close in word(Close::ALL),
        active_closer in word(ActiveCloser::ALL),
        closer_basis in word(CloserBasis::ALL),
        race in prop::option::of(word(Race::ALL)),
    ) -> (RoleBasis, Close, ActiveCloser, CloserBasis, Option<Race>) {
        (role_basis, close, active_closer, closer_basis, race)
    }
}

prop_compose! {
    fn record()(
        hosts in (0..5_u8, 0..5_u8),
        ports in (0..40_u16, 80..83_u16),
        words in words(),
        first in mark(),
        lasted_ms in 0..20_000_i64,
        sides in [side(), side()],
        reset in prop::option::of(reset()),
        times in prop::array::uniform4(prop::option::of(0..80_000_i64)),
        http in http(),
        quality in 0..128_u8,
    ) -> ConnectionRecord {
        let ns = |ms: Option<i64>| ms.map(|ms| ms * 1_000_000);
        let last = first.at(first.ts_ns + lasted_ms * 1_000_000);
        ConnectionRecord {
            ordinal: 0,
            client: (Address::v4([10, 0, 0, hosts.0]), ports.0),
            server: (Address::v4([10, 0, 1, hosts.1]), ports.1),
            role_basis: words.0,
            tunnel: Tunnel(0),
            first,
            last,
            handshake_rtt_ns: ns(times[0]),
            sides,
            history: Letters::default(),
            close: words.1,
            active_closer: words.2,
            closer_basis: words.3,
            closer: None,
            reset,
            ineffective_resets: 0,
            half_close_ns: ns(times[1]),
            idle_before_close_ns: ns(times[2].map(|ms| 3000 + ms / 4000)),
            reuse_of: ns(times[3]).map(|gap| (1, gap)),
            predecessor: None,
            syn_count: u32::from(quality & 1 == 0),
            race: words.4,
            http,
            quality: Quality(quality),
            may_wait_unseen: quality & 2 != 0,
        }
    }
}

/// Up to 40 records with distinct ordinals.
pub fn records() -> impl Strategy<Value = Vec<ConnectionRecord>> {
    prop::collection::vec(record(), 0..40).prop_map(|mut records| {
        (0..).zip(&mut records).for_each(|(ordinal, record)| record.ordinal = ordinal);
        records
    })
}
