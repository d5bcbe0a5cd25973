//! Pages of stream entries, of whatever sizes, are the range: every entry once, and in its order.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use arrow::array::AsArray as _;
use lakeflow_redis::columns::{Asked, Rows};
use lakeflow_redis::offset::EntryId;
use lakeflow_redis::options::Options;
use lakeflow_redis::resp::{Commands, Decoder, Replies, Token, Tokens as _};
use lakeflow_redis::tables::{At, Check, Context, Outcome, Piece, table};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

/// Ids near each other, where sequences carry over too.
fn ids() -> impl Strategy<Value = EntryId> {
    let seq = prop_oneof![0..6u64, u64::MAX - 1..=u64::MAX];
    (0..4u64, seq).prop_map(|(ms, seq)| EntryId { ms, seq })
}

/// The replies of a server that has these entries to an XRANGE and a TTL.
fn answer(stream: &BTreeSet<EntryId>, commands: &Commands) -> Vec<u8> {
    let mut decoder = Decoder::new(commands.bytes.as_slice());
    let mut words = Vec::new();
    while let Ok(token) = decoder.token() {
        if let Token::Bulk(word) = token {
            words.push(word.to_vec());
        }
    }
    assert_eq!(
        (&words[0][..], &words[6][..]),
        (&b"XRANGE"[..], &b"TTL"[..])
    );
    let id = |word: &[u8]| EntryId::parse(word).unwrap();
    let (from, through) = (id(&words[2]), id(&words[3]));
    let count: usize = String::from_utf8_lossy(&words[5]).parse().unwrap();
    let within = |id: &&EntryId| (from..=through).contains(*id);
    let entries: Vec<_> = stream.iter().filter(within).take(count).collect();
    let mut wire = format!("*{}\r\n", entries.len());
    for entry in entries {
        let id = entry.to_string();
        wire += &format!(
            "*2\r\n${}\r\n{id}\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n",
            id.len()
        );
    }
    (wire + ":-1\r\n").into_bytes()
}

/// What a table makes of pages, and the ids of its rows.
struct Reader {
    rows: Rows,
    context: Context,
    ids: Arc<Mutex<Vec<EntryId>>>,
}

impl Reader {
    fn new() -> Self {
        let options = Options::for_connector([("host", "a")])
            .unwrap()
            .read()
            .unwrap();
        let spec = table("streams").unwrap().spec();
        let asked = Asked::of(spec.name, spec.columns, &[], &options).unwrap();
        let ids: Arc<Mutex<Vec<EntryId>>> = Arc::default();
        let found = ids.clone();
        let sink = Box::new(move |batch: arrow::array::RecordBatch| {
            let texts = batch.column(1).as_string::<i32>();
            let parsed = texts
                .iter()
                .map(|id| EntryId::parse(id.unwrap().as_bytes()).unwrap());
            found.lock().unwrap().extend(parsed);
            Ok(())
        });
        Reader {
            rows: Rows::new(spec.name, asked.clone(), &options, Arc::default(), 0, sink),
            context: Context {
                scanned_at: 0,
                receipt: Arc::default(),
                asked,
                fields: None,
                keys_expire: false,
                tells_types: false,
                refused: 0.into(),
            },
            ids,
        }
    }

    fn page(&mut self, piece: Piece, stream: &BTreeSet<EntryId>) -> Outcome {
        let streams = table("streams").unwrap();
        let mut commands = Commands::default();
        streams.fetch(std::slice::from_ref(&piece), &self.context, &mut commands);
        let wire = answer(stream, &commands);
        let mut decoder = Decoder::new(wire.as_slice());
        let mut replies = Replies::new(&mut decoder, commands.count);
        let outcome = streams
            .append(vec![piece], &mut replies, &mut self.rows, &self.context)
            .unwrap();
        replies.finish().unwrap();
        outcome
    }

    fn ids(mut self) -> Vec<EntryId> {
        self.rows.close().unwrap();
        std::mem::take(&mut *self.ids.lock().unwrap())
    }
}

#[derive(Clone, Copy, Debug)]
enum Checked {
    Not,
    ByCount,
    ByFirst,
}

fn in_range(stream: &BTreeSet<EntryId>, after: EntryId, through: EntryId) -> Vec<EntryId> {
    let within = |id: &&EntryId| after < **id && **id <= through;
    stream.iter().filter(within).copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn pages_are_the_range(
        stream in btree_set(ids(), 0..24),
        after in ids(),
        through in ids(),
        left in prop_oneof![Just(u64::MAX), 1..20u64],
        sizes in vec(1..6u64, 1..5),
        checked in prop::sample::select(&[Checked::Not, Checked::ByCount, Checked::ByFirst][..]),
    ) {
        let mut expected = in_range(&stream, after, through);
        let check = match checked {
            Checked::Not => Check::Nothing,
            Checked::ByCount => Check::Due(expected.len() as u64),
            Checked::ByFirst => expected.first().map_or(Check::Nothing, |id| Check::Begins(*id)),
        };
        expected.truncate(usize::try_from(left).unwrap());
        let at = At::Entries { after, through, left, start: after, check };
        let mut reader = Reader::new();
        let mut sizes = sizes.iter().cycle();
        let mut next = Some(Piece::new((*b"k").into(), 0, at));
        let mut short = None;
        while let Some(mut piece) = next {
            piece.most = *sizes.next().unwrap();
            let outcome = reader.page(piece, &stream);
            prop_assert!(outcome.gone.is_empty());
            short = short.or(outcome.short);
            next = outcome.more;
        }
        prop_assert_eq!(reader.ids(), expected);
        prop_assert!(short.is_none() || left < u64::MAX, "{short:?}");
    }

    /// Whatever goes between two pages, what stays is read; and what went is missed by a reader that checks.
    #[test]
    fn entries_that_stay_are_read(
        stream in btree_set(ids(), 2..24),
        sizes in vec(1..6u64, 1..5),
        going in vec(btree_set(0..24usize, 0..6), 0..24),
        by_count in any::<bool>(),
    ) {
        let all: Vec<EntryId> = stream.iter().copied().collect();
        prop_assume!(!all[0].is_min());
        let (after, through) = (EntryId::MIN, all[all.len() - 1]);
        let check = match by_count {
            true => Check::Due(all.len() as u64),
            false => Check::Begins(all[0]),
        };
        let at = At::Entries { after, through, left: u64::MAX, start: after, check };
        let mut reader = Reader::new();
        let (mut sizes, mut going) = (sizes.iter().cycle(), going.iter());
        let mut left = stream.clone();
        let mut next = Some(Piece::new((*b"k").into(), 0, at));
        let mut short = None;
        while let Some(mut piece) = next {
            piece.most = *sizes.next().unwrap();
            let outcome = reader.page(piece, &left);
            short = short.or(outcome.short);
            next = outcome.more;
            for place in going.next().into_iter().flatten() {
                left.remove(all.get(*place).unwrap_or(&through));
            }
        }
        let ids = reader.ids();
        prop_assert!(ids.windows(2).all(|two| two[0] < two[1]), "each once, and in order");
        prop_assert!(ids.iter().all(|id| stream.contains(id)));
        prop_assert!(left.iter().all(|id| ids.contains(id)), "what stayed is read: {ids:?}");
        let lost = (all.len() - ids.len()) as u64;
        match by_count {
            true => prop_assert_eq!(short.map(|short| short.entries), (lost > 0).then_some(Some(lost))),
            // By first entries, only that of an entry on which two pages meet is noticed.
            false => prop_assert!(short.is_none() || left.len() < all.len()),
        }
    }
}
