//! What is fuzzed, without a fuzzer: the corpus and what a seeded generator makes of it go to the
//! targets that `cargo fuzz` runs; and what must hold of any value is tried with many.
//!
//! `FUZZ_RUNS` says how many inputs each target gets, `FUZZ_SEED` repeats those of another run:
//! `FUZZ_RUNS=10000000 cargo test --release --test fuzz decoder`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "it is all tests, of which some helpers stand outside the functions"
)]

#[path = "../src/lib.rs"]
mod targets;

mod inputs;
mod properties;
mod replay;
