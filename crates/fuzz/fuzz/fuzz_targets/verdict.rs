//! Liars against the verdict.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::verdict(bytes));
