//! E0277: nor is it lent to another thread.

use stackio::{EventLoop, Future, Lock, Queue, Scope, Task, Yielder};

#[cfg(not(feature = "twin"))]
fn is_lent<T: Sync>() {}
#[cfg(feature = "twin")]
fn is_lent<T>() {}

fn main() {
    is_lent::<Task<()>>(); //~
    is_lent::<Future<()>>(); //~
    is_lent::<EventLoop>(); //~
    is_lent::<Scope<'static, 'static>>(); //~
    is_lent::<Lock>(); //~
    is_lent::<Queue<u32>>(); //~
    is_lent::<Yielder<(), ()>>(); //~
}
