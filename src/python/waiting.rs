//! Waiting without the GIL, and giving up on Ctrl-C.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::marker::Ungil;
use pyo3::prelude::*;
use pyo3::sync::MutexExt as _;

use crate::connection::Cancel;
use crate::error::Error;
use crate::error::lock;

/// How long a wait goes on before signals are looked at.
pub const SLICE: Duration = Duration::from_millis(100);

/// Runs what may wait without the GIL. A signal whose handler raises ends it, and is raised.
pub fn interruptible<T: Ungil + Send>(
    py: Python<'_>,
    work: impl Ungil + Send + FnOnce(&Cancel) -> Result<T, Error>,
) -> PyResult<T> {
    let raised: Arc<Mutex<Option<PyErr>>> = Arc::default();
    let noted = raised.clone();
    let looked = Mutex::new(Instant::now());
    let cancel: Cancel = Arc::new(move || {
        // Every wait asks, and there are many short ones: the GIL is not taken for each.
        if lock(&noted).is_some() {
            return true;
        }
        let mut looked = lock(&looked);
        if looked.elapsed() < SLICE {
            return false;
        }
        *looked = Instant::now();
        // Not attached means that the interpreter is going down: then it is time to stop too.
        #[expect(
            clippy::redundant_closure_for_method_calls,
            reason = "the method itself is not general enough over the token's lifetime"
        )]
        let signals = Python::try_attach(|py| py.check_signals());
        match signals {
            Some(Ok(())) => false,
            Some(Err(error)) => {
                *lock(&noted) = Some(error);
                true
            }
            None => true,
        }
    });
    let outcome = py.detach(|| work(&cancel));
    if let Some(error) = lock(&raised).take() {
        return Err(error);
    }
    Ok(outcome?)
}

/// Locks without holding the GIL while another thread has the lock.
pub fn lock_attached<'a, T>(py: Python<'_>, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
    mutex
        .lock_py_attached(py)
        .unwrap_or_else(PoisonError::into_inner)
}
