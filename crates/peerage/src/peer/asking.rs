//! Requests of ours: typed at the edge, bytes in the swarm.
use super::{Peer, error::RequestError, lan::Lan, router::Router};
use bytes::Bytes;
use futures::channel::oneshot;
use peerage_core::{PeerId, StreamProtocol};
use peerage_request_response::{Ask, Limits, NotAsked, cbor};
use peerage_swarm::{Handle, Swarm};
use serde::{Serialize, de::DeserializeOwned};

/// A protocol's name, in whatever form it is at hand.
pub trait ToProtocol {
    /// The name.
    ///
    /// # Errors
    /// If it does not start with `/`.
    fn to_protocol(self) -> Result<StreamProtocol, peerage_core::InvalidProtocol>;
}
impl ToProtocol for StreamProtocol {
    fn to_protocol(self) -> Result<StreamProtocol, peerage_core::InvalidProtocol> {
        Ok(self)
    }
}
impl ToProtocol for &'static str {
    fn to_protocol(self) -> Result<StreamProtocol, peerage_core::InvalidProtocol> {
        match self.starts_with('/') {
            true => Ok(StreamProtocol::new(self)), // Which allocates nothing.
            false => StreamProtocol::try_from_owned(self.to_owned()),
        }
    }
}
impl ToProtocol for String {
    fn to_protocol(self) -> Result<StreamProtocol, peerage_core::InvalidProtocol> {
        StreamProtocol::try_from_owned(self)
    }
}

/// What a caller hears of its request.
pub(super) enum Answer {
    Response(Bytes),
    Failed(RequestError),
    /// There was no room; now there is. The request, as it was.
    Again(Bytes),
}

impl Peer {
    /// Asks somebody, connected or not, and waits for the answer: CBOR both ways, as rust-libp2p's `cbor` behaviours speak it.
    /// A request may have 1 MiB, a response 10 MiB, and all of it may take 10 s.
    ///
    /// When too many requests wait already, this one waits for room first. Dropping the call gives the request up.
    ///
    /// # Errors
    /// If there is no answer: why, and which limit it was.
    pub async fn request<R: DeserializeOwned>(
        &self,
        to: PeerId,
        protocol: impl ToProtocol,
        request: &(impl Serialize + ?Sized),
    ) -> Result<R, RequestError> {
        self.request_within(to, protocol, request, Limits::default()).await
    }
    /// The same, with limits of its own.
    ///
    /// # Errors
    /// If there is no answer: why, and which limit it was.
    pub async fn request_within<R: DeserializeOwned>(
        &self,
        to: PeerId,
        protocol: impl ToProtocol,
        request: &(impl Serialize + ?Sized),
        limits: Limits,
    ) -> Result<R, RequestError> {
        let protocol = protocol.to_protocol()?;
        let body = cbor::encode(request).map_err(RequestError::Encoding)?;
        let response = self.ask(to, protocol, body, limits).await?;
        cbor::decode(&response).map_err(RequestError::Decoding)
    }
    /// Bytes both ways.
    async fn ask(
        &self,
        to: PeerId,
        protocol: StreamProtocol,
        mut body: Bytes,
        limits: Limits,
    ) -> Result<Bytes, RequestError> {
        loop {
            let (reply, answer) = oneshot::channel();
            let ask = Ask::new(body).with(protocol.clone()).limits(limits);
            let router = self.router.clone();
            self.handle.post(move |swarm| hand_over(swarm, &router, to, ask, reply)).await?;
            let mut given_up = GivenUp { handle: &self.handle, router: &self.router, armed: true };
            let answer = answer.await;
            given_up.armed = false;
            match answer {
                Ok(Answer::Response(body)) => return Ok(body),
                Ok(Answer::Failed(error)) => return Err(error),
                Ok(Answer::Again(again)) => body = again,
                Err(oneshot::Canceled) => return Err(self.handle.ended().await.into()),
            }
        }
    }
}

fn hand_over(
    swarm: &mut Swarm<Lan>,
    router: &Router,
    to: PeerId,
    ask: Ask<Bytes>,
    reply: oneshot::Sender<Answer>,
) {
    if reply.is_canceled() {
        return;
    }
    let lan = swarm.behaviour_mut();
    // Kept only if it has to wait: it would cost every request an allocation.
    let kept = (!lan.has_room(ask.request.len())).then(|| ask.request.clone());
    match (lan.ask(to, ask), kept) {
        (Ok(id), _) => router.lock().asked(id, reply),
        (Err(NotAsked::QueueFull { .. }), Some(body)) => router.lock().wait_for_room(body, reply),
        (Err(error), _) => {
            let _ = reply.send(Answer::Failed(error.into())); // Whoever gave up does not wait.
        }
    }
}

/// Gives a request up whose caller does not wait for it any more.
struct GivenUp<'a> {
    handle: &'a Handle<Lan>,
    router: &'a Router,
    armed: bool,
}
impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if self.armed {
            let router = self.router.clone();
            self.handle.tell(move |lan| {
                let given_up = router.lock().given_up();
                given_up.into_iter().for_each(|id| lan.give_up(id));
            });
        }
    }
}
