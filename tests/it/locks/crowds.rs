//! A hundred thousand tasks in one line: each takes a few steps, however many there are.

use std::cell::Cell;
use std::rc::Rc;

use stackio::{
    Condition, Event, Instrument, Lock, Result, Runner, Semaphore, Task, VirtualClock, spawn,
    yield_now,
};

use crate::support::crowd;

/// Counts the steps of tasks.
#[derive(Default)]
struct Steps(Cell<usize>);

impl Instrument for Steps {
    fn event(&self, event: &stackio::FlowEvent<'_>) {
        if matches!(event, stackio::FlowEvent::Send { .. } | stackio::FlowEvent::Throw { .. }) {
            self.0.set(self.0.get() + 1);
        }
    }
}

/// How many steps it takes until a crowd of tasks have done `body`, after `then` was called when all
/// of them waited.
fn steps(
    body: impl Fn() -> Result + 'static,
    then: impl FnOnce(&[Task<()>]) -> Result + 'static,
) -> usize {
    let counted = Rc::new(Steps::default());
    let runner = Runner::builder().virtual_clock(&VirtualClock::new());
    let mut runner = runner.instrument(counted.clone()).build().unwrap();
    let main = move || {
        let body = Rc::new(body);
        let tasks = (0..crowd()).map(|_| {
            let body = body.clone();
            spawn(move || body())
        });
        let tasks: Vec<_> = tasks.collect();
        yield_now()?;
        then(&tasks)?;
        // One that was cancelled has ended as it should.
        tasks.into_iter().for_each(|task| drop(task.join()));
        Ok(())
    };
    runner.run(main).unwrap();
    counted.0.get()
}

/// Each task takes a step to begin with and one for each time it is woken; main takes one for
/// each that it joins before it has ended.
#[test]
fn a_crowd_takes_a_few_steps_each() {
    let lock = Rc::new(Lock::new());
    lock.acquire().unwrap();
    let shared = lock.clone();
    let release = lock.clone();
    let taken = steps(move || shared.lock().map(drop), move |_| release.release());
    assert!(taken <= 3 * crowd() + 10, "lock: {taken}");

    let event = Rc::new(Event::new());
    let set = event.clone();
    let taken = steps(
        move || event.wait(),
        move |_| {
            set.set();
            Ok(())
        },
    );
    assert!(taken <= 3 * crowd() + 10, "event: {taken}");

    let condition = Rc::new(Condition::new());
    let notifies = condition.clone();
    let waits = move || {
        let _guard = condition.guard()?;
        condition.wait()
    };
    let taken = steps(waits, move |_| {
        let _guard = notifies.guard()?;
        notifies.notify_all()
    });
    assert!(taken <= 4 * crowd() + 10, "condition: {taken}");

    let semaphore = Rc::new(Semaphore::new(0));
    let opens = semaphore.clone();
    let taken = steps(move || semaphore.guard().map(drop), move |_| opens.release());
    assert!(taken <= 3 * crowd() + 10, "semaphore: {taken}");
}

/// All but the last one leave, in an order that is as bad as can be.
#[test]
fn a_crowd_leaves_the_line_and_the_last_one_gets_the_lock() {
    let lock = Rc::new(Lock::new());
    lock.acquire().unwrap();
    let (shared, got, release) = (lock.clone(), Rc::new(Cell::new(0)), lock.clone());
    let count = got.clone();
    let waits = move || {
        let _guard = shared.lock()?;
        count.set(count.get() + 1);
        Ok(())
    };
    let taken = steps(waits, move |tasks| {
        let all_but_the_last = &tasks[..crowd() - 1];
        for task in all_but_the_last.iter().rev() {
            task.cancel();
        }
        yield_now()?;
        assert_eq!(release.statistics().waiting, 1);
        release.release()
    });
    assert_eq!(got.get(), 1);
    assert!(taken <= 3 * crowd() + 10, "{taken}");
}
