//! E0277: what a thread works on must be its own.

#[cfg(not(feature = "twin"))]
use std::rc::Rc as Shared;
#[cfg(feature = "twin")]
use std::sync::Arc as Shared;

use stackio::to_thread;

fn main() {
    let words = Shared::new(String::from("shared"));
    let _length = to_thread(move || words.len()); //~
}
