//! Faults in code of the user's that runs in the middle of something of ours.

mod payloads;
mod unwinding;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use stackio::{
    Awaitable, ContextVar, Error, ErrorKind, EventLoop, ExceptionContext, FlowEvent, Future,
    Generator, Instrument, Runner, VirtualClock, as_completed, call_later, gather, gather_with,
    secs, shield, sleep, spawn, timeout, to_thread, yield_now,
};

use crate::children::{is_child, play};

fn virtual_runner() -> Runner {
    Runner::builder().virtual_clock(&VirtualClock::new()).build().unwrap()
}

#[test]
fn a_panic_while_results_are_put_together_is_the_gathers_error() {
    let ended: stackio::Result<u32> = virtual_runner().run(|| {
        let parts = vec![|| Ok(1), || Ok(2)];
        gather_with(parts, |_| -> u32 { panic!("no sum") }).join()
    });
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Panic);
}

/// A result that cannot be cloned.
struct Unique;

impl Clone for Unique {
    fn clone(&self) -> Unique {
        panic!("there is only one")
    }
}

#[test]
fn a_panic_while_a_result_is_cloned_reaches_whoever_shields_it() {
    let ended = virtual_runner().run(|| {
        let task = spawn(|| {
            yield_now()?;
            Ok(Unique)
        });
        timeout(secs(5), |_| shield(&task).join().map(drop))
    });
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Panic);
}

/// Panics when it is dropped.
#[derive(Clone)]
struct Bomb(Rc<()>);

impl Drop for Bomb {
    fn drop(&mut self) {
        if Rc::strong_count(&self.0) == 1 && !std::thread::panicking() {
            panic!("a bomb");
        }
    }
}

#[test]
fn a_context_value_that_panics_when_dropped_does_not_take_the_loop_down() {
    static BOMB: ContextVar<Bomb> = ContextVar::new("bomb");
    let ended = virtual_runner().run(|| {
        spawn(|| {
            BOMB.set(Bomb(Rc::new(())));
            Ok(())
        });
        sleep(secs(1))?;
        Ok(5)
    });
    assert_eq!(ended.unwrap(), 5);
}

#[test]
fn closing_a_loop_past_a_panicking_destructor_leaves_the_thread_usable() {
    let closed = std::panic::catch_unwind(|| {
        let event_loop = EventLoop::new().unwrap();
        let bomb = Bomb(Rc::new(()));
        event_loop.spawn(move || {
            let _bomb = &bomb;
            Ok(())
        });
        drop(event_loop);
    });
    drop(closed);
    assert_eq!(stackio::run(|| Ok(1)).unwrap(), 1);
}

/// Panics when it is dropped, on whatever thread.
struct SendBomb;

impl Drop for SendBomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a bomb");
        }
    }
}

#[test]
fn a_result_dropped_on_an_executor_thread_does_not_hold_the_end_up() {
    let ended = stackio::run(|| {
        let (go, word) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = std::sync::mpsc::channel();
        let job = spawn(move || {
            to_thread(move || {
                begin.send(()).unwrap();
                let _ = word.recv();
                SendBomb
            })
            .map(std::mem::forget)
        });
        while begun.try_recv().is_err() {
            yield_now()?;
        }
        job.cancel();
        assert!(job.wait().is_err());
        drop(go);
        // The thread goes on to work for others.
        to_thread(|| 7)
    });
    assert_eq!(ended.unwrap(), 7);
}

/// Tries what a watcher must not do.
#[derive(Default)]
struct Meddler {
    tried: Cell<bool>,
    said: RefCell<Vec<String>>,
}

impl Instrument for Meddler {
    fn event(&self, event: &FlowEvent<'_>) {
        // A task spawned in a step: the event is emitted on that task's stack.
        if matches!(event, FlowEvent::TaskCreated { task, .. } if task.name == "Task-2") {
            self.tried.set(true);
            self.said.borrow_mut().extend(yield_now().map_err(|e| e.to_string()).err());
            stackio::call_soon(|| {}); // another event, which is not told
        }
    }
}

#[test]
fn a_watcher_cannot_suspend_the_task_it_watches() {
    let meddler = Rc::new(Meddler::default());
    let clock = VirtualClock::new();
    let runner = Runner::builder().virtual_clock(&clock).instrument(meddler.clone());
    let ended = runner.build().unwrap().run(|| spawn(|| Ok(3)).join());
    assert_eq!(ended.unwrap(), 3);
    assert!(meddler.tried.get());
    assert!(meddler.said.borrow()[0].starts_with("cannot suspend here"));
}

#[test]
fn a_generator_that_overflows_without_a_loop_says_whose_stack_it_was() {
    if !is_child() {
        let finished = play();
        assert!(!finished.status.success());
        let said = &finished.stderr;
        assert!(said.contains("stack overflow in the generator `deep`"), "{said}");
        assert!(said.contains("tests/it/faults.rs"), "{said}");
        return;
    }
    #[expect(unconditional_recursion, reason = "that is the point")]
    fn deeper(n: u64) -> u64 {
        let room = std::hint::black_box([n; 64]);
        deeper(n + 1) + room[0]
    }
    let generator: Generator<(), u64, u64> = Generator::named("deep", |_| Ok(deeper(0)));
    let _ = generator.start();
}

#[test]
fn a_deadlock_of_many_tasks_is_told_in_few_words() {
    let ended = virtual_runner().run(|| {
        let never: Future<()> = Future::new();
        for _ in 0..1_000 {
            let never = never.clone();
            spawn(move || never.wait());
        }
        never.wait()
    });
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    let text = error.to_string();
    assert!(text.contains("and 951 more tasks") && text.len() < 10_000, "{}", text.len());
}

/// Waits for a moment before it is a future.
struct Slow<A>(A);

impl<A: Awaitable> Awaitable for Slow<A> {
    type Output = A::Output;

    fn ensure_future(self) -> Future<A::Output> {
        sleep(secs(1)).unwrap();
        self.0.ensure_future()
    }

    fn await_here(self) -> stackio::Result<A::Output> {
        self.0.await_here()
    }

    fn obtain(future: &Future<A::Output>) -> stackio::Result<A::Output> {
        A::obtain(future)
    }
}

#[test]
fn a_gather_hears_of_a_child_that_ends_while_the_next_is_being_made() {
    let ended = virtual_runner().run(|| gather((|| Ok(1), Slow(|| Ok(2)))).join());
    assert_eq!(ended.unwrap(), (1, 2));
}

#[test]
fn a_cancellation_survives_an_error_made_of_it() {
    let ended = virtual_runner().run(|| {
        let hides = |error| Error::new(ErrorKind::Value, error);
        let timed_out: stackio::Result = timeout(secs(1), |_| sleep(secs(9)).map_err(hides));
        assert!(timed_out.unwrap_err().is_timeout());
        let io =
            Error::new(ErrorKind::Value, std::io::Error::from(Error::from(ErrorKind::Cancelled)));
        assert!(io.is_cancelled());
        let other = Error::new(ErrorKind::Value, Error::from(ErrorKind::Timeout));
        assert_eq!(other.kind(), ErrorKind::Value);
        Ok(())
    });
    ended.unwrap();
}

#[test]
fn what_waits_for_futures_that_are_never_done_is_freed() {
    let kept = Rc::new(());
    let captured = kept.clone();
    let ended = virtual_runner().run(move || {
        for _ in 0..10 {
            let (never, kept) = (Future::<()>::new(), captured.clone());
            shield(&never).add_done_callback(move |_| drop(kept));
            let (never, kept) = (Future::<()>::new(), captured.clone());
            never.add_done_callback(move |_| drop(kept));
            drop(as_completed(vec![never], Some(secs(1))));
        }
        Ok(())
    });
    ended.unwrap();
    assert_eq!(Rc::strong_count(&kept), 1);
}

#[test]
fn a_gather_fails_though_what_it_does_not_need_any_more_panics() {
    let ended = virtual_runner().run(|| {
        let bomb = Bomb(Rc::new(()));
        let parts = vec![|| -> stackio::Result<u32> { Err(Error::from(ErrorKind::Value)) }];
        let gathering = gather_with(parts, move |parts: Vec<u32>| {
            let _bomb = &bomb;
            parts.len()
        });
        timeout(secs(5), |_| gathering.join())
    });
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Value);
}

#[test]
fn a_timer_is_cancelled_though_its_callback_panics_when_dropped() {
    let clock = VirtualClock::new();
    let ended = Runner::builder().virtual_clock(&clock).build().unwrap().run(|| {
        let bomb = Bomb(Rc::new(()));
        let timer = call_later(secs(3600), move || drop(bomb));
        let cancelled = catch_unwind(AssertUnwindSafe(|| timer.cancel()));
        assert!(cancelled.is_err() && timer.cancelled());
        Future::<()>::new().join()
    });
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Deadlock);
    assert_eq!(clock.now().as_millis(), 0);
}

#[test]
fn a_loop_that_is_closed_by_what_it_ends_is_closed_once() {
    struct Closes(EventLoop);
    impl Drop for Closes {
        fn drop(&mut self) {
            self.0.close().unwrap();
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let reports = Rc::new(Cell::new(0));
    let (closes, told) = (Closes(event_loop.clone()), reports.clone());
    event_loop.set_exception_handler(move |_: &ExceptionContext| told.set(told.get() + 1));
    event_loop.spawn(move || {
        let _closes = &closes;
        Ok(())
    });
    event_loop.close().unwrap();
    assert_eq!(reports.get(), 0);
}

#[test]
fn long_chains_of_futures_are_dropped() {
    const LENGTH: usize = 20_000;
    let ended = virtual_runner().run(|| {
        let chain = |link: fn(Future<()>) -> Future<()>| {
            let first = Future::<()>::new();
            let last = (0..LENGTH).fold(first.clone(), |future, _| link(future));
            (first, last)
        };
        let (first, last) = chain(|future| shield(&future));
        drop(last);
        drop(first);
        let (first, last) = chain(|future| gather_with(vec![future], |_| ()));
        last.cancel();
        assert!(last.join().unwrap_err().is_cancelled() && first.cancelled());
        Ok(())
    });
    ended.unwrap();
}
