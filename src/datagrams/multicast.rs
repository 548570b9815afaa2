//! What a socket is told of multicast groups.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use socket2::{Domain, Socket};

/// Options that are set if they are given.
#[derive(Clone, Debug, Default)]
pub(super) struct Multicast {
    pub(super) groups_v4: Vec<(Ipv4Addr, Ipv4Addr)>,
    pub(super) groups_v6: Vec<(Ipv6Addr, u32)>,
    pub(super) ttl: Option<u32>,
    pub(super) looped: Option<bool>,
    pub(super) interface_v4: Option<Ipv4Addr>,
    pub(super) interface_v6: Option<u32>,
}

impl Multicast {
    /// Sets those of the socket's family.
    pub(super) fn apply(&self, socket: &Socket) -> io::Result<()> {
        let domain = socket.domain()?;
        if domain == Domain::IPV4 {
            self.apply_v4(socket)
        } else if domain == Domain::IPV6 {
            self.apply_v6(socket)
        } else {
            Ok(())
        }
    }

    fn apply_v4(&self, socket: &Socket) -> io::Result<()> {
        if let Some(interface) = &self.interface_v4 {
            socket.set_multicast_if_v4(interface)?;
        }
        if let Some(ttl) = self.ttl {
            socket.set_multicast_ttl_v4(ttl)?;
        }
        if let Some(looped) = self.looped {
            socket.set_multicast_loop_v4(looped)?;
        }
        self.groups_v4.iter().try_for_each(|(group, at)| socket.join_multicast_v4(group, at))
    }

    fn apply_v6(&self, socket: &Socket) -> io::Result<()> {
        if let Some(interface) = self.interface_v6 {
            socket.set_multicast_if_v6(interface)?;
        }
        if let Some(hops) = self.ttl {
            socket.set_multicast_hops_v6(hops)?;
        }
        if let Some(looped) = self.looped {
            socket.set_multicast_loop_v6(looped)?;
        }
        self.groups_v6.iter().try_for_each(|(group, at)| socket.join_multicast_v6(group, *at))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use socket2::{Domain, Socket, Type};

    use super::Multicast;

    /// The loopback interface's number.
    const LOOPBACK: u32 = 1;

    /// On a loopback interface nothing shows whether these are heeded.
    #[test]
    fn options_reach_the_system() {
        let options = Multicast {
            groups_v4: vec![(Ipv4Addr::new(239, 255, 83, 3), Ipv4Addr::LOCALHOST)],
            groups_v6: vec![(Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 0x8301), LOOPBACK)],
            ttl: Some(7),
            looped: Some(false),
            interface_v4: Some(Ipv4Addr::LOCALHOST),
            interface_v6: Some(LOOPBACK),
        };
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        assert!(socket.multicast_loop_v4().expect("an option"));
        options.apply(&socket).expect("the loopback interface has them");
        assert_eq!(socket.multicast_ttl_v4().expect("an option"), 7);
        assert!(!socket.multicast_loop_v4().expect("an option"));
        assert_eq!(socket.multicast_if_v4().expect("an option"), Ipv4Addr::LOCALHOST);
        let again = options.apply(&socket).expect_err("it is a member already");
        assert_eq!(again.kind(), std::io::ErrorKind::AddrInUse);

        // Some machines have no IPv6.
        let Ok(socket) = Socket::new(Domain::IPV6, Type::DGRAM, None) else { return };
        options.apply(&socket).expect("the loopback interface has them");
        assert_eq!(socket.multicast_hops_v6().expect("an option"), 7);
        assert!(!socket.multicast_loop_v6().expect("an option"));
        assert_eq!(socket.multicast_if_v6().expect("an option"), LOOPBACK);
        let again = options.apply(&socket).expect_err("it is a member already");
        assert_eq!(again.kind(), std::io::ErrorKind::AddrInUse);
    }
}
