//! The integration tests: one binary, so that they link once.
//!
//! Modules mirror `src/`; a test's name is the scenario it plays. `tidy` checks the structure of
//! the sources, `examples` runs every lesson, and `support` holds what more than one module needs.

mod conformance;
mod crawler;
mod examples;
mod how_it_reads;
mod support;
mod tidy;
