//! Configurations, good and bad.

mod export;
mod fixtures;
mod properties;
