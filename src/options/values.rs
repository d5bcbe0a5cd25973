//! Single options as values: given or by default, references resolved.

use std::time::Duration;

use super::Options;
use super::references::{has_reference, resolve};
use super::spec::Scope;
use super::spelling::{parse_list, parse_seconds, parse_share};
use super::table::spec_of;
use crate::error::{Error, Result};

impl Options {
    /// A value or its default, references resolved and checked.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>> {
        let spec = spec_of(name, Scope::Connection)?;
        let Some(value) = self.values.get(name) else {
            return Ok(spec.default.map(str::to_owned));
        };
        if !has_reference(value) {
            return Ok(Some(value.clone()));
        }
        let resolved = resolve(spec, value)?;
        // What came by reference may be a secret, whatever the option is.
        spec.check_shown_as(&resolved, value)?;
        Ok(Some(resolved))
    }

    pub(super) fn required(&self, name: &'static str) -> Result<String> {
        self.text(name)?.ok_or_else(|| wrong(name, "is not set"))
    }

    pub(super) fn integer(&self, name: &'static str) -> Result<Option<u64>> {
        let parse = |text: String| text.parse().map_err(|_| wrong(name, "is not a number"));
        self.text(name)?.map(parse).transpose()
    }

    /// An integer whose kind bounds it to `T`.
    pub(super) fn narrow<T: TryFrom<u64> + Default>(&self, name: &'static str) -> Result<T> {
        T::try_from(self.integer(name)?.unwrap_or_default())
            .map_err(|_| wrong(name, "is out of range"))
    }

    pub(super) fn seconds(&self, name: &'static str) -> Result<Duration> {
        parse_seconds(&self.required(name)?).ok_or_else(|| wrong(name, "is not a time"))
    }

    pub(super) fn share(&self, name: &'static str) -> Result<f64> {
        parse_share(&self.required(name)?).ok_or_else(|| wrong(name, "is not a share"))
    }

    pub(super) fn list(&self, name: &'static str) -> Result<Option<Vec<String>>> {
        let parse = |text: String| parse_list(&text).ok_or_else(|| wrong(name, "is not a list"));
        self.text(name)?.map(parse).transpose()
    }

    /// A value that some function makes something of, as the table has checked already.
    pub(super) fn parsed<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        self.text(name)?
            .map(|text| parse(&text).ok_or_else(|| wrong(name, "is malformed")))
            .transpose()
    }

    pub(super) fn flag(&self, name: &'static str) -> Result<bool> {
        Ok(self.required(name)?.eq_ignore_ascii_case("true"))
    }
}

fn wrong(name: &'static str, what: &str) -> Error {
    Error::about([name], format!("option `{name}` {what}"))
}
