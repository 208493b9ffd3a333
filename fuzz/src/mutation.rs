//! New inputs from old ones, the same for the same seed.

/// Numbers that break what counts with them, as their low bytes are written in either order.
const NUMBERS: [u64; 12] = [0, 1, 2, 3, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_fffc, 0xffff_ffff, u64::MAX];

/// No input grows beyond this.
const LONGEST: usize = 1 << 20;

/// `SplitMix64` (Steele, Lea, Flood 2014): every seed is as good as another, so input n has seed + n.
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`; 0 if there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.bits() % (limit.max(1) as u64)) as usize
    }

    /// A part of so many bytes: near ends as likely as anywhere, short ones more often than long ones.
    fn part(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = if self.below(4) == 0 { self.below(length.min(64)) } else { self.below(length) };
        let most = [8, 64, 2048, length][self.below(4)];
        from..(from + 1 + self.below(most)).min(length)
    }
}

/// One of the corpus, changed in one to eight ways.
#[must_use]
pub fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = corpus.get(random.below(corpus.len())).cloned().unwrap_or_default();
    for _ in 0..=random.below(8) {
        change(&mut bytes, corpus, random);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let part = random.part(bytes.len());
    match random.below(9) {
        0 => flip(bytes, random),
        1 => bytes.truncate(random.below(bytes.len())),
        2 => drop(bytes.drain(part)),
        3 => {
            let copy = bytes.get(part.clone()).unwrap_or_default().to_vec();
            bytes.splice(part.end..part.end, copy);
        }
        4 => {
            let other = corpus.get(random.below(corpus.len())).map_or(&[][..], Vec::as_slice);
            let graft = other.get(random.part(other.len())).unwrap_or_default().to_vec();
            bytes.splice(part, graft);
        }
        5 => overwrite(bytes, random),
        6 => bytes.get_mut(part).unwrap_or_default().fill_with(|| random.bits() as u8),
        7 => bytes.get_mut(part).unwrap_or_default().reverse(),
        _ => nudge(bytes, random),
    }
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    let at = random.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

/// A length field that lies: a number of 1 to 8 bytes, in either order.
fn overwrite(bytes: &mut [u8], random: &mut Random) {
    let number = NUMBERS[random.below(NUMBERS.len())];
    let width = 1 << random.below(4);
    let at = random.below(bytes.len());
    let mut written = number.to_le_bytes().get(..width).unwrap_or_default().to_vec();
    if random.below(2) == 0 {
        written.reverse();
    }
    bytes.iter_mut().skip(at).zip(written).for_each(|(byte, new)| *byte = new);
}

/// A number that is off by a little.
fn nudge(bytes: &mut [u8], random: &mut Random) {
    let at = random.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte = byte.wrapping_add(random.below(9) as u8).wrapping_sub(4);
    }
}
