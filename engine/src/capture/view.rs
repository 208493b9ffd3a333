//! Views of mapped files, or that there are none on this system: then every file is read as a stream.

#[cfg(target_os = "linux")]
pub use super::mapping::{Mapping, View};

#[cfg(not(target_os = "linux"))]
pub use none::{Mapping, View};

#[cfg(not(target_os = "linux"))]
mod none {
    use std::fs::File;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    /// A file that cannot be mapped.
    #[derive(Debug)]
    pub struct Mapping;

    /// There is none.
    #[derive(Debug)]
    pub enum View {}

    impl Mapping {
        pub fn new(_: File) -> Mapping {
            Mapping
        }
        pub fn into_file(self) -> File {
            unreachable!("it gives no view, so nobody keeps it")
        }
        pub fn size(&self) -> io::Result<u64> {
            Ok(u64::MAX)
        }
        pub fn torn(&self) -> Arc<AtomicBool> {
            Arc::default()
        }
        pub fn view(&self, _: u64, _: usize) -> io::Result<Option<View>> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    impl View {
        pub fn bytes(&self) -> &[u8] {
            match *self {}
        }
        pub fn base(&self) -> u64 {
            match *self {}
        }
        pub fn length(&self) -> usize {
            match *self {}
        }
        pub fn prepare(&self) -> bool {
            match *self {}
        }
        pub fn passed(&self, _: usize) {
            match *self {}
        }
        pub fn notice_loss(&self, _: u64) {
            match *self {}
        }
        pub fn is_torn(&self) -> bool {
            match *self {}
        }
        pub fn lost_from(&self) -> Option<u64> {
            match *self {}
        }
    }
}
