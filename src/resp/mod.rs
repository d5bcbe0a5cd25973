//! RESP 2: commands packed into bytes, and bytes of replies pulled apart into borrowed
//! tokens. Knows no socket: a [`Decoder`] reads from any [`std::io::Read`].

mod commands;
mod decoder;
mod replies;

pub use commands::Commands;
pub use decoder::{Decoder, Token, Tokens};
pub use replies::Replies;
