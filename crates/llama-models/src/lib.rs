//! (models)
