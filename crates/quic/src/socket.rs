//! UDP sockets: bound as a listener or a dialer needs them, with buffers that hold what comes while the task does not run.
use peerage_core::Bound;
use socket2::{Domain, Protocol, Type};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Once,
};

/// At a gigabyte a second this is 4 ms; what does not fit is lost, and sent again.
pub(crate) const BUFFER: Bound = Bound {
    name: "quic.socket_buffer",
    default: 4 << 20,
    unit: "bytes asked of the system for a socket, in each direction",
    policy: "drop: the peer sends it again",
};

pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    // Not SO_REUSEADDR: on UDP it lets two programs have one port, and each gets some of the packets.
    size(&socket);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// What the system grants, it grants silently; too little costs losses that look like the network's.
fn size(socket: &socket2::Socket) {
    let wanted = BUFFER.get();
    let _ = (socket.set_recv_buffer_size(wanted), socket.set_send_buffer_size(wanted));
    // Linux says twice what may be used, for what it keeps beside the bytes.
    let usable = |size: io::Result<usize>| {
        size.map_or(wanted, |size| if cfg!(target_os = "linux") { size / 2 } else { size })
    };
    let (received, sent) = (usable(socket.recv_buffer_size()), usable(socket.send_buffer_size()));
    if received >= wanted && sent >= wanted {
        return;
    }
    static TOLD: Once = Once::new();
    TOLD.call_once(|| tracing::info!("{}", hint(received, sent)));
}

fn hint(received: usize, sent: usize) -> String {
    let wanted = BUFFER.get();
    let kib = |bytes: usize| bytes >> 10;
    let mut text = format!(
        "UDP buffers of {} KiB (receiving) and {} KiB (sending) instead of {} KiB each: fast QUIC connections lose packets",
        kib(received),
        kib(sent),
        kib(wanted),
    );
    if cfg!(target_os = "linux") {
        text +=
            &format!("; raise the limits: sysctl -w net.core.rmem_max={wanted} net.core.wmem_max={wanted}");
    } else if cfg!(any(target_os = "macos", target_os = "freebsd")) {
        text += &format!("; raise the limit: sysctl -w kern.ipc.maxsockbuf={}", wanted * 2);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_says_what_was_got_and_what_to_do() {
        let text = hint(208 << 10, 4 << 20);
        assert!(text.contains("208 KiB (receiving) and 4096 KiB (sending) instead of 4096 KiB"), "{text}");
        #[cfg(target_os = "linux")]
        assert!(text.contains("sysctl -w net.core.rmem_max=4194304"), "{text}");
    }

    #[test]
    fn one_port_is_had_by_one_program() {
        let one = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = bind(one.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let v6 = bind(SocketAddr::new("::".parse().unwrap(), one.local_addr().unwrap().port()));
        assert!(v6.is_ok(), "IPv6 alone: {v6:?}");
    }
}
