//! Futures: results, callbacks and their order, who may complete them.

use std::cell::RefCell;
use std::rc::Rc;

use stackio::{
    CallbackId, ContextVar, ErrorKind, Future, Result, ReturnWhen, Runner, VirtualClock, shield,
    spawn, wait, yield_now,
};

type Log<T> = Rc<RefCell<Vec<T>>>;

fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    Runner::builder().virtual_clock(&VirtualClock::new()).build()?.run(main)
}

#[test]
fn done_callbacks_run_in_the_order_they_were_added_one_iteration_later() {
    run(|| {
        let log = Log::<u32>::default();
        let add = |future: &Future<()>, n: u32| {
            let log = log.clone();
            future.add_done_callback(move |_| log.borrow_mut().push(n))
        };
        let future = Future::new();
        add(&future, 1);
        let second = add(&future, 2);
        let waiter = spawn({
            let (future, log) = (future.clone(), log.clone());
            move || {
                future.wait()?;
                log.borrow_mut().push(3);
                Ok(())
            }
        });
        yield_now()?;
        add(&future, 4);
        assert_eq!(
            (future.remove_done_callback(second), future.remove_done_callback(second)),
            (1, 0)
        );
        future.set_result(())?;
        add(&future, 5);
        assert!(log.borrow().is_empty(), "nothing runs inside set_result");
        waiter.join()?;
        yield_now()?;
        assert_eq!(*log.borrow(), [1, 3, 4, 5]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn callbacks_of_one_id_are_removed_together() {
    run(|| {
        let future = Future::<()>::new();
        let id = CallbackId::new();
        for _ in 0..3 {
            future.add_done_callback_with(id, |_| -> Result { panic!("it was removed") });
        }
        assert_eq!(future.remove_done_callback(id), 3);
        future.set_result(())?;
        yield_now()
    })
    .unwrap();
}

#[test]
fn a_done_future_stays_as_it_is() {
    run(|| {
        let future = Future::new();
        assert_eq!(future.result().unwrap_err().kind(), ErrorKind::InvalidState);
        assert_eq!(future.exception().unwrap_err().kind(), ErrorKind::InvalidState);
        future.set_result(1)?;
        assert_eq!(future.set_result(2).unwrap_err().kind(), ErrorKind::InvalidState);
        let refused = future.set_exception(ErrorKind::Value).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidState);
        assert!(!future.cancel() && !future.cancelled());
        assert_eq!((future.wait()?, future.wait()?), (1, 1), "as often as one likes");
        assert!(future.exception()?.is_none());
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_tasks_result_cannot_be_set_from_outside() {
    run(|| {
        let task = spawn(|| Ok(1));
        assert_eq!(task.set_result(2).unwrap_err().kind(), ErrorKind::Runtime);
        let refused = task.set_exception(ErrorKind::Value).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Runtime);
        assert_eq!(task.join()?, 1);
        Ok(())
    })
    .unwrap();
}

#[test]
fn join_moves_the_value_out() {
    struct NoClone(u32);
    run(|| {
        let task = spawn(|| Ok(NoClone(5)));
        let again = task.clone();
        assert_eq!(task.join()?.0, 5);
        assert_eq!(again.join().err().unwrap().kind(), ErrorKind::InvalidState);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_future_of_another_loop_cannot_be_awaited() {
    let other = Runner::new().unwrap();
    let foreign = other.event_loop().create_future::<()>();
    let error = run(move || foreign.wait()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert!(error.to_string().contains("belongs to a different loop"), "{error}");
}

fn shields(shared: &Future<u32>) -> Result<u32> {
    shield(shared).join()
}

fn waits(shared: &Future<u32>) -> Result<u32> {
    wait([shared], None, ReturnWhen::AllCompleted)?;
    shared.result()
}

#[test]
fn cancelled_shields_leave_nothing_with_what_they_shielded() {
    those_who_give_up_leave_nothing(shields);
}

#[test]
fn cancelled_waits_leave_nothing_with_what_they_waited_for() {
    those_who_give_up_leave_nothing(waits);
}

fn those_who_give_up_leave_nothing(looks: fn(&Future<u32>) -> Result<u32>) {
    static MARK: ContextVar<Rc<()>> = ContextVar::new("mark");
    run(move || {
        let (shared, mark) = (Future::<u32>::new(), Rc::new(()));
        let patient = spawn({
            let shared = shared.clone();
            move || looks(&shared)
        });
        for _ in 0..100 {
            let (shared, mark) = (shared.clone(), mark.clone());
            let gives_up = spawn(move || {
                MARK.set(mark); // goes with the callback
                looks(&shared)
            });
            yield_now()?;
            gives_up.cancel();
            assert!(gives_up.join().unwrap_err().is_cancelled());
        }
        yield_now()?;
        assert_eq!(Rc::strong_count(&mark), 1);
        shared.set_result(7)?;
        assert_eq!(patient.join()?, 7);
        Ok(())
    })
    .unwrap();
}
