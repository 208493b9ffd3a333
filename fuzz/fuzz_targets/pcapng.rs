//! [`pcapwatch_fuzz::targets::pcapng`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pcapwatch_fuzz::targets::pcapng(data));
