//! Certificates for libreswan: bundles are read and judged, and what is fit goes into its NSS database.
//!
//! Reading and judging is OpenSSL's work ([`bundle`], [`judge`]). The database is touched by NSS's own `certutil` and
//! `pk12util` alone ([`database`]). Nothing is printed; what is handed out can be serialised.
//!
//! The old certificate of a nickname stays in the database with its key until the new one is there, complete and looked
//! at. So a failure, a kill or a loss of power at any point leaves one of them whole, and the next import tidies up.

pub mod bundle;
pub mod convention;
pub mod database;
pub mod description;
pub mod error;
mod export;
mod file;
mod fitness;
mod import;
pub mod judge;
mod list;
pub mod name;
mod private_file;
mod remove;
pub mod request;

pub use database::{Database, Tools};
pub use error::Error;
pub use export::{export, write_bundle, write_new};
pub use file::{InputFile, Password, password_of};
pub use fitness::{Fitness, fitness};
pub use import::{Action, Authority, Import, Imported, import};
pub use list::{Contents, Held, held};
pub use remove::{Removed, remove};
