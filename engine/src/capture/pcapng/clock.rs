//! Ticks of a pcapng interface into nanoseconds (draft-ietf-opsawg-pcapng §4.2, `if_tsresol` and `if_tsoffset`).

/// How long a tick of an interface is, and what its count starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    tick: Tick,
    offset_s: i64,
}

/// The resolutions, each with the arithmetic that loses nothing it need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    /// 10^-9 s or longer: this many nanoseconds.
    Nanoseconds(u64),
    /// Shorter than a nanosecond: this many to one; `None` if more than 128 bits can count.
    PerNanosecond(Option<u128>),
    /// 2^-n seconds.
    BinaryFraction(u32),
}

/// The times given out, 1896 to 2116 in ns: a later stage may subtract any two, or add years, without overflow.
const EARLIEST_NS: i128 = -(1 << 61);
const LATEST_NS: i128 = 1 << 62;

/// The high bit of `if_tsresol`: the exponent's base is 2, not 10.
const BASE_2: u8 = 0x80;

impl Clock {
    /// The clock of an interface without options: microseconds since 1970.
    pub const DEFAULT: Clock = Clock { tick: Tick::Nanoseconds(1000), offset_s: 0 };

    /// Sets the resolution from the one byte of `if_tsresol`.
    #[must_use]
    pub fn with_resolution(self, resolution: u8) -> Clock {
        let exponent = u32::from(resolution & !BASE_2);
        let tick = match exponent.checked_sub(9) {
            _ if resolution & BASE_2 != 0 => Tick::BinaryFraction(exponent),
            None => Tick::Nanoseconds(10u64.pow(9 - exponent)),
            Some(finer) => Tick::PerNanosecond(10u128.checked_pow(finer)),
        };
        Clock { tick, ..self }
    }

    /// Sets the seconds to add to every time, from `if_tsoffset`.
    #[must_use]
    pub fn with_offset(self, offset_s: i64) -> Clock {
        Clock { offset_s, ..self }
    }

    /// Nanoseconds since 1970 UTC, rounded down; a clock that says a time before 1896 or after 2116 is
    /// held there.
    #[inline]
    #[must_use]
    pub fn ns(self, ticks: u64) -> i64 {
        match (self.tick, self.offset_s) {
            // What every capture has: a product of at most 62 bits.
            (Tick::Nanoseconds(each), 0) if ticks.leading_zeros() + each.leading_zeros() > 65 => (ticks * each) as i64,
            _ => self.wide_ns(ticks),
        }
    }

    fn wide_ns(self, ticks: u64) -> i64 {
        let ns = match self.tick {
            Tick::Nanoseconds(each) => i128::from(ticks) * i128::from(each),
            Tick::PerNanosecond(count) => count.map_or(0, |count| (u128::from(ticks) / count) as i128),
            Tick::BinaryFraction(n) => ((u128::from(ticks) * 1_000_000_000) >> n) as i128,
        };
        let offset_ns = i128::from(self.offset_s) * 1_000_000_000;
        (ns + offset_ns).clamp(EARLIEST_NS, LATEST_NS) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resolution_of_both_bases() {
        let cases = [
            (6, 1_500_000, 1_500_000_000),
            (9, 7, 7),
            (0, 3, 3_000_000_000),
            (3, 3, 3_000_000),
            (12, 2_999, 2),
            (47, u64::MAX, 0),
            (127, u64::MAX, 0),
            (BASE_2, 2, 2_000_000_000),
            (BASE_2 | 1, 3, 1_500_000_000),
            (BASE_2 | 0x1e, 1 << 30, 1_000_000_000),
            (BASE_2 | 0x7f, u64::MAX, 0),
        ];
        for (resolution, ticks, ns) in cases {
            assert_eq!(Clock::DEFAULT.with_resolution(resolution).ns(ticks), ns, "{resolution}");
        }
        assert_eq!(Clock::DEFAULT.ns(1), 1000);
    }

    #[test]
    fn the_short_cut_agrees_with_the_long_way() {
        for shift in 0..64 {
            for ticks in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let clock = Clock::DEFAULT;
                assert_eq!(clock.ns(ticks), clock.wide_ns(ticks), "{ticks}");
            }
        }
    }

    #[test]
    fn the_offset_is_added_and_later_sums_cannot_overflow() {
        let seconds = Clock::DEFAULT.with_resolution(0);
        assert_eq!(Clock::DEFAULT.with_offset(-1).ns(2_000_000), 1_000_000_000);
        let latest = seconds.with_offset(i64::MAX).ns(u64::MAX);
        let earliest = seconds.with_offset(i64::MIN).ns(0);
        assert_eq!((earliest, latest), (-(1 << 61), 1 << 62));
        assert_eq!(Clock::DEFAULT.ns(u64::MAX), latest);
        assert!(latest.checked_sub(earliest).is_some());
    }
}
