use crate::Config;
use socket2::{Domain, Protocol, SockRef, Type};
use std::{io, net::SocketAddr};
use tokio::{net::TcpStream, runtime::Handle};

/// Connects. Nothing happens before it is polled, and it may be polled outside of the runtime.
pub(crate) async fn connect(to: SocketAddr, config: Config, handle: Handle) -> io::Result<TcpStream> {
    let stream = begin(to, &config, &handle)?;
    stream.writable().await?;
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    // Nobody listens, the system gave us the very port we dial, and the socket met itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

fn begin(to: SocketAddr, config: &Config, handle: &Handle) -> io::Result<TcpStream> {
    let domain = Domain::for_address(to);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    #[cfg(unix)] // On Windows it would let others take the port.
    socket.set_reuse_address(true)?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    config.apply(&SockRef::from(&socket), domain)?;
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if is_under_way(&error) => {}
        Err(error) => return Err(error),
    }
    let _inside = handle.enter();
    TcpStream::from_std(socket.into())
}

#[cfg(unix)]
fn is_under_way(error: &io::Error) -> bool {
    // EINPROGRESS: its `ErrorKind` is not stable yet.
    error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}
#[cfg(not(unix))]
fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
