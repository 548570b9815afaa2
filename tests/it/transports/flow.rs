//! Flow control: who is told when, and how much waits at most.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use stackio::{Consumer, ErrorKind, Producer, Result, Transport, get_running_loop};

use super::carriers::{self, Carrier, for_every_carrier};
use super::recorder::{Call, Log, Plain};
use super::{pattern, play, play_virtually, reports, until};

/// A pair in memory whose second end reads nothing until it is told to.
fn held_back(near: &Log, far: &Log) -> Result<(Transport, Transport)> {
    let (first, second) = (Plain(near.clone()), Plain(far.clone()));
    let ((left, _), (right, _)) = get_running_loop()?.create_pair(|| first, || second, 10)?;
    right.pause_reading();
    Ok((left, right))
}

#[test]
fn the_marks_are_asyncios() {
    play_virtually(|| {
        let (near, far) = (Log::new(), Log::new());
        let (left, right) = held_back(&near, &far)?;
        assert_eq!(left.get_write_buffer_limits(), (16 * 1024, 64 * 1024));
        left.write(&pattern(64 * 1024));
        assert_eq!(near.count(Call::Pause), 0, "at the mark is not above it");
        left.write(b"1");
        assert_eq!(near.calls(), [Call::Made, Call::Pause]);
        left.write(&pattern(1000));
        assert_eq!(near.count(Call::Pause), 1);
        right.resume_reading();
        until(|| near.has(Call::Resume))?;
        let left_over = left.get_write_buffer_size();
        assert!(left_over <= 16 * 1024 && left_over > 16 * 1024 - 10, "{left_over}");
        left.close();
        near.wait_lost()?;
        near.check();
        Ok(())
    });
}

#[test]
fn the_marks_can_be_set_as_in_asyncio() {
    play_virtually(|| {
        let (left, _right) = held_back(&Log::new(), &Log::new())?;
        for (high, low, limits) in [
            (None, None, (16_384, 65_536)),
            (Some(100), None, (25, 100)),
            (None, Some(100), (100, 400)),
            (Some(100), Some(100), (100, 100)),
            (Some(0), None, (0, 0)),
        ] {
            left.set_write_buffer_limits(high, low)?;
            assert_eq!(left.get_write_buffer_limits(), limits);
        }
        let refused = left.set_write_buffer_limits(10, 11).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Value);
        assert_eq!(left.get_write_buffer_limits(), (0, 0));
        Ok(())
    });
}

#[test]
fn with_a_mark_of_zero_every_byte_pauses_and_an_empty_buffer_resumes() {
    play_virtually(|| {
        let (near, far) = (Log::new(), Log::new());
        let (left, right) = held_back(&near, &far)?;
        left.set_write_buffer_limits(0, None)?;
        for round in 1..=3 {
            left.write(b"x");
            assert_eq!(near.count(Call::Pause), round);
            right.resume_reading();
            until(|| near.count(Call::Resume) == round)?;
            assert_eq!(left.get_write_buffer_size(), 0);
            right.pause_reading();
        }
        left.abort();
        near.wait_lost()?;
        near.check();
        Ok(())
    });
}

#[test]
fn marks_that_are_set_are_looked_at_at_once() {
    play_virtually(|| {
        let (near, far) = (Log::new(), Log::new());
        let (left, _right) = held_back(&near, &far)?;
        left.write(&[0; 100]);
        left.set_write_buffer_limits(99, None)?;
        assert_eq!(near.calls(), [Call::Made, Call::Pause]);
        left.set_write_buffer_limits(1000, 500)?;
        assert_eq!(near.calls(), [Call::Made, Call::Pause, Call::Resume]);
        Ok(())
    });
}

#[test]
fn a_pause_within_a_call_comes_after_it() {
    play_virtually(|| {
        let near = Log::reacting(|call, log| {
            if call == Call::Data {
                log.transport().write(&[0; 100_000]);
                assert!(!log.has(Call::Pause), "it is still being called");
                log.transport().write(b"more");
            }
            Ok(())
        });
        let far = Log::new();
        let (left, right) = held_back(&near, &far)?;
        right.write(b"x");
        until(|| near.has(Call::Data))?;
        assert_eq!(near.calls(), [Call::Made, Call::Data, Call::Pause]);
        left.abort();
        near.wait_lost()?;
        near.check();
        Ok(())
    });
}

#[test]
fn a_pause_that_is_over_before_it_could_be_told_is_not_told() {
    play_virtually(|| {
        let near = Log::reacting(|call, log| {
            if call == Call::Data {
                let transport = log.transport();
                transport.write(&[0; 100]);
                transport.set_write_buffer_limits(50, 0)?;
                transport.set_write_buffer_limits(1000, 200)?;
            }
            Ok(())
        });
        let far = Log::new();
        let (_left, right) = held_back(&near, &far)?;
        right.write(b"x");
        until(|| near.has(Call::Data))?;
        assert_eq!(near.calls(), [Call::Made, Call::Data]);
        Ok(())
    });
}

#[test]
fn writing_in_pause_and_resume_does_not_call_them_within_themselves() {
    play_virtually(|| {
        let near = Log::reacting(|call, log| {
            match call {
                Call::Pause => log.transport().write(&[1; 1000]),
                Call::Resume if log.count(Call::Resume) < 3 => {
                    log.transport().write(&[2; 100_000]);
                }
                _ => {}
            }
            Ok(())
        });
        let far = Log::new();
        let (left, right) = held_back(&near, &far)?;
        left.write(&[0; 100_000]);
        right.resume_reading();
        until(|| near.count(Call::Resume) == 3)?;
        left.close();
        near.wait_lost()?;
        near.check();
        assert_eq!(far.received(), 3 * 101_000);
        Ok(())
    });
}

/// Makes pieces of bytes as fast as it can, until it has made enough.
struct Fast {
    piece: usize,
    left: Cell<usize>,
    consumer: RefCell<Option<Rc<dyn Consumer>>>,
    paused: Cell<bool>,
    making: Cell<bool>,
    calls: RefCell<Vec<&'static str>>,
    me: Weak<Fast>,
}

impl Fast {
    fn new(piece: usize, count: usize) -> Rc<Fast> {
        Rc::new_cyclic(|me| Fast {
            piece,
            left: Cell::new(count),
            consumer: RefCell::default(),
            paused: Cell::new(true),
            making: Cell::new(false),
            calls: RefCell::default(),
            me: me.clone(),
        })
    }

    fn make(&self) {
        if self.making.replace(true) {
            return;
        }
        let consumer = self.consumer.borrow().clone().expect("it is registered");
        while !self.paused.get() && self.left.get() > 0 {
            self.left.set(self.left.get() - 1);
            consumer.consume(&pattern(self.piece)).expect("it is open");
        }
        self.making.set(false);
        if self.left.get() == 0 {
            consumer.unregister();
        }
    }
}

impl Producer for Fast {
    fn half_register(&self, consumer: Rc<dyn Consumer>) {
        self.calls.borrow_mut().push("half_register");
        *self.consumer.borrow_mut() = Some(consumer);
    }

    fn pause(&self) {
        self.calls.borrow_mut().push("pause");
        self.paused.set(true);
    }

    fn resume(&self) {
        self.calls.borrow_mut().push("resume");
        self.paused.set(false);
        self.me.upgrade().expect("somebody calls it").make();
    }

    fn stop(&self) {
        self.calls.borrow_mut().push("stop");
        self.consumer.take();
    }
}

fn is_filled<C: Carrier>() {
    play(|| {
        const PIECE: usize = 10_000;
        let (near, far) = (Log::new(), Log::new());
        let (first, second) = (Plain(near.clone()), Plain(far.clone()));
        let (left, right) = carriers::open::<C, _, _, _, _>((first, &near), (second, &far))?;
        let (_, high) = left.get_write_buffer_limits();
        let pieces = C::HOLDS / PIECE + 20;
        let producer = Fast::new(PIECE, pieces);
        right.pause_reading();
        left.register(producer.clone())?;
        // The system may take something before anything waits.
        let peak = Rc::new(Cell::new(left.get_write_buffer_size()));
        assert!(producer.paused.get(), "over {}", C::NAME);
        let mut reading = 0;
        while producer.left.get() > 0 {
            reading += 1;
            if reading % 3 == 0 {
                right.pause_reading()
            } else {
                right.resume_reading()
            }
            stackio::yield_now()?;
            peak.set(peak.get().max(left.get_write_buffer_size()));
        }
        assert!(peak.get() > high && peak.get() <= high + PIECE, "{} over {}", peak.get(), C::NAME);
        right.resume_reading();
        left.close();
        near.wait_lost()?;
        far.wait_lost()?;
        let piece = pattern(PIECE);
        assert_eq!(far.received(), pieces * PIECE, "over {}", C::NAME);
        assert!(far.data().chunks(PIECE).all(|chunk| chunk == piece));
        near.check();
        Ok(())
    });
}

#[test]
fn a_fast_producer_fills_the_buffer_to_the_mark_and_a_piece_at_most() {
    for_every_carrier!(is_filled);
}

#[test]
fn a_producer_is_told_by_the_rules() {
    play_virtually(|| {
        let (near, far) = (Log::new(), Log::new());
        let (left, right) = held_back(&near, &far)?;
        let producer = Fast::new(40_000, 2);
        left.register(producer.clone())?;
        assert_eq!(*producer.calls.borrow(), ["half_register", "resume", "pause"]);
        // It has nothing more and was unregistered: it hears of nothing.
        right.resume_reading();
        until(|| left.get_write_buffer_size() == 0)?;
        left.write(&[0; 100_000]);
        assert_eq!(producer.calls.borrow().len(), 3);

        right.pause_reading();
        let second = Fast::new(1, 10);
        left.register(second.clone())?;
        assert_eq!(*second.calls.borrow(), ["half_register", "pause"], "the buffer is full");
        let refused = left.register(Fast::new(1, 1)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Runtime);
        left.unregister();
        let third = Fast::new(1, 10);
        left.register(third.clone())?;
        left.abort();
        near.wait_lost()?;
        assert_eq!(*third.calls.borrow(), ["half_register", "pause", "stop"]);
        assert_eq!(*second.calls.borrow(), ["half_register", "pause"]);
        let refused = left.register(Fast::new(1, 1)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Runtime);
        Ok(())
    });
}

/// Panics whatever it is told.
struct Bad;

impl Producer for Bad {
    fn half_register(&self, _: Rc<dyn Consumer>) {
        panic!("half_register");
    }

    fn pause(&self) {
        panic!("pause");
    }

    fn resume(&self) {
        panic!("resume");
    }

    fn stop(&self) {
        panic!("stop");
    }
}

#[test]
fn a_producer_that_panics_is_reported_and_the_connection_goes_on() {
    play_virtually(|| {
        let reports = reports()?;
        let (near, far) = (Log::new(), Log::new());
        let (left, right) = held_back(&near, &far)?;
        left.register(Rc::new(Bad))?;
        left.write(&pattern(100_000));
        right.resume_reading();
        until(|| near.has(Call::Resume))?;
        left.close();
        assert!(near.wait_lost()?.is_none());
        far.wait_lost()?;
        assert!(far.data() == pattern(100_000));
        near.check();
        assert_eq!(*reports.borrow(), ["a producer panicked"; 4]);
        Ok(())
    });
}
