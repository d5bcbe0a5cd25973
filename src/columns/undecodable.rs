//! Columns in which something is not UTF-8: what `invalid_utf8` makes of them.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};

use super::Rows;
use super::cells::Built;
use crate::error::{Error, Result, show};
use crate::options::InvalidUtf8;

impl Rows {
    /// A column in which something is not UTF-8, by what `invalid_utf8` says.
    pub(super) fn decode(
        &self,
        built: &[Built],
        index: usize,
        rows: usize,
        keep: &mut Option<Vec<bool>>,
    ) -> Result<ArrayRef> {
        let Built::Bytes(cells) = &built[index] else {
            return Err(Error::Protocol("a column of numbers holds text".to_owned()));
        };
        let mut values: Vec<Option<std::borrow::Cow<'_, str>>> = Vec::with_capacity(rows);
        for row in 0..rows {
            let Some(bytes) = cells.get(row) else {
                values.push(None);
                continue;
            };
            values.push(match (std::str::from_utf8(bytes), self.invalid_utf8) {
                (Ok(text), _) => Some(text.into()),
                (Err(_), InvalidUtf8::Error) => return Err(self.undecodable(built, index, row)),
                (Err(_), InvalidUtf8::Replace) => {
                    self.receipt.values_replaced.add(1);
                    Some(String::from_utf8_lossy(bytes))
                }
                (Err(_), InvalidUtf8::Null) => {
                    self.receipt.values_replaced.add(1);
                    None
                }
                (Err(_), InvalidUtf8::Skip) => {
                    keep.get_or_insert_with(|| vec![true; rows])[row] = false;
                    None
                }
            });
        }
        // U+FFFD takes three bytes for one.
        let bytes: usize = values.iter().flatten().map(|text| text.len()).sum();
        if bytes > i32::MAX as usize {
            return Err(Error::InvalidUtf8(format!(
                "table {}, column {}: what `invalid_utf8=replace` makes of a value does not fit an \
                 Arrow string; option `value_type=binary` gives the bytes",
                self.table, self.columns[index].name
            )));
        }
        Ok(Arc::new(StringArray::from_iter(values)))
    }

    /// Names the table, the row by its primary key, and the ways out.
    fn undecodable(&self, built: &[Built], index: usize, row: usize) -> Error {
        let names: Vec<String> = self
            .columns
            .iter()
            .zip(built)
            .filter(|(column, _)| column.key)
            .filter_map(|(column, cells)| match cells {
                Built::Bytes(cells) => Some(format!("{} {}", column.name, show(cells.get(row)?))),
                _ => None,
            })
            .collect();
        Error::InvalidUtf8(format!(
            "{}: column {} is not UTF-8; option `value_type=binary` gives the bytes, \
             `invalid_utf8=replace`, `null` or `skip` give what can be decoded",
            names.join(", "),
            self.columns[index].name,
        ))
    }
}
