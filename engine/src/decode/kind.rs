//! The words under which packets that are not analysed are counted.

use super::NotAnalysed;
use std::borrow::Cow;

impl NotAnalysed {
    /// The word for the report: `udp`, `arp`, `fragment`, `truncated`, `link_type_147`, `malformed_ip_header_length`.
    #[must_use]
    pub fn kind(&self) -> Cow<'static, str> {
        match *self {
            NotAnalysed::LinkType(number) => format!("link_type_{number}").into(),
            NotAnalysed::EtherType(number) => ethertype_word(number),
            NotAnalysed::IpProtocol(number) => ip_protocol_word(number),
            NotAnalysed::Ppp(number) => ppp_word(number),
            NotAnalysed::Named(name) => name.into(),
            NotAnalysed::Fragment => "fragment".into(),
            NotAnalysed::Aggregate => "ieee80211_aggregate".into(),
            NotAnalysed::Truncated => "truncated".into(),
            NotAnalysed::Malformed(name) => format!("malformed_{name}").into(),
        }
    }
}

/// <https://www.iana.org/assignments/ieee-802-numbers>; below 0x0600 the field is a length (IEEE 802.3 §3.2.6).
fn ethertype_word(number: u16) -> Cow<'static, str> {
    let word = match number {
        0..0x0600 => "llc",
        0x0806 => "arp",
        0x8035 => "rarp",
        0x8100 | 0x88a8 | 0x9100 => "vlan_deeper_than_two",
        0x8847 | 0x8848 => "mpls",
        0x8863 | 0x8864 => "pppoe",
        0x8809 => "slow_protocols",
        0x888e => "eapol",
        0x88cc => "lldp",
        0x88e5 => "macsec",
        0x894f => "nsh",
        0x8909 => "cisco_metadata",
        0x8926 => "vntag",
        _ => return format!("ethertype_0x{number:04x}").into(),
    };
    word.into()
}

/// <https://www.iana.org/assignments/protocol-numbers>.
fn ip_protocol_word(number: u8) -> Cow<'static, str> {
    let word = match number {
        1 => "icmp",
        2 => "igmp",
        4 => "ip_in_ip",
        17 => "udp",
        41 => "ipv6_in_ip",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "icmpv6",
        59 => "ipv6_no_next_header",
        88 => "eigrp",
        89 => "ospf",
        103 => "pim",
        112 => "vrrp",
        115 => "l2tp",
        132 => "sctp",
        136 => "udplite",
        _ => return format!("ip_protocol_{number}").into(),
    };
    word.into()
}

/// <https://www.iana.org/assignments/ppp-numbers>.
fn ppp_word(number: u16) -> Cow<'static, str> {
    let word = match number {
        0x003d => "ppp_multilink",
        0x00fb | 0x00fd => "ppp_compressed",
        0x0053 | 0x0055 => "encrypted",
        0x002d | 0x002f => "ppp_van_jacobson",
        0x8000..=0xffff => "ppp_control",
        _ => return format!("ppp_0x{number:04x}").into(),
    };
    word.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_words_a_user_knows() {
        let cases = [
            (NotAnalysed::LinkType(147), "link_type_147"),
            (NotAnalysed::EtherType(0x0026), "llc"),
            (NotAnalysed::EtherType(0x0806), "arp"),
            (NotAnalysed::EtherType(0x8847), "mpls"),
            (NotAnalysed::EtherType(0x1234), "ethertype_0x1234"),
            (NotAnalysed::IpProtocol(17), "udp"),
            (NotAnalysed::IpProtocol(47), "gre"),
            (NotAnalysed::IpProtocol(253), "ip_protocol_253"),
            (NotAnalysed::Ppp(0xc021), "ppp_control"),
            (NotAnalysed::Ppp(0x00fd), "ppp_compressed"),
            (NotAnalysed::Ppp(0x002b), "ppp_0x002b"),
            (NotAnalysed::Named("encrypted"), "encrypted"),
            (NotAnalysed::Fragment, "fragment"),
            (NotAnalysed::Aggregate, "ieee80211_aggregate"),
            (NotAnalysed::Truncated, "truncated"),
            (NotAnalysed::Malformed("ip_header_length"), "malformed_ip_header_length"),
        ];
        for (reason, word) in cases {
            assert_eq!(reason.kind(), word);
        }
    }
}
