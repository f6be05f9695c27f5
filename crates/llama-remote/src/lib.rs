//! x
mod pool;
mod retry;
mod sse;
pub use pool::HealthPolicy;
pub use retry::RetryPolicy;
