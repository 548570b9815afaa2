//! E0277: a callback from another thread cannot bring along what only this one may touch.

#[cfg(not(feature = "twin"))]
use std::rc::Rc as Shared;
#[cfg(feature = "twin")]
use std::sync::Arc as Shared;

use stackio::EventLoop;

fn main() {
    let event_loop = EventLoop::new().unwrap();
    let words = Shared::new(String::from("shared"));
    let _scheduled = event_loop.handle().call_soon_threadsafe(move || println!("{words}")); //~
}
