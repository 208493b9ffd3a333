//! Byte order: capture files are written in the order of the machine that captured, and say which by their magic.

/// The byte order of a file or a pcapng section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Order {
    /// The 16 bits at `at`; 0 where `bytes` ends before (callers check the length of a header once).
    #[inline]
    #[must_use]
    pub fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let field = array(bytes, at);
        match self {
            Order::Little => u16::from_le_bytes(field),
            Order::Big => u16::from_be_bytes(field),
        }
    }

    /// The 32 bits at `at`; 0 where `bytes` ends before.
    #[inline]
    #[must_use]
    pub fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let field = array(bytes, at);
        match self {
            Order::Little => u32::from_le_bytes(field),
            Order::Big => u32::from_be_bytes(field),
        }
    }

    /// The 64 bits at `at`; 0 where `bytes` ends before.
    #[inline]
    #[must_use]
    pub fn u64(self, bytes: &[u8], at: usize) -> u64 {
        let field = array(bytes, at);
        match self {
            Order::Little => u64::from_le_bytes(field),
            Order::Big => u64::from_be_bytes(field),
        }
    }
}

/// `N` bytes at `at`, zeros where `bytes` ends before.
#[inline]
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_both_orders() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!((Order::Little.u16(&bytes, 1), Order::Big.u16(&bytes, 1)), (0x0302, 0x0203));
        assert_eq!((Order::Little.u32(&bytes, 1), Order::Big.u32(&bytes, 1)), (0x0504_0302, 0x0203_0405));
        assert_eq!(Order::Big.u64(&bytes, 1), 0x0203_0405_0607_0809);
        assert_eq!(Order::Little.u64(&bytes, 1), 0x0908_0706_0504_0302);
    }

    #[test]
    fn a_field_beyond_the_end_is_zero() {
        assert_eq!(Order::Little.u32(&[1, 2, 3], 0), 0);
        assert_eq!(Order::Big.u16(&[1], usize::MAX), 0);
    }
}
