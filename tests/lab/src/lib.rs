//! Real hosts for tests: Debian guests under QEMU's software emulation.
//!
//! Read `docs/lab.md` for the why. [`image`] builds a guest's disk and boots it once, [`vm`] starts clean
//! copies of the booted guest in seconds, [`agent`] runs commands in it, [`world`] is what tests are about.

pub mod agent;
pub mod artefacts;
pub mod commands;
pub mod crowd;
pub mod denials;
pub mod document;
pub mod host;
pub mod image;
pub mod install;
pub mod peer;
pub mod profile;
pub mod protocol;
pub mod qmp;
pub mod setup;
pub mod shell;
pub mod snapshot;
pub mod tools;
pub mod vm;
pub mod world;
