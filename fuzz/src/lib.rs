//! What must hold whatever the bytes are, for libFuzzer (`fuzz_targets/`) and for `src/bin/mutate.rs` alike.
#![forbid(unsafe_code)]

pub mod mutation;
pub mod streams;
pub mod targets;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them. The last takes whole capture files as they are.
pub const TARGETS: &[Target] = &[
    ("pcap", targets::pcap),
    ("pcapng", targets::pcapng),
    ("compressed", targets::compressed),
    ("decoder", targets::decoder),
    ("fragments", targets::fragments),
    ("reassembler", targets::reassembler),
    ("http", targets::http),
    ("engine", targets::engine),
];
