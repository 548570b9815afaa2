//! How the parts fit, and why they are as they are.
//!
//! [measurements.md]: crate::guide::measurements
// Of two definitions of a link the first one counts: these lead within the documentation.
#![doc = include_str!("../design.md")]

/// What was measured for the decisions, and what was tried and dropped.
///
/// [design.md]: crate::guide
#[doc = include_str!("../measurements.md")]
pub mod measurements {}

#[doc = include_str!("guide/developing.md")]
pub mod developing {}
