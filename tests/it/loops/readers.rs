//! Callbacks for descriptors: called as long as they are ready, as asyncio does.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use stackio::{
    ContextVar, ErrorKind, EventLoop, ExceptionSource, Future, Result, Runner, get_running_loop,
    run, yield_now,
};

fn pair() -> (Rc<UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Rc::new(ours), theirs)
}

fn read_byte(mut stream: &UnixStream) -> Result<u8> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    Ok(byte[0])
}

#[test]
fn a_reader_is_called_again_as_long_as_there_is_something() {
    run(|| {
        let (ours, mut theirs) = pair();
        let (reader, read) = (ours.clone(), Rc::new(RefCell::new(Vec::new())));
        let (all, done) = (read.clone(), Future::new());
        let finished = done.clone();
        let event_loop = get_running_loop()?;
        event_loop.add_reader(&ours, move || {
            all.borrow_mut().push(read_byte(&reader)?); // one at a time
            if all.borrow().len() == 5 { finished.set_result(()) } else { Ok(()) }
        })?;
        theirs.write_all(b"hello")?;
        done.wait()?;
        assert_eq!(*read.borrow(), b"hello");
        assert!(event_loop.remove_reader(&ours));
        assert!(!event_loop.remove_reader(&ours));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_reader_that_reads_nothing_is_called_in_every_iteration_and_others_run_too() {
    run(|| {
        let (ours, mut theirs) = pair();
        theirs.write_all(b"!")?;
        let calls = Rc::new(Cell::new(0));
        let counted = calls.clone();
        let event_loop = get_running_loop()?;
        event_loop.add_reader(&ours, move || counted.set(counted.get() + 1))?;
        while calls.get() < 100 {
            stackio::sleep(std::time::Duration::from_micros(1))?;
        }
        event_loop.remove_reader(&ours);
        let last = calls.get();
        for _ in 0..200 {
            yield_now()?;
        }
        assert_eq!(calls.get(), last, "it is not called any more");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_writer_and_a_reader_of_one_descriptor_are_called_for_what_they_wait_for() {
    run(|| {
        let (ours, mut theirs) = pair();
        let event_loop = get_running_loop()?;
        let log = Rc::new(RefCell::new(Vec::new()));
        let (reader, done) = (ours.clone(), Future::new());
        let (reads, finished) = (log.clone(), done.clone());
        event_loop.add_reader(&ours, move || {
            reads.borrow_mut().push(format!("read {}", char::from(read_byte(&reader)?)));
            finished.set_result(())
        })?;
        let (writes, writing, stop) = (log.clone(), ours.clone(), event_loop.clone());
        event_loop.add_writer(&ours, move || {
            writes.borrow_mut().push("write".to_owned());
            assert!(stop.remove_writer(&writing));
            Ok::<(), stackio::Error>(writing.as_ref().write_all(b"?")?)
        })?;
        while log.borrow().is_empty() {
            yield_now()?;
        }
        theirs.write_all(b"x")?;
        done.wait()?;
        assert_eq!(*log.borrow(), ["write", "read x"]);
        event_loop.remove_reader(&ours);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_new_reader_replaces_the_old_one_and_sees_what_was_there_before() {
    run(|| {
        let (ours, mut theirs) = pair();
        theirs.write_all(b"!")?;
        let event_loop = get_running_loop()?;
        event_loop.add_reader(&ours, || -> Result { unreachable!("it was replaced") })?;
        let (reader, done) = (ours.clone(), Future::new());
        let finished = done.clone();
        event_loop.add_reader(&ours, move || finished.set_result(read_byte(&reader)?))?;
        assert_eq!(done.wait()?, b'!');
        event_loop.remove_reader(&ours);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_reader_runs_in_the_context_in_which_it_was_added() {
    static NAME: ContextVar<u32> = ContextVar::new("name");
    run(|| {
        NAME.set(1);
        let (ours, mut theirs) = pair();
        let (reader, done) = (ours.clone(), Future::new());
        let finished = done.clone();
        get_running_loop()?.add_reader(&ours, move || {
            read_byte(&reader)?;
            finished.set_result(NAME.get())
        })?;
        NAME.set(2);
        theirs.write_all(b"!")?;
        assert_eq!(done.wait()?, Some(1));
        get_running_loop()?.remove_reader(&ours);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_reader_that_fails_is_reported_and_stays() {
    let reports = Rc::new(Cell::new(0));
    let counted = reports.clone();
    let mut runner = Runner::builder()
        .exception_handler(move |report| {
            assert_eq!(report.source, ExceptionSource::Callback);
            counted.set(counted.get() + 1);
        })
        .build()
        .unwrap();
    runner
        .run(|| {
            let (ours, mut theirs) = pair();
            let (reader, done) = (ours.clone(), Future::new());
            let finished = done.clone();
            get_running_loop()?.add_reader(&ours, move || match read_byte(&reader)? {
                b'.' => finished.set_result(()),
                b'!' => panic!("a reader"),
                _ => Err(std::io::Error::other("not that").into()),
            })?;
            theirs.write_all(b"!?.")?;
            done.wait()?;
            get_running_loop()?.remove_reader(&ours);
            Ok(())
        })
        .unwrap();
    assert_eq!(reports.get(), 2);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let event_loop = EventLoop::new().unwrap();
    let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    assert_eq!(event_loop.add_reader(&file, || ()).unwrap_err().kind(), ErrorKind::Io);
    assert!(!event_loop.remove_reader(&file));
    event_loop.close().unwrap();
    let (ours, _theirs) = pair();
    assert_eq!(event_loop.add_reader(&ours, || ()).unwrap_err().kind(), ErrorKind::Runtime);
}

#[test]
fn closing_the_loop_drops_readers_that_own_it() {
    struct Dropped(Rc<Cell<bool>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let (ours, _theirs) = pair();
    let event_loop = EventLoop::new().unwrap();
    let dropped = Rc::new(Cell::new(false));
    let (owned, guard) = (event_loop.clone(), Dropped(dropped.clone()));
    let reader = move || {
        let _both = (&owned, &guard);
    };
    event_loop.add_reader(&ours, reader).unwrap();
    event_loop.close().unwrap();
    assert!(dropped.get());
    assert!(!event_loop.remove_reader(&ours));
}

#[test]
fn a_reader_may_remove_itself_and_is_not_called_again() {
    run(|| {
        let (ours, mut theirs) = pair();
        let event_loop = get_running_loop()?;
        let (calls, done) = (Rc::new(Cell::new(0)), Future::new());
        let (counted, finished) = (calls.clone(), done.clone());
        let (reader, again) = (ours.clone(), event_loop.clone());
        event_loop.add_reader(&ours, move || {
            assert!(again.remove_reader(&reader));
            counted.set(counted.get() + 1);
            finished.set_result(())
        })?;
        theirs.write_all(b"!")?; // and nobody reads it
        done.wait()?;
        for _ in 0..200 {
            yield_now()?;
        }
        assert_eq!(calls.get(), 1);
        assert!(!event_loop.remove_reader(&ours));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_reader_that_is_due_and_then_removed_is_not_called() {
    run(|| {
        let (ours, mut theirs) = pair();
        let event_loop = get_running_loop()?;
        let (other, mut wakes) = pair();
        let called = Rc::new(Cell::new(false));
        let (removed, remover, calls) = (ours.clone(), event_loop.clone(), called.clone());
        let done = Future::new();
        let finished = done.clone();
        // Both are ready in the same iteration; the one that runs first removes the other.
        event_loop.add_reader(&other, move || {
            if remover.remove_reader(&removed) { finished.set_result(()) } else { Ok(()) }
        })?;
        event_loop.add_reader(&ours, move || calls.set(true))?;
        wakes.write_all(b"!")?;
        theirs.write_all(b"!")?;
        done.wait()?;
        event_loop.remove_reader(&other);
        for _ in 0..200 {
            yield_now()?;
        }
        assert!(!called.get());
        Ok(())
    })
    .unwrap();
}
