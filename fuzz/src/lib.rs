//! What is fed with bytes that a server, a file or a user may have sent: one function a target.
//!
//! Each takes any bytes at all, and fails by a panic. `fuzz_targets/` gives them to libFuzzer, and
//! `stable/`, which is a part of `cargo test`, the corpus and what a seeded generator makes of it.

mod cluster;
mod ids;
mod info;
mod input;
mod offsets;
mod options;
mod replies;
mod rules;
mod scans;
mod tables;
mod urls;

pub use cluster::cluster;
pub use ids::ids;
pub use info::info;
pub use offsets::offsets;
pub use options::options;
pub use replies::{decoder, replies};
pub use rules::rules;
pub use scans::scans;
pub use tables::tables;
pub use urls::urls;

/// A function that takes any bytes, with its name and what memory it may use.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Bytes of memory at a time, whatever comes in …
    pub at_least: u64,
    /// … and so many more for each byte that does.
    pub per_byte: u64,
}

/// A buffer of the decoder's, and of the reader's.
const BUFFER: u64 = 128 * 1024;

const fn target(name: &'static str, run: fn(&[u8]), at_least: u64, per_byte: u64) -> Target {
    Target {
        name,
        run,
        at_least,
        per_byte,
    }
}

pub const TARGETS: &[Target] = &[
    target("cluster", cluster, 2 * BUFFER, 512),
    target("decoder", decoder, 3 * BUFFER, 8),
    target("ids", ids, 16 * 1024, 16),
    target("info", info, 16 * 1024, 64),
    target("offsets", offsets, 64 * 1024, 512),
    target("options", options, 64 * 1024, 256),
    target("replies", replies, 2 * BUFFER, 64),
    target("rules", rules, 256 * 1024, 512),
    target("scans", scans, 2 * BUFFER, 256),
    target("tables", tables, 2 * BUFFER, 512),
    target("urls", urls, 64 * 1024, 256),
];
