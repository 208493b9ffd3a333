//! Fragments on their way through a shard.
//!
//! Whose connection a fragment belongs to is known when its datagram is whole. So every shard puts every datagram
//! together and takes the segment if it is its own; the first one counts.

use super::{Reader, Shard};
use crate::capture::Packet;
use crate::decode::Segment;
use crate::settings::Settings;
use crate::tcp::connection::Connection;

impl Shard {
    /// Takes a fragment, and the datagram that it completes.
    #[cold]
    pub(super) fn take_fragment(
        &mut self,
        packet: &Packet,
        bytes: &[u8],
        ordinal: u64,
        settings: &Settings,
        watch: &mut impl FnMut(&Segment<'_>, &Connection<Reader>),
    ) {
        match self.defragmenter.accept(packet, bytes) {
            Err(reason) => self.take(packet, &Err(reason), || None, settings, watch),
            Ok(whole) => {
                if let Some(packets) = &mut self.packets {
                    packets.joined(whole.packets - 1);
                }
                self.take(packet, &whole.segment(packet, ordinal), || whole.tunnel_text(), settings, watch);
            }
        }
    }
}
