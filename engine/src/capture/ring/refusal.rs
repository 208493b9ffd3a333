//! The system's refusals in words that say what to do.

use super::SourceError;
use nix::errno::Errno;
use std::io::Error;

/// An interface that cannot be opened.
pub fn cannot_open(name: &str, error: &Error) -> SourceError {
    let why = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EACCES) => no_right(),
        Some(Errno::ENODEV | Errno::ENXIO) => {
            "no such interface; `pcapwatch live --list` shows those there are".to_owned()
        }
        Some(Errno::EAFNOSUPPORT) => "this kernel has no packet sockets (CONFIG_PACKET)".to_owned(),
        _ => format!("cannot be captured from: {error}"),
    };
    SourceError::new(name, why)
}

/// Capturing needs `CAP_NET_RAW`, which a script gets from its interpreter's file.
fn no_right() -> String {
    let program = std::env::current_exe().and_then(std::fs::canonicalize);
    let program =
        program.map_or_else(|_| "$(readlink -f $(which python3))".to_owned(), |path| path.display().to_string());
    format!(
        "no right to capture: run it with sudo, or once `sudo setcap cap_net_raw+ep {program}`, \
         which gives the right to everything that runs on this program"
    )
}

/// No memory for the ring.
pub fn no_ring(name: &str, bytes: u64, error: &Error) -> SourceError {
    let why = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOMEM) => format!("no memory for a ring of {} MiB; ask for a smaller one", bytes >> 20),
        _ => format!("no ring of {} MiB: {error}", bytes >> 20),
    };
    SourceError::new(name, why)
}

/// A group that cannot be joined.
pub fn no_group(name: &str, error: &Error) -> SourceError {
    let why = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EINVAL | Errno::EALREADY) => {
            "the fanout group exists with another mode or interface, or the interface is down; choose another number"
                .to_owned()
        }
        _ => format!("the fanout group cannot be joined: {error}"),
    };
    SourceError::new(name, why)
}
