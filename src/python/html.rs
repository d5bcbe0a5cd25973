//! Tables of HTML for notebooks.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use pyo3::prelude::*;

use crate::error::Error;

/// Rows that a notebook shows of a batch.
const SHOWN_ROWS: usize = 10;
/// Characters that it shows of a cell.
const SHOWN_CHARACTERS: usize = 100;

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A table of a caption, a head and rows of plain text.
pub fn table(caption: &str, head: &[String], rows: &[Vec<String>]) -> String {
    let row = |cells: &[String], tag: &str| {
        let cells = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
        format!("<tr>{}</tr>", cells.collect::<String>())
    };
    let body: String = rows.iter().map(|cells| row(cells, "td")).collect();
    format!(
        "<table><caption>{}</caption><thead>{}</thead><tbody>{body}</tbody></table>",
        escape(caption),
        row(head, "th"),
    )
}

/// The columns, and the first rows of a batch where there is one.
pub fn batch(caption: &str, schema: &Schema, first: Option<&RecordBatch>) -> PyResult<String> {
    let head: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| format!("{}: {}", field.name(), field.data_type()))
        .collect();
    let mut rows = Vec::new();
    if let Some(batch) = first {
        let options = FormatOptions::default().with_null("null");
        let columns = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Error::from)?;
        for row in 0..batch.num_rows().min(SHOWN_ROWS) {
            let cells = columns
                .iter()
                .map(|column| shorten(&column.value(row).to_string()));
            rows.push(cells.collect());
        }
    }
    Ok(table(caption, &head, &rows))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}
