//! What is not ours, as an error shows it.

/// How much of a name an error shows.
const SHOWN_BYTES: usize = 120;
const SHOWN_TEXT: usize = 200;
/// How much of an error reply: some explain themselves at length.
pub(super) const SHOWN_REPLY: usize = 1000;

/// Bytes in quotes as an error shows them: readable, on one line, never very long.
pub fn show(bytes: &[u8]) -> String {
    format!("\"{}\"", show_text(bytes))
}

/// As [`show`], without the quotes. Never holds a control character: messages cross the
/// Arrow C stream interface as C strings, where a NUL would end the process.
pub fn show_text(bytes: &[u8]) -> String {
    shorten(bytes, SHOWN_BYTES)
}

/// Text as an error shows it that quotes what it was given: on one line, without a control character
/// (as in [`show_text`]), never very long.
pub fn cut(text: &str) -> String {
    let (head, dots) = match text.char_indices().nth(SHOWN_TEXT) {
        Some((at, _)) => (&text[..at], "…"),
        None => (text, ""),
    };
    let mut shown = String::with_capacity(head.len());
    for char in head.chars() {
        match char.is_control() {
            true => shown.extend(char.escape_debug()),
            false => shown.push(char),
        }
    }
    shown + dots
}

pub(super) fn shorten(bytes: &[u8], most: usize) -> String {
    let (head, dots) = match bytes.get(..most) {
        Some(head) if bytes.len() > most => (head, "…"),
        _ => (bytes, ""),
    };
    let text = match std::str::from_utf8(head) {
        Ok(text) => text.escape_debug().to_string(),
        // A character cut in two by the limit is not a reason to escape all the others.
        Err(cut) if !dots.is_empty() && cut.error_len().is_none() => {
            String::from_utf8_lossy(&head[..cut.valid_up_to()])
                .escape_debug()
                .to_string()
        }
        Err(_) => head.escape_ascii().to_string(),
    };
    text.replace("\\'", "'") + dots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_bytes_are_one_printable_line() {
        assert_eq!(show(b"user:1"), "\"user:1\"");
        assert_eq!(show(b"a\0b\n\xff"), "\"a\\x00b\\n\\xff\"");
        assert_eq!(show("käse\0".as_bytes()), "\"käse\\0\"");
        let cut = "ä".repeat(200);
        assert!(show(format!("x{cut}").as_bytes()).ends_with("ä…\""));
    }

    #[test]
    fn quoted_text_is_one_printable_line() {
        assert_eq!(cut("{\"a\\\": 'ä'}"), "{\"a\\\": 'ä'}");
        assert_eq!(cut("a\0b\n\u{9b}"), "a\\0b\\n\\u{9b}");
        assert_eq!(cut(&"ä".repeat(300)), "ä".repeat(SHOWN_TEXT) + "…");
    }
}
