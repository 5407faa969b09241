use peerage_core::Bound;
use socket2::{Domain, SockRef};
use std::{fmt::Debug, io};

pub(crate) const BACKLOG: Bound = Bound {
    name: "tcp.backlog",
    default: 1024,
    unit: "connections not yet accepted per listener",
    policy: "drop: the system ignores further SYNs, and the peer tries again",
};

/// What lies unsent in the system delays whatever is written later: a small message behind bulk, and the other connections
/// while the system sends megabytes at one go. Measured over loopback, beside a connection under full load: 650 us instead
/// of 410 for the slowest of a hundred round trips without it, and no less throughput.
pub(crate) const UNSENT: Bound = Bound {
    name: "tcp.unsent",
    default: 256 << 10,
    unit: "bytes per connection that the system holds and has not begun to send; on Linux and Android",
    policy: "wait: the writer is not ready",
};

/// How sockets are set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub(crate) ttl: Option<u32>,
    pub(crate) nodelay: bool,
    pub(crate) backlog: u32,
}

impl Config {
    /// `TCP_NODELAY`, a backlog of 1,024, the system's time to live.
    pub fn new() -> Self {
        Self { ttl: None, nodelay: true, backlog: BACKLOG.default as u32 }
    }
    /// Hops a packet may take. Default: the system's.
    #[must_use]
    pub fn ttl(self, value: u32) -> Self {
        Self { ttl: Some(value), ..self }
    }
    /// Whether small writes leave at once. Default: yes; without it, handshakes wait for delayed acknowledgements.
    #[must_use]
    pub fn nodelay(self, value: bool) -> Self {
        Self { nodelay: value, ..self }
    }
    /// Connections the system holds until they are accepted. Default: 1,024, or less if the system says so.
    #[must_use]
    pub fn listen_backlog(self, backlog: u32) -> Self {
        Self { backlog, ..self }
    }

    /// Before a socket listens, or once it is connected.
    pub(crate) fn apply(&self, socket: &SockRef<'_>, domain: Domain) -> io::Result<()> {
        if let Some(ttl) = self.ttl {
            match domain {
                Domain::IPV6 => socket.set_unicast_hops_v6(ttl)?,
                _ => socket.set_ttl_v4(ttl)?,
            }
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket.set_tcp_notsent_lowat(UNSENT.default as u32)?;
        socket.set_tcp_nodelay(self.nodelay)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_socket_holds_little_that_is_unsent() {
        let socket = socket2::Socket::new(Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        Config::new().apply(&SockRef::from(&socket), Domain::IPV4).unwrap();
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT.get() as u32);
        assert!(socket.tcp_nodelay().unwrap());
    }
}
