//! Programs as `tcpdump -dd -y EN10MB EXPRESSION` prints them, and programs that must not be accepted.

use super::*;
use proptest::prelude::*;

/// `tcp port 80 and host 10.0.0.1` (with IPv6 left out by the host).
const PORT_80_OF_HOST: &[Instruction] = &[
    (0x28, 0, 0, 0x0000_000c),
    (0x15, 15, 0, 0x0000_86dd),
    (0x15, 0, 14, 0x0000_0800),
    (0x30, 0, 0, 0x0000_0017),
    (0x15, 0, 12, 0x0000_0006),
    (0x28, 0, 0, 0x0000_0014),
    (0x45, 10, 0, 0x0000_1fff),
    (0xb1, 0, 0, 0x0000_000e),
    (0x48, 0, 0, 0x0000_000e),
    (0x15, 2, 0, 0x0000_0050),
    (0x48, 0, 0, 0x0000_0010),
    (0x15, 0, 5, 0x0000_0050),
    (0x20, 0, 0, 0x0000_001a),
    (0x15, 2, 0, 0x0a00_0001),
    (0x20, 0, 0, 0x0000_001e),
    (0x15, 0, 1, 0x0a00_0001),
    (0x6, 0, 0, 0x0004_0000),
    (0x6, 0, 0, 0x0000_0000),
];
/// `greater 100`.
const GREATER_100: &[Instruction] = &[(0x80, 0, 0, 0), (0x35, 0, 1, 100), (0x6, 0, 0, 0x0004_0000), (0x6, 0, 0, 0)];

fn filter(link: u32, program: &[Instruction]) -> Filter {
    Filter::new(BTreeMap::from([(link, program.to_vec())])).unwrap()
}

/// An Ethernet frame with 24 bytes of IPv4 header (one word of options), ports and addresses.
fn frame(ports: [u16; 2], source: [u8; 4], fragment: u16) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x46, 0, 0, 44, 0, 0]);
    frame.extend(fragment.to_be_bytes());
    frame.extend([64, 6, 0, 0]);
    frame.extend(source);
    frame.extend([10, 0, 0, 2, 1, 1, 1, 1]);
    frame.extend(ports.map(u16::to_be_bytes).concat());
    frame
}

#[test]
fn a_compiled_expression_matches_what_it_says() {
    let filter = filter(1, PORT_80_OF_HOST);
    let host = [10, 0, 0, 1];
    let cases = [
        (frame([80, 1024], host, 0), true),
        (frame([1024, 80], host, 0), true),
        (frame([1024, 81], host, 0), false),
        (frame([80, 1024], [10, 0, 0, 9], 0), false),
        (frame([80, 1024], host, 1), false),
        (frame([80, 80], host, 0)[..36].to_vec(), false),
        (Vec::new(), false),
    ];
    for (bytes, expected) in cases {
        assert_eq!(filter.matches(LinkType(1), &bytes, 60), expected, "{bytes:?}");
    }
}

#[test]
fn length_is_that_on_the_wire() {
    let filter = filter(1, GREATER_100);
    assert!(filter.matches(LinkType(1), &[0; 20], 100));
    assert!(!filter.matches(LinkType(1), &[0; 20], 99));
}

#[test]
fn without_programs_everything_passes_and_without_the_link_types_own_nothing() {
    assert!(Filter::default().matches(LinkType(1), &[], 0));
    assert!(!filter(113, &[(0x6, 0, 0, 1)]).matches(LinkType(1), &[], 0));
    assert!(
        filter(12, &[(0x6, 0, 0, 1)]).matches(LinkType(101), &[], 0),
        "a program for raw IP serves both its numbers"
    );
}

#[test]
fn every_instruction_computes() {
    // Each: what runs after A = 12 and X = 5; the packet is 0, 1, 2 … 255.
    let cases: &[(&[Instruction], Option<u32>)] = &[
        (&[(0x04, 0, 0, 3)], Some(15)),
        (&[(0x0c, 0, 0, 0)], Some(17)),
        (&[(0x14, 0, 0, 13)], Some(u32::MAX)),
        (&[(0x2c, 0, 0, 0)], Some(60)),
        (&[(0x3c, 0, 0, 0)], Some(2)),
        (&[(0x9c, 0, 0, 0)], Some(2)),
        (&[(0x44, 0, 0, 3)], Some(15)),
        (&[(0x54, 0, 0, 4)], Some(4)),
        (&[(0xa4, 0, 0, 4)], Some(8)),
        (&[(0x6c, 0, 0, 0)], Some(12 << 5)),
        (&[(0x74, 0, 0, 2)], Some(3)),
        (&[(0x84, 0, 0, 0)], Some(12u32.wrapping_neg())),
        (&[(0x87, 0, 0, 0)], Some(5)),
        (&[(0x07, 0, 0, 0), (0x87, 0, 0, 0)], Some(12)),
        (&[(0x20, 0, 0, 1)], Some(0x0102_0304)),
        (&[(0x48, 0, 0, 1)], Some(0x0607)),
        (&[(0x50, 0, 0, 1)], Some(6)),
        (&[(0xb1, 0, 0, 0x4f), (0x87, 0, 0, 0)], Some(60)),
        (&[(0x02, 0, 0, 15), (0x00, 0, 0, 1), (0x60, 0, 0, 15)], Some(12)),
        (&[(0x03, 0, 0, 3), (0x61, 0, 0, 3), (0x87, 0, 0, 0)], Some(5)),
        (&[(0x81, 0, 0, 0), (0x87, 0, 0, 0)], Some(999)),
        (&[(0x05, 0, 0, 1), (0x6, 0, 0, 1)], Some(12)),
        (&[(0x1d, 0, 1, 0), (0x6, 0, 0, 1)], Some(12)),
        (&[(0x2d, 0, 1, 0), (0x6, 0, 0, 1)], Some(1)),
        (&[(0x45, 0, 1, 8), (0x6, 0, 0, 1)], Some(1)),
        (&[(0x01, 0, 0, 0), (0x3c, 0, 0, 0)], None),
        (&[(0x20, 0, 0, 253)], None),
        (&[(0x48, 0, 0, u32::MAX)], None),
    ];
    let packet: Vec<u8> = (0..=255).collect();
    for (body, expected) in cases {
        let mut program = vec![(0x00, 0, 0, 12), (0x01, 0, 0, 5)];
        program.extend(*body);
        program.push((0x16, 0, 0, 0));
        assert_eq!(check(&program), Ok(()), "{body:x?}");
        assert_eq!(run(&program, &packet, 999), *expected, "{body:x?}");
    }
}

#[test]
fn programs_that_could_fail_are_not_accepted() {
    let ret = (0x6, 0, 0, 1);
    let cases: &[(&[Instruction], &str)] = &[
        (&[], "the program does not end with a return"),
        (&[(0x00, 0, 0, 1)], "the program does not end with a return"),
        (&[(0x34, 0, 0, 0), ret], "division by zero"),
        (&[(0x94, 0, 0, 0), ret], "division by zero"),
        (&[(0x64, 0, 0, 32), ret], "shift beyond 31 bits"),
        (&[(0x02, 0, 0, 16), ret], "no such scratch memory"),
        (&[(0x60, 0, 0, 16), ret], "no such scratch memory"),
        (&[(0x61, 0, 0, 16), ret], "no such scratch memory"),
        (&[(0x05, 0, 0, 1), ret], "jump out of the program"),
        (&[(0x05, 0, 0, u32::MAX), ret], "jump out of the program"),
        (&[(0x15, 1, 0, 0), ret], "jump out of the program"),
        (&[(0x15, 0, 1, 0), ret], "jump out of the program"),
        (&[(0x08, 0, 0, 0), ret], "unknown code"),
        (&[(0xb4, 0, 0, 0), ret], "unknown code"),
        (&[(0x55, 0, 0, 0), ret], "unknown code"),
        (&[(0xffff, 0, 0, 0), ret], "unknown code"),
    ];
    for (program, why) in cases {
        let error = Filter::new(BTreeMap::from([(1, program.to_vec())])).unwrap_err();
        assert_eq!(error.why, *why, "{program:x?}");
    }
    let long = vec![ret; MOST_INSTRUCTIONS + 1];
    assert!(Filter::new(BTreeMap::from([(1, long)])).is_err());
}

/// Instructions of known codes more often than not, so that whole programs are accepted.
fn instruction() -> impl Strategy<Value = Instruction> {
    let code = (0u16..0x100).prop_map(|code| if is_known(code) { code } else { 0x00 });
    let operand = prop_oneof![4 => 0u32..20, 1 => any::<u32>()];
    (code, 0u8..3, 0u8..3, operand)
}

proptest! {
    /// Whatever is accepted runs to an end without a panic.
    #[test]
    fn any_accepted_program_runs(
        mut program in proptest::collection::vec(instruction(), 0..12),
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        program.extend([(0x16, 0, 0, 0); 3]);
        if check(&program).is_ok() {
            let _ = run(&program, &bytes, 100);
        }
    }
}
