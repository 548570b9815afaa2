//! Writers: draining, closing, and what comes after the end.

use stackio::{ErrorKind, Result, StreamWriter, Task, gather, spawn, stream_pair};

use super::flow::pattern;
use super::{reported, rest, run};

/// Tasks that drain one writer.
fn drainers(writer: &StreamWriter, count: usize) -> Vec<Task<()>> {
    let drain = |_| {
        let writer = writer.clone();
        spawn(move || writer.drain())
    };
    (0..count).map(drain).collect()
}

fn is_reset(outcome: Result) -> bool {
    outcome.unwrap_err().io_kind() == Some(std::io::ErrorKind::ConnectionReset)
}

#[test]
fn without_anything_to_wait_for_drain_returns_at_once() {
    run(|| {
        let ((_near, writer), (_reader, _peer)) = stream_pair()?;
        let other = spawn(|| Ok(()));
        writer.write(b"little");
        writer.drain()?;
        assert!(!other.done());
        Ok(())
    })
    .unwrap();
}

#[test]
fn who_writes_without_end_gives_way_all_the_same() {
    run(|| {
        let ((_near, writer), (_reader, _peer)) = stream_pair()?;
        let other = spawn(|| Ok(()));
        (0..1000).try_for_each(|_| writer.drain())?;
        assert!(other.done());
        Ok(())
    })
    .unwrap();
}

#[test]
fn any_number_of_tasks_drain_at_once() {
    run(|| {
        let ((_near, writer), (reader, peer)) = stream_pair()?;
        peer.transport().pause_reading();
        writer.write(&pattern(100_000));
        let waiting = drainers(&writer, 10);
        rest()?;
        assert!(waiting.iter().all(|task| !task.done()));
        peer.transport().resume_reading();
        reader.readexactly(90_000)?;
        for task in waiting {
            task.join()?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_cancelled_drainer_leaves_the_others_and_the_connection_alone() {
    run(|| {
        let ((_near, writer), (reader, peer)) = stream_pair()?;
        peer.transport().pause_reading();
        writer.write(&pattern(100_000));
        let mut waiting = drainers(&writer, 3);
        rest()?;
        let first = waiting.remove(0);
        first.cancel();
        assert!(first.join().unwrap_err().is_cancelled());
        assert!(waiting.iter().all(|task| !task.done()));
        peer.transport().resume_reading();
        drop(writer);
        assert_eq!(reader.read_to_end()?, pattern(100_000));
        assert!(waiting.into_iter().all(|task| task.join().is_ok()));
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_error_of_a_connection_comes_out_of_drain_and_wait_closed_and_read() {
    run(|| {
        let ((reader, writer), (_far, peer)) = stream_pair()?;
        peer.transport().pause_reading();
        writer.write(&pattern(100_000));
        let mut waiting = drainers(&writer, 3);
        waiting.push(spawn({
            let writer = writer.clone();
            move || writer.wait_closed()
        }));
        rest()?;
        writer.transport().abort_with(ErrorKind::Timeout);
        for task in waiting {
            assert_eq!(task.join().unwrap_err().kind(), ErrorKind::Timeout);
        }
        assert_eq!(reader.read(1).unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(writer.drain().unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(writer.wait_closed().unwrap_err().kind(), ErrorKind::Timeout);
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_error_of_the_reader_comes_out_of_drain() {
    run(|| {
        let ((reader, writer), (_far, _peer)) = stream_pair()?;
        reader.set_exception(ErrorKind::Value);
        assert_eq!(writer.drain().unwrap_err().kind(), ErrorKind::Value);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_writer_that_goes_on_after_the_end_is_told_by_drain() {
    run(|| {
        let ((_near, writer), (_far, peer)) = stream_pair()?;
        peer.transport().abort();
        let outcome = loop {
            writer.write(b"is anybody there?");
            if let Err(error) = writer.drain() {
                break error;
            }
        };
        assert_eq!(outcome.kind(), ErrorKind::Io);
        assert!(writer.is_closing());
        Ok(())
    })
    .unwrap();
}

#[test]
fn drain_after_close_lets_the_close_happen_and_then_fails() {
    run(|| {
        let ((_near, writer), (_far, _peer)) = stream_pair()?;
        writer.close();
        assert!(writer.is_closing());
        assert!(is_reset(writer.drain()));
        assert!(is_reset(writer.drain()));
        writer.wait_closed()
    })
    .unwrap();
}

#[test]
fn what_is_written_after_the_end_is_refused_and_reported_once() {
    let eof = |writer: &StreamWriter| writer.write_eof();
    let close = |writer: &StreamWriter| writer.close();
    for end in [eof as fn(&StreamWriter), close] {
        run(move || {
            let reports = reported()?;
            let ((_near, writer), (reader, _peer)) = stream_pair()?;
            writer.write(b"before");
            end(&writer);
            writer.write(b"after");
            writer.writelines(["after", "after"]);
            assert_eq!(reader.read_to_end()?, b"before");
            assert_eq!(reports.borrow().len(), 1);
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn all_who_wait_for_the_end_are_woken_and_one_of_them_may_give_up() {
    run(|| {
        let ((_near, writer), (_far, _peer)) = stream_pair()?;
        let wait = |_| {
            let writer = writer.clone();
            spawn(move || writer.wait_closed())
        };
        let mut waiting: Vec<_> = (0..3).map(wait).collect();
        rest()?;
        let first = waiting.remove(0);
        first.cancel();
        assert!(first.join().unwrap_err().is_cancelled());
        assert!(waiting.iter().all(|task| !task.done()));
        writer.close();
        for task in waiting {
            task.join()?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_one_call_writes_stays_together_however_many_write() {
    run(|| {
        let ((_near, writer), (reader, _peer)) = stream_pair()?;
        writer.transport().set_write_buffer_limits(50, None)?;
        let speak = |name: u8| {
            let writer = writer.clone();
            move || {
                for _ in 0..20 {
                    writer.writelines([&[name; 30][..], b"\n"]);
                    writer.drain()?;
                }
                Ok(())
            }
        };
        let speakers: Vec<_> = (b'a'..b'f').map(speak).collect();
        let said = spawn(move || gather(speakers).join());
        for _ in 0..100 {
            let line = reader.readline()?;
            assert_eq!(line[..30], [line[0]; 30]);
        }
        said.join()?;
        Ok(())
    })
    .unwrap();
}

#[test]
fn without_a_loop_to_wait_in_only_waiting_fails() {
    let writer = run(|| {
        let ((_near, writer), (_far, _peer)) = stream_pair()?;
        writer.drain()?;
        Ok(writer)
    })
    .unwrap();
    assert_eq!(writer.wait_closed().unwrap_err().kind(), ErrorKind::Runtime);
}
