//! (sampling)
