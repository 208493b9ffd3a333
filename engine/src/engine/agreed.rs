//! What many bounds of the same amount say together, of which a few may be wrong, or which may be of an amount that changes.

/// Bounds that are kept; of more, every second one, then every fourth, and so on.
const MOST: usize = 512;
/// Less says nothing.
const LEAST: usize = 4;

/// An amount: no less than the one, no more than the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub least: i64,
    pub most: i64,
}

impl Bound {
    /// What lies within both, if anything does.
    fn within(self, other: Bound) -> Option<Bound> {
        let (least, most) = (self.least.max(other.least), self.most.min(other.most));
        (least <= most).then_some(Bound { least, most })
    }
}

/// What they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Seven of eight hold for amounts within these.
    One(Bound),
    /// It was once no more than the first, and once no less than the second.
    Changes(i64, i64),
    /// Nothing that is true of most of them.
    Nothing,
}

/// Bounds in the order in which they were found.
#[derive(Default)]
pub struct Bounds {
    kept: Vec<Bound>,
    seen: u64,
    /// One of so many is kept, as a power of two.
    thinned: u32,
}

impl Bounds {
    /// Takes one more.
    pub fn push(&mut self, bound: Bound) {
        if self.seen.is_multiple_of(1 << self.thinned) {
            self.kept.push(bound);
        }
        self.seen += 1;
        if self.kept.len() == MOST {
            let mut number = 0..;
            self.kept.retain(|_| number.next().is_some_and(|number| number % 2 == 0));
            self.thinned += 1;
        }
    }

    /// What they say together.
    pub fn say(&self) -> Said {
        if self.kept.len() < LEAST {
            return Said::Nothing;
        }
        match self.most_common() {
            Some((bound, held)) if 8 * held >= 7 * self.kept.len() => Said::One(bound),
            _ => self.runs(),
        }
    }

    /// The bounds within which most of them hold, and how many do.
    fn most_common(&self) -> Option<(Bound, usize)> {
        // At one place those that begin there come before those that end there: ends belong to them.
        let begins = self.kept.iter().map(|bound| (bound.least, false));
        let mut places: Vec<_> = begins.chain(self.kept.iter().map(|bound| (bound.most, true))).collect();
        places.sort_unstable();
        let (mut held, mut best, mut least) = (0, None, 0);
        for (place, is_end) in places {
            if !is_end {
                (held, least) = (held + 1, place);
                continue;
            }
            if best.is_none_or(|(_, most)| held > most) && least <= place {
                best = Some((Bound { least, most: place }, held));
            }
            held -= 1;
        }
        best
    }

    /// Runs of at least four on average that hold together, one after the other: an amount that changes seldom, or slowly.
    fn runs(&self) -> Said {
        let mut runs: Vec<(Bound, usize)> = Vec::new();
        for &bound in &self.kept {
            match runs.last_mut() {
                Some((run, count)) if run.within(bound).is_some() => {
                    (*run, *count) = (run.within(bound).unwrap_or(bound), *count + 1);
                }
                _ => runs.push((bound, 1)),
            }
        }
        if runs.len() * LEAST > self.kept.len() {
            return Said::Nothing;
        }
        let long = || runs.iter().filter(|(_, count)| *count >= LEAST).map(|(run, _)| run);
        match (long().map(|run| run.most).min(), long().map(|run| run.least).max()) {
            (Some(low), Some(high)) if low < high => Said::Changes(low, high),
            _ => Said::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bounds: &[(i64, i64)]) -> Said {
        let mut all = Bounds::default();
        bounds.iter().for_each(|&(least, most)| all.push(Bound { least, most }));
        all.say()
    }

    fn one(least: i64, most: i64) -> Said {
        Said::One(Bound { least, most })
    }

    #[test]
    fn the_narrowest_of_all_where_all_hold() {
        assert_eq!(said(&[(0, 10), (2, 12), (1, 9), (0, 20)]), one(2, 9));
        assert_eq!(said(&[(5, 5); 4]), one(5, 5));
        assert_eq!(said(&[(0, 10), (2, 12), (1, 9)]), Said::Nothing, "three are too few");
        assert_eq!(said(&[(0, 5), (5, 9), (5, 9), (0, 5)]), one(5, 5), "ends belong to them");
    }

    #[test]
    fn one_of_eight_may_be_wrong() {
        let mut bounds = vec![(0, 10); 7];
        bounds.insert(3, (500, 510));
        assert_eq!(said(&bounds), one(0, 10));
        bounds[0] = (-900, -890);
        assert_eq!(said(&bounds), Said::Nothing, "two of eight, and no run of four");
    }

    #[test]
    fn an_amount_that_changes_has_runs() {
        let runs = [vec![(0, 10); 6], vec![(50, 60); 5], vec![(20, 30); 6]].concat();
        assert_eq!(said(&runs), Said::Changes(10, 50));
        let drift: Vec<_> = (0..400).map(|at| (at, at + 100)).collect();
        assert_eq!(said(&drift), Said::Changes(100, 399));
    }

    #[test]
    fn what_differs_from_one_to_the_next_says_nothing() {
        let ticks: Vec<_> = (0..100).map(|at| (at * 7 % 10, at * 7 % 10)).collect();
        assert_eq!(said(&ticks), Said::Nothing);
    }

    #[test]
    fn of_many_some_are_kept_in_order() {
        let mut all = Bounds::default();
        for at in 0..100_000 {
            all.push(Bound { least: at, most: at + 60_000 });
            assert!(all.kept.len() < MOST);
        }
        assert!(all.kept.is_sorted_by_key(|bound| bound.least) && all.kept.len() >= MOST / 2 - 1);
        assert!(all.kept.iter().all(|bound| bound.least % (1 << all.thinned) == 0));
    }
}
