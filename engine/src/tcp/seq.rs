//! Sequence arithmetic modulo 2^32 (RFC 9293 §3.4): the only place where sequence numbers are compared or subtracted.
//!
//! Two numbers are compared by the shorter way around the circle, which is right while they are less than 2^31 apart.
//! TCP windows never exceed 2^30 (RFC 7323 §2.3), so live numbers always are.

/// How far `a` is ahead of `b`, in bytes; negative if it is behind. Exactly 2^31 apart counts as behind.
#[must_use]
pub const fn diff(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b) as i32
}

/// Whether `a` is before `b`.
#[must_use]
pub const fn lt(a: u32, b: u32) -> bool {
    diff(a, b) < 0
}

/// Whether `a` is before `b` or equal to it.
#[must_use]
pub const fn leq(a: u32, b: u32) -> bool {
    diff(a, b) <= 0
}

/// The later of the two.
#[must_use]
pub const fn max(a: u32, b: u32) -> u32 {
    if lt(a, b) { b } else { a }
}

/// The number `len` bytes after `seq`.
#[must_use]
pub const fn add(seq: u32, len: u32) -> u32 {
    seq.wrapping_add(len)
}

/// Bytes from `from` up to `to`; 0 if `to` is not ahead.
#[must_use]
pub const fn ahead(to: u32, from: u32) -> u32 {
    let distance = diff(to, from);
    if distance > 0 { distance as u32 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every comparison holds wherever on the circle the pair lies.
    const BASES: [u32; 6] = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

    #[test]
    fn order_does_not_depend_on_the_base() {
        for base in BASES {
            for step in [1, 2, 1000, 0x7fff_ffff] {
                let later = add(base, step);
                assert!(lt(base, later) && leq(base, later) && !lt(later, base) && !leq(later, base));
                assert_eq!(diff(later, base), step as i32);
                assert_eq!(diff(base, later), -(step as i32));
                assert_eq!((max(base, later), max(later, base)), (later, later));
                assert_eq!((ahead(later, base), ahead(base, later)), (step, 0));
            }
            assert!(!lt(base, base) && leq(base, base));
            assert_eq!((diff(base, base), max(base, base), ahead(base, base)), (0, base, 0));
        }
    }

    #[test]
    fn half_the_circle_counts_as_behind_both_ways() {
        for base in BASES {
            let opposite = add(base, 0x8000_0000);
            assert_eq!(diff(opposite, base), i32::MIN);
            assert!(lt(opposite, base) && lt(base, opposite));
            assert_eq!(ahead(opposite, base), 0);
        }
    }

    proptest! {
        #[test]
        fn diff_undoes_add(base: u32, step in 0_u32..0x8000_0000) {
            prop_assert_eq!(diff(add(base, step), base), step as i32);
            prop_assert_eq!(ahead(add(base, step), base), step);
        }
    }
}
