//! How the parts fit, and why they are as they are.
#![doc = include_str!("../design.md")]

#[doc = include_str!("guide/developing.md")]
pub mod developing {}
