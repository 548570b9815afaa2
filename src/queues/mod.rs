//! Queues: items from producers to consumers, within one loop.
//!
//! | | |
//! |---|---|
//! | [`Queue`] | the oldest item first |
//! | [`LifoQueue`] | the newest first |
//! | [`PriorityQueue`] | the least first |
//!
//! `items` keeps them and knows the order, `queue` the waiting and counting.

mod items;
mod queue;
mod iter;

pub use iter::QueueIter;
pub use queue::{LifoQueue, PriorityQueue, Queue};
