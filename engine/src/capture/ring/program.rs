//! The filter that the kernel runs on each packet, before it takes room in the ring.
//!
//! As libpcap does (`pcap-linux.c`): the accepting returns give the snaplen, which is how the kernel cuts packets;
//! and where the socket gives no link header, loads are moved to what stands behind it, or to what the kernel knows
//! of the packet (`SKF_AD_…`, `linux/filter.h`).

use super::Instruction;

const LD: u16 = 0x00;
const LDX: u16 = 0x01;
const RET: u16 = 0x06;
const CLASS: u16 = 0x07;
const MODE: u16 = 0xe0;
const ABS: u16 = 0x20;
const IND: u16 = 0x40;
const MSH: u16 = 0xa0;
/// Where a return's value is from; zero is the operand.
const RETURNED: u16 = 0x18;
/// `ld [k]`, a word.
const LOAD: u16 = 0x20;
/// `jeq #k`.
const EQUAL: u16 = 0x15;
/// `ret #k`.
const RETURN: u16 = 0x06;

/// What the kernel knows of a packet (`SKF_AD_OFF` plus this).
const KNOWN: u32 = 0xffff_f000;
const KNOWN_PROTOCOL: u32 = KNOWN;
const KNOWN_KIND: u32 = KNOWN + 4;
const KNOWN_INTERFACE: u32 = KNOWN + 8;
/// `PACKET_OUTGOING`.
const OUTGOING: u32 = 4;

/// A program that lets nothing pass.
pub const NOTHING: [Instruction; 1] = [(RETURN, 0, 0, 0)];

/// Bytes of the header that a cooked packet gets, and the places in it that are known of a packet.
const COOKED_HEADER: i64 = super::cooked::HEADER as i64;

/// The user's program (`None`: every packet), as the kernel shall run it. `None` if it looks at something of the cooked
/// header that the kernel does not know.
pub fn for_kernel(user: Option<&[Instruction]>, cooked: bool, snaplen: u32) -> Option<Vec<Instruction>> {
    let Some(user) = user else { return Some(vec![(RETURN, 0, 0, snaplen)]) };
    user.iter()
        .map(|&one| if cooked { behind_header(one) } else { Some(one) })
        .map(|one| Some(cut(one?, snaplen)))
        .collect()
}

/// A packet over loopback passes the socket twice, on its way out and in again. This, before any program, lets the first
/// of them not pass; a jump is relative, so that the rest stays as it is.
pub fn without_outgoing(loopback: i32) -> [Instruction; 5] {
    [
        (LOAD, 0, 0, KNOWN_INTERFACE),
        (EQUAL, 0, 3, loopback as u32),
        (LOAD, 0, 0, KNOWN_KIND),
        (EQUAL, 0, 1, OUTGOING),
        (RETURN, 0, 0, 0),
    ]
}

fn cut((code, jt, jf, k): Instruction, snaplen: u32) -> Instruction {
    let accepts = code & CLASS == RET && code & RETURNED == 0 && k != 0;
    (code, jt, jf, if accepts { snaplen } else { k })
}

fn behind_header((code, jt, jf, k): Instruction) -> Option<Instruction> {
    let loads = matches!(code & CLASS, LD | LDX) && matches!(code & MODE, ABS | IND | MSH);
    if !loads {
        return Some((code, jt, jf, k));
    }
    let k = match i64::from(k as i32) {
        // Of the kernel's own already.
        known if known < 0 => k,
        behind if behind >= COOKED_HEADER => k - COOKED_HEADER as u32,
        0 => KNOWN_PROTOCOL,
        4 => KNOWN_INTERFACE,
        10 => KNOWN_KIND,
        _ => return None,
    };
    Some((code, jt, jf, k))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_cut_and_rejections_stay() {
        let user = [(0x28, 0, 0, 12), (0x15, 0, 1, 0x0800), (RETURN, 0, 0, 262_144), (RETURN, 0, 0, 0)];
        let expected = [user[0], user[1], (RETURN, 0, 0, 96), user[3]];
        assert_eq!(for_kernel(Some(&user), false, 96).unwrap(), expected);
        assert_eq!(for_kernel(None, false, 96).unwrap(), [(RETURN, 0, 0, 96)]);
    }

    #[test]
    fn a_cooked_header_is_what_the_kernel_knows() {
        // tcpdump -y LINUX_SLL2 -d 'tcp' begins so.
        let user =
            [(0x28, 0, 0, 0), (0x15, 0, 3, 0x0800), (0x30, 0, 0, 29), (0x15, 0, 1, 6), (6, 0, 0, 9), (6, 0, 0, 0)];
        let fixed = for_kernel(Some(&user), true, 9).unwrap();
        assert_eq!((fixed[0].3, fixed[2].3), (KNOWN_PROTOCOL, 9));
        assert_eq!(for_kernel(Some(&[(0x28, 0, 0, 12)]), true, 9), None, "the sender's address is not known");
    }
}
