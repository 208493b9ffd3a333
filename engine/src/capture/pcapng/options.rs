//! The option list that ends most pcapng blocks (draft-ietf-opsawg-pcapng §3.5): code, length, padded value.

use crate::capture::order::Order;

const END_OF_OPTIONS: u16 = 0;
const OPTION_HEADER: usize = 4;

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
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, values) = self.rest.split_at_checked(OPTION_HEADER)?;
        let code = self.order.u16(header, 0);
        let length = usize::from(self.order.u16(header, 2));
        let value = values.get(..length).filter(|_| code != END_OF_OPTIONS)?;
        self.rest = values.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((code, value))
    }
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
            let read: Vec<_> = Options::new(order, &list).collect();
            assert_eq!(read, vec![(2, &b"eth0\0"[..]), (9, &[6][..])]);
        }
    }

    #[test]
    fn an_option_beyond_the_block_is_not_read() {
        assert_eq!(Options::new(Order::Big, &[0, 2, 0, 5, 1, 2, 3, 4]).count(), 0);
        assert_eq!(Options::new(Order::Big, &[0, 2, 0]).count(), 0);
    }
}
