//! What stands for a request's span in a build without OpenTelemetry: nothing.

use std::time::Duration;

use llama_engine::{Finished, GenerateRequest};

/// Tells nobody.
#[derive(Clone, Default)]
pub(crate) struct RequestSpan;

impl RequestSpan {
    pub(crate) fn asked(&self, _: &GenerateRequest, _: usize) {}
    pub(crate) fn expect(&self, _: usize) {}
    pub(crate) fn first_token(&self, _: Duration) {}
    pub(crate) fn finished(&self, _: usize, _: &Finished, _: bool) {}
    pub(crate) fn failed(&self, _: usize, _: &str) {}
    pub(crate) fn embedded(&self, _: usize, _: usize) {}
    pub(crate) fn answered(&self, _: u16, _: Option<&str>) {}
    pub(crate) fn left(&self) {}
}
