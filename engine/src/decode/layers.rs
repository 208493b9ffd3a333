//! The headers that were around the innermost IP packet: which of them tell flows apart, and their names.
//!
//! # What is in a flow's key
//! A layer that has an identifier both directions share: VLAN, VXLAN and GENEVE network, GRE key, ERSPAN session, `PPPoE`
//! session. Two of them that differ are two networks, whose addresses may be the same. What has no identifier (IP in IP,
//! GRE without a key, Teredo) is not, nor are the outer addresses: a tunnel may have several ends. Those are named by the
//! connection's first packet.
//!
//! # What tells networks apart with the help of numbers
//! An identifier for each direction (MPLS labels, GTP's endpoint, PPTP's call, L2TP's session) is not in the key as it is:
//! the other direction may carry another one or none at all (a label popped one hop before, a real server that answers
//! directly), and one connection would be two halves. The innermost of them is a packet's *way*, from which, and from sequence
//! numbers, [`crate::engine`] finds out which packets are of one network. Of a stack of labels it is the innermost, which
//! says whose network it is (RFC 4364 §5); those above lead through the provider's, and change from hop to hop. An endpoint,
//! a call and a session are numbers of their receiver's, so that its address is part of them.

use super::NotAnalysed;
use crate::record::{Address, Tunnel};
use std::fmt::Write;

/// One header around a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A VLAN tag's id.
    Vlan(u16),
    /// A stack of MPLS labels: the outermost, outermost first, how many there are, and the one that tells the network, 0
    /// for none.
    Mpls([u32; SHOWN_LABELS], u8, u32),
    /// A `PPPoE` session.
    Pppoe(u16),
    /// GRE, and its key if it has one.
    Gre(Option<u32>),
    /// PPTP's GRE and its call.
    Pptp(u16),
    /// L2TP's tunnel and its session.
    L2tp(u16, u16),
    /// ERSPAN, and its session where it has one.
    Erspan(Option<u16>),
    /// The VLAN that a frame was mirrored from, told beside it: what is routed comes back from another.
    MirroredVlan(u16),
    /// A VXLAN network.
    Vxlan(u32),
    /// A GENEVE network.
    Geneve(u32),
    /// GTP-U and its tunnel endpoint.
    Gtp(u32),
    /// IPv4 in IPv4.
    IpIp,
    /// IPv6 in IPv4.
    SixInFour,
    /// IPv4 in IPv6.
    FourInSix,
    /// IPv6 in IPv6.
    SixInSix,
    /// IPv6 in UDP.
    Teredo,
    /// Authentication header.
    Ah,
}

/// MPLS labels that the text shows; a deeper stack ends in `…`.
pub const SHOWN_LABELS: usize = 3;
/// The kind of a VLAN's identity.
const VLAN: u64 = 1;
/// Most layers of one packet, VLAN tags included.
const MOST: usize = 16;

impl Layer {
    /// What tells this layer's flows from those of another: a number for the kind, and the identifier.
    fn identity(self) -> Option<(u64, u32)> {
        match self {
            Layer::Vlan(0) => None, // a priority, no VLAN (802.1Q §9.6)
            Layer::Vlan(id) => Some((VLAN, u32::from(id))),
            Layer::Pppoe(session) => Some((2, u32::from(session))),
            Layer::Gre(key) => key.map(|key| (3, key)),
            Layer::Erspan(session) => session.map(|session| (4, u32::from(session))),
            Layer::Vxlan(network) => Some((5, network)),
            Layer::Geneve(network) => Some((6, network)),
            _ => None,
        }
    }

    /// What of this layer the other direction has its own of.
    fn one_way(self) -> Option<(u64, u32)> {
        match self {
            Layer::Mpls(.., label) => (label != 0).then_some((7, label)),
            Layer::Gtp(endpoint) => Some((8, endpoint)),
            Layer::Pptp(call) => Some((9, u32::from(call))),
            Layer::MirroredVlan(id) => Some((10, u32::from(id))),
            Layer::L2tp(tunnel, session) => Some((11, u32::from(tunnel) << 16 | u32::from(session))),
            _ => None,
        }
    }

    fn write(self, text: &mut String) {
        // Writing to a string does not fail.
        let _ = match self {
            Layer::Vlan(id) | Layer::MirroredVlan(id) => write!(text, "vlan {id}"),
            Layer::Mpls(labels, count, _) => return write_labels(text, labels, count),
            Layer::Pppoe(session) => write!(text, "pppoe {session}"),
            Layer::Gre(None) => write!(text, "gre"),
            Layer::Gre(Some(key)) => write!(text, "gre 0x{key:x}"),
            Layer::Pptp(call) => write!(text, "pptp call {call}"),
            Layer::L2tp(tunnel, session) => write!(text, "l2tp {tunnel}.{session}"),
            Layer::Erspan(None) => write!(text, "erspan"),
            Layer::Erspan(Some(session)) => write!(text, "erspan {session}"),
            Layer::Vxlan(network) => write!(text, "vxlan vni {network}"),
            Layer::Geneve(network) => write!(text, "geneve vni {network}"),
            Layer::Gtp(endpoint) => write!(text, "gtp 0x{endpoint:x}"),
            Layer::IpIp => write!(text, "ipip"),
            Layer::SixInFour => write!(text, "6in4"),
            Layer::FourInSix => write!(text, "4in6"),
            Layer::SixInSix => write!(text, "6in6"),
            Layer::Teredo => write!(text, "teredo"),
            Layer::Ah => write!(text, "ah"),
        };
    }
}

fn write_labels(text: &mut String, labels: [u32; SHOWN_LABELS], count: u8) {
    text.push_str("mpls");
    for (at, label) in labels.iter().take(usize::from(count)).enumerate() {
        let _ = write!(text, "{}{label}", if at == 0 { ' ' } else { '.' });
    }
    if usize::from(count) > SHOWN_LABELS {
        text.push_str(".…");
    }
}

/// The layers of one packet, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layers {
    list: [Layer; MOST],
    len: u8,
    /// Encapsulations so far: everything but VLAN tags.
    depth: u8,
    /// How many there may be.
    most_depth: u8,
    /// What the innermost layer with an identifier of its direction says; 0 for none.
    way: u32,
}

/// What the layers tell of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around {
    /// The flow key's part.
    pub tunnel: Tunnel,
    /// How many layers there are.
    pub depth: u8,
    /// The innermost identifier that the other direction has its own of, as a number; 0 for none.
    pub way: u32,
}

impl Layers {
    /// None yet, and at most `most_depth` encapsulations to come.
    #[must_use]
    pub fn new(most_depth: u8) -> Self {
        Layers { list: [Layer::Ah; MOST], len: 0, depth: 0, most_depth, way: 0 }
    }

    /// One more, inside the others.
    ///
    /// # Errors
    /// [`NotAnalysed::Named`] where there are as many as there may be.
    pub fn push(&mut self, layer: Layer) -> Result<(), NotAnalysed> {
        let is_tunnel = !matches!(layer, Layer::Vlan(_) | Layer::MirroredVlan(_));
        self.depth = self.depth.saturating_add(u8::from(is_tunnel));
        let slot = self.list.get_mut(usize::from(self.len));
        let Some(slot) = slot.filter(|_| self.depth <= self.most_depth) else {
            return Err(NotAnalysed::Named("tunnel_depth"));
        };
        *slot = layer;
        self.len += 1;
        Ok(())
    }

    /// One more, in a packet to this address.
    ///
    /// # Errors
    /// As [`Layers::push`].
    pub fn push_towards(&mut self, layer: Layer, target: Option<Address>) -> Result<(), NotAnalysed> {
        self.push(layer)?;
        let Some(identifier) = layer.one_way() else { return Ok(()) };
        // A label is the link's, whatever packet is around it.
        let target = target.filter(|_| !matches!(layer, Layer::Mpls(..)));
        let words = target.map(|address| u128::from_le_bytes(address.0));
        let words = words.into_iter().flat_map(|all| [0, 32, 64, 96].map(|at| (0, (all >> at) as u32)));
        let hash = words.fold(mix(0, identifier), mix);
        self.way = ((hash ^ hash >> 32) as u32).max(1);
        Ok(())
    }

    /// Outermost first.
    #[must_use]
    pub fn as_slice(&self) -> &[Layer] {
        self.list.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The flow key's part.
    #[must_use]
    pub fn tunnel(&self) -> Tunnel {
        let identities = || self.as_slice().iter().filter_map(|layer| layer.identity());
        let tag = |layer: &Layer| if let Layer::Vlan(id) = layer { Some(*id) } else { None };
        let mut tags = self.as_slice().iter().filter_map(tag);
        let first_two = (tags.next().unwrap_or(0), tags.next().unwrap_or(0));
        let only_tags = identities().all(|(kind, _)| kind == VLAN) && tags.next().is_none();
        let named = if self.as_slice().iter().all(|layer| tag(layer).is_some()) { 0 } else { Tunnel::NAMED };
        let tunnel = if only_tags {
            Tunnel::vlans(first_two.0, first_two.1).0
        } else {
            identities().fold(0, mix) & !Tunnel::NAMED | Tunnel::HASHED
        };
        Tunnel(tunnel | named)
    }

    /// What they tell of the packet.
    #[must_use]
    pub fn around(&self) -> Around {
        Around { tunnel: self.tunnel(), depth: self.len, way: self.way }
    }

    /// As the `tunnel` column shows it, such as `vlan 7.12 / vxlan vni 5001`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut before = None;
        for &layer in self.as_slice() {
            match (before, layer) {
                (_, Layer::Vlan(0)) => continue,
                // The tags of one frame belong together.
                (Some(Layer::Vlan(_)), Layer::Vlan(id)) => {
                    let _ = write!(text, ".{id}");
                }
                _ => {
                    text.push_str(if text.is_empty() { "" } else { " / " });
                    layer.write(&mut text);
                }
            }
            before = Some(layer);
        }
        text
    }
}

/// One round of `SplitMix64` over the hash so far and one more identity: the same on every machine.
fn mix(hash: u64, (kind, id): (u64, u32)) -> u64 {
    let mut z = (hash ^ (kind << 32 | u64::from(id))).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(list: &[Layer]) -> Layers {
        let mut layers = Layers::new(15);
        list.iter().for_each(|&layer| layers.push(layer).unwrap());
        layers
    }

    #[test]
    fn text_names_every_layer_from_the_outside() {
        let all = [
            Layer::Vlan(7),
            Layer::Vlan(12),
            Layer::Mpls([18, 1000, 0], 2, 1000),
            Layer::Pppoe(9),
            Layer::Gre(None),
            Layer::Gre(Some(42)),
            Layer::Pptp(12),
            Layer::L2tp(12, 3),
            Layer::Erspan(Some(3)),
            Layer::Vxlan(5001),
            Layer::Vlan(0),
            Layer::Geneve(77),
            Layer::Gtp(0xabc),
            Layer::IpIp,
        ];
        let text = "vlan 7.12 / mpls 18.1000 / pppoe 9 / gre / gre 0x2a / pptp call 12 / l2tp 12.3 / erspan 3 / \
                    vxlan vni 5001 / geneve vni 77 / gtp 0xabc / ipip";
        assert_eq!(layers(&all).text(), text);
        let rest = [Layer::SixInFour, Layer::FourInSix, Layer::SixInSix, Layer::Teredo, Layer::Ah, Layer::Erspan(None)];
        assert_eq!(layers(&rest).text(), "6in4 / 4in6 / 6in6 / teredo / ah / erspan");
        assert_eq!(layers(&[Layer::Mpls([1, 2, 3], 5, 9)]).text(), "mpls 1.2.3.…");
        assert_eq!(layers(&[]).text(), "");
    }

    #[test]
    fn tags_alone_are_the_plain_key() {
        assert_eq!(layers(&[]).tunnel(), Tunnel(0));
        assert_eq!(layers(&[Layer::Vlan(5)]).tunnel(), Tunnel(6 << 16));
        assert_eq!(layers(&[Layer::Vlan(5), Layer::Vlan(9)]).tunnel(), Tunnel((6 << 16) + 10));
        assert_eq!(layers(&[Layer::Vlan(0), Layer::Vlan(0)]).tunnel(), Tunnel(0));
        assert_eq!(layers(&[Layer::Vlan(0), Layer::Vlan(9)]).tunnel(), Tunnel(10));
    }

    #[test]
    fn what_has_no_identifier_of_both_directions_does_not_part_them() {
        let key = |list: &[Layer]| layers(list).tunnel().key();
        let vlan = [Layer::Vlan(5), Layer::Mpls([18, 0, 0], 1, 18)];
        assert_eq!(key(&vlan), key(&[Layer::Vlan(5)]));
        let label = Layer::Mpls([18, 0, 0], 1, 18);
        for layer in [label, Layer::Gtp(3), Layer::IpIp, Layer::Gre(None), Layer::Pptp(1), Layer::L2tp(1, 2), Layer::Ah]
        {
            assert_eq!(key(&[layer]), Tunnel(0), "{layer:?}");
            assert!(layers(&[layer]).tunnel().is_named(), "{layer:?} is named all the same");
        }
        assert!(!layers(&[Layer::Vlan(5)]).tunnel().is_named());
    }

    /// The way of a packet to this host, in these layers.
    fn way(list: &[Layer], host: u8) -> u32 {
        let mut layers = Layers::new(15);
        list.iter().for_each(|&layer| layers.push_towards(layer, Some(Address::v4([192, 0, 2, host]))).unwrap());
        layers.around().way
    }

    #[test]
    fn a_packets_way_is_its_innermost_identifier_of_one_direction() {
        let (label, other) = (Layer::Mpls([18, 0, 0], 1, 18), Layer::Mpls([99, 18, 0], 2, 18));
        assert_eq!(way(&[], 1), 0);
        assert_eq!(way(&[Layer::Vlan(5), Layer::Vxlan(7), Layer::Gre(Some(1)), Layer::Ah], 1), 0);
        assert_eq!(way(&[Layer::Mpls([0, 0, 0], 1, 0)], 1), 0, "a label that says nothing");
        assert_ne!(way(&[label], 1), 0);
        assert_eq!(way(&[label], 1), way(&[Layer::Vlan(5), other], 2), "whatever is above it, and wherever it goes");
        assert_eq!(way(&[label, Layer::Gtp(7)], 1), way(&[Layer::Gtp(7), Layer::IpIp], 1));
        let all = [
            way(&[label], 1),
            way(&[Layer::Gtp(18)], 1),
            way(&[Layer::Gtp(18)], 2),
            way(&[Layer::Pptp(18)], 1),
            way(&[Layer::L2tp(0, 18)], 1),
            way(&[Layer::L2tp(18, 0)], 1),
        ];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn identifiers_part_flows() {
        let lists = [
            vec![Layer::Vxlan(1)],
            vec![Layer::Vxlan(2)],
            vec![Layer::Geneve(1)],
            vec![Layer::Gre(Some(1))],
            vec![Layer::Erspan(Some(1))],
            vec![Layer::Pppoe(1)],
            vec![Layer::Vlan(1), Layer::Vxlan(1)],
            vec![Layer::Vxlan(1), Layer::Vlan(1)],
            vec![Layer::Vxlan(1), Layer::Vxlan(2)],
            vec![Layer::Vxlan(2), Layer::Vxlan(1)],
            vec![Layer::Vlan(1); 3],
        ];
        let keys: std::collections::BTreeSet<Tunnel> = lists.iter().map(|l| layers(l).tunnel().key()).collect();
        assert_eq!(keys.len(), lists.len());
        assert!(keys.iter().all(|key| key.0 & Tunnel::HASHED != 0));
    }

    #[test]
    fn depth_is_bounded_and_tags_do_not_count() {
        let mut layers = Layers::new(2);
        [Layer::Vlan(1), Layer::IpIp, Layer::Vlan(2), Layer::IpIp].iter().for_each(|&l| layers.push(l).unwrap());
        assert_eq!(layers.push(Layer::Ah), Err(NotAnalysed::Named("tunnel_depth")));
        let mut tags = Layers::new(255);
        (0..MOST).for_each(|_| tags.push(Layer::Vlan(1)).unwrap());
        assert_eq!(tags.push(Layer::Vlan(1)), Err(NotAnalysed::Named("tunnel_depth")));
        assert_eq!(tags.as_slice().len(), MOST);
    }
}
