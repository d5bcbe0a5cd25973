//! Rows become batches.

use super::*;
use crate::options::Options;
use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::Int64Type;
use std::sync::mpsc;

const COLUMNS: &[Column] = &[
    key("name", Type::Bytes),
    column("value", Type::Bytes),
    column("n", Type::Long),
    column("x", Type::Double),
];

/// A builder, and what comes out of it.
fn rows(options: &[(&str, &str)]) -> (Rows, mpsc::Receiver<RecordBatch>) {
    let options = Options::for_connector([("host", "a")])
        .unwrap()
        .for_read(options.iter().copied())
        .unwrap();
    let (sender, receiver) = mpsc::channel();
    let sink = Box::new(move |batch| {
        sender.send(batch).unwrap();
        Ok(())
    });
    let read = options.read().unwrap();
    let asked = Asked::of("test", COLUMNS, &[], &read).unwrap();
    let rows = Rows::new("test", asked, &read, Arc::default(), 0, sink);
    (rows, receiver)
}

fn fill(options: &[(&str, &str)], values: &[&[u8]]) -> Result<RecordBatch> {
    let (mut rows, batches) = rows(options);
    for (n, value) in values.iter().enumerate() {
        let n = n as i64;
        rows.bytes(format!("k{n}").as_bytes())
            .bytes(value)
            .long((n > 0).then_some(n))
            .double(0.5)
            .end_row()?;
    }
    rows.close()?;
    Ok(batches.try_recv().unwrap())
}

#[test]
fn cells_become_columns() {
    let batch = fill(&[], &[b"", "ä".as_bytes()]).unwrap();
    assert_eq!(batch.column(1).as_string::<i32>().value(1), "ä");
    let numbers = batch.column(2).as_primitive::<Int64Type>();
    assert!(numbers.is_null(0) && numbers.value(1) == 1);
}

#[test]
fn bytes_that_are_not_utf8_go_as_the_option_says() {
    let values: &[&[u8]] = &[b"a", b"\xff", b"c"];
    let error = fill(&[], values).unwrap_err().to_string();
    for part in ["name \"k1\"", "column value", "value_type=binary"] {
        assert!(error.contains(part), "{error}");
    }
    let value = |mode: &str, row| {
        let batch = fill(&[("invalid_utf8", mode)], values).unwrap();
        let column = batch.column(1).as_string::<i32>().clone();
        (
            batch.num_rows(),
            column.is_valid(row).then(|| column.value(row).to_owned()),
        )
    };
    assert_eq!(value("replace", 1), (3, Some("\u{fffd}".to_owned())));
    assert_eq!(value("null", 1), (3, None));
    assert_eq!(value("skip", 1), (2, Some("c".to_owned())));
    let batch = fill(&[("value_type", "binary")], values).unwrap();
    assert_eq!(batch.column(1).as_binary::<i32>().value(1), b"\xff");
}

/// Two cells that are UTF-8 only together are not UTF-8.
#[test]
fn characters_do_not_span_cells() {
    assert!(fill(&[], &[b"\xc3", b"\xa4"]).is_err());
}

#[test]
fn batches_close_by_rows_and_by_bytes() {
    let (mut small, batches) = rows(&[]);
    for _ in 0..BATCH_ROWS + 1 {
        small
            .bytes(b"k")
            .bytes(b"")
            .long(1)
            .double(0.0)
            .end_row()
            .unwrap();
    }
    assert_eq!(batches.try_recv().unwrap().num_rows(), BATCH_ROWS);
    small.close().unwrap();
    assert_eq!(batches.try_recv().unwrap().num_rows(), 1);
    let (mut large, batches) = rows(&[]);
    let value = vec![b'x'; BATCH_BYTES / 4];
    for _ in 0..5 {
        large
            .bytes(b"k")
            .bytes(&value)
            .long(1)
            .double(0.0)
            .end_row()
            .unwrap();
    }
    assert_eq!(batches.try_recv().unwrap().num_rows(), 4);
}

#[test]
fn only_columns_that_were_asked_for_come_in_their_order() {
    let batch = fill(&[("columns", "x,name")], &[b"a", b"\xff"]).unwrap();
    let names = batch.schema();
    let names: Vec<_> = names.fields().iter().map(|field| field.name()).collect();
    assert_eq!(names, ["x", "name"]);
    assert_eq!(batch.num_rows(), 2);
    // The row is still named.
    let error = fill(&[("columns", "value")], &[b"\xff"]).unwrap_err();
    assert!(error.to_string().contains("name \"k0\""), "{error}");
}

#[test]
fn held_rows_can_be_undone_until_they_are_too_many() {
    let add = |rows: &mut Rows, value: &[u8]| {
        let row = rows.bytes(b"k").bytes(value).long(1).double(0.0);
        row.end_row().unwrap();
    };
    let (mut rows, batches) = rows(&[]);
    add(&mut rows, b"before");
    rows.hold().unwrap();
    add(&mut rows, b"undone");
    rows.close().unwrap();
    rows.bytes(b"k").part(b"half a cell");
    assert!(batches.try_recv().is_err());
    assert!(rows.undo().unwrap());
    let batch = batches.try_recv().unwrap();
    assert_eq!(batch.num_rows(), 1);
    assert_eq!(batch.column(1).as_string::<i32>().value(0), "before");
    assert_eq!(rows.taken(), 1);
    add(&mut rows, b"after");
    rows.close().unwrap();
    let batch = batches.try_recv().unwrap();
    assert_eq!(batch.column(1).as_string::<i32>().value(0), "after");

    rows.hold().unwrap();
    for _ in 0..5 {
        add(&mut rows, &vec![b'x'; BATCH_BYTES]);
    }
    assert!(batches.try_recv().is_ok());
    assert!(!rows.undo().unwrap());
    rows.close().unwrap();
    assert_eq!(batches.try_iter().count(), 4);
}

#[test]
fn rows_can_be_undone_before_a_batch_closes() {
    let (mut rows, batches) = rows(&[]);
    let add = |rows: &mut Rows, value: &[u8]| {
        let row = rows.bytes(b"k").bytes(value).long(None).double(0.0);
        row.end_row().unwrap();
    };
    add(&mut rows, b"kept");
    rows.hold().unwrap();
    add(&mut rows, b"dropped");
    rows.bytes(b"half a row").part(b"half a cell");
    assert!(rows.undo().unwrap());
    add(&mut rows, b"after");
    assert_eq!(rows.taken(), 2);
    rows.close().unwrap();
    let batch = batches.try_recv().unwrap();
    let values = batch.column(1).as_string::<i32>();
    assert_eq!(
        values.iter().flatten().collect::<Vec<_>>(),
        ["kept", "after"]
    );
}
