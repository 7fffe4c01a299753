//! Configurations, good and bad.

mod fixtures;
mod properties;
