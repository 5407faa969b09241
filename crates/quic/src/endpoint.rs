//! One UDP socket and the connections on it, ours and those of peers who dial us.
use crate::{Config, socket};
use quinn::TokioRuntime;
use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
};
use tokio::runtime::Handle;

#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) quinn: quinn::Endpoint,
    pub(crate) local: SocketAddr,
    socket: UdpSocket,
    handle: Handle,
}

impl Endpoint {
    /// `listens`: takes connections of others too.
    pub(crate) fn bind(
        wished: SocketAddr,
        listens: bool,
        config: &Config,
        handle: &Handle,
    ) -> io::Result<Self> {
        let server = listens.then(|| config.server()).transpose()?;
        let socket = socket::bind(wished)?;
        let local = socket.local_addr()?;
        let quinn = {
            let _inside = handle.enter();
            quinn::Endpoint::new(config.endpoint(), server, socket.try_clone()?, Arc::new(TokioRuntime))?
        };
        Ok(Self { quinn, local, socket, handle: handle.clone() })
    }
    /// Whether a dial to this address can leave from here.
    pub(crate) fn reaches(&self, to: IpAddr) -> bool {
        self.local.is_ipv4() == to.is_ipv4()
            && (self.local.ip().is_unspecified() || self.local.ip().is_loopback() == to.is_loopback())
    }
    /// The addresses of this machine have changed: peers hear from the new one at once instead of when there is something to say,
    /// and no packets link the two (RFC 9000, 9.5).
    pub(crate) fn on_new_addresses(&self) {
        if !self.local.ip().is_unspecified() || self.quinn.open_connections() == 0 {
            return;
        }
        let _inside = self.handle.enter();
        // The same socket once more: it has no address of its own, so it sends from whichever there is.
        if let Err(error) = self.socket.try_clone().and_then(|socket| self.quinn.rebind(socket)) {
            tracing::debug!(local = %self.local, %error, "connections were not told of new addresses");
        }
    }
    /// Takes no more connections; those there are go on.
    pub(crate) fn stop_listening(&self) {
        self.quinn.set_server_config(None);
    }
}
