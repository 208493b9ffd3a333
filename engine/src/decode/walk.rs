//! Header after header down to the innermost TCP segment, for whatever is not plain.
//!
//! The plain path knows one link header, its VLAN tags and one IP header; what it gives up comes here. Each protocol's
//! file takes its own header off and says in a [`Step`] what the next one is. The loop ends: each step takes bytes off,
//! and [`Layers`] bounds how many encapsulations there may be, whatever the bytes say.

use super::ieee80211::{FramePlace, Sent};
use super::ip::{Datagram, Ends, Place, TCP};
use super::layers::{Layer, Layers};
use super::span::{Span, u8_at};
use super::{
    NotAnalysed, ah, avs, chdlc, cisco_metadata, enc, ethernet, gre, ieee80211, ip_in_ip, ipnet, ipv4, ipv6, link, llc,
    mesh, mpls,
};
use super::{ethertype, nflog, pflog, pktap, ppi, ppp, pppoe, prism, radiotap, raw, sll, udp, vlan, vntag};

/// IP protocols that carry another packet, or skip to one (<https://www.iana.org/assignments/protocol-numbers>).
pub mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const IPV4: u8 = 4;
    pub const UDP: u8 = 17;
    pub const IPV6: u8 = 41;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const AH: u8 = 51;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const MPLS: u8 = 137;
}

/// Which header is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// That of a link type.
    Link(u32),
    /// Ethernet's.
    Ethernet,
    /// What an Ethernet type says.
    EtherType(u16),
    /// Logical link control.
    Llc,
    /// A PPP protocol field.
    Ppp,
    /// IP of either version.
    Ip,
    /// Ethernet's of which the tag was taken off.
    Tagged(u16),
    /// An MPLS label.
    Mpls,
    /// What an IP protocol number says.
    IpProtocol(u8),
    /// A mesh header, or what follows one.
    Mesh,
    /// Several packets in one 802.11 frame.
    Aggregate {
        /// Each may have a mesh header.
        in_mesh: bool,
    },
    /// A fragment of an 802.11 frame.
    Fragment(FramePlace),
}

impl Next {
    /// What an 802.11 frame begins with.
    pub const fn of_frame(in_mesh: bool) -> Self {
        if in_mesh { Next::Mesh } else { Next::Llc }
    }
}

/// One header taken off.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// What it was, if it belongs to the packet's name.
    pub layer: Option<Layer>,
    /// What is next.
    pub next: Next,
    /// What follows.
    pub rest: Span<'a>,
    /// An 802.11 frame as its sender counts it.
    pub sent: Option<Sent>,
}

impl<'a> Step<'a> {
    /// A header without a name.
    pub fn to(next: Next, rest: Span<'a>) -> Self {
        Step { layer: None, next, rest, sent: None }
    }

    /// A header with one.
    pub fn inside(layer: Layer, next: Next, rest: Span<'a>) -> Self {
        Step { layer: Some(layer), next, rest, sent: None }
    }
}

/// A fragment.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The IP header's ends.
    pub ends: Ends,
    /// What the datagram carries.
    pub protocol: u8,
    /// Where it belongs.
    pub place: Place,
    /// Its part of the datagram.
    pub rest: Span<'a>,
}

/// What more packets are needed for than this one, or less than all of it.
#[derive(Clone, Copy, Debug)]
pub enum Stop<'a> {
    /// A fragment of an IP datagram.
    Datagram(Piece<'a>),
    /// A fragment of an 802.11 frame.
    Frame(FramePlace, Span<'a>),
    /// Several packets.
    Aggregate {
        /// Each may have a mesh header.
        in_mesh: bool,
        /// They.
        rest: Span<'a>,
    },
}

/// How many headers are passed over among the tags of one frame.
const MOST_PASSED: usize = 2;

/// A packet under way.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    next: Next,
    rest: Span<'a>,
    layers: Layers,
    /// Of the innermost IP header so far.
    ends: Option<Ends>,
    /// Tags since the last header that may have them.
    tags: usize,
    /// Headers that are passed over among them.
    passed: usize,
    /// A UDP port alone took the walk inside: what turns out malformed there was no tunnel.
    guessed: bool,
    /// Where the walk ended, if that is no packet's end.
    stop: Option<Stop<'a>>,
    sent: Option<(Sent, Span<'a>)>,
}

impl<'a> Walk<'a> {
    /// From the link header on.
    pub fn of_packet(link: u32, span: Span<'a>, most_depth: u8) -> Self {
        Walk::from(Next::Link(link), None, span, &Layers::new(most_depth))
    }

    /// From inside an IP packet on.
    pub fn of_datagram(ends: Ends, protocol: u8, rest: Span<'a>, layers: &Layers) -> Self {
        Walk::from(Next::IpProtocol(protocol), Some(ends), rest, layers)
    }

    /// From inside an 802.11 frame on.
    pub fn of_frame(in_mesh: bool, rest: Span<'a>, layers: &Layers) -> Self {
        Walk::from(Next::of_frame(in_mesh), None, rest, layers)
    }

    fn from(next: Next, ends: Option<Ends>, rest: Span<'a>, layers: &Layers) -> Self {
        Walk { next, rest, layers: *layers, ends, tags: 0, passed: 0, guessed: false, stop: None, sent: None }
    }

    /// To the TCP header.
    pub fn run(&mut self) -> Result<Datagram<'a>, NotAnalysed> {
        loop {
            if let (Next::IpProtocol(TCP), Some(ends)) = (self.next, self.ends) {
                let Ends { src, dst, ttl, ip_id } = ends;
                return Ok(Datagram { src, dst, ttl, ip_id, rest: self.rest });
            }
            self.advance().map_err(|reason| self.judge(reason))?;
        }
    }

    /// What ended the walk.
    pub fn stop(&self) -> Option<&Stop<'a>> {
        self.stop.as_ref()
    }

    /// The 802.11 frame that it passed, and what is in it.
    pub fn sent(&self) -> Option<(Sent, Span<'a>)> {
        self.sent
    }

    /// The headers passed.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// What is malformed behind a UDP port was no tunnel but UDP.
    pub fn judge(&self, reason: NotAnalysed) -> NotAnalysed {
        match reason {
            NotAnalysed::Malformed(_) if self.guessed => NotAnalysed::IpProtocol(protocol::UDP),
            other => other,
        }
    }

    fn advance(&mut self) -> Result<(), NotAnalysed> {
        let step = match self.next {
            Next::Link(number) => link_step(number, self.rest)?,
            Next::Ethernet => {
                (self.tags, self.passed) = (0, 0);
                ethernet::parse_frame(self.rest)?
            }
            Next::EtherType(number) => match vlan::parse_tag(number, self.rest)? {
                Some(step) => self.tagged(number, step)?,
                None => return self.ether_type(number),
            },
            Next::Llc => llc::parse_llc(self.rest)?,
            Next::Ppp => ppp::parse_protocol(self.rest)?,
            Next::Ip => raw::parse_raw_step(self.rest)?,
            Next::Tagged(id) => Step::inside(Layer::MirroredVlan(id), Next::Ethernet, self.rest),
            Next::Mpls => mpls::parse_mpls(self.rest)?,
            Next::IpProtocol(number) => self.ip_protocol(number)?,
            Next::Mesh => mesh::parse_mesh(self.rest),
            Next::Aggregate { in_mesh } => {
                self.stop = Some(Stop::Aggregate { in_mesh, rest: self.rest });
                return Err(NotAnalysed::Aggregate);
            }
            Next::Fragment(place) => {
                self.stop = Some(Stop::Frame(place, self.rest));
                return Err(NotAnalysed::Fragment);
            }
        };
        self.enter(step)
    }

    fn enter(&mut self, step: Step<'a>) -> Result<(), NotAnalysed> {
        if let Some(layer) = step.layer {
            self.layers.push_towards(layer, self.ends.map(|ends| ends.dst))?;
        }
        self.sent = self.sent.or(step.sent.map(|sent| (sent, step.rest)));
        (self.next, self.rest) = (step.next, step.rest);
        Ok(())
    }

    /// A tag, if the flow's key has room for it.
    fn tagged(&mut self, number: u16, step: Step<'a>) -> Result<Step<'a>, NotAnalysed> {
        self.tags += 1;
        if self.tags > vlan::MOST_TAGS { Err(NotAnalysed::EtherType(number)) } else { Ok(step) }
    }

    fn ether_type(&mut self, number: u16) -> Result<(), NotAnalysed> {
        let packet = match number {
            ethertype::IPV4 => ipv4::parse_any_ipv4(self.rest)?,
            ethertype::IPV6 => ipv6::parse_any_ipv6(self.rest)?,
            ethertype::MPLS | ethertype::MPLS_MULTICAST => return self.enter(Step::to(Next::Mpls, self.rest)),
            ethertype::PPPOE => return self.enter(pppoe::parse_pppoe(self.rest)?),
            ethertype::VNTAG | ethertype::CISCO_METADATA => return self.pass_over(number),
            other => return Err(NotAnalysed::EtherType(other)),
        };
        if let Some(place) = packet.fragment {
            let piece = Piece { ends: packet.ends, protocol: packet.protocol, place, rest: packet.rest };
            self.stop = Some(Stop::Datagram(piece));
            return Err(NotAnalysed::Fragment);
        }
        self.ends = Some(packet.ends);
        self.enter(Step::to(Next::IpProtocol(packet.protocol), packet.rest))
    }

    /// What stands among tags and says nothing of networks; a frame has one of each at most.
    fn pass_over(&mut self, number: u16) -> Result<(), NotAnalysed> {
        self.passed += 1;
        if self.passed > MOST_PASSED {
            return Err(NotAnalysed::EtherType(number));
        }
        self.enter(match number {
            ethertype::VNTAG => vntag::parse_vntag(self.rest)?,
            _ => cisco_metadata::parse_cisco_metadata(self.rest)?,
        })
    }

    fn ip_protocol(&mut self, number: u8) -> Result<Step<'a>, NotAnalysed> {
        let outer_is_v4 = self.ends.is_some_and(|ends| ends.ip_id.is_some());
        match number {
            protocol::IPV4 => Ok(ip_in_ip::step_into_v4(outer_is_v4, self.rest)),
            protocol::IPV6 => Ok(ip_in_ip::step_into_v6(outer_is_v4, self.rest)),
            protocol::GRE => gre::parse_gre(self.rest),
            protocol::AH => ah::parse_ah(self.rest),
            protocol::MPLS => Ok(Step::to(Next::Mpls, self.rest)),
            protocol::UDP => {
                self.guessed = true;
                udp::parse_udp(self.rest)
            }
            // After an authentication header.
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::FRAGMENT | protocol::DESTINATION_OPTIONS
                if !outer_is_v4 =>
            {
                let upper = ipv6::skip_extensions(number, self.rest)?;
                if let (Some(place), Some(ends)) = (upper.fragment, self.ends) {
                    self.stop = Some(Stop::Datagram(Piece { ends, protocol: upper.protocol, place, rest: upper.rest }));
                    return Err(NotAnalysed::Fragment);
                }
                Ok(Step::to(Next::IpProtocol(upper.protocol), upper.rest))
            }
            other => Err(NotAnalysed::IpProtocol(other)),
        }
    }
}

/// Takes a link header off (<https://www.tcpdump.org/linktypes.html>).
fn link_step(number: u32, span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    match number {
        ethernet::ETHERNET => Ok(Step::to(Next::Ethernet, span)),
        sll::LINUX_SLL => sll::parse_cooked(span),
        sll::LINUX_SLL2 => sll::parse_cooked2(span),
        ppp::PPP => Ok(ppp::parse_ppp(span)),
        ppp::PPP_HDLC => ppp::parse_ppp_hdlc(span),
        ppp::PPP_PPPD | ppp::PPP_WITH_DIRECTION => ppp::parse_ppp_with_direction(span),
        pppoe::PPP_ETHER => pppoe::parse_pppoe(span),
        chdlc::C_HDLC => chdlc::parse_chdlc(span),
        ieee80211::IEEE802_11 => ieee80211::parse_ieee80211(span, ieee80211::Extras::default()),
        radiotap::IEEE802_11_RADIOTAP => radiotap::parse_radiotap(span),
        prism::IEEE802_11_PRISM => prism::parse_prism(span),
        avs::IEEE802_11_AVS => avs::parse_avs(span),
        ppi::PPI => ppi::parse_ppi(span),
        nflog::NFLOG => nflog::parse_nflog(span),
        pktap::PKTAP => pktap::parse_pktap(span),
        ipnet::IPNET => ipnet::parse_ipnet(span),
        pflog::PFLOG => pflog::parse_pflog(span),
        enc::ENC | enc::ENC_OPENBSD => enc::parse_enc(span),
        llc::ATM_RFC1483 => Ok(Step::to(Next::Llc, span)),
        other => {
            let frame = link::parse_link(crate::capture::LinkType(other), span)?;
            Ok(Step::to(Next::EtherType(frame.ethertype), frame.rest))
        }
    }
}

/// Whether a link type that another header names may follow it: no header that names a link type again.
pub fn named_link(number: u32, rest: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    match number {
        ppi::PPI | pktap::PKTAP => Err(NotAnalysed::LinkType(number)),
        other => Ok(Step::to(Next::Link(other), rest)),
    }
}

/// Whether an IP header could begin here: its version, and lengths that fit in what was sent.
pub fn looks_like_ip(span: Span<'_>) -> bool {
    let stated = |at| u32::from(super::span::u16_at(span.bytes, at));
    match u8_at(span.bytes, 0) >> 4 {
        4 => u8_at(span.bytes, 0) & 0x0f >= 5 && (20..=span.wire_len).contains(&stated(2)),
        6 => 40 + stated(4) <= span.wire_len,
        _ => false,
    }
}
