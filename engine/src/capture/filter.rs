//! A capture filter: classic BPF programs, compiled elsewhere (by libpcap) and run here on each packet.
//!
//! The machine is that of "The BSD Packet Filter" (USENIX Winter 1993): an accumulator, an index register, sixteen
//! words of scratch memory, and jumps that only go forward, so that a program of n instructions ends after n steps.
//! A load beyond the captured bytes, or a division by a zero index, rejects the packet.
//! [`Filter::new`] checks what Linux's `bpf_check_classic` (`net/core/filter.c`) checks; scratch memory starts as
//! zeros, which makes its check for uninitialised loads unnecessary.

use super::order::Order;
use super::{LinkType, Packet};
use std::collections::BTreeMap;
use std::fmt;

/// One instruction as libpcap has it: code, jump if true, jump if false, operand.
pub type Instruction = (u16, u8, u8, u32);

/// A program for each link type; packets of any other link type are rejected, unless there is no program at all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    programs: BTreeMap<u32, Vec<Instruction>>,
}

/// Why a program was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadProgram {
    /// The link type it is for.
    pub link: u32,
    /// The instruction to blame.
    pub at: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for BadProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter for link type {}: instruction {}: {}", self.link, self.at, self.why)
    }
}

impl std::error::Error for BadProgram {}

/// Longest program (`BPF_MAXINSNS`).
const MOST_INSTRUCTIONS: usize = 4096;
/// Words of scratch memory (`BPF_MEMWORDS`).
const MEMORY_WORDS: usize = 16;
/// libpcap compiles for `DLT_RAW`, whose number differs between systems; files say `LINKTYPE_RAW`.
const LINKTYPE_RAW: u32 = 101;
const DLT_RAW: [u32; 2] = [12, 14];

// Classes, the three low bits of a code.
const LD: u16 = 0x00;
const LDX: u16 = 0x01;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const ALU: u16 = 0x04;
const JMP: u16 = 0x05;
const RET: u16 = 0x06;
const MISC: u16 = 0x07;
// Sizes and modes of loads.
const W: u16 = 0x00;
const H: u16 = 0x08;
const B: u16 = 0x10;
const IMM: u16 = 0x00;
const ABS: u16 = 0x20;
const IND: u16 = 0x40;
const MEM: u16 = 0x60;
const LEN: u16 = 0x80;
const MSH: u16 = 0xa0;
// Operations; K and X are the second operand.
const K: u16 = 0x00;
const X: u16 = 0x08;
const A: u16 = 0x10;
const ADD: u16 = 0x00;
const SUB: u16 = 0x10;
const MUL: u16 = 0x20;
const DIV: u16 = 0x30;
const OR: u16 = 0x40;
const AND: u16 = 0x50;
const LSH: u16 = 0x60;
const RSH: u16 = 0x70;
const NEG: u16 = 0x80;
const MOD: u16 = 0x90;
const XOR: u16 = 0xa0;
const JA: u16 = 0x00;
const JEQ: u16 = 0x10;
const JGT: u16 = 0x20;
const JGE: u16 = 0x30;
const JSET: u16 = 0x40;
const TAX: u16 = 0x00;
const TXA: u16 = 0x80;

impl Filter {
    /// Takes programs by link type (DLT), each checked so that running it cannot fail.
    ///
    /// # Errors
    /// [`BadProgram`] names the first instruction that is not accepted.
    pub fn new(programs: BTreeMap<u32, Vec<Instruction>>) -> Result<Filter, BadProgram> {
        for (&link, program) in &programs {
            check(program).map_err(|(at, why)| BadProgram { link, at, why })?;
        }
        Ok(Filter { programs })
    }

    /// Whether a packet passes: `bytes` as captured, `original_len` as `len` and `greater` see it.
    #[inline]
    #[must_use]
    pub fn matches(&self, link: LinkType, bytes: &[u8], original_len: u32) -> bool {
        self.programs.is_empty()
            || self.program(link).is_some_and(|program| run(program, bytes, original_len).unwrap_or(0) != 0)
    }

    /// Takes out the packets that do not pass, and says how many they were. `bytes_of` gives a packet's bytes.
    pub fn retain<'p>(&self, packets: &mut Vec<Packet>, bytes_of: impl Fn(&Packet) -> &'p [u8]) -> u64 {
        if self.programs.is_empty() {
            return 0;
        }
        let before = packets.len();
        packets.retain(|packet| self.matches(packet.link, bytes_of(packet), packet.original_len));
        (before - packets.len()) as u64
    }

    fn program(&self, link: LinkType) -> Option<&[Instruction]> {
        program_for(&self.programs, link)
    }
}

/// The program for a link type, which may have more than one number.
pub fn program_for(programs: &BTreeMap<u32, Vec<Instruction>>, link: LinkType) -> Option<&[Instruction]> {
    let raw = if link.0 == LINKTYPE_RAW { &DLT_RAW[..] } else { &[] };
    let mut names = std::iter::once(&link.0).chain(raw);
    names.find_map(|name| programs.get(name)).map(Vec::as_slice)
}

fn check(program: &[Instruction]) -> Result<(), (usize, &'static str)> {
    if program.len() > MOST_INSTRUCTIONS {
        return Err((MOST_INSTRUCTIONS, "the program is too long"));
    }
    for (at, instruction) in program.iter().enumerate() {
        let after = program.len() - at - 1;
        check_instruction(*instruction, after).map_err(|why| (at, why))?;
    }
    match program.last() {
        Some((code, ..)) if code & 0x07 == RET => Ok(()),
        _ => Err((program.len().saturating_sub(1), "the program does not end with a return")),
    }
}

/// `after` is how many instructions follow.
fn check_instruction((code, jump_true, jump_false, k): Instruction, after: usize) -> Result<(), &'static str> {
    let in_range = |jump: u32| (jump as usize) < after;
    match code & 0x07 {
        _ if !is_known(code) => Err("unknown code"),
        ALU if matches!(code & 0xf0, DIV | MOD) && code & X == 0 && k == 0 => Err("division by zero"),
        ALU if matches!(code & 0xf0, LSH | RSH) && code & X == 0 && k >= 32 => Err("shift beyond 31 bits"),
        ST | STX if k as usize >= MEMORY_WORDS => Err("no such scratch memory"),
        LD | LDX if code & 0xe0 == MEM && k as usize >= MEMORY_WORDS => Err("no such scratch memory"),
        JMP if code & 0xf0 == JA && !in_range(k) => Err("jump out of the program"),
        JMP if code & 0xf0 != JA && !(in_range(jump_true.into()) && in_range(jump_false.into())) => {
            Err("jump out of the program")
        }
        _ => Ok(()),
    }
}

/// The codes of `chk_code_allowed` in the kernel.
fn is_known(code: u16) -> bool {
    const LOADS: &[u16] = &[IMM | W, ABS | W, ABS | H, ABS | B, IND | W, IND | H, IND | B, MEM | W, LEN | W];
    const INDEX_LOADS: &[u16] = &[IMM | W, MEM | W, LEN | W, MSH | B];
    let class = code & 0x07;
    let rest = code & !0x07;
    match class {
        LD => LOADS.contains(&rest),
        LDX => INDEX_LOADS.contains(&rest),
        ST | STX => rest == 0,
        ALU => code & 0xff00 == 0 && (rest == NEG || (rest & 0xf0 <= XOR && rest & 0xf0 != NEG)),
        JMP => rest == JA || (code & 0xff00 == 0 && (JEQ..=JSET).contains(&(rest & 0xf0))),
        RET => rest == K || rest == A,
        _ => rest == TAX || rest == TXA,
    }
}

/// The value a checked program returns; `None` where it loads beyond the packet or divides by a zero index.
fn run(program: &[Instruction], bytes: &[u8], original_len: u32) -> Option<u32> {
    let mut memory = [0u32; MEMORY_WORDS];
    let (mut a, mut x) = (0u32, 0u32);
    let mut at = 0usize;
    loop {
        let &(code, jump_true, jump_false, k) = program.get(at)?;
        at += 1;
        let operand = if code & X == 0 { k } else { x };
        match code & 0x07 {
            LD => a = load(code, k, x, bytes, original_len, &memory)?,
            LDX => x = load_index(code, k, bytes, original_len, &memory)?,
            ST => *memory.get_mut(k as usize)? = a,
            STX => *memory.get_mut(k as usize)? = x,
            ALU => a = compute(code & 0xf0, a, operand)?,
            JMP if code & 0xf0 == JA => at += k as usize,
            JMP if holds(code & 0xf0, a, operand) => at += usize::from(jump_true),
            JMP => at += usize::from(jump_false),
            RET => return Some(if code & 0x18 == A { a } else { k }),
            MISC if code & !0x07 == TXA => a = x,
            _ => x = a,
        }
    }
}

fn load(code: u16, k: u32, x: u32, bytes: &[u8], original_len: u32, memory: &[u32]) -> Option<u32> {
    let at = match code & 0xe0 {
        IMM => return Some(k),
        LEN => return Some(original_len),
        MEM => return memory.get(k as usize).copied(),
        IND => k.checked_add(x)?,
        _ => k,
    } as usize;
    let field = bytes.get(at..)?;
    match code & 0x18 {
        W => field.get(..4).map(|word| Order::Big.u32(word, 0)),
        H => field.get(..2).map(|half| Order::Big.u16(half, 0).into()),
        _ => field.first().map(|&byte| byte.into()),
    }
}

fn load_index(code: u16, k: u32, bytes: &[u8], original_len: u32, memory: &[u32]) -> Option<u32> {
    match code & 0xe0 {
        IMM => Some(k),
        LEN => Some(original_len),
        MEM => memory.get(k as usize).copied(),
        // The IPv4 header length idiom, `4 * ([k] & 0xf)`.
        _ => bytes.get(k as usize).map(|byte| u32::from(byte & 0x0f) << 2),
    }
}

fn compute(operation: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match operation {
        ADD => a.wrapping_add(operand),
        SUB => a.wrapping_sub(operand),
        MUL => a.wrapping_mul(operand),
        DIV => a.checked_div(operand)?,
        MOD => a.checked_rem(operand)?,
        OR => a | operand,
        AND => a & operand,
        XOR => a ^ operand,
        LSH => a.checked_shl(operand).unwrap_or(0),
        RSH => a.checked_shr(operand).unwrap_or(0),
        _ => a.wrapping_neg(),
    })
}

fn holds(condition: u16, a: u32, operand: u32) -> bool {
    match condition {
        JEQ => a == operand,
        JGT => a > operand,
        JGE => a >= operand,
        _ => a & operand != 0,
    }
}

#[cfg(test)]
mod tests;
