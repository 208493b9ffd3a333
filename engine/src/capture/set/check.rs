//! Whether what was mapped was there.

use super::{CaptureSet, Member, SourceError};
use std::sync::atomic::Ordering;

impl CaptureSet {
    /// To be asked once the batches have been used and dropped.
    ///
    /// # Errors
    /// [`SourceError`] if bytes of a mapped file were lost under a packet, whose zeros may have passed for payload. (What
    /// is lost before packets are given out ends the file: [`crate::capture::FileFacts::problem`].)
    pub fn check(&self) -> Result<(), SourceError> {
        match self.members.iter().find(|member| member.is_torn()) {
            None => Ok(()),
            Some(member) => Err(SourceError::new(
                &*member.path,
                "was cut, or could not be read, while it was analysed; copy it, or wait until nobody writes it, and run again",
            )),
        }
    }
}

impl Member {
    fn is_torn(&self) -> bool {
        let before = self.torn.as_ref().is_some_and(|torn| torn.load(Ordering::Acquire));
        before || self.open.as_ref().is_some_and(|file| file.is_torn())
    }
}
