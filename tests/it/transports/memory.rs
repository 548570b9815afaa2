//! The in-memory pair ends as a connection of the system does, whatever waits in it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use stackio::{BufferedProtocol, Error, Result, Transport, get_running_loop};

use super::recorder::{Call, Log, Plain};
use super::{pattern, play_virtually, settle};

type Ends = ((Transport, Log), (Transport, Log));

fn pair(near: Log, far: Log, chunk: Option<usize>) -> Result<Ends> {
    let (first, second) = (Plain(near.clone()), Plain(far.clone()));
    let ((left, _), (right, _)) = get_running_loop()?.create_pair(|| first, || second, chunk)?;
    Ok(((left, near), (right, far)))
}

#[test]
fn both_ends_say_goodbye_and_close_at_once() {
    play_virtually(|| {
        let ((left, near), (right, far)) = pair(Log::new(), Log::new(), None)?;
        for end in [&left, &right] {
            end.write(b"goodbye");
            end.close();
        }
        assert!(near.wait_lost()?.is_none());
        assert!(far.wait_lost()?.is_none());
        near.check();
        far.check();
        Ok(())
    });
}

#[test]
fn what_waits_for_an_end_that_closes_is_dropped() {
    play_virtually(|| {
        let ((left, near), (right, far)) = pair(Log::new(), Log::new(), None)?;
        right.pause_reading();
        left.write(&pattern(100_000));
        assert_eq!(near.calls(), [Call::Made, Call::Pause]);
        right.close();
        far.wait_lost()?;
        assert!(near.wait_lost()?.is_none());
        assert_eq!(left.get_write_buffer_size(), 0);
        assert_eq!(far.received(), 0);
        near.check();
        far.check();
        Ok(())
    });
}

#[test]
fn a_writer_that_has_closed_hears_of_a_reader_that_aborts() {
    play_virtually(|| {
        let ((left, near), (right, far)) = pair(Log::new(), Log::new(), None)?;
        right.pause_reading();
        left.write(b"never read");
        left.close();
        right.abort();
        let error = near.wait_lost()?.expect("something was waiting");
        assert_eq!(error.io_kind(), Some(io::ErrorKind::BrokenPipe));
        far.wait_lost()?;
        near.check();
        Ok(())
    });
}

#[test]
fn a_writer_that_waits_hears_of_a_reader_that_aborts() {
    play_virtually(|| {
        let ((left, near), (right, _far)) = pair(Log::new(), Log::new(), None)?;
        right.pause_reading();
        left.write(&pattern(100_000));
        right.abort_with(Error::with_message(stackio::ErrorKind::Runtime, "enough"));
        let error = near.wait_lost()?.expect("something was waiting");
        assert_eq!(error.io_kind(), Some(io::ErrorKind::BrokenPipe));
        near.check();
        Ok(())
    });
}

#[test]
fn all_is_delivered_to_a_reader_that_resumes_after_the_writer_has_closed() {
    play_virtually(|| {
        for chunk in [None, Some(1), Some(1000)] {
            let ((left, near), (right, far)) = pair(Log::new(), Log::new(), chunk)?;
            right.pause_reading();
            left.write(&pattern(3000));
            left.write_eof();
            left.close();
            stackio::sleep(stackio::secs(1))?;
            assert!(!near.has(Call::Lost), "what was written is not read yet");
            right.resume_reading();
            far.wait_lost()?;
            near.wait_lost()?;
            assert!(far.data() == pattern(3000));
            assert_eq!(far.longest(), chunk.unwrap_or(3000).min(3000));
            near.check();
            far.check();
        }
        Ok(())
    });
}

#[test]
fn a_half_closed_pair_goes_on_in_the_other_direction() {
    play_virtually(|| {
        let far = Log::new().keep_open();
        let ((left, near), (right, far)) = pair(Log::new().keep_open(), far, None)?;
        left.write(b"question");
        left.write_eof();
        super::until(|| far.has(Call::Eof))?;
        right.write(b"answer");
        right.close();
        far.wait_lost()?;
        super::until(|| near.has(Call::Eof))?;
        assert_eq!(near.data(), b"answer");
        // Nobody is left to write to.
        left.abort();
        near.wait_lost()?;
        near.check();
        far.check();
        Ok(())
    });
}

#[test]
fn lines_that_are_written_together_stay_together() {
    play_virtually(|| {
        let near = Log::reacting(|call, log| {
            if call == Call::Pause {
                log.transport().write(b"<paused>");
            }
            Ok(())
        });
        let ((left, _), (_right, far)) = pair(near, Log::new(), None)?;
        left.set_write_buffer_limits(0, 0)?;
        left.writelines([&b"header:"[..], b"body"]);
        settle()?;
        assert_eq!(far.data(), b"header:body<paused>");
        Ok(())
    });
}

/// Has room for four bytes, and does something when it has got the first.
struct Small(Vec<u8>, Rc<RefCell<Vec<Vec<u8>>>>, fn(&Transport), Option<Transport>);

impl BufferedProtocol for Small {
    fn connection_made(&mut self, transport: &Transport) {
        self.3 = Some(transport.clone());
    }

    fn get_buffer(&mut self, _: usize) -> &mut [u8] {
        self.0.resize(4, 0);
        &mut self.0
    }

    fn buffer_updated(&mut self, length: usize) {
        self.1.borrow_mut().push(self.0[..length].to_vec());
        if let Some(transport) = self.3.take() {
            (self.2)(&transport);
        }
    }
}

#[test]
fn a_protocol_with_a_small_buffer_gets_no_more_once_it_has_paused_or_closed() {
    play_virtually(|| {
        let meddlings: [fn(&Transport); 4] =
            [|_| (), Transport::pause_reading, Transport::close, Transport::abort];
        for (meddle, expected) in meddlings.into_iter().zip([3, 1, 1, 1]) {
            let got: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
            let small = Small(Vec::new(), got.clone(), meddle, None);
            let near = Plain(Log::new());
            let ((left, _), _) = get_running_loop()?.create_pair(|| near, || small, None)?;
            left.write(b"abcdefghijkl");
            settle()?;
            assert_eq!(*got.borrow(), [b"abcd", b"efgh", b"ijkl"][..expected]);
        }
        Ok(())
    });
}
