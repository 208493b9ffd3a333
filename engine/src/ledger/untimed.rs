//! Captures whose packets have no times (pcapng's simple packet blocks): what is reckoned from times is taken out again.

use super::lengths::{Length, LengthSource};
use super::summary::{CaptureFacts, EvidenceFacts, HostTimeWait, LengthFacts, PairFacts, Summary};
use crate::capture::FileFacts;
use crate::record::{Stack, TimeWaitBasis};

impl CaptureFacts {
    /// Whether packets were read, and none of them had a time.
    #[must_use]
    pub fn is_untimed(&self) -> bool {
        let mut with_packets = self.files.iter().filter(|file| file.packets > 0).peekable();
        with_packets.peek().is_some() && with_packets.all(|file| file.first_ns.is_none())
    }

    /// Makes the span one of times that packets had: none where none had one, and without the place of those for which
    /// none was found (1970).
    pub fn settle_span(&mut self) {
        if self.is_untimed() {
            (self.first_ns, self.last_ns) = (None, None);
        } else if self.first_ns == Some(0) && self.files.iter().any(FileFacts::has_untimed) {
            self.first_ns = self.files.iter().filter_map(|file| file.first_ns).min().or(self.first_ns);
        }
    }

    /// Leaves of the clocks those of files that are there, counted from the first one, and that have times.
    pub fn settle_clocks(&mut self, first_file: u32) {
        let files = &self.files;
        let place = |file: u32| {
            let at = file.checked_sub(first_file)?;
            files.get(at as usize).filter(|file| file.first_ns.is_some()).map(|_| at)
        };
        self.clocks.retain_mut(|clock| {
            place(clock.file).zip(place(clock.than_file)).map(|both| (clock.file, clock.than_file) = both).is_some()
        });
    }
}

impl Summary {
    /// Takes out every length that was measured.
    pub fn forget_lengths(&mut self) {
        self.pairs.iter_mut().for_each(forget_of_pair);
        self.services.iter_mut().for_each(|service| service.busy_opened = 0);
        self.hosts.iter_mut().filter_map(|host| host.time_wait.as_mut()).for_each(forget_of_host);
    }
}

fn forget_of_pair(pair: &mut PairFacts) {
    (pair.half_close, pair.ports.reuse_gap) = (None, None);
    let http = &mut pair.http;
    (http.idle_before_close, http.reuse_wait) = (None, None);
    (http.idle_timeout, http.longest_reuse_gap_ns) = (None, None);
}

/// Each TIME_WAIT is one whose end was not observed, and of the length that is taken for its host's without evidence.
fn forget_of_host(waits: &mut HostTimeWait) {
    (waits.exact, waits.evidence) = (None, EvidenceFacts::default());
    waits.basis =
        [(TimeWaitBasis::Censored.as_str(), waits.entered)].into_iter().filter(|(_, count)| *count > 0).collect();
    if waits.length.source == LengthSource::Evidence.as_str() {
        let length = Length::of_stack(waits.length.stack.unwrap_or(Stack::Unknown));
        let source = LengthSource::Default.as_str();
        waits.length = LengthFacts { low_ns: length.low_ns, high_ns: length.high_ns, source, ..waits.length };
    }
}
