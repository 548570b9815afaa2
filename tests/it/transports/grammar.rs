//! The grammar of what protocols are told, held against every sort of connection, every chunking
//! and every end.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use stackio::{Error, ErrorKind, IntoProtocol, Result, Transport, get_running_loop};

use super::carriers::{self, Carrier, for_every_carrier};
use super::recorder::{Buffered, Call, Log, Plain, Raising, check};
use super::{pattern, play, reports, settle, until};

/// The sorts of protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Plain,
    Raising,
    Buffered,
    BufferedRaising,
}

const SORTS: [Sort; 4] = [Sort::Plain, Sort::Raising, Sort::Buffered, Sort::BufferedRaising];

fn open<C: Carrier>(sort: Sort, near: &Log, far: &Log) -> Result<(Transport, Transport)> {
    let (left, right) = (near.clone(), far.clone());
    match sort {
        Sort::Plain => carriers::open::<C, _, _, _, _>((Plain(left), near), (Plain(right), far)),
        Sort::Raising => {
            carriers::open::<C, _, _, _, _>((Raising(left), near), (Raising(right), far))
        }
        Sort::Buffered => {
            let (left, right) = (Buffered::new(left), Buffered::new(right));
            carriers::open::<C, _, _, _, _>((left, near), (right, far))
        }
        Sort::BufferedRaising => {
            let (left, right) = (Buffered::raising(left), Buffered::raising(right));
            carriers::open::<C, _, _, _, _>((left, near), (right, far))
        }
    }
}

/// Waits for the end of both and holds them against the grammar.
fn end(near: &Log, far: &Log) -> Result {
    near.wait_lost()?;
    far.wait_lost()?;
    near.check();
    far.check();
    Ok(())
}

fn whole_messages_arrive<C: Carrier>() {
    play(|| {
        for sort in SORTS {
            for (length, chunk) in [(0, 1), (300, 1), (20_000, 99), (700_000, 70_000)] {
                let (near, far) = (Log::new(), Log::new());
                let (left, _right) = open::<C>(sort, &near, &far)?;
                let sent = pattern(length / C::SLOW);
                sent.chunks(chunk).for_each(|chunk| left.write(chunk));
                left.close();
                end(&near, &far)?;
                let what = format!("{length} bytes by {chunk} over {} to {sort:?}", C::NAME);
                assert!(far.data() == sent, "{what}: {} arrived", far.received());
                assert!(near.error().is_none(), "{what}: {:?}", near.error());
                assert_eq!(far.error().is_none(), C::ENDS, "{what}: {:?}", far.error());
                assert_eq!(far.has(Call::Eof), C::ENDS, "{what}");
            }
        }
        Ok(())
    });
}

#[test]
fn whatever_is_written_in_whatever_pieces_arrives_and_then_the_end() {
    for_every_carrier!(whole_messages_arrive);
}

/// Ways to end a connection in the middle: of the first end, and of the second.
type Cut = fn(&Transport, &Transport);

const CUTS: [(&str, Cut); 8] = [
    ("the writer closes", |near, _| near.close()),
    ("the writer aborts", |near, _| near.abort()),
    ("the writer says why", |near, _| near.abort_with(enough())),
    ("the writer closes for a reason", |near, _| near.close_with(enough())),
    ("the reader closes", |_, far| far.close()),
    ("the reader aborts", |_, far| far.abort()),
    ("both close", |near, far| {
        near.close();
        far.close();
    }),
    ("both abort, twice", |near, far| {
        for end in [near, far, near, far] {
            end.abort();
        }
    }),
];

fn enough() -> Error {
    Error::with_message(ErrorKind::Value, "enough")
}

fn is_cut<C: Carrier>() {
    play(|| {
        let reports = reports()?;
        for sort in SORTS {
            for (what, cut) in CUTS {
                // At once, when all has come, and while much is on its way.
                for (length, waits) in [(0, false), (10, true), (300_000 / C::SLOW, false)] {
                    let (near, far) = (Log::new(), Log::new());
                    let (left, right) = open::<C>(sort, &near, &far)?;
                    left.write(&pattern(length));
                    if waits {
                        until(|| far.received() == length)?;
                    }
                    cut(&left, &right);
                    end(&near, &far)?;
                    let context = format!("{what} after {length} bytes over {}", C::NAME);
                    assert!(pattern(length).starts_with(&far.data()), "{context}");
                    let given = near.error().map(|error| error.kind());
                    match what {
                        "the writer says why" => assert_eq!(given, Some(ErrorKind::Value)),
                        "the writer aborts" => assert_eq!(given, None, "{context}"),
                        _ => {}
                    }
                    assert!(left.is_closing() && right.is_closing());
                    assert!(left.get_protocol().is_none() && right.get_protocol().is_none());
                }
            }
        }
        assert_eq!(*reports.borrow(), Vec::<String>::new(), "over {}", C::NAME);
        Ok(())
    });
}

#[test]
fn however_it_is_cut_both_ends_are_told_once_and_last() {
    for_every_carrier!(is_cut);
}

fn is_half_closed<C: Carrier>() {
    if !C::HALVES {
        return;
    }
    play(|| {
        for sort in SORTS {
            for keep in [false, true] {
                let near = Log::new();
                let far = if keep { Log::new().keep_open() } else { Log::new() };
                let (left, right) = open::<C>(sort, &near, &far)?;
                assert!(left.can_write_eof());
                let (there, back) = (pattern(100_000 / C::SLOW), pattern(300_000 / C::SLOW));
                left.write(&there);
                left.write_eof();
                left.write_eof();
                until(|| far.has(Call::Eof))?;
                assert!(far.data() == there);
                assert_eq!(right.is_closing(), !keep);
                if keep {
                    settle()?;
                    assert!(!far.has(Call::Lost) && !near.has(Call::Eof));
                    right.write(&back);
                    right.close();
                }
                end(&near, &far)?;
                assert_eq!(near.received(), if keep { back.len() } else { 0 });
                assert!(near.error().is_none() && far.error().is_none(), "over {}", C::NAME);
                assert_eq!(near.calls().last(), Some(&Call::Lost));
            }
        }
        Ok(())
    });
}

#[test]
fn a_half_closed_connection_ends_when_the_other_half_does() {
    for_every_carrier!(is_half_closed);
}

/// Fails in one call: raises if it can, and panics if not.
fn failing(sort: Sort, in_call: Call) -> Log {
    let raises = matches!(sort, Sort::Raising | Sort::BufferedRaising) && in_call != Call::Eof;
    Log::reacting(move |call, _| {
        if call != in_call {
            return Ok(());
        }
        assert!(raises, "a panic in {call:?}");
        Err(Error::with_message(ErrorKind::Value, "raised"))
    })
}

fn fails<C: Carrier>() {
    play(|| {
        for sort in SORTS {
            for call in [Call::Made, Call::Data, Call::Eof, Call::Pause, Call::Resume, Call::Lost] {
                if C::SHAKES_HANDS && call == Call::Made {
                    continue;
                }
                let reports = reports()?;
                let (near, far) = (failing(sort, call), failing(sort, call));
                let (left, right) = open::<C>(sort, &near, &far)?;
                right.pause_reading();
                left.write(&pattern(500_000));
                settle()?;
                right.resume_reading();
                left.close();
                end(&near, &far)?;
                let context = format!("{call:?} of {sort:?} over {}", C::NAME);
                let failed = |log: &Log| log.has(call) as usize;
                let count = failed(&near) + failed(&far);
                assert_eq!(reports.borrow().len(), count, "{context}: {:?}", reports.borrow());
                if far.has(call) && matches!(call, Call::Made | Call::Data | Call::Eof) {
                    let raised = far.error().map(|error| error.kind());
                    let expected = match (sort, call) {
                        (Sort::Plain | Sort::Buffered, _) | (_, Call::Eof) => ErrorKind::Panic,
                        _ => ErrorKind::Value,
                    };
                    assert_eq!(raised, Some(expected), "{context}");
                }
                if matches!(call, Call::Pause | Call::Resume | Call::Lost) {
                    assert!(far.data() == pattern(500_000), "{context}");
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_protocol_that_fails_ends_its_connection_and_is_reported() {
    for_every_carrier!(fails);
}

/// What a protocol may do with its transport in any of its calls.
type Meddling = fn(&Transport, &Log);

const MEDDLINGS: [(&str, Meddling); 8] = [
    ("close", |transport, _| transport.close()),
    ("abort", |transport, _| transport.abort()),
    ("pause and resume", |transport, _| {
        transport.pause_reading();
        transport.pause_reading();
        transport.resume_reading();
    }),
    ("pause", |transport, _| transport.pause_reading()),
    ("write", |transport, _| drop(transport.try_write(&[b'x'; 100_000]))),
    ("write_eof", |transport, _| drop(transport.try_write_eof())),
    ("set limits", |transport, _| {
        transport.set_write_buffer_limits(0, 0).expect("they are good");
        drop(transport.try_write(b"x"));
        transport.set_write_buffer_limits(None, None).expect("they are good");
    }),
    ("set_protocol", |transport, other| {
        transport.set_protocol(Plain(other.clone()).into_handle());
    }),
];

fn is_meddled_with<C: Carrier>() {
    play(|| {
        for (what, meddle) in MEDDLINGS {
            for at in [Call::Made, Call::Data, Call::Eof, Call::Pause, Call::Resume, Call::Lost] {
                if C::SHAKES_HANDS && at == Call::Made {
                    continue;
                }
                let others = [Log::new(), Log::new()];
                let log = |other: &Log| {
                    let other = other.clone();
                    Log::reacting(move |call, log| {
                        if call == at {
                            meddle(&log.transport(), &other);
                        }
                        Ok(())
                    })
                };
                let (near, far) = (log(&others[0]), log(&others[1]));
                let (left, right) = open::<C>(Sort::Plain, &near, &far)?;
                drop(left.try_write(&pattern(400_000)));
                settle()?;
                left.close();
                settle()?;
                right.resume_reading();
                settle()?;
                left.abort();
                right.abort();
                until(|| left.get_protocol().is_none() && right.get_protocol().is_none())?;
                for (log, other) in [&near, &far].into_iter().zip(&others) {
                    let calls = [log.calls(), other.calls()].concat();
                    let good = check(&calls);
                    assert_eq!(good, Ok(()), "{what} in {at:?} over {}: {calls:?}", C::NAME);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_protocol_may_do_anything_with_its_transport_in_any_call() {
    for_every_carrier!(is_meddled_with);
}

/// An error that cannot even be shown.
#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("the text of an error");
    }
}

impl std::error::Error for Unspeakable {}

#[test]
fn an_error_that_cannot_be_reported_ends_its_connection_all_the_same() {
    play(|| {
        // It is reported by the default handler, which panics over its text.
        let log = Log::reacting(|call, _| match call {
            Call::Data => Err(Error::new(ErrorKind::Value, Unspeakable)),
            _ => Ok(()),
        });
        let (ours, mut theirs) = UnixStream::pair()?;
        let protocol = Raising(log.clone());
        let (transport, _) = get_running_loop()?.connect_accepted_socket(|| protocol, ours)?;
        theirs.write_all(b"a word")?;
        until(|| log.has(Call::Lost))?;
        assert_eq!(log.calls(), [Call::Made, Call::Data, Call::Lost]);
        assert!(transport.is_closing() && transport.get_protocol().is_none());
        assert_eq!(theirs.read(&mut [0; 8])?, 0, "it is closed");
        Ok(())
    });
}
