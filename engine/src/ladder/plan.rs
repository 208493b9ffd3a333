//! What of a capture the second look reads: where the connections lie, without the middle of long ones.

use super::Target;
use crate::capture::{Batch, Packet};
use crate::decode::{FlowKey, Header, NotAnalysed, decode};
use crate::record::{Mark, Sight, Tunnel};
use std::collections::HashMap;

/// A packet's place in the order of the capture: file and frame.
pub type Place = (u32, u64);

/// From one packet to another, both included.
pub type Span = [Place; 2];

/// Packets at either end of a long connection among which its rows are looked for, at least.
const LEAST_WINDOW: u64 = 32_768;
/// The same where it goes on into another file: how many packets lie between is not known.
const WINDOW_OF_FILES: u64 = 262_144;

/// Packets around those that close a connection, which are read wherever they lie.
const AROUND: u64 = 256;
/// How much later or earlier than others of its connection a packet may be where files are interleaved: what comes first in
/// time need not be read first.
const SLACK_NS: i64 = 10_000_000;

/// Where a mark is.
pub const fn place(mark: &Mark) -> Place {
    (mark.file(), mark.frame())
}

/// A place in the order of time.
const fn by_time(ts_ns: i64) -> Place {
    (0, ts_ns.cast_unsigned() ^ (1 << 63))
}

/// What is to be read, and which of it matters.
pub struct Plan {
    /// Where files are interleaved, neither files nor frames say what comes after what: times do, and all is read.
    is_interleaved: bool,
    /// Ascending.
    spans: Vec<Span>,
    /// Of each target, what need not be read.
    holes: Vec<Option<Span>>,
    /// Where each 4-tuple's connections lie, as a whole.
    wanted: HashMap<FlowKey, Vec<Span>>,
}

impl Plan {
    /// For so many rows of each of these connections; without `most_rows`, everything between their first and last packets.
    pub fn of(targets: &[Target], most_rows: Option<usize>, is_interleaved: bool) -> Plan {
        let mut plan = Plan { is_interleaved, spans: Vec::new(), holes: Vec::new(), wanted: HashMap::new() };
        targets.iter().for_each(|target| plan.add(target, most_rows));
        plan.spans.sort_unstable();
        if is_interleaved {
            plan.spans = vec![[(0, 0), (u32::MAX, u64::MAX)]];
        }
        plan
    }

    fn add(&mut self, target: &Target, most_rows: Option<usize>) {
        let Sight { first, last, predecessor, .. } = &target.sight;
        let span = |[first, last]: [&Mark; 2]| {
            if self.is_interleaved {
                [by_time(first.ts_ns.saturating_sub(SLACK_NS)), by_time(last.ts_ns.saturating_add(SLACK_NS))]
            } else {
                [place(first), place(last)]
            }
        };
        let own = span([first, last]);
        let before = predecessor.as_ref().map(|marks| span(marks.each_ref()));
        let hole = most_rows.and_then(|rows| hole(&target.sight, rows as u64)).filter(|_| !self.is_interleaved);
        // A packet in fragments is placed by the last one of them to come.
        let begin =
            |span: Span| if self.is_interleaved { span[0] } else { (span[0].0, span[0].1.saturating_sub(AROUND)) };
        if let Some([from, to]) = hole {
            self.spans.extend([[begin(own), from], [to, own[1]]]);
            self.spans.extend(turns(&target.sight).map(around).filter(|turn| from < turn[1] && turn[0] < to));
        } else {
            self.spans.push([begin(own), own[1]]);
        }
        self.spans.extend(before.map(|span| [begin(span), span[1]]));
        self.holes.push(hole);
        // Whatever is around it: what was captured beside its tunnel belongs to it, too.
        let key = FlowKey::new(target.sight.ends[0], target.sight.ends[1], Tunnel::default());
        self.wanted.entry(key).or_default().extend(before.into_iter().chain([own]));
    }

    /// What to read, by where it begins; parts of them may be the same.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The targets some of whose packets are left out if what is read goes on at `next` after `done`.
    pub fn left_out(&self, done: Place, next: Place) -> impl Iterator<Item = usize> {
        let is_left_out = move |&[from, to]: &Span| from <= done && next <= to;
        self.holes.iter().enumerate().filter(move |(_, hole)| hole.as_ref().is_some_and(is_left_out)).map(|(at, _)| at)
    }

    /// Which packets of a batch are the targets'.
    pub fn mask(&self, batch: &Batch, most_depth: u8) -> Vec<bool> {
        let mut header = Header::default();
        let mut is_wanted = |packet: &Packet| match decode(packet, batch.bytes(packet), 0, most_depth, &mut header) {
            Ok(()) => self.is_wanted(&header),
            // Whose it is, and with which others, is known when it is whole, or taken apart.
            Err(reason) => matches!(reason, NotAnalysed::Fragment | NotAnalysed::Aggregate),
        };
        batch.packets.iter().map(&mut is_wanted).collect()
    }

    fn is_wanted(&self, header: &Header) -> bool {
        let at = if self.is_interleaved { by_time(header.ts_ns) } else { (header.file, header.frame) };
        let spans = self.wanted.get(&header.key.within(Tunnel::default()));
        spans.is_some_and(|spans| spans.iter().any(|&[from, to]| from <= at && at <= to))
    }
}

/// The packets by which a connection closes, as far as they are known: without them nothing behind them is drawn right.
fn turns(sight: &Sight) -> impl Iterator<Item = &Mark> {
    sight.closer.iter().chain(sight.waits.iter().flatten().map(|facts| &facts.start))
}

fn around(mark: &Mark) -> Span {
    let (file, frame) = place(mark);
    [(file, frame.saturating_sub(AROUND)), (file, frame.saturating_add(AROUND))]
}

/// From where to where nothing need be read: more packets than can be drawn lie before it, and after it.
fn hole(sight: &Sight, most_rows: u64) -> Option<Span> {
    let Sight { first, last, packets, .. } = sight;
    if *packets <= most_rows {
        return None;
    }
    let window = if first.file() == last.file() {
        let frames = last.frame().saturating_sub(first.frame());
        // Four times what half the rows take where they lie evenly.
        (frames / packets).saturating_mul(2 * most_rows).max(LEAST_WINDOW)
    } else {
        WINDOW_OF_FILES
    };
    let hole = [(first.file(), first.frame() + window), (last.file(), last.frame().saturating_sub(window))];
    (hole[0] < hole[1]).then_some(hole)
}
