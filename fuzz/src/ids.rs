//! Ids of stream entries.

use lakeflow_redis::offset::EntryId;

/// An id that is read is written so that it is read again, and its neighbours are next to it.
pub fn ids(bytes: &[u8]) {
    let Some(id) = EntryId::parse(bytes) else {
        return;
    };
    assert_eq!(EntryId::parse(id.to_string().as_bytes()), Some(id));
    assert_eq!(EntryId::from_number(id.number()), id);
    match id.next() {
        Some(next) => {
            assert!(next > id && next.number() - id.number() == 1);
            assert_eq!(next.previous(), id);
        }
        None => assert_eq!(id.number(), u128::MAX),
    }
    assert!(id.previous() < id || id.is_min());
    assert!(EntryId::before(id.ms) <= id);
    // As a server has it: two numbers of 64 bits, or one.
    let text = String::from_utf8_lossy(bytes);
    let (ms, seq) = text.split_once('-').unwrap_or((&text, "0"));
    assert_eq!((ms.parse(), seq.parse()), (Ok(id.ms), Ok(id.seq)));
}
