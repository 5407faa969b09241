//! Whether a silent peer is still there.
//!
//! A process that is killed says nothing over UDP, and its system speaks up only when somebody sends to the closed port: with an
//! ICMP message that sockets of many peers, as ours, are not told of. So when nothing that was sent is answered, a peer in our own
//! network is knocked at: one byte from a socket that is connected to it, and is told. QUIC ignores the byte. Whoever is behind
//! more than a switch is not knocked at: a router may close doors in a peer's name, and the idle time-out has the last word.
use peerage_core::Bound;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

pub(crate) const KNOCKS: Bound = Bound {
    name: "quic.knocks",
    default: 32,
    unit: "silent peers knocked at, at once",
    policy: "wait: the idle time-out ends the others",
};

#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Packets that had come when the peer was last suspected.
    received: u64,
    knock: Option<Knock>,
}

#[derive(Debug)]
struct Knock {
    socket: UdpSocket,
    all: Arc<AtomicU64>,
}
impl Drop for Knock {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Relaxed);
    }
}

impl Presence {
    /// What was sent is not answered. `received`: how many packets have come in all.
    pub(super) fn on_silence(&mut self, received: u64, remote: SocketAddr, all: &Arc<AtomicU64>) {
        // Something came: whoever only acknowledges is not answered, and well.
        if std::mem::replace(&mut self.received, received) != received || !is_near(remote.ip()) {
            self.knock = None;
            return;
        }
        if self.knock.take().is_none() && all.load(Relaxed) >= KNOCKS.default {
            return;
        }
        all.fetch_add(1, Relaxed);
        match knock(remote) {
            Ok(socket) => self.knock = Some(Knock { socket, all: all.clone() }),
            Err(_) => {
                all.fetch_sub(1, Relaxed);
            }
        }
    }
    /// An answer is waited for.
    pub(super) fn knocks(&self) -> bool {
        self.knock.is_some()
    }
    /// Whether the answer is that nobody is there any more.
    pub(super) fn is_gone(&mut self, received: impl FnOnce() -> u64) -> bool {
        let Some(knock) = &self.knock else { return false };
        let Ok(Some(error)) = knock.socket.take_error() else { return false };
        self.knock = None;
        error.kind() == io::ErrorKind::ConnectionRefused && received() == self.received
    }
}

fn knock(at: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if at.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(at)?;
    socket.send(&[0])?; // Neither header of QUIC version 1: "The next bit (0x40) of byte 0 is set to 1".
    Ok(socket)
}

fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_gone(presence: &mut Presence, received: u64) -> bool {
        (0..50).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(2));
            presence.is_gone(|| received)
        })
    }

    #[test]
    fn a_closed_port_is_told_from_one_that_is_silent() {
        let all = Arc::new(AtomicU64::new(0));
        let open = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = open.local_addr().unwrap();
        let mut presence = Presence::default();
        presence.on_silence(3, at, &all);
        assert!(!is_gone(&mut presence, 3), "three packets have come since it was last asked");
        presence.on_silence(3, at, &all);
        assert!(!is_gone(&mut presence, 3), "somebody has the port");
        drop(open);
        presence.on_silence(3, at, &all);
        assert!(!is_gone(&mut presence, 4), "something came after all");
        presence.on_silence(3, at, &all);
        assert!(is_gone(&mut presence, 3));
        assert_eq!(all.load(Relaxed), 0);
    }

    #[test]
    fn nobody_far_away_is_knocked_at() {
        let all = Arc::new(AtomicU64::new(0));
        let mut presence = Presence::default();
        for _ in 0..2 {
            presence.on_silence(1, "192.0.2.1:9".parse().unwrap(), &all);
        }
        assert!(presence.knock.is_none());
    }
}
