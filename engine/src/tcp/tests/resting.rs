//! Connections at rest: nothing is lost, little room, and rest shows nowhere in the answer.

use super::{A, BASES, CLIENT_CLOSE, F, Line, NoPayload, SERVER_CLOSE, after_open, closed, run_from, run_watched};
use crate::decode::FlowKey;
use crate::record::HttpFacts;
use crate::tcp::connection::Connection;
use crate::tcp::connection::packed::{Packed, Shapes};

/// A connection comes out as it went in, whatever it has been through: [`super::run_from`] asks this after every segment
/// of every situation.
pub(super) fn is_unchanged(connection: &Connection<NoPayload>) {
    let mut before = connection.clone();
    before.predecessor = None;
    before.payload = None;
    let key = FlowKey::new(before.names[0], before.names[1], before.tunnel);
    let http = HttpFacts { requests: 3, last_request: Some(before.last), last_request_ack: 7, ..HttpFacts::default() };
    for facts in [None, Some(http)] {
        before.http = facts;
        let (expected, mut packed) = (text(&before), Packed::default());
        packed.take(&mut before.clone(), &mut Shapes::default());
        assert_eq!((packed.last_ns(), packed.is_over()), (before.last.ts_ns, before.is_over()));
        assert_eq!(text(&packed.woken::<NoPayload>(&key, 1 << 20)), expected);
    }
}

/// All but the IP ids of the last packets, which tell nothing after a rest.
fn text(connection: &Connection<NoPayload>) -> String {
    let text = format!("{connection:?}");
    let mut parts = text.split(", ip_id: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.trim_start_matches(char::is_numeric))
}

/// All but how it has gone so far, which says which way its next segment goes.
pub(super) fn without_course(connection: &Connection<NoPayload>) -> String {
    let text = format!("{connection:?}");
    let mut parts = text.split(", course: ");
    let first = parts.next().unwrap_or_default().to_owned();
    // A predecessor has its own.
    parts.fold(first, |all, part| all + part.split_once(", reuse_of: ").expect("what follows it").1)
}

/// What two FINs closed takes the short form, in whichever order and wherever on the circle of sequence numbers; and the
/// short form is short.
#[test]
fn a_plain_close_takes_little_room() {
    assert!(size_of::<Packed>() <= 224, "{}", size_of::<Packed>());
    for (close, base) in [CLIENT_CLOSE, SERVER_CLOSE].iter().flat_map(|close| BASES.map(|base| (close, base))) {
        let mut last = None;
        run_watched(&closed(close, &[]), base, &mut |connection| last = Some(connection.clone()));
        let mut connection = last.expect("a connection");
        assert!(connection.is_over() && connection.may_rest());
        let mut packed = Packed::default();
        packed.take(&mut connection, &mut Shapes::default());
        assert!(packed.is_short());
    }
}

/// Between a usual opening and a usual close a packet was lost, or sent again: nothing of it is lost at rest.
#[test]
fn what_was_unusual_while_open_is_kept() {
    let heard = [(0.1, 'c', A, 1, 1, 5), (0.11, 's', A, 1, 6, 0)];
    let lost: &[Line] = &[(0.2, 's', A, 1, 43, 0), (0.21, 's', A, 1, 43, 135), (0.22, 'c', A, 43, 136, 0)];
    let again: &[Line] = &[(0.2, 'c', A, 1, 1, 5), (0.21, 's', A, 1, 6, 0)];
    for (unusual, sent, heard_of) in [(lost, 43, 136), (again, 6, 1)] {
        for first in [&heard[..], &heard[..1], &[]] {
            let close = [
                (1.0, 'c', F, sent, heard_of, 0),
                (1.001, 's', A, heard_of, sent + 1, 0),
                (1.002, 's', F, heard_of, sent + 1, 0),
                (1.003, 'c', A, sent + 1, heard_of + 1, 0),
            ];
            let lines = after_open(&[first, unusual, &close].concat());
            BASES.iter().for_each(|&base| drop(run_from(&lines, base)));
        }
    }
}
