//! The remote engine against servers of all kinds.

mod contract;
mod faults;
mod live;
mod load;
mod script;
mod serving;
mod standard;
