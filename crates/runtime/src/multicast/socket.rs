use super::{DATAGRAM, OVERSIZED};
use bytes::{Bytes, BytesMut};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    task::{Context, Poll, ready},
};
use tokio::{net::UdpSocket, runtime::Handle};

/// A socket that sends to and hears `group` on one interface.
pub(super) fn join(
    group: SocketAddr,
    interface: u32,
    source: Option<Ipv4Addr>,
    handle: &Handle,
) -> io::Result<UdpSocket> {
    let socket = match group {
        SocketAddr::V4(group) => join_v4(group, interface, source)?,
        SocketAddr::V6(group) => join_v6(group, interface)?,
    };
    let _inside = handle.enter();
    UdpSocket::from_std(socket.into())
}

fn join_v4(group: SocketAddrV4, interface: u32, source: Option<Ipv4Addr>) -> io::Result<Socket> {
    let socket = shared(Domain::IPV4)?;
    // Otherwise Linux hands every datagram of the group to every socket bound to it, whatever the interface.
    #[cfg(target_os = "linux")]
    socket.set_multicast_all_v4(false)?;
    socket.bind(&SocketAddr::V4(group).into())?;
    socket.join_multicast_v4_n(group.ip(), &InterfaceIndexOrAddress::Index(interface))?;
    send_on_v4(&socket, group, interface, source)?;
    socket.set_multicast_loop_v4(true)?;
    socket.set_multicast_ttl_v4(255)?; // RFC 6762, 11: "SHOULD be sent with IP TTL set to 255"
    socket.set_ttl_v4(255)?;
    Ok(socket)
}

/// By number: several interfaces may have the same address, and an address may go.
#[cfg(unix)]
fn send_on_v4(
    socket: &Socket,
    group: SocketAddrV4,
    interface: u32,
    source: Option<Ipv4Addr>,
) -> io::Result<()> {
    let source = source.unwrap_or(Ipv4Addr::UNSPECIFIED);
    Ok(rustix::net::sockopt::set_ip_multicast_if_with_ifindex(socket, group.ip(), &source, interface)?)
}
#[cfg(not(unix))]
fn send_on_v4(socket: &Socket, _: SocketAddrV4, interface: u32, _: Option<Ipv4Addr>) -> io::Result<()> {
    // Windows takes 0.x.y.z for an interface's number.
    socket.set_multicast_if_v4(&interface.into())
}

fn join_v6(group: SocketAddrV6, interface: u32) -> io::Result<Socket> {
    let socket = shared(Domain::IPV6)?;
    socket.set_only_v6(true)?;
    #[cfg(target_os = "linux")]
    socket.set_multicast_all_v6(false)?;
    // The scope binds the socket to its interface: IPV6_MULTICAST_ALL alone looks at the group only.
    let bound = SocketAddrV6::new(*group.ip(), group.port(), 0, interface);
    socket.bind(&SocketAddr::V6(bound).into())?;
    socket.join_multicast_v6(group.ip(), interface)?;
    socket.set_multicast_if_v6(interface)?;
    socket.set_multicast_loop_v6(true)?;
    socket.set_multicast_hops_v6(255)?;
    socket.set_unicast_hops_v6(255)?;
    Ok(socket)
}

/// The port is shared with every other responder of this machine.
fn shared(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    // Linux needs no more, and with SO_REUSEPORT it hands a datagram that only one socket is waiting for to any socket
    // of the group, whatever its interface (seen on 6.18: early demultiplexing, then the group's hash).
    #[cfg(all(unix, not(any(target_os = "linux", target_os = "solaris", target_os = "illumos"))))]
    socket.set_reuse_port(true)?;
    Ok(socket)
}

/// The next datagram that is not too long.
pub(super) fn poll_recv(
    socket: &UdpSocket,
    buffer: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<(SocketAddr, Bytes)>> {
    for _ in 0..OVERSIZED.get() {
        ready!(socket.poll_recv_ready(cx))?;
        buffer.clear();
        match socket.try_recv_buf_from(buffer) {
            // Copied, so that a short datagram that is kept does not keep the buffer.
            Ok((n, from)) if n <= DATAGRAM.get() => {
                return Poll::Ready(Ok((from, Bytes::copy_from_slice(buffer))));
            }
            Ok((_, from)) => tracing::trace!(%from, "a datagram that is too long"),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}
