//! The rows of each table, from replies to what it asked.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array as _, RecordBatch};
use lakeflow_redis::columns::{Asked, Rows};
use lakeflow_redis::error::Result;
use lakeflow_redis::offset::EntryId;
use lakeflow_redis::options::{Options, ReadOptions};
use lakeflow_redis::receipt::Receipt;
use lakeflow_redis::resp::{Commands, Decoder, Replies};
use lakeflow_redis::tables::{At, Check, Context, Piece, TABLES, Table};

use super::input::{Chunks, Input};
use super::replies::check_text;

/// How a table may be read: all columns, the primary key alone, all without the last.
const COLUMNS: usize = 3;

struct Way {
    read: ReadOptions,
    asked: Asked,
}

/// The ways to read each table, which take longer to make than an input takes.
static WAYS: LazyLock<Vec<Vec<Way>>> =
    LazyLock::new(|| TABLES.iter().map(|table| ways(*table)).collect());

fn ways(table: &dyn Table) -> Vec<Way> {
    let spec = table.spec();
    let names: Vec<&str> = spec.columns.iter().map(|column| column.name).collect();
    let keys: Vec<&str> = spec.primary_keys().collect();
    let mut ways = Vec::new();
    for columns in [&names[..], &keys, &names[..names.len() - 1]] {
        for value_type in ["string", "binary"] {
            for invalid_utf8 in ["error", "replace", "null", "skip"] {
                let columns = columns.join(",");
                let given = [
                    ("columns", columns.as_str()),
                    ("value_type", value_type),
                    ("invalid_utf8", invalid_utf8),
                ];
                ways.extend(way(table, &given));
            }
        }
    }
    assert_eq!(ways.len(), COLUMNS * 8, "{}", spec.name);
    ways
}

fn way(table: &dyn Table, given: &[(&str, &str)]) -> Result<Way> {
    let options = Options::for_connector([("host", "a")])?;
    let read = options.for_read(given.iter().copied())?.read()?;
    let asked = Asked::of(table.spec().name, table.spec().columns, &[], &read)?;
    Ok(Way { read, asked })
}

/// Whatever a server answers, it is an error or whole record batches.
pub fn tables(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let place = input.below(TABLES.len());
    let table = TABLES[place];
    let way = &WAYS[place][input.below(COLUMNS * 8)];
    let receipt: Arc<Receipt> = Arc::default();
    let context = Context {
        scanned_at: 1_790_000_000,
        receipt: receipt.clone(),
        asked: way.asked.clone(),
        fields: input.flag().then(|| vec![(*b"f").into(), (*b"g").into()]),
        keys_expire: true,
        tells_types: input.flag(),
        refused: 0.into(),
    };
    let in_pages = input.flag();
    let pieces = (0..1 + input.below(3)).map(|_| piece(&mut input)).collect();
    let name = table.spec().name;
    let sink = Box::new(|batch| {
        check_batch(&batch);
        Ok(())
    });
    let mut reading = Reading {
        table,
        rows: Rows::new(name, way.asked.clone(), &way.read, receipt, 0, sink),
        context,
    };
    let read = match in_pages {
        true => reading.pages(pieces, input),
        false => reading.wholes(pieces, input),
    };
    if let Err(error) = read {
        check_text(&error);
    }
}

/// A piece of a key, of any kind, whether or not the table has such ones.
fn piece(input: &mut Input<'_>) -> Piece {
    let size = u64::from(input.byte());
    let id = |byte: u8| EntryId {
        ms: u64::from(byte / 16),
        seq: u64::from(byte % 16),
    };
    let at = match input.below(7) {
        0 => At::Start,
        1 => At::Whole,
        2 => At::Index(size / 2),
        3 => At::Byte(size % 2),
        4 => At::Cursor(size),
        5 => At::Entries {
            after: id(input.byte()),
            through: id(input.byte()),
            left: size,
            start: EntryId::MIN,
            check: match input.below(3) {
                0 => Check::Nothing,
                1 => Check::Due(size),
                _ => Check::Begins(id(input.byte())),
            },
        },
        _ => At::Facts {
            refused: input.byte(),
        },
    };
    let mut piece = Piece::new((*b"key").into(), size, at);
    piece.ttl = input.one_of(&[None, Some(-2), Some(-1), Some(7)]);
    piece.most = 1 + size;
    piece
}

struct Reading<'a> {
    table: &'a dyn Table,
    rows: Rows,
    context: Context,
}

impl Reading<'_> {
    /// Reads pieces as a visit does: where one is refused, what came of it is undone, and the next
    /// one is read.
    fn wholes(&mut self, pieces: Vec<Piece>, input: Input<'_>) -> Result<()> {
        let mut decoder = input.wire();
        for piece in pieces {
            self.rows.hold()?;
            match self.append(vec![piece], &mut decoder) {
                Ok(()) => self.rows.release()?,
                Err(error) => {
                    if !self.rows.undo()? || !error.is_refusal() {
                        return Err(error);
                    }
                }
            }
        }
        self.rows.close()
    }

    fn append(&mut self, pieces: Vec<Piece>, decoder: &mut Decoder<Chunks<'_>>) -> Result<()> {
        let mut commands = Commands::default();
        self.table.fetch(&pieces, &self.context, &mut commands);
        let mut replies = Replies::new(decoder, commands.count);
        let appended = self
            .table
            .append(pieces, &mut replies, &mut self.rows, &self.context);
        match appended {
            Err(error) if !error.is_refusal() => return Err(error),
            _ => replies.finish()?,
        }
        appended.map(|_| ())
    }

    /// Reads each piece in two pages, which are undone or kept.
    fn pages(&mut self, pieces: Vec<Piece>, mut input: Input<'_>) -> Result<()> {
        let Some(large) = self.table.large() else {
            return self.wholes(pieces, input);
        };
        let keeps = input.flag();
        let mut decoder = input.wire();
        for mut piece in pieces {
            self.rows.hold()?;
            for last in [false, true] {
                let mut replies = Replies::new(&mut decoder, 1);
                large.append_page(
                    &mut piece,
                    last,
                    &mut replies,
                    &mut self.rows,
                    &self.context,
                )?;
                replies.finish()?;
                if let At::Byte(from) = &mut piece.at {
                    *from += 1;
                }
            }
            match keeps {
                true => self.rows.release()?,
                false => assert!(self.rows.undo()?, "so few rows can be undone"),
            }
        }
        self.rows.close()
    }
}

/// That it is what Arrow says it is, to the last offset and character.
fn check_batch(batch: &RecordBatch) {
    assert!(batch.num_rows() > 0);
    for column in batch.columns() {
        assert_eq!(column.len(), batch.num_rows());
        let valid = column.to_data().validate_full();
        assert!(valid.is_ok(), "{valid:?}");
    }
}
