//! Configurations, good and bad.

mod properties;
