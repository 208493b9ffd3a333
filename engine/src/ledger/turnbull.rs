//! Turnbull's estimate of a distribution from interval-censored samples (B. W. Turnbull, JRSS B 38, 1976): used where a
//! host's TIME_WAITs contradict one common length, which means several hosts behind one address or a changed setting.

/// EM rounds; the estimate is shown in parts per million, which this many reach on the few classes there are.
const ROUNDS: usize = 500;
/// Innermost intervals beyond this are not told apart (hostile input; honest captures have a handful).
const MOST_INTERVALS: usize = 512;

/// A sample `(low, high]` of a length, and how often it occurred; `high` = `i64::MAX` when unknown.
pub type Class = (i64, i64, u64);

/// The innermost intervals `(low, high]` with their probability in parts per million, the improbable ones (0 ppm) left out.
#[must_use]
pub fn turnbull(classes: &[Class]) -> Vec<(i64, i64, u32)> {
    let classes: Vec<Class> = classes.iter().copied().filter(|&(low, high, n)| low < high && n > 0).collect();
    let intervals = innermost(&classes);
    let mass = maximise(&classes, &intervals);
    let told = intervals.iter().zip(mass).map(|(&(low, high), p)| (low, high, (p * 1e6).round() as u32));
    told.filter(|&(.., ppm)| ppm > 0).collect()
}

/// Only a left end directly followed by a right end can carry mass.
fn innermost(classes: &[Class]) -> Vec<(i64, i64)> {
    let mut ends: Vec<(i64, bool)> = classes.iter().flat_map(|&(low, high, _)| [(low, true), (high, false)]).collect();
    // At equal values the right end (closed) comes before the left end (open): (a, b] and (b, c] do not meet.
    ends.sort_unstable();
    ends.dedup();
    let pairs = ends.iter().zip(ends.iter().skip(1));
    let found = pairs.filter_map(|(&(a, left), &(b, next_left))| (left && !next_left).then_some((a, b)));
    found.take(MOST_INTERVALS).collect()
}

/// The EM iteration. A class holds a run of the (disjoint, ascending) intervals, so that with running sums a round costs
/// one step per class and interval.
fn maximise(classes: &[Class], intervals: &[(i64, i64)]) -> Vec<f64> {
    let count = intervals.len();
    let total: f64 = classes.iter().map(|&(.., n)| n as f64).sum();
    let run =
        |low: i64, high: i64| (intervals.partition_point(|i| i.0 < low), intervals.partition_point(|i| i.1 <= high));
    let runs: Vec<_> = classes.iter().map(|&(low, high, n)| (run(low, high), n as f64 / total)).collect();
    let mut mass = vec![1.0 / count.max(1) as f64; count];
    for _ in 0..ROUNDS {
        let next = expect(&mass, &runs);
        let moved: f64 = mass.iter().zip(&next).map(|(a, b)| (a - b).abs()).sum();
        mass = next;
        if moved < 1e-9 {
            break;
        }
    }
    mass
}

/// One round: each class's weight over the intervals of its run, as the mass lies.
fn expect(mass: &[f64], runs: &[((usize, usize), f64)]) -> Vec<f64> {
    let mut below = Vec::with_capacity(mass.len() + 1);
    below.push(0.0);
    below.extend(mass.iter().scan(0.0, |sum, p| {
        *sum += p;
        Some(*sum)
    }));
    let at = |index: usize| below.get(index).copied().unwrap_or(0.0);
    let mut change = vec![0.0; mass.len() + 1];
    for &((from, to), weight) in runs {
        let within = at(to) - at(from);
        if from < to && within > 0.0 {
            change.get_mut(from).into_iter().for_each(|slot| *slot += weight / within);
            change.get_mut(to).into_iter().for_each(|slot| *slot -= weight / within);
        }
    }
    let factors = change.iter().scan(0.0, |sum, d| {
        *sum += d;
        Some(*sum)
    });
    mass.iter().zip(factors).map(|(p, factor)| p * factor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hosts_behind_one_address_show_as_two_lengths() {
        let classes = [(55, 61, 30), (25, 31, 10), (58, 62, 20), (0, 31, 20)];
        let told = turnbull(&classes);
        assert_eq!(told, [(25, 31, 375_000), (58, 61, 625_000)]);
    }

    #[test]
    fn samples_that_agree_leave_one_interval() {
        assert_eq!(turnbull(&[(0, 62, 5), (55, i64::MAX, 9)]), [(55, 62, 1_000_000)]);
    }

    #[test]
    fn nothing_comes_from_nothing() {
        assert_eq!(turnbull(&[]), []);
        assert_eq!(turnbull(&[(5, 5, 3), (7, 6, 1)]), []);
    }

    #[test]
    fn a_proven_overlap_follows_the_likelihood() {
        // (0,2] twice and (1,3] once: all mass where both hold.
        assert_eq!(turnbull(&[(0, 2, 2), (1, 3, 1)]), [(1, 2, 1_000_000)]);
    }
}
