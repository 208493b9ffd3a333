//! [`pcapwatch_fuzz::targets::fragments`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pcapwatch_fuzz::targets::fragments(data));
