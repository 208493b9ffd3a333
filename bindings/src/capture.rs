//! What capturing from an interface needs beside it: the interfaces there are, and rights given up.

use crate::source_error;
use pcapwatch_engine::capture::SourceError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Serialize;
use std::path::PathBuf;

/// The interfaces of this machine, or of a network namespace, as JSON text.
#[pyfunction]
#[pyo3(signature = (netns=None))]
#[allow(clippy::needless_pass_by_value, reason = "as the call from Python hands it")]
pub fn interfaces_json(py: Python<'_>, netns: Option<String>) -> PyResult<String> {
    text(py.detach(|| interfaces(netns.as_deref())))
}

/// Gives up every right that is not the caller's own and that reading the sources does not need; what is left, as JSON text.
#[pyfunction]
#[pyo3(signature = (user=None, sources=Vec::new()))]
#[allow(clippy::needless_pass_by_value, reason = "as the call from Python hands it")]
pub fn drop_privileges_json(user: Option<String>, sources: Vec<PathBuf>) -> PyResult<String> {
    text(rights(user.as_deref(), &sources))
}

#[cfg(target_os = "linux")]
fn interfaces(netns: Option<&str>) -> Result<impl Serialize, SourceError> {
    use pcapwatch_engine::capture::interfaces::{list, list_in};
    netns.map_or_else(list, list_in)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn interfaces(_: Option<&str>) -> Result<impl Serialize, SourceError> {
    pcapwatch_engine::capture::interfaces::list()
}

#[cfg(not(unix))]
fn interfaces(_: Option<&str>) -> Result<impl Serialize, SourceError> {
    Ok([(); 0])
}

#[cfg(target_os = "linux")]
fn rights(user: Option<&str>, sources: &[PathBuf]) -> Result<impl Serialize, SourceError> {
    pcapwatch_engine::capture::privilege::drop_privileges(user, sources).map(Some)
}

#[cfg(not(target_os = "linux"))]
fn rights(_: Option<&str>, _: &[PathBuf]) -> Result<impl Serialize, SourceError> {
    Ok(None::<()>)
}

fn text(answer: Result<impl Serialize, SourceError>) -> PyResult<String> {
    serde_json::to_string(&answer.map_err(source_error)?).map_err(|error| PyValueError::new_err(error.to_string()))
}
