//! From the engine to the wire: answers, whole or in pieces.
//!
//! [`Generation`] follows the streams of one request and says what is new as an [`Answer`]; a whole answer is all of them put together, so
//! that streamed and whole answers cannot differ. [`Format`] writes them in the form of one of the two APIs.

mod calls;
mod generation;
mod piece;
mod respond;

pub(crate) use calls::CallReader;
pub(crate) use generation::Generation;
pub(crate) use piece::{Answer, CallPiece, TokenReport, TokenText};
pub(crate) use respond::{Format, Head, Reporting, respond};
