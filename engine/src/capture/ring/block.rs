//! What is in a block of the ring (`linux/if_packet.h`, `TPACKET_V3`): packets, each behind a header.
//!
//! The kernel wrote it; still every offset is checked, so that a mistake costs packets, which are counted, and nothing
//! else.

/// Bytes of `tpacket_block_desc`.
const BLOCK_HEADER: usize = 48;
const BLOCK_PACKETS: usize = 12;
const BLOCK_FIRST: usize = 16;

/// Bytes of `tpacket3_hdr`, behind which is the `sockaddr_ll`.
const PACKET_HEADER: usize = 48;
const ADDRESS: usize = 20;
const NEXT: usize = 0;
const SECONDS: usize = 4;
const NANOSECONDS: usize = 8;
const CAPTURED: usize = 12;
const LENGTH: usize = 16;
const STATUS: usize = 20;
const MAC: usize = 24;
const VLAN_CONTROL: usize = 32;
const VLAN_TYPE: usize = 36;

const PROTOCOL: usize = PACKET_HEADER + 2;
const INTERFACE: usize = PACKET_HEADER + 4;
const HARDWARE: usize = PACKET_HEADER + 8;
const KIND: usize = PACKET_HEADER + 10;
const ADDRESS_BYTES: usize = PACKET_HEADER + 11;
const ADDRESS_START: usize = PACKET_HEADER + 12;

/// `TP_STATUS_VLAN_VALID`, `TP_STATUS_VLAN_TPID_VALID`.
const HAS_TAG: u32 = 1 << 4;
const HAS_TAG_TYPE: u32 = 1 << 6;
/// IEEE 802.1Q, where the kernel does not say which.
const DEFAULT_TAG_TYPE: u16 = 0x8100;

/// A packet as the ring holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingPacket<'b> {
    /// Capture time, ns since 1970 UTC.
    pub ts_ns: i64,
    /// The bytes captured: from the link header, or from behind it in a cooked capture.
    pub bytes: &'b [u8],
    /// Bytes on the wire, of which these are the first.
    pub original_len: u32,
    /// The VLAN tag that the kernel took out: type and control.
    pub tag: Option<(u16, u16)>,
    /// What the socket says of it.
    pub address: LinkAddress,
}

/// The parts of `sockaddr_ll`, as a cooked header wants them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkAddress {
    /// Ethernet type, as a number.
    pub protocol: u16,
    /// Number of the interface.
    pub interface: i32,
    /// `ARPHRD_…`.
    pub hardware: u16,
    /// To us, broadcast, multicast, to another host, or from us.
    pub kind: u8,
    /// How many bytes of the address count.
    pub length: u8,
    /// The sender's.
    pub address: [u8; 8],
}

/// The packets of a block, one after the other.
pub struct Packets<'b> {
    block: &'b [u8],
    at: usize,
    left: u32,
    /// Packets that could not be read, because a length or an offset leads out of the block.
    pub damaged: u64,
}

impl<'b> Packets<'b> {
    /// Of a whole block.
    pub fn new(block: &'b [u8]) -> Packets<'b> {
        let left = word(block, BLOCK_PACKETS).unwrap_or(0);
        let at = word(block, BLOCK_FIRST).unwrap_or(0) as usize;
        // No block holds more packets than headers, whatever its count says.
        let most = (block.len() / PACKET_HEADER) as u32;
        let mut packets = Packets { block, at, left: left.min(most), damaged: u64::from(left.saturating_sub(most)) };
        if at < BLOCK_HEADER {
            packets.give_up();
        }
        packets
    }

    fn give_up(&mut self) {
        self.damaged += u64::from(self.left);
        self.left = 0;
    }
}

impl<'b> Iterator for Packets<'b> {
    type Item = RingPacket<'b>;

    #[inline]
    fn next(&mut self) -> Option<RingPacket<'b>> {
        while self.left > 0 {
            let Some(from) = self.block.get(self.at..).filter(|from| from.len() >= PACKET_HEADER + ADDRESS) else {
                self.give_up();
                return None;
            };
            self.left -= 1;
            let next = word(from, NEXT).unwrap_or(0) as usize;
            self.at = self.at.saturating_add(next);
            if next < PACKET_HEADER && self.left > 0 {
                self.give_up();
            }
            if let Some(packet) = packet(from) {
                return Some(packet);
            }
            self.damaged += 1;
        }
        None
    }
}

#[inline]
fn packet(from: &[u8]) -> Option<RingPacket<'_>> {
    let start = half(from, MAC)? as usize;
    let captured = word(from, CAPTURED)? as usize;
    let status = word(from, STATUS)?;
    if start < PACKET_HEADER {
        return None;
    }
    let tag_type = if status & HAS_TAG_TYPE == 0 { DEFAULT_TAG_TYPE } else { half(from, VLAN_TYPE)? };
    let control = word(from, VLAN_CONTROL)? as u16;
    Some(RingPacket {
        ts_ns: i64::from(word(from, SECONDS)?) * 1_000_000_000 + i64::from(word(from, NANOSECONDS)?),
        bytes: from.get(start..start.checked_add(captured)?)?,
        original_len: word(from, LENGTH)?.max(captured as u32),
        tag: (status & HAS_TAG != 0).then_some((tag_type, control)),
        address: address(from)?,
    })
}

#[inline]
fn address(from: &[u8]) -> Option<LinkAddress> {
    Some(LinkAddress {
        protocol: u16::from_be(half(from, PROTOCOL)?),
        interface: word(from, INTERFACE)? as i32,
        hardware: half(from, HARDWARE)?,
        kind: *from.get(KIND)?,
        length: *from.get(ADDRESS_BYTES)?,
        address: *from.get(ADDRESS_START..)?.first_chunk()?,
    })
}

#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

#[inline]
fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|half| u16::from_ne_bytes(*half))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A block of one packet with a tag, put together by hand.
    fn block() -> Vec<u8> {
        let mut block = vec![0; 256];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(BLOCK_PACKETS, &1u32.to_ne_bytes());
        put(BLOCK_FIRST, &48u32.to_ne_bytes());
        put(48 + SECONDS, &7u32.to_ne_bytes());
        put(48 + NANOSECONDS, &9u32.to_ne_bytes());
        put(48 + CAPTURED, &4u32.to_ne_bytes());
        put(48 + LENGTH, &60u32.to_ne_bytes());
        put(48 + STATUS, &(HAS_TAG | HAS_TAG_TYPE).to_ne_bytes());
        put(48 + MAC, &80u16.to_ne_bytes());
        put(48 + VLAN_CONTROL, &5u32.to_ne_bytes());
        put(48 + VLAN_TYPE, &0x88a8u16.to_ne_bytes());
        put(48 + PROTOCOL, &0x0800u16.to_be_bytes());
        put(48 + INTERFACE, &3u32.to_ne_bytes());
        put(128, &[1, 2, 3, 4]);
        block
    }

    #[test]
    fn a_packet_is_read_with_its_tag_and_its_interface() {
        let block = block();
        let mut packets = Packets::new(&block);
        let packet = packets.next().unwrap();
        assert_eq!((packet.ts_ns, packet.bytes, packet.original_len), (7_000_000_009, &[1, 2, 3, 4][..], 60));
        assert_eq!((packet.tag, packet.address.interface), (Some((0x88a8, 5)), 3));
        assert_eq!(packet.address.protocol, 0x0800);
        assert!(packets.next().is_none());
        assert_eq!(packets.damaged, 0);
    }

    #[test]
    fn what_leads_out_of_the_block_is_counted() {
        for (at, value) in [(48 + CAPTURED, 200u32), (BLOCK_FIRST, 4000), (BLOCK_FIRST, 8), (48 + CAPTURED, u32::MAX)] {
            let mut block = block();
            block[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            let mut packets = Packets::new(&block);
            assert!(packets.next().is_none());
            assert_eq!(packets.damaged, 1, "{at} {value}");
        }
    }

    proptest! {
        /// Whatever is in a block, it is walked to an end, and each packet it announces is given or counted.
        #[test]
        fn any_bytes_are_walked_to_an_end(noise in proptest::collection::vec(any::<u8>(), 0..512), count in 0u32..9) {
            let mut block = noise;
            if block.len() >= BLOCK_HEADER {
                block[BLOCK_PACKETS..BLOCK_PACKETS + 4].copy_from_slice(&count.to_ne_bytes());
                block[BLOCK_FIRST..BLOCK_FIRST + 4].copy_from_slice(&48u32.to_ne_bytes());
            }
            let mut packets = Packets::new(&block);
            let given = packets.by_ref().count() as u64;
            if block.len() >= BLOCK_HEADER {
                prop_assert_eq!(given + packets.damaged, u64::from(count));
            }
        }
    }
}
