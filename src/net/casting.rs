//! UDP to many: multicast and broadcast, and how far datagrams go.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use socket2::SockRef;

use super::udp::UdpSocket;

/// Options that can be changed at any time. An address of the interface, or its index,
/// says which one; the unspecified address and zero leave it to the system.
impl UdpSocket {
    fn socket(&self) -> &std::net::UdpSocket {
        self.0.socket()
    }

    /// Whether datagrams may go to a broadcast address.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.socket().set_broadcast(broadcast)
    }

    /// Whether datagrams may go to a broadcast address.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.socket().broadcast()
    }

    /// Over how many routers a datagram may go (`IP_TTL`); multicast has a number of its
    /// own.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket().set_ttl(ttl)
    }

    /// Over how many routers a datagram may go.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket().ttl()
    }

    /// Receives what is sent to a group of IPv4, on the interface that has that address.
    /// The socket has to be bound to the port of the group; several can be, if all were
    /// made with [`reuse_address`](super::SocketBuilder::reuse_address).
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use stackio::net::UdpSocket;
    ///
    /// stackio::run(|| {
    ///     let socket = UdpSocket::bind("0.0.0.0:0")?;
    ///     let group = Ipv4Addr::new(239, 255, 7, 7);
    ///     socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
    ///     socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
    ///     socket.send_to(b"to all", (group, socket.local_addr()?.port()))?;
    ///     assert_eq!(socket.recv(&mut [0; 16])?, 6);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.socket().join_multicast_v4(group, interface)
    }

    /// Leaves a group of IPv4.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if it was not in the group.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.socket().leave_multicast_v4(group, interface)
    }

    /// Receives what is sent to a group of IPv6, on the interface of that index.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket().join_multicast_v6(group, interface)
    }

    /// Leaves a group of IPv6.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if it was not in the group.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket().leave_multicast_v6(group, interface)
    }

    /// Over which interface datagrams to groups of IPv4 leave.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if no interface has that address.
    pub fn set_multicast_if_v4(&self, interface: &Ipv4Addr) -> io::Result<()> {
        SockRef::from(self).set_multicast_if_v4(interface)
    }

    /// Over which interface datagrams to groups of IPv6 leave.
    ///
    /// # Errors
    ///
    /// Those of the system, if there is no such interface.
    pub fn set_multicast_if_v6(&self, interface: u32) -> io::Result<()> {
        SockRef::from(self).set_multicast_if_v6(interface)
    }

    /// Whether what is sent to a group of IPv4 comes back to sockets of this machine;
    /// it does at first.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_multicast_loop_v4(&self, back: bool) -> io::Result<()> {
        self.socket().set_multicast_loop_v4(back)
    }

    /// Whether what is sent to a group of IPv4 comes back to sockets of this machine.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.socket().multicast_loop_v4()
    }

    /// Whether what is sent to a group of IPv6 comes back to sockets of this machine;
    /// it does at first.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_multicast_loop_v6(&self, back: bool) -> io::Result<()> {
        self.socket().set_multicast_loop_v6(back)
    }

    /// Whether what is sent to a group of IPv6 comes back to sockets of this machine.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.socket().multicast_loop_v6()
    }

    /// Over how many routers a datagram to a group of IPv4 may go; at first it stays in
    /// its network, which is 1.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.socket().set_multicast_ttl_v4(ttl)
    }

    /// Over how many routers a datagram to a group of IPv4 may go.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.socket().multicast_ttl_v4()
    }

    /// Over how many routers a datagram to a group of IPv6 may go.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_multicast_hops_v6(&self, hops: u32) -> io::Result<()> {
        SockRef::from(self).set_multicast_hops_v6(hops)
    }

    /// Over how many routers a datagram to a group of IPv6 may go.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn multicast_hops_v6(&self) -> io::Result<u32> {
        SockRef::from(self).multicast_hops_v6()
    }
}
