//! Multicast on the loopback interface.

use std::net::{Ipv4Addr, SocketAddr};

use stackio::{DatagramEndpoint, ErrorKind};

use super::{at_any, noted, play};

#[test]
fn what_is_sent_to_a_group_reaches_its_members() {
    play(|| {
        let group = Ipv4Addr::new(239, 255, 83, 1);
        let members = DatagramEndpoint::new()
            .local_addr("0.0.0.0:0")?
            .join_multicast_v4(group, Ipv4Addr::LOCALHOST);
        let (member, note) = noted(members)?;
        let port = member.local_addr().expect("it is bound").port();
        let (sender, _) = noted(
            DatagramEndpoint::new()
                .local_addr("0.0.0.0:0")?
                .multicast_interface_v4(Ipv4Addr::LOCALHOST)
                .multicast_ttl(0),
        )?;
        sender.sendto(b"to the group", SocketAddr::from((group, port)));
        assert_eq!(note.datagram()?.0, b"to the group");
        Ok(())
    });
}

#[test]
fn what_is_no_group_cannot_be_joined() {
    play(|| {
        at_any()?;
        let endpoint = DatagramEndpoint::new()
            .local_addr("0.0.0.0:0")?
            .join_multicast_v4(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST);
        assert_eq!(endpoint.create(super::Note::new).unwrap_err().kind(), ErrorKind::Io);
        Ok(())
    });
}
