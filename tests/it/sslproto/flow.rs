//! Flow control: who writes too fast is told, who does not read holds the writer back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use stackio::{BufferedProtocol, Error, Future, Transport, call_later, millis, secs, sleep};

use super::{Recorder, play, secured};
use crate::tls::{acquainted, pattern};

#[test]
fn data_comes_whole_in_both_directions_at_once_in_any_pieces() {
    for chunk in [1, 333, 20_000, usize::MAX] {
        play(move |_| {
            let length = if chunk == 1 { 20_000 } else { 300_000 };
            let (near, far) = secured(chunk, Recorder::new(), Recorder::new())?;
            for piece in pattern(length).chunks(7001) {
                near.transport.write(piece);
                far.transport.write_bytes(piece.to_vec().into());
            }
            while near.length() < length || far.length() < length {
                sleep(millis(1))?;
            }
            assert!(near.heard.borrow().data == pattern(length));
            assert!(far.heard.borrow().data == pattern(length));
            near.transport.close();
            near.lost()?;
            far.lost()?;
            Ok(())
        });
    }
}

#[test]
fn a_paused_reader_holds_the_writer_back_and_loses_nothing() {
    play(|_| {
        let (near, far) = secured(usize::MAX, Recorder::new(), Recorder::new())?;
        far.transport.pause_reading();
        assert!(!far.transport.is_reading());
        let mut sent = 0;
        // A writer that heeds the pauses.
        while !near.calls().ends_with("pause") {
            near.transport.write(&pattern(10_000));
            sent += 10_000;
            sleep(millis(1))?;
            assert!(sent < 1_000_000, "nobody held it back");
        }
        assert!(near.transport.get_write_buffer_size() <= 64 * 1024 + 10_000 + 1000);
        sleep(secs(60))?;
        assert_eq!(far.length(), 0);
        assert!(near.calls().ends_with("pause"));

        far.transport.resume_reading();
        while far.length() < sent {
            sleep(millis(1))?;
        }
        assert!(near.calls().ends_with("pause resume"), "{}", near.calls());
        assert_eq!(near.transport.get_write_buffer_size(), 0);
        let expected: Vec<u8> = pattern(10_000).repeat(sent / 10_000);
        assert!(far.heard.borrow().data == expected);
        Ok(())
    });
}

#[test]
fn a_protocol_can_pause_after_each_piece() {
    play(|_| {
        let paused = Rc::new(Cell::new(0));
        let count = paused.clone();
        let far = Recorder::doing(move |transport, _| {
            transport.pause_reading();
            count.set(count.get() + 1);
            let again = transport.clone();
            stackio::call_later(millis(5), move || again.resume_reading());
        });
        let (near, far) = secured(usize::MAX, Recorder::new(), far)?;
        near.transport.write(&pattern(500_000));
        near.transport.close();
        assert!(far.lost()?.is_none());
        assert!(far.heard.borrow().data == pattern(500_000));
        assert!(paused.get() >= 10, "{}", paused.get());
        assert_eq!(far.calls(), "made data eof lost");
        near.lost()?;
        Ok(())
    });
}

#[test]
fn the_end_waits_for_a_reader_that_pauses() {
    play(|_| {
        let (near, far) = secured(usize::MAX, Recorder::new(), Recorder::new())?;
        far.transport.pause_reading();
        near.transport.write(b"last");
        near.below.write_eof();
        sleep(secs(5))?;
        assert_eq!(far.calls(), "made");
        far.transport.resume_reading();
        far.lost()?;
        assert_eq!(far.calls(), "made data lost");
        near.lost()?;
        Ok(())
    });
}

#[test]
fn with_limits_of_nothing_every_byte_that_waits_pauses() {
    play(|_| {
        let (near, far) = secured(usize::MAX, Recorder::new(), Recorder::new())?;
        near.transport.set_write_buffer_limits(0, 0)?;
        assert_eq!(near.transport.get_write_buffer_limits(), (0, 0));
        near.transport.write(b"x");
        assert_eq!(near.calls(), "made pause");
        while far.length() < 1 {
            sleep(millis(1))?;
        }
        sleep(millis(1))?;
        assert_eq!(near.calls(), "made pause resume");
        Ok(())
    });
}

#[test]
fn an_echo_that_heeds_nothing_still_echoes_everything() {
    play(|_| {
        let far = Recorder::doing(|transport, data| transport.write(data));
        let (near, far) = secured(1024, Recorder::new(), far)?;
        near.transport.write(&pattern(400_000));
        while near.length() < 400_000 {
            sleep(millis(1))?;
        }
        assert!(near.heard.borrow().data == pattern(400_000));
        near.transport.close();
        near.lost()?;
        far.lost()?;
        Ok(())
    });
}

/// A protocol with a small buffer of its own.
struct Own {
    buffer: [u8; 100],
    all: Vec<u8>,
    ended: Future<Vec<u8>>,
}

impl BufferedProtocol for Own {
    fn get_buffer(&mut self, _: usize) -> &mut [u8] {
        &mut self.buffer
    }

    fn buffer_updated(&mut self, length: usize) {
        self.all.extend_from_slice(&self.buffer[..length]);
    }

    fn connection_lost(&mut self, _: Option<Error>) {
        let _ = self.ended.set_result(std::mem::take(&mut self.all));
    }
}

#[test]
fn a_buffered_protocol_is_read_into() {
    play(|_| {
        let (client, server) = acquainted()?;
        let far = || {
            Recorder::beginning(|transport: &Transport| {
                transport.write(&pattern(30_000));
                transport.close();
            })
        };
        let server =
            stackio::ServerBuilder::new().tls(&server).create_server(far, "127.0.0.1:0")?;
        let ended = Future::new();
        let own = Own { buffer: [0; 100], all: Vec::new(), ended: ended.clone() };
        let connector = stackio::Connector::new().tls(&client).server_hostname("localhost");
        connector.create_connection(|| own, server.local_addrs()[0])?;
        assert!(ended.wait()? == pattern(30_000));
        server.close();
        server.wait_closed()
    });
}

#[test]
fn a_file_goes_through_tls_by_hand() {
    play(|_| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("design.md");
        let content = std::fs::read(&path)?;
        let (near, far) = secured(10_000, Recorder::new(), Recorder::new())?;
        let file = std::fs::File::open(&path)?;
        let sent = stackio::get_running_loop()?.sendfile(&near.transport, &file, 10, None)?;
        assert_eq!(sent as usize, content.len() - 10);
        near.transport.close();
        assert!(far.lost()?.is_none());
        assert!(far.heard.borrow().data == content[10..]);
        near.lost()?;
        Ok(())
    });
}

#[test]
fn a_big_transfer_over_sockets_arrives_whole() {
    play(|_| {
        let (client, server) = acquainted()?;
        let far = || Recorder::doing(|transport, data| transport.write(data));
        let server =
            stackio::ServerBuilder::new().tls(&server).create_server(far, "127.0.0.1:0")?;
        let near = Recorder::new();
        let (heard, ended) = (near.heard.clone(), near.ended.clone());
        let connector = stackio::Connector::new().tls(&client).server_hostname("localhost");
        let (transport, _) = connector.create_connection(|| near, server.local_addrs()[0])?;
        let all = pattern(3_000_000);
        for piece in all.chunks(50_000) {
            transport.write(piece);
        }
        while heard.borrow().data.len() < all.len() {
            stackio::to_thread(|| ())?;
        }
        assert!(heard.borrow().data == all);
        transport.close();
        ended.wait()?;
        server.close();
        server.wait_closed()
    });
}

#[test]
fn a_reader_that_pauses_after_each_piece_gets_all_and_nothing_piles_up() {
    play(|clock| {
        const LENGTH: usize = 1_000_000;
        let writer: Rc<RefCell<Option<Transport>>> = Rc::default();
        let (unsent, most) = (writer.clone(), Rc::new(Cell::new(0)));
        let (peak, delivered) = (most.clone(), Cell::new(0));
        let reading = Recorder::doing(move |transport, data| {
            delivered.set(delivered.get() + data.len());
            let unsent = unsent.borrow().as_ref().map_or(0, Transport::get_write_buffer_size);
            peak.set(peak.get().max((LENGTH - unsent).saturating_sub(delivered.get())));
            transport.pause_reading();
            let transport = transport.clone();
            call_later(secs(2), move || transport.resume_reading());
        });
        let (near, far) = secured(usize::MAX, Recorder::new(), reading)?;
        *writer.borrow_mut() = Some(near.transport.clone());
        near.transport.write(&pattern(LENGTH));
        // The whole takes far longer than a shutdown may: each piece of it does not.
        near.transport.close();
        assert!(near.lost()?.is_none());
        assert!(far.lost()?.is_none());
        assert!(far.heard.borrow().data == pattern(LENGTH));
        assert!(clock.now().as_millis() > 100_000, "{:?}", clock.now());
        assert!(most.get() <= 100_000, "{} bytes lay between the two", most.get());
        writer.take();
        Ok(())
    });
}
