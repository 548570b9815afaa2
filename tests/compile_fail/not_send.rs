//! E0277: what belongs to a loop stays on its thread.

use stackio::{
    AnyTask, CallbackId, EventLoop, Future, Generator, Lock, Queue, Runner, ScopedTask, Task, TaskGroup,
    TimerHandle, Yielder,
};

#[cfg(not(feature = "twin"))]
fn crosses<T: Send>() {}
#[cfg(feature = "twin")]
fn crosses<T>() {}

fn main() {
    crosses::<Task<()>>(); //~
    crosses::<AnyTask>(); //~
    crosses::<ScopedTask<'static, ()>>(); //~
    crosses::<TaskGroup>(); //~
    crosses::<Future<()>>(); //~
    crosses::<EventLoop>(); //~
    crosses::<Runner>(); //~
    crosses::<TimerHandle>(); //~
    crosses::<Lock>(); //~
    crosses::<Queue<u32>>(); //~
    crosses::<Generator<(), (), ()>>(); //~
    crosses::<Yielder<(), ()>>(); //~
    crosses::<CallbackId>(); //~
}
