//! The option list that ends most pcapng blocks (draft-ietf-opsawg-pcapng §3.5): code, length, padded value.

use crate::capture::order::Order;

const END_OF_OPTIONS: u16 = 0;
const OPTION_HEADER: usize = 4;
/// `opt_comment`, which any block may have.
pub const COMMENT: u16 = 1;

/// Longest text kept, in bytes.
const TEXT_BYTES: usize = 256;

/// Iterates over (code, value). Ends at the end mark, or where an option would reach beyond the block.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    order: Order,
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    /// The options in `list`.
    #[must_use]
    pub fn new(order: Order, list: &'a [u8]) -> Self {
        Options { order, rest: list }
    }

    /// Whether the iteration ended before an option that reaches beyond the block.
    #[must_use]
    pub fn broken(&self) -> bool {
        !self.rest.is_empty()
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, values) = self.rest.split_at_checked(OPTION_HEADER)?;
        let code = self.order.u16(header, 0);
        let length = usize::from(self.order.u16(header, 2));
        if code == END_OF_OPTIONS {
            self.rest = &[];
            return None;
        }
        let value = values.get(..length)?;
        self.rest = values.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((code, value))
    }
}

/// The file's text up to a NUL or [`TEXT_BYTES`], whatever its bytes.
#[must_use]
pub fn text(value: &[u8]) -> String {
    let end = value.iter().take(TEXT_BYTES).take_while(|&&byte| byte != 0).count();
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

/// A counter of 64 bits; `None` for a value of another length.
#[must_use]
pub fn counter(order: Order, value: &[u8]) -> Option<u64> {
    (value.len() == 8).then(|| order.u64(value, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::forge;

    #[test]
    fn options_are_padded_and_end_at_the_mark() {
        for order in [Order::Little, Order::Big] {
            let mut list = forge::options(order, &[(2, b"eth0\0"), (9, &[6])]);
            list.extend([0, 9, 9, 0]);
            let mut options = Options::new(order, &list);
            let read: Vec<_> = options.by_ref().collect();
            assert_eq!(read, vec![(2, &b"eth0\0"[..]), (9, &[6][..])]);
            assert!(!options.broken());
        }
    }

    #[test]
    fn an_option_beyond_the_block_is_not_read_and_is_told() {
        for list in [&[0, 2, 0, 5, 1, 2, 3, 4][..], &[0, 2, 0]] {
            let mut options = Options::new(Order::Big, list);
            assert_eq!(options.by_ref().count(), 0);
            assert!(options.broken());
        }
        assert!(!Options::new(Order::Big, &[]).broken(), "a list may end with the block, without the mark");
    }

    #[test]
    fn a_text_ends_at_a_nul_or_its_limit_and_any_bytes_are_text() {
        assert_eq!(text(b"eth0\0junk"), "eth0");
        assert_eq!(text(&[b'a', 0xff]), "a\u{fffd}");
        assert_eq!(text(&vec![b'x'; 70_000]).len(), TEXT_BYTES);
    }
}
