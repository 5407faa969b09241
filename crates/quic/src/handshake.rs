//! From a dial, or an Initial, to a connection with a peer.
use crate::{
    Config,
    admission::{Counters, Pending, count},
    connection::{Connection, Pulse, Windows},
    error,
};
use peerage_core::{ConnectedPoint, PeerId, Raw};
use peerage_identity::PublicKey;
use quinn::{Connecting, Incoming};
use rustls::pki_types::CertificateDer;
use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::runtime::Handle;

/// What every handshake of a transport needs.
#[derive(Clone)]
pub(crate) struct Making {
    pub(crate) config: Arc<Config>,
    pub(crate) handle: Handle,
    pub(crate) counters: Arc<Counters>,
}

impl Making {
    pub(crate) async fn dial(
        self,
        from: quinn::Endpoint,
        to: SocketAddr,
        point: ConnectedPoint,
    ) -> io::Result<Raw> {
        count(&self.counters.dialed);
        let made = self.try_dial(&from, to, point).await;
        if made.is_err() {
            count(&self.counters.dials_failed);
        }
        made
    }
    async fn try_dial(
        &self,
        from: &quinn::Endpoint,
        to: SocketAddr,
        point: ConnectedPoint,
    ) -> io::Result<Raw> {
        let pulse = Pulse::new();
        let config = self.config.client(&pulse)?;
        let connecting = {
            let _inside = self.handle.enter();
            // "clients MUST NOT send any value in the Server Name Indication": it is not sent, but must be one.
            from.connect_with(config, to, "libp2p").map_err(|error| error::connect(&error))?
        };
        self.finish(connecting, pulse, point).await
    }

    /// `pending` counts it as under way.
    pub(crate) async fn accept(
        self,
        incoming: Incoming,
        mut pending: Pending,
        point: ConnectedPoint,
    ) -> io::Result<Raw> {
        let pulse = Pulse::new();
        let mut config = self.config.server()?;
        config.transport_config(Arc::new(self.config.transport(&pulse)));
        let connecting = {
            let _inside = self.handle.enter();
            incoming.accept_with(Arc::new(config))
        };
        let timeout = self.config.handshake_timeout;
        let connecting = connecting.map_err(|error| error::handshake(error, timeout))?;
        let raw = self.finish(connecting, pulse, point).await?;
        pending.done = true;
        Ok(raw)
    }

    async fn finish(
        &self,
        connecting: Connecting,
        pulse: Arc<Pulse>,
        point: ConnectedPoint,
    ) -> io::Result<Raw> {
        let timeout = self.config.handshake_timeout;
        let mut connecting = connecting;
        let late = {
            let _inside = self.handle.enter();
            tokio::time::sleep(timeout)
        };
        let mut late = pin!(late);
        let made = std::future::poll_fn(|cx| match pin!(&mut connecting).poll(cx) {
            Poll::Ready(made) => Poll::Ready(Some(made)),
            Poll::Pending => late.as_mut().poll(cx).map(|()| None),
        })
        .await;
        let quinn = match made {
            Some(made) => made.map_err(|error| error::handshake(error, timeout))?,
            None => {
                let heard = pin!(connecting.handshake_data()).poll(&mut Context::from_waker(Waker::noop()));
                return Err(error::timed_out(timeout, heard.is_ready()));
            }
        };
        let (key, peer) = identity(&quinn)?;
        let windows =
            Windows::new(self.config.max_stream_data.into(), self.config.max_connection_data.into());
        let (max_streams, handle) = (self.config.max_concurrent_stream_limit, self.handle.clone());
        let streams =
            Connection::new(quinn, pulse, point, max_streams, windows, handle, self.counters.clone());
        Ok(Raw::Native { peer, key, streams: Box::new(streams) })
    }
}

/// Who it is. The certificate was verified in the handshake: it may have expired since, and that is no reason to end anything.
fn identity(quinn: &quinn::Connection) -> io::Result<(PublicKey, PeerId)> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let certificates = quinn
        .peer_identity()
        .and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok())
        .filter(|certificates| certificates.len() == 1);
    let certificate = certificates.as_ref().and_then(|certificates| certificates.first());
    let certificate = certificate.ok_or_else(|| invalid("the peer showed no certificate".to_owned()))?;
    peerage_tls::peer(certificate).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
