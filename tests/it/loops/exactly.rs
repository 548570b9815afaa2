//! Where asyncio's own tests look closely: what ends a run, and who comes before whom.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use stackio::{
    ContextVar, Error, ErrorKind, EventLoop, ExceptionContext, ExceptionSource, FlowEvent, Future,
    Instrument, Queue, Result, Runner, VirtualClock, call_later, call_soon, gather,
    get_running_loop, millis, run, sleep, spawn, yield_now,
};

type Log = Rc<RefCell<Vec<&'static str>>>;

fn interrupt() -> Result {
    Err(Error::from(ErrorKind::KeyboardInterrupt))
}

fn assert_interrupted(ended: Result) {
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::KeyboardInterrupt);
}

#[test]
fn an_interrupt_in_a_callback_ends_the_run_and_the_rest_runs_next_time() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    event_loop.call_soon(interrupt);
    let later = log.clone();
    event_loop.call_soon(move || later.borrow_mut().push("the rest"));
    assert_interrupted(event_loop.run_until_complete(|| sleep(millis(1))));
    assert!(log.borrow().is_empty());
    event_loop.run_until_complete(yield_now).unwrap();
    assert_eq!(*log.borrow(), ["the rest"]);
}

#[test]
fn an_interrupt_in_a_child_ends_the_run_before_the_main_task_goes_on() {
    let event_loop = EventLoop::new().unwrap();
    let went_on = Rc::new(Cell::new(false));
    let main = went_on.clone();
    let ended = event_loop.run_until_complete(move || {
        let child = spawn(interrupt);
        let waited = child.wait();
        main.set(true);
        waited
    });
    assert_interrupted(ended);
    assert!(!went_on.get());
}

#[test]
fn the_run_after_one_that_its_main_task_interrupted_is_not_stopped() {
    let reports = Rc::new(Cell::new(0));
    let counted = reports.clone();
    let event_loop = EventLoop::builder()
        .exception_handler(move |_| counted.set(counted.get() + 1))
        .build()
        .unwrap();
    assert_interrupted(event_loop.run_until_complete(interrupt));
    let second = Rc::new(Cell::new(false));
    let (reached, stop) = (second.clone(), event_loop.clone());
    event_loop.call_soon(|| {
        call_soon(move || {
            reached.set(true);
            stop.stop();
        });
    });
    event_loop.run_forever().unwrap();
    assert!(second.get());
    assert_eq!(reports.get(), 0, "the run gave the error");
}

#[test]
fn what_the_loops_own_thread_asks_for_is_in_line_with_all_else() {
    thread_local! {
        static SECOND: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
    }
    run(|| {
        let log = Rc::new(RefCell::new(Vec::new()));
        let note = |text: &'static str| {
            let log = log.clone();
            move || log.borrow_mut().push(text)
        };
        call_soon(note("first"));
        // It has to be `Send`, so it cannot hold the log itself.
        SECOND.set(Some(Box::new(note("second"))));
        let second = || SECOND.take().into_iter().for_each(|note| note());
        get_running_loop()?.handle().call_soon_threadsafe(second)?;
        call_soon(note("third"));
        yield_now()?;
        assert_eq!(*log.borrow(), ["first", "second", "third"]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_a_thread_has_asked_for_comes_before_what_is_asked_for_afterwards() {
    thread_local! {
        static SEEN: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    }
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let asked =
        move || handle.call_soon_threadsafe(|| SEEN.with_borrow_mut(|seen| seen.push("theirs")));
    thread::spawn(asked).join().unwrap().unwrap();
    let stop = event_loop.clone();
    event_loop.call_soon(move || {
        SEEN.with_borrow_mut(|seen| seen.push("ours"));
        stop.stop();
    });
    event_loop.run_forever().unwrap();
    assert_eq!(SEEN.take(), ["theirs", "ours"]);
}

#[test]
fn a_call_from_another_thread_does_not_have_the_variables_of_whoever_lets_it_in() {
    static VALUE: ContextVar<u32> = ContextVar::new("value");
    thread_local! {
        static SEEN: Cell<Option<u32>> = const { Cell::new(Some(0)) };
    }
    run(|| {
        VALUE.set(7);
        let handle = get_running_loop()?.handle();
        let asked = move || handle.call_soon_threadsafe(|| SEEN.set(VALUE.get()));
        thread::spawn(asked).join().unwrap()?;
        call_soon(|| ()); // lets it in
        yield_now()?;
        yield_now()
    })
    .unwrap();
    assert_eq!(SEEN.get(), None);
}

#[test]
fn a_timer_that_is_due_does_not_wait_for_the_selector() {
    run(|| {
        let fired = Rc::new(Cell::new(false));
        let fires = fired.clone();
        call_later(Duration::ZERO, move || fires.set(true));
        yield_now()?;
        yield_now()?;
        assert!(fired.get());
        Ok(())
    })
    .unwrap();
}

#[test]
fn with_a_budget_of_one_the_selector_is_asked_in_every_iteration() {
    #[derive(Default)]
    struct Selects(Cell<u32>);
    impl Instrument for Selects {
        fn event(&self, event: &FlowEvent<'_>) {
            if let FlowEvent::Select { .. } = event {
                self.0.set(self.0.get() + 1);
            }
        }
    }
    let selects = Rc::new(Selects::default());
    let mut runner =
        Runner::builder().select_budget(1).instrument(selects.clone()).build().unwrap();
    let counted = selects.clone();
    runner
        .run(move || {
            let before = counted.0.get();
            for _ in 0..10 {
                yield_now()?;
            }
            assert_eq!(counted.0.get() - before, 10);
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_handler_of_a_task_nobody_asked_runs_in_that_tasks_context() {
    static VALUE: ContextVar<u32> = ContextVar::new("value");
    let seen = Rc::new(Cell::new(None));
    let sees = seen.clone();
    let mut runner =
        Runner::builder().exception_handler(move |_| sees.set(VALUE.get())).build().unwrap();
    runner
        .run(|| {
            VALUE.set(1);
            drop(spawn(|| -> Result {
                VALUE.set(2);
                Err(Error::from(ErrorKind::Value))
            }));
            yield_now()?;
            yield_now()
        })
        .unwrap();
    assert_eq!(seen.get(), Some(2));
}

#[test]
fn a_report_made_by_the_handler_goes_to_the_handler() {
    let log = Log::default();
    let event_loop = EventLoop::new().unwrap();
    let (seen, inner) = (log.clone(), event_loop.clone());
    event_loop.set_exception_handler(move |report| {
        let first = report.message == "first";
        seen.borrow_mut().push(if first { "first" } else { "second" });
        if first {
            inner.call_exception_handler(&ExceptionContext::new(ExceptionSource::Loop, "second"));
        }
    });
    event_loop.call_exception_handler(&ExceptionContext::new(ExceptionSource::Loop, "first"));
    assert_eq!(*log.borrow(), ["first", "second"]);
    assert!(event_loop.exception_handler().is_some());
    event_loop.reset_exception_handler();
    assert!(event_loop.exception_handler().is_none());
}

#[test]
fn a_handler_that_reports_without_end_is_passed_over_at_some_depth() {
    let event_loop = EventLoop::new().unwrap();
    let calls = Rc::new(Cell::new(0));
    let (counted, inner) = (calls.clone(), event_loop.clone());
    event_loop.set_exception_handler(move |report| {
        counted.set(counted.get() + 1);
        inner.call_exception_handler(report);
    });
    event_loop.call_exception_handler(&ExceptionContext::new(ExceptionSource::Loop, "again"));
    assert!((2..100).contains(&calls.get()), "{}", calls.get());
    event_loop.reset_exception_handler(); // it owns the loop
}

#[test]
fn futures_of_another_loop_are_refused_where_they_come_in() {
    let (one, other) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let foreign: Future<u32> = other.create_future();
    let refused = one.run_until_complete(&foreign).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Value);
    foreign.set_result(1).unwrap();
    assert_eq!(one.run_until_complete(&foreign).unwrap_err().kind(), ErrorKind::Value);
    let mixed = one.run_until_complete(move || {
        let own: Future<u32> = Future::new();
        let mixed = gather((own.clone(), foreign));
        own.set_result(2)?;
        mixed.wait()
    });
    assert_eq!(mixed.unwrap_err().kind(), ErrorKind::Value);
}

#[test]
fn a_queue_belongs_to_the_loop_that_first_waited_for_it() {
    let queue = Rc::new(Queue::new(1));
    let waited = queue.clone();
    let first = Runner::builder().virtual_clock(&VirtualClock::new()).build();
    let deadlock = first.unwrap().run(move || waited.get()).unwrap_err();
    assert_eq!(deadlock.kind(), ErrorKind::Deadlock);
    run(move || {
        queue.put(1)?; // need not wait
        let refused = queue.put(2).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Runtime);
        assert_eq!(queue.get()?, 1);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_gather_of_the_task_that_waits_for_it_is_a_cycle_and_cancelling_comes_to_an_end() {
    let mut runner = Runner::builder().virtual_clock(&VirtualClock::new()).build().unwrap();
    let deadlock = runner.run(|| {
        let place: Rc<RefCell<Option<Future<()>>>> = Rc::default();
        let own = place.clone();
        let task = spawn(move || -> Result {
            yield_now()?;
            let me = own.take().expect("it was put there before the first step");
            gather((me.clone(), me)).wait().map(drop)
        });
        *place.borrow_mut() = Some(task.future());
        yield_now()?;
        yield_now()?;
        assert!(task.cancel());
        task.wait()
    });
    let deadlock = deadlock.unwrap_err();
    assert_eq!(deadlock.kind(), ErrorKind::Deadlock);
    assert!(deadlock.to_string().contains("a cycle: Task-2 -> Task-2"), "{deadlock}");
}
