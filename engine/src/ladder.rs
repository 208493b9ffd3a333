//! A second look at a few connections: every packet, with both endpoints' states after it.
//!
//! The first look keeps no packets, but where each connection lies and what became of its TIME_WAITs. This one reads the
//! packets of those asked for again, through the same state machines.

mod drawing;
mod plan;

use crate::capture::stream::{Packets, Replay};
use crate::capture::{Batch, SourceError};
use crate::decode::{FlowKey, Segment};
use crate::engine::{Engine, Outcome, Reader};
use crate::ledger::estimate;
use crate::record::{Address, Role, Sight, State, Tunnel};
use crate::settings::Settings;
use crate::tcp::connection::Connection;
use crate::tcp::time_wait::recycled_isn;
use drawing::Drawing;
use plan::{Place, Plan, place};
use serde::Serialize;
use std::collections::HashMap;

/// Rows of a ladder unless fewer are asked for.
pub const MAX_ROWS: usize = 400;

/// A connection to draw.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its number.
    pub connection: u64,
    /// Where it is.
    pub sight: Sight,
}

/// One connection, packet by packet.
#[derive(Clone, Debug, Serialize)]
pub struct Ladder {
    /// Its number.
    pub connection: u64,
    /// `address:port`.
    pub client: String,
    /// `address:port`.
    pub server: String,
    /// Its packets that are not among the rows: there are at most so many of these, half of them its first, half its last.
    pub omitted: u64,
    /// After how many rows they are missing.
    pub omitted_after: usize,
    /// In capture order.
    pub rows: Vec<Row>,
    /// How the connection's TIME_WAITs ended.
    pub time_wait: Vec<Wait>,
}

/// One packet.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are the contract's columns")]
pub struct Row {
    pub ts_ns: i64,
    pub frame: u64,
    pub file: u32,
    pub from: Role,
    pub flags: String,
    pub seq: u32,
    pub ack: Option<u32>,
    pub len: u32,
    pub summary: Option<String>,
    pub client_state: State,
    pub server_state: State,
    pub client_proved: State,
    pub server_proved: State,
    pub notes: Vec<String>,
}

/// What became of one endpoint's TIME_WAIT.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are the contract's columns")]
pub struct Wait {
    pub holder: Role,
    pub start_ns: i64,
    pub basis: &'static str,
    pub end: &'static str,
    pub lower_ns: Option<i64>,
    pub upper_ns: Option<i64>,
    pub point_ns: Option<i64>,
    pub model_low_ns: i64,
    pub model_high_ns: i64,
    pub length_source: &'static str,
    pub goes_on: bool,
    pub evidence_ns: Option<i64>,
    pub evidence_frame: Option<u64>,
    pub evidence_file: Option<u32>,
    pub snd_nxt: u32,
    pub recycled_isn: u32,
    pub same_host: Option<bool>,
    pub restarts: u32,
    /// From then on nothing was captured for a while, in which it may have ended.
    pub unseen_from_ns: Option<i64>,
}

/// Draws the ladders of `targets` from `set`, of which only the parts that hold them are read where it can be opened at
/// any place, and only those are decoded in any case. Of each at most `most_rows` rows, [`MAX_ROWS`] if that is less. Where a connection's packets lie too unevenly
/// for the middle of it to be left out, all between its first and last are read from `again`.
///
/// # Errors
/// [`SourceError`] if a file cannot be read again.
pub fn draw(
    set: &dyn Replay,
    targets: &[Target],
    most_rows: usize,
    outcome: &Outcome,
    settings: &Settings,
) -> Result<Vec<Ladder>, SourceError> {
    let settings =
        Settings { threads: 1, keep_connections: false, keep_exchanges: false, states: None, ..settings.clone() };
    let most_rows = most_rows.min(MAX_ROWS);
    let mut ladders = look(&mut *set.again(&settings)?, targets, (most_rows, Some(most_rows)), outcome, &settings)?;
    let is_short = |ladder: &Ladder| ladder.omitted > 0 && ladder.rows.len() < most_rows / 2 * 2;
    let uneven: Vec<Target> =
        targets.iter().zip(&ladders).filter(|(_, ladder)| is_short(ladder)).map(|(target, _)| target.clone()).collect();
    if !uneven.is_empty() {
        let drawn = look(&mut *set.again(&settings)?, &uneven, (most_rows, None), outcome, &settings)?;
        let short = ladders.iter_mut().filter(|ladder| is_short(ladder));
        short.zip(drawn).for_each(|(ladder, whole)| *ladder = whole);
    }
    Ok(ladders)
}

/// One look at what the plan for so many rows asks for.
fn look(
    set: &mut dyn Packets,
    targets: &[Target],
    (most_rows, planned): (usize, Option<usize>),
    outcome: &Outcome,
    settings: &Settings,
) -> Result<Vec<Ladder>, SourceError> {
    let plan = Plan::of(targets, planned, set.is_interleaved());
    // By their first packets: where files are gone by now, those that are left are counted from another one on.
    let mut drawings: Drawings = targets.iter().map(|t| (of_target(t), Drawing::new(most_rows))).collect();
    let mut engine = Engine::new(settings);
    let mut batch = Batch::default();
    let mut done = None;
    for &[from, to] in plan.spans() {
        if done.is_some_and(|done| to <= done) {
            continue; // it was in the parts read for others
        }
        if done.is_none_or(|done| done < from) {
            let mut left_out = done.into_iter().flat_map(|done| plan.left_out(done, from)).peekable();
            if left_out.peek().is_some() {
                engine.lose_sight(&mut |segment, connection| add(&mut drawings, segment, connection));
            }
            left_out.filter_map(|at| targets.get(at)).for_each(|target| {
                drawings.entry(of_target(target)).and_modify(Drawing::leave_out);
            });
            set.skip_to(from.0, from.1)?;
        }
        while set.next_batch(&mut batch, settings.batch_packets)? {
            let Some(last) = batch.packets.last().map(|packet| (packet.file, packet.frame)) else { break };
            if from <= last {
                let mask = plan.mask(&batch, settings.max_tunnel_depth);
                engine.feed_watching(&mut batch, Some(&mask), &mut |segment, connection| {
                    add(&mut drawings, segment, connection);
                });
            }
            done = Some(last);
            if to <= last {
                break;
            }
        }
    }
    engine.let_go_watching(&mut |segment, connection| add(&mut drawings, segment, connection));
    drop((batch, engine));
    set.check()?;
    let drawn = targets.iter().map(|target| {
        let drawing = drawings.remove(&of_target(target)).unwrap_or_else(|| Drawing::new(most_rows));
        drawing.finish(target, outcome)
    });
    Ok(drawn.collect())
}

/// By their connections' first packets, of which a frame may hold several, whatever is around them.
type Drawings = HashMap<(Place, FlowKey), Drawing>;

fn of_target(target: &Target) -> (Place, FlowKey) {
    let [client, server] = target.sight.ends;
    (place(&target.sight.first), FlowKey::new(client, server, Tunnel::default()))
}

fn add(drawings: &mut Drawings, segment: &Segment<'_>, connection: &Connection<Reader>) {
    let of_connection = (place(&connection.first), segment.key.within(Tunnel::default()));
    if let Some(drawing) = drawings.get_mut(&of_connection) {
        drawing.add(segment, connection);
    }
}

fn waits(sight: &Sight, outcome: &Outcome) -> Vec<Wait> {
    let roles = [Role::Client, Role::Server].into_iter().zip(sight.ends).zip(&sight.waits);
    roles
        .filter_map(|((holder, (address, _)), facts)| {
            let facts = facts.as_ref()?;
            let length = outcome.lengths.of(address);
            let guess = estimate(facts, &length, outcome.capture_end_ns);
            let evidence = facts.ended.map(|e| e.0).or(facts.gone).or(facts.possibly_killed).or(facts.alive);
            Some(Wait {
                holder,
                start_ns: facts.start.ts_ns,
                basis: guess.basis.as_str(),
                end: guess.end.as_str(),
                lower_ns: guess.lower_ns,
                upper_ns: guess.upper_ns,
                point_ns: guess.point_ns,
                model_low_ns: guess.model_low_ns,
                model_high_ns: guess.model_high_ns,
                length_source: length.source.as_str(),
                goes_on: outcome.summary.capture.live.goes_on,
                evidence_ns: evidence.map(|m| m.ts_ns),
                evidence_frame: evidence.map(|m| m.frame()),
                evidence_file: evidence.map(|m| m.file().saturating_sub(outcome.first_file)),
                snd_nxt: facts.snd_nxt,
                recycled_isn: recycled_isn(facts.snd_nxt),
                same_host: facts.same_host,
                restarts: facts.restarts,
                unseen_from_ns: facts.unseen_from_ns,
            })
        })
        .collect()
}

/// `address:port`, IPv6 in brackets.
#[must_use]
pub fn socket((address, port): (Address, u16)) -> String {
    std::net::SocketAddr::new(address.ip(), port).to_string()
}

#[cfg(test)]
mod tests;
