//! Every fused operation, each in a folder of its own: definition, fast paths, tests.

pub mod rope;
