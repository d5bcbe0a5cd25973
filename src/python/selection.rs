//! Which keys the options choose, for who has found some by other means than a read.

use pyo3::prelude::*;

use crate::options::Selection;
use crate::scan::is_selected;

#[pyclass(frozen, module = "lakeflow_redis")]
pub struct KeySelection {
    selection: Selection,
    text: String,
}

impl KeySelection {
    pub fn new((selection, text): (Selection, String)) -> Self {
        KeySelection { selection, text }
    }
}

#[pymethods]
impl KeySelection {
    #[getter]
    fn text(&self) -> &str {
        &self.text
    }

    #[getter]
    fn databases(&self) -> Option<Vec<u32>> {
        match &self.selection {
            Selection::Everywhere(_) => None,
            Selection::Rules(rules) => Some(rules.keys().copied().collect()),
        }
    }

    fn takes(&self, db: u32, name: &[u8], key_type: &str) -> bool {
        is_selected(self.selection.of(db), name, key_type)
    }
}
