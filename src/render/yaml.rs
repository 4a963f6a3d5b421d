//! Resources as YAML text, and the files that hold them. Pure; equal values give equal bytes.

use std::borrow::Cow;

use serde_json::Value;

/// A file to be written: its name and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub name: Cow<'static, str>,
    pub text: String,
}

/// The configuration could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be written as YAML: {0}")]
pub struct YamlError(#[from] serde_saphyr::ser_error::Error);

/// Strings that look like anything else are quoted; none is folded, so that a path stays on its line.
pub(super) fn yaml(value: &Value) -> Result<String, YamlError> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false, quote_all: false };
    Ok(serde_saphyr::to_string_with_options(value, options)?)
}

/// As [`yaml`], and texts of several lines stay readable: for what holds whole files.
pub(super) fn yaml_of_texts(value: &Value) -> Result<String, YamlError> {
    let options = serde_saphyr::ser_options! {
        prefer_block_scalars: true, quote_all: false, folded_wrap_chars: usize::MAX,
    };
    Ok(serde_saphyr::to_string_with_options(value, options)?)
}
