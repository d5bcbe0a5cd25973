#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lakeflow_redis_fuzz::decoder(bytes));
