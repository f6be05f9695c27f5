//! The remote engine against servers of all kinds.

mod contract;
mod faults;
mod script;
mod serving;
mod standard;
