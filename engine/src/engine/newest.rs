//! The newest packets, each with a print of what another capture of it has alike: exactly so many, wherever their prints
//! fall.
//!
//! Every packet of a capture is looked for and put here, and hardly any is ever met. So what tells that one is new is one
//! line of the cache, with a few bits of the prints that fall there; packets themselves are written one after the other,
//! and read only where those bits agree.

/// Links of a set: a line of the cache.
const LINKS: usize = 16;
/// A link is a place among the last 2^20 packets in its lower bits, and the upper ones of the print there above them.
const LINKED: u32 = (1 << 20) - 1;

/// Links to packets whose prints fall together, newest first. What is pushed out goes on behind the last one.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Set([u32; LINKS]);

/// Values by prints, of the newest `PLACES` packets, a power of two below a million.
pub struct Newest<T, const PLACES: usize> {
    packets: Vec<(u64, T)>,
    /// The place of the next one.
    next: u32,
    sets: Vec<Set>,
    /// For the place that is the last of a set the link that was last before it.
    before: Vec<u32>,
}

/// The upper bits of a print, as a link has them; the lower ones choose its set.
#[inline]
const fn tag(print: u64) -> u32 {
    (print >> 32) as u32 & !LINKED
}

#[inline]
const fn is_tagged(link: u32, print: u64) -> bool {
    (link ^ tag(print)) & !LINKED == 0
}

impl<T: Copy, const PLACES: usize> Newest<T, PLACES> {
    /// Half of the links are used, so that hardly a set is full.
    const SETS: usize = 2 * PLACES / LINKS;

    /// Empty.
    pub fn new() -> Self {
        // Links to place 0, which is too old from the beginning.
        let sets = vec![Set([0; LINKS]); Self::SETS];
        Newest { packets: Vec::with_capacity(PLACES), next: PLACES as u32, sets, before: vec![0; PLACES] }
    }

    /// How many packets came after the one that it leads to.
    #[inline]
    const fn after(&self, link: u32) -> u32 {
        self.next.wrapping_sub(link).wrapping_sub(1) & LINKED
    }

    /// Whether it leads to one of the newest. A link that nothing pushed out for a million packets may seem to; the packet
    /// there has another print.
    #[inline]
    const fn is_there(&self, link: u32) -> bool {
        (self.after(link) as usize) < PLACES
    }

    #[inline]
    fn set(&self, print: u64) -> [u32; LINKS] {
        self.sets.get(print as usize % Self::SETS).map_or([0; LINKS], |set| set.0)
    }

    /// Brings near where these will be looked for: all at once takes little longer than one.
    #[inline]
    pub fn prepare(&self, prints: &[u64]) {
        std::hint::black_box(prints.iter().fold(0, |sum, &print| sum ^ self.set(print)[0]));
    }

    /// Whether [`Newest::find`] may find it; if not, it is certain.
    #[inline]
    pub fn may_have(&self, print: u64) -> bool {
        let links = self.set(print);
        // All of them: that is quicker than to stop at one.
        let any = links.iter().fold(false, |any, &link| any | is_tagged(link, print));
        any || self.is_there(links[LINKS - 1])
    }

    fn at(&self, link: u32, print: u64) -> Option<T> {
        let is_it = |packet: &&(u64, T)| packet.0 == print && self.is_there(link);
        self.packets.get(link as usize % PLACES).filter(is_it).map(|packet| packet.1)
    }

    /// The newest one with this print.
    pub fn find(&self, print: u64) -> Option<T> {
        let links = self.set(print);
        let found = links.iter().filter(|&&link| is_tagged(link, print)).find_map(|&link| self.at(link, print));
        let mut link = links[LINKS - 1];
        if found.is_some() || !self.is_there(link) {
            return found;
        }
        loop {
            let before = self.before.get(link as usize % PLACES).copied()?;
            // Each is older than the one after it, or there is no more.
            if self.after(before) <= self.after(link) || !self.is_there(before) {
                return None;
            }
            if let found @ Some(_) = self.at(before, print) {
                return found;
            }
            link = before;
        }
    }

    /// Puts a packet in the place of the oldest.
    #[inline]
    pub fn push(&mut self, print: u64, value: T) {
        if let Some(Set(links)) = self.sets.get_mut(print as usize % Self::SETS) {
            let (out, last) = (links[LINKS - 2], links[LINKS - 1]);
            links.copy_within(..LINKS - 2, 1);
            links[0] = tag(print) | self.next & LINKED;
            if self.is_there(out) {
                if let Some(Set(links)) = self.sets.get_mut(print as usize % Self::SETS) {
                    links[LINKS - 1] = out;
                }
                if let Some(before) = self.before.get_mut(out as usize % PLACES) {
                    *before = last;
                }
            }
        }
        match self.packets.get_mut(self.next as usize % PLACES) {
            Some(packet) => *packet = (print, value),
            None => self.packets.push((print, value)),
        }
        self.next = self.next.wrapping_add(1);
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, T)> {
        let places = self.next.wrapping_sub(self.packets.len() as u32)..self.next;
        places.filter_map(|place| self.packets.get(place as usize % PLACES).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Sixteen places, of two sets, beside a list of what they hold.
    struct Both {
        newest: Newest<u32, 16>,
        list: VecDeque<(u64, u32)>,
    }

    impl Both {
        fn push(&mut self, print: u64, value: u32) {
            self.newest.push(print, value);
            self.list.push_back((print, value));
            if self.list.len() > 16 {
                self.list.pop_front();
            }
        }

        fn agree(&self, print: u64) {
            let found = self.list.iter().rev().find(|packet| packet.0 == print).map(|packet| packet.1);
            assert_eq!(self.newest.find(print), found, "{print:x}");
            assert!(found.is_none() || self.newest.may_have(print), "{print:x}");
        }
    }

    #[test]
    fn exactly_the_newest_wherever_prints_fall() {
        let mut both = Both { newest: Newest::new(), list: VecDeque::new() };
        let mut random = 1_u64;
        // Links number a million places: beyond that old ones look like new ones.
        for value in 0..(1 << 20) + 30_000 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let drawn = random >> 40;
            // All in one set for a while, then all alike in their upper bits, then some alike in all.
            let print = match value >> 10 & 3 {
                0 => drawn % 64 * 2,
                1 => (drawn % 64) << 52,
                2 => drawn % 3,
                _ => random,
            };
            both.push(print, value);
            if !(40_000..1 << 20).contains(&value) {
                both.agree(print);
                both.agree(drawn % 64 * 2);
                both.agree((drawn % 64) << 52);
                both.agree(drawn % 3);
            }
        }
        assert!(both.newest.iter().eq(both.list.iter().copied()));
    }

    #[test]
    fn hardly_a_new_one_is_looked_for() {
        let mut newest = Newest::<(), { 1 << 14 }>::new();
        let mut random = 1_u64;
        let mut looked = 0;
        for _ in 0..1 << 17 {
            random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let print = (random ^ random >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
            let print = print ^ print >> 29;
            looked += u32::from(newest.may_have(print));
            newest.push(print, ());
        }
        assert!(looked < (1 << 17) / 50, "{looked}");
    }
}
