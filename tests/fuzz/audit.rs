#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| resto_vault::fuzzing::audit(data));
