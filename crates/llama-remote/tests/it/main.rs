//! The remote engine against servers of all kinds.

mod faults;
mod script;
mod standard;
