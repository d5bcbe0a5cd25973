//! Everything in Redis as Arrow tables.
//!
//! A tour, in the order in which a read goes:
//!
//! - [`options`] turns strings into typed options, by one table of option keys.
//! - [`topology`] comes to the servers to read; [`connection`] is a socket that shook hands; what
//!   fails for a while is tried again by way of [`retry`].
//! - [`plan`] fixes what a read of streams covers, from and to an [`offset`].
//! - [`reader`] starts a thread a node, which goes through its keys in [`visit`]: [`scan`]
//!   names them (once each, by what it has [`seen`]), the tables ask for each, at a [`pace`] that
//!   keeps the server busy and its memory free, and [`resp`] pulls the replies apart.
//! - [`tables`] append rows to [`columns`], which close into record batches.
//! - A [`partition`] is a part of a read that another process takes, as JSON.
//! - The batches come out of [`reader::Reader`]; `python` hands them on.
//! - [`permissions`] and [`inspect`] say what a user must be allowed, and what is there to read.
//! - [`receipt`] counts all the while, [`scanned`] knows how far the read has come, and [`error`]
//!   says what went wrong and where.
//!
//! To add a table, write a file beside the others in `tables` and name it in
//! [`tables::TABLES`]: its spec, its commands for a key, its rows from their replies.

pub mod columns;
pub mod connection;
pub mod error;
pub mod inspect;
pub mod offset;
pub mod options;
pub mod pace;
pub mod partition;
pub mod permissions;
pub mod plan;
pub mod reader;
pub mod receipt;
pub mod resp;
pub mod retry;
pub mod scan;
pub mod scanned;
pub mod seen;
pub mod tables;
pub mod topology;
pub mod visit;

#[cfg(feature = "python")]
mod python;
