//! `start_tls`: connections that become TLS.

use std::io::ErrorKind;

use stackio::tls::{ClientConfig, Side};
use stackio::{get_running_loop, spawn};

use super::{Plain, Recorder, handle, info, play, secured, upgrade};
use crate::tls::{Authority, acquainted, pattern};

#[test]
fn the_protocol_is_not_told_of_its_connection_again() {
    play(|_| {
        let (near, far) = secured(usize::MAX, Recorder::new(), Recorder::new())?;
        assert_eq!((near.calls(), far.calls()), ("made".to_owned(), "made".to_owned()));
        assert!(info(&near.transport).is_some());
        assert!(info(&near.below).is_none());
        near.transport.write(b"x");
        near.transport.close();
        far.lost()?;
        assert_eq!(far.calls(), "made data eof lost");
        Ok(())
    });
}

#[test]
fn what_was_written_in_plain_before_goes_first() {
    play(|_| {
        let (client, server) = acquainted()?;
        let event_loop = get_running_loop()?;
        let plain = Recorder::new();
        let heard = plain.heard.clone();
        let ((below_near, _), (below_far, there)) =
            event_loop.create_pair(|| Plain, || plain, 1000)?;
        below_near.write(&pattern(3000));
        let upgrading = spawn(move || {
            while heard.borrow().data.len() < 3000 {
                stackio::yield_now()?;
            }
            assert!(heard.borrow().data == pattern(3000));
            get_running_loop()?.start_tls(&below_far, there, &server)
        });
        let near = Side::from((&client, "localhost"));
        let near = upgrade(&event_loop, below_near, Recorder::new(), near)?;
        upgrading.join()?;
        near.transport.close();
        Ok(())
    });
}

#[test]
fn a_handshake_that_fails_ends_the_connection_on_both_sides() {
    play(|_| {
        let (_, server) = acquainted()?;
        let stranger = ClientConfig::builder().roots(Authority::new().roots()).build()?;
        let event_loop = get_running_loop()?;
        let ((near, _), (far, _)) = event_loop.create_pair(|| Plain, || Plain, 1000)?;
        let (here, there) = (Recorder::new(), Recorder::new());
        let ends = [here.ended.clone(), there.ended.clone()];
        let told = here.heard.clone();
        let there = handle(there.knowing());
        let upgrading = spawn(move || get_running_loop()?.start_tls(&far, there, &server));
        let here = handle(here.knowing());
        let error = event_loop.start_tls(&near, here, (&stranger, "localhost")).unwrap_err();
        assert!(error.to_string().contains("UnknownIssuer"), "{error}");
        let error = upgrading.join().unwrap_err();
        assert!(error.to_string().contains("UnknownCA"), "{error}");
        for ended in ends {
            ended.wait()?;
        }
        // Who knew of the connection is told of its end.
        let lost = told.borrow().lost.clone().flatten().expect("an error");
        assert!(lost.to_string().contains("UnknownIssuer"), "{lost}");
        assert!(near.is_closing());
        Ok(())
    });
}

#[test]
fn a_silent_peer_gets_a_minute() {
    play(|clock| {
        let (client, _) = acquainted()?;
        let event_loop = get_running_loop()?;
        let ((near, _), (far, _)) = event_loop.create_pair(|| Plain, || Plain, None)?;
        let here = handle(Recorder::new().knowing());
        let error = event_loop.start_tls(&near, here, (&client, "localhost")).unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::TimedOut));
        assert_eq!(error.to_string(), "TLS with localhost: the handshake took longer than 60s");
        assert_eq!(clock.now().as_millis(), 60_000);
        far.close();
        Ok(())
    });
}

#[test]
fn what_cannot_begin_leaves_the_connection_as_it_is() {
    play(|_| {
        let (client, _) = acquainted()?;
        let event_loop = get_running_loop()?;
        let ((near, here), (far, _)) = event_loop.create_pair(|| Plain, || Plain, None)?;
        let error = event_loop.start_tls(&near, &here, (&client, "no name")).unwrap_err();
        assert_eq!(error.kind(), stackio::ErrorKind::Value);
        assert!(near.is_reading() && !near.is_closing());
        near.close();
        let error = event_loop.start_tls(&near, &here, (&client, "localhost")).unwrap_err();
        assert_eq!(error.kind(), stackio::ErrorKind::Runtime, "{error}");
        far.close();
        Ok(())
    });
}

#[test]
fn a_cancelled_upgrade_ends_the_connection() {
    play(|_| {
        let (client, _) = acquainted()?;
        let ((near, _), (far, _)) = get_running_loop()?.create_pair(|| Plain, || Plain, None)?;
        let upgrading = spawn(move || {
            let here = handle(Recorder::new().knowing());
            get_running_loop()?.start_tls(&near, here, (&client, "localhost"))
        });
        stackio::yield_now()?;
        stackio::yield_now()?;
        upgrading.cancel();
        assert!(upgrading.join().unwrap_err().is_cancelled());
        while !far.is_closing() {
            stackio::yield_now()?;
        }
        Ok(())
    });
}

#[test]
fn tls_within_tls_is_nothing_special() {
    play(|_| {
        let (outer_near, outer_far) = secured(1000, Recorder::new(), Recorder::new())?;
        let (client, server) = acquainted()?;
        let event_loop = get_running_loop()?;
        let far = outer_far.transport.clone();
        let upgrading =
            spawn(move || upgrade(&get_running_loop()?, far, Recorder::new(), Side::from(&server)));
        let near = outer_near.transport.clone();
        let side = Side::from((&client, "localhost"));
        let near = upgrade(&event_loop, near, Recorder::new(), side)?;
        let far = upgrading.join()?;
        near.transport.write(&pattern(200_000));
        near.transport.close();
        assert!(far.lost()?.is_none());
        assert!(far.heard.borrow().data == pattern(200_000));
        near.lost()?;
        Ok(())
    });
}

#[test]
fn a_protocol_that_is_paused_already_is_not_paused_again() {
    play(|_| {
        let (client, server) = acquainted()?;
        let event_loop = get_running_loop()?;
        let (here, there) = (Recorder::new(), Recorder::new());
        let (sent, received) = (here.heard.clone(), there.heard.clone());
        let ((near, here), (far, there)) = event_loop.create_pair(|| here, || there, 1000)?;
        near.write(&pattern(200_000));
        assert_eq!(sent.borrow().calls, ["made", "pause"]);
        // Once all that is plain has come, the other side begins as well.
        let upgrading = spawn(move || {
            while received.borrow().data.len() < 200_000 {
                stackio::yield_now()?;
            }
            get_running_loop()?.start_tls(&far, there, &server)
        });
        let upper = event_loop.start_tls(&near, here, (&client, "localhost"))?;
        let other = upgrading.join()?;
        assert_eq!(sent.borrow().calls, ["made", "pause", "resume"]);
        upper.abort();
        other.abort();
        Ok(())
    });
}
