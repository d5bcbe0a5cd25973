//! Replies pulled apart into tokens, and value by value.

use std::mem::discriminant;

use lakeflow_redis::error::{Error, Result};
use lakeflow_redis::resp::{Decoder, Replies, Tokens as _};

use super::input::{Chunks, Input};

/// The tokens are the same however the bytes arrive, and hold no more than these.
pub fn decoder(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let cut = input.byte().max(1);
    let wire = input.rest();
    let mut whole = Decoder::new(Chunks::new(wire, 0));
    let mut chunks = Decoder::new(Chunks::new(wire, cut));
    loop {
        let (one, other) = (whole.token(), chunks.token());
        if let (Err(one), Err(other)) = (&one, &other) {
            // What an error shows may be as much as had come by then.
            assert_eq!(discriminant(one), discriminant(other), "{one} / {other}");
            check_text(other);
            break;
        }
        assert_eq!(one.ok(), other.ok());
        assert_eq!(whole.consumed(), chunks.consumed());
        assert!(whole.consumed() <= wire.len() as u64);
    }
}

/// Whatever is asked of replies, it is an error or what was asked for.
pub fn replies(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let commands = input.below(10);
    let asking = input.flag();
    let calls = input.line();
    let mut decoder = input.wire();
    let mut replies = Replies::new(&mut decoder, commands).after_asking(asking);
    for call in calls {
        if let Err(error) = ask(&mut replies, *call) {
            check_text(&error);
            if !error.is_refusal() {
                return;
            }
        }
    }
    if let Err(error) = replies.finish() {
        check_text(&error);
    }
}

fn ask(replies: &mut Replies<'_>, call: u8) -> Result<()> {
    match call % 8 {
        0 => replies.integer().map(drop),
        1 => replies.integer_or_nil().map(drop),
        2 => replies.bytes().map(drop),
        3 => replies.bytes_or_nil().map(drop),
        4 => replies.array_or_nil().map(drop),
        5 => replies.pairs().map(drop),
        6 => replies.cursor().map(drop),
        _ => replies.skip(),
    }
}

/// Errors cross the Arrow C interface as C strings, and are lines of a log.
pub fn check_text(error: &Error) {
    let text = error.to_string();
    assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
    assert!(text.len() < 16 * 1024, "{} bytes", text.len());
}
