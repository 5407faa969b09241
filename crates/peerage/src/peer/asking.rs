//! Requests of ours: typed at the edge, bytes in the swarm.
use super::{Peer, error::RequestError, gate::Pass, lan::Lan, router::Router};
use bytes::Bytes;
use futures::channel::oneshot;
use peerage_core::{PeerId, StreamProtocol};
use peerage_request_response::{Ask, Limits, cbor};
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
pub(super) type Answer = Result<Bytes, RequestError>;

/// A caller that waits, and the room its request takes until it has ended.
pub(super) struct Caller {
    reply: oneshot::Sender<Answer>,
    _pass: Pass,
}
impl Caller {
    pub(super) fn new(reply: oneshot::Sender<Answer>, pass: Pass) -> Self {
        Self { reply, _pass: pass }
    }
    pub(super) fn answer(self, answer: Answer) {
        let _ = self.reply.send(answer); // Whoever gave up does not wait.
    }
    pub(super) fn gave_up(&self) -> bool {
        self.reply.is_canceled()
    }
}

impl Peer {
    /// Asks somebody, connected or not, and waits for the answer: CBOR both ways, as rust-libp2p's `cbor` behaviours speak it.
    /// A request may have 1 MiB, a response 10 MiB, and all of it may take 10 s.
    ///
    /// When 12,288 requests of ours, or 64 MiB of them, have not ended, or half of that to this peer, this one waits for room first, and is
    /// written only then. Dropping the call gives the request up.
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
        let write = || cbor::encode(request).map_err(RequestError::Encoding);
        let (body, pass) = self.shared.gate.enter(to, write).await?;
        let ask = Ask::new(body).with(protocol).limits(limits);
        let response = self.ask(to, ask, pass).await?;
        cbor::decode(&response).map_err(RequestError::Decoding)
    }
    /// Bytes both ways. No `async fn`: what is asked goes to the swarm, and is no part of what waits.
    fn ask(&self, to: PeerId, ask: Ask<Bytes>, pass: Pass) -> impl Future<Output = Answer> + Send {
        let (handle, router) = (&self.shared.handle, &self.shared.router);
        let (reply, answer) = oneshot::channel();
        let (routes, caller) = (router.clone(), Caller::new(reply, pass));
        let posted = handle.post(move |swarm| hand_over(swarm, &routes, to, ask, caller));
        async move {
            posted.await?;
            let mut given_up = GivenUp { handle, router, armed: true };
            let answer = answer.await;
            given_up.armed = false;
            match answer {
                Ok(answer) => answer,
                Err(oneshot::Canceled) => Err(handle.ended().await.into()),
            }
        }
    }
}

fn hand_over(swarm: &mut Swarm<Lan>, router: &Router, to: PeerId, ask: Ask<Bytes>, caller: Caller) {
    if caller.gave_up() {
        return;
    }
    match swarm.behaviour_mut().ask(to, ask) {
        Ok(id) => router.lock().asked(id, caller),
        Err(error) => caller.answer(Err(error.into())),
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
