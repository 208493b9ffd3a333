//! The connections of a table at one time, copied for an answer while the capture goes on.

use super::FlowTable;
use crate::decode::FlowKey;
use crate::tcp::connection::Connection;
use crate::tcp::connection::packed::Packed;
use crate::tcp::payload::Payload;

/// The connections of a table at one time, in its order.
pub struct Held<P> {
    connections: Vec<Copied<P>>,
    max_reassembly_bytes: usize,
}

#[allow(clippy::large_enum_variant, reason = "nearly all rest, and a box for each would take longer than the copy")]
enum Copied<P> {
    Awake(Box<Connection<P>>),
    Resting(FlowKey, Packed),
}

impl<P: Payload> Held<P> {
    /// Ends them all, as [`FlowTable::finish`] would have.
    pub fn finish(self, sink: &mut P::Sink) {
        for copied in self.connections {
            let mut connection = match copied {
                Copied::Awake(connection) => connection,
                Copied::Resting(key, mut packed) => packed.woken(&key, self.max_reassembly_bytes),
            };
            connection.finish(sink);
        }
    }
}

impl<P: Payload> FlowTable<P> {
    /// A copy of its connections, for what [`FlowTable::finish`] would say now; as they lie, since that takes a tenth of the time
    /// of ending them.
    #[must_use]
    pub fn held(&self) -> Held<P>
    where
        P: Clone,
    {
        let mut connections = Vec::with_capacity(self.len());
        connections.extend(self.places().map(|at| {
            let slot = &self.slots[at];
            match &slot.connection {
                Some(connection) => Copied::Awake(connection.clone()),
                None => Copied::Resting(slot.key, self.resting[at].clone()),
            }
        }));
        Held { connections, max_reassembly_bytes: self.max_reassembly_bytes }
    }
}
