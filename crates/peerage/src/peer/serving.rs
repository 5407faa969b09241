//! Requests of others, and the handlers that answer them.
//!
//! ```text
//!  swarm's task ──► desk of the protocol ──► its task: decodes, polls the handler once ──► answers, many at once
//!                                                └─(it waits for something)──► a task of its own
//! ```
use super::{
    Peer,
    asking::ToProtocol,
    error::{Refusal, ServeError},
    event::PeerEvent,
    lan::Lan,
    router::Router,
};
use bytes::Bytes;
use futures::{
    FutureExt,
    future::{AbortHandle, Abortable, CatchUnwind},
};
use peerage_core::{Bound, Code, PeerId, Runtime, StreamProtocol, Table};
use peerage_request_response::{InboundRequestId, Service, cbor};
use peerage_swarm::WeakHandle;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    any::Any,
    collections::VecDeque,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Handlers that run at once.
pub(super) const HANDLERS: Bound = Bound {
    name: "peer.handlers",
    default: 256,
    unit: "handlers of a protocol that run at once",
    policy: "wait: requests stay at the desk",
};
/// Requests that wait for a handler, besides what their streams hold back: see `request.streams`.
pub(super) const DESK: Bound = Bound {
    name: "peer.desk",
    default: 1_024,
    unit: "requests of a protocol that wait for a handler",
    policy: "reset: RESOURCE_LIMIT",
};
/// The same in bytes.
pub(super) const DESK_BYTES: Bound = Bound {
    name: "peer.desk_bytes",
    default: 64 << 20,
    unit: "bytes of requests of a protocol that wait for a handler",
    policy: "reset: RESOURCE_LIMIT",
};

impl Peer {
    /// Answers requests of a protocol from now on: CBOR both ways, as rust-libp2p's `cbor` behaviours speak it. The name may have
    /// limits: a `Service`, otherwise a request may have 1 MiB, a response 10 MiB, and all of it may take 10 s.
    ///
    /// At most 256 handlers run at once; 1,024 further requests wait. A handler that fails resets its stream with the code
    /// of the [`Refusal`]; one that panics, or takes too long, does so too, and [`PeerEvent::NotAnswered`] says so. Handlers must not
    /// block: work that takes long belongs on a thread (`tokio::task::spawn_blocking`).
    ///
    /// # Errors
    /// If the protocol is served already; if its name does not start with `/`; if the peer has ended.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(peer: peerage::Peer, ben: peerage::PeerId) -> Result<(), Box<dyn std::error::Error>> {
    /// use peerage::{PeerId, peer::Refusal};
    ///
    /// async fn greet(from: PeerId, name: String) -> Result<String, Refusal> {
    ///     Ok(format!("hello {name}, you are {from}"))
    /// }
    /// peer.serve("/greet/1", greet).await?;
    /// let answer: String = peer.request(ben, "/greet/1", "ana").await?;
    /// # Ok(()) }
    /// ```
    pub async fn serve<Q, R, F, Fut>(&self, protocol: impl ToService, handler: F) -> Result<(), ServeError>
    where
        Q: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
        F: Fn(PeerId, Q) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Refusal>> + Send + 'static,
    {
        let service = protocol.to_service()?;
        let protocol = service.name.clone();
        let handle = move |from: PeerId, body: Bytes| {
            let answer = cbor::decode(&body).map(|request: Q| handler(from, request));
            async move { cbor::encode(&answer.map_err(Refusal::invalid)?.await?).map_err(Refusal::new) }
        };
        let (router, desk) = (self.shared.router.clone(), Arc::<Desk>::default());
        let (ours, name) = (desk.clone(), protocol.clone());
        let served = self.shared.handle.with(move |lan| {
            if !router.lock().serve(name, ours) {
                return Err(ServeError::Served);
            }
            lan.serve(service);
            Ok(())
        });
        served.await??;
        let clerk = Clerk {
            desk,
            protocol,
            swarm: self.shared.handle.downgrade(),
            router: self.shared.router.clone(),
            runtime: self.shared.handle.runtime().clone(),
        };
        let runtime = clerk.runtime.clone();
        runtime.spawn(clerk.work(handle).boxed());
        Ok(())
    }
    /// Answers requests of a protocol no more; those at its desk are given up. `false`: it was not served.
    ///
    /// # Errors
    /// If the name does not start with `/`; if the peer has ended.
    pub async fn unserve(&self, protocol: impl ToProtocol) -> Result<bool, ServeError> {
        let (protocol, router) = (protocol.to_protocol()?, self.shared.router.clone());
        let unserved = self.shared.handle.with(move |lan| {
            let Some(desk) = router.lock().unserve(&protocol) else { return false };
            lan.unserve(&protocol);
            for left in desk.close() {
                lan.answer(left, Err(Code::RESOURCE_LIMIT));
            }
            true
        });
        Ok(unserved.await?)
    }
}

/// A protocol to serve: its name, or a [`Service`] with limits of its own.
pub trait ToService {
    /// The service.
    ///
    /// # Errors
    /// If the name does not start with `/`.
    fn to_service(self) -> Result<Service, peerage_core::InvalidProtocol>;
}
impl ToService for Service {
    fn to_service(self) -> Result<Service, peerage_core::InvalidProtocol> {
        Ok(self)
    }
}
impl<P: ToProtocol> ToService for P {
    fn to_service(self) -> Result<Service, peerage_core::InvalidProtocol> {
        self.to_protocol().map(Service::new)
    }
}

/// What a handler came to.
type Outcome = Result<Bytes, Refusal>;

/// Requests of one protocol, between the swarm's task and the handlers.
#[derive(Default)]
pub(super) struct Desk(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    requests: VecDeque<(PeerId, InboundRequestId, Bytes)>,
    bytes: usize,
    /// Taken and not answered; those that wait for something can be aborted.
    running: Table<InboundRequestId, Option<AbortHandle>>,
    clerk: Option<Waker>,
    closed: bool,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// `false`: it is full, or closed.
    pub(super) fn put(&self, from: PeerId, id: InboundRequestId, body: Bytes) -> bool {
        let mut waiting = self.lock();
        let bytes = waiting.bytes.saturating_add(body.len());
        let is_full = waiting.requests.len() >= DESK.get() || bytes > DESK_BYTES.get();
        if waiting.closed || (is_full && !waiting.requests.is_empty()) {
            return false;
        }
        waiting.bytes = bytes;
        waiting.requests.push_back((from, id, body));
        waiting.wake();
        true
    }
    /// The request has ended without us: its time was over, or its connection. Whether it was ours.
    pub(super) fn forget(&self, id: InboundRequestId) -> bool {
        let mut waiting = self.lock();
        if let Some(handler) = waiting.running.remove(&id) {
            if let Some(handler) = handler {
                handler.abort();
            }
            waiting.wake();
            true
        } else if let Some(at) = waiting.requests.iter().position(|(_, other, _)| *other == id)
            && let Some((_, _, body)) = waiting.requests.remove(at)
        {
            waiting.bytes = waiting.bytes.saturating_sub(body.len());
            true
        } else {
            false
        }
    }
    /// A handler waits for something. `false`: its request has ended already.
    fn runs(&self, id: InboundRequestId, handler: AbortHandle) -> bool {
        match self.lock().running.get_mut(&id) {
            Some(running) => {
                *running = Some(handler);
                true
            }
            None => false,
        }
    }
    pub(super) fn done(&self, ids: impl Iterator<Item = InboundRequestId>) {
        let mut waiting = self.lock();
        ids.for_each(|id| drop(waiting.running.remove(&id)));
        waiting.wake();
    }
    /// The peer has ended: nobody waits for an answer any more.
    pub(super) fn abort(&self) {
        self.close();
        let mut waiting = self.lock();
        for (_, handler) in waiting.running.in_any_order() {
            if let Some(handler) = handler {
                handler.abort();
            }
        }
        waiting.running.clear();
    }
    /// Nothing more is taken; what was not yet begun.
    pub(super) fn close(&self) -> Vec<InboundRequestId> {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.bytes = 0;
        waiting.wake();
        waiting.requests.drain(..).map(|(_, id, _)| id).collect()
    }
    /// As many as there are handlers for; `None`: it is closed.
    pub(super) async fn next(&self) -> Option<Vec<(PeerId, InboundRequestId, Bytes)>> {
        poll_fn(|cx| {
            let mut waiting = self.lock();
            if waiting.closed {
                return Poll::Ready(None);
            }
            let free = HANDLERS.get().saturating_sub(waiting.running.len());
            let taken = free.min(waiting.requests.len());
            if taken == 0 {
                waiting.clerk = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let taken: Vec<_> = waiting.requests.drain(..taken).collect();
            let bytes: usize = taken.iter().map(|(_, _, body)| body.len()).sum();
            waiting.bytes = waiting.bytes.saturating_sub(bytes);
            for (_, id, _) in &taken {
                waiting.running.insert(*id, None);
            }
            Poll::Ready(Some(taken))
        })
        .await
    }
}
#[cfg(test)]
impl Desk {
    /// Nobody waits, nothing is being done.
    pub(super) fn is_idle(&self) -> bool {
        let waiting = self.lock();
        waiting.requests.is_empty() && waiting.running.is_empty() && waiting.bytes == 0
    }
}
impl Waiting {
    fn wake(&mut self) {
        if let Some(clerk) = self.clerk.take() {
            clerk.wake();
        }
    }
}

/// Sits at a desk.
#[derive(Clone)]
struct Clerk {
    desk: Arc<Desk>,
    protocol: StreamProtocol,
    swarm: WeakHandle<Lan>,
    router: Router,
    runtime: Arc<dyn Runtime>,
}

/// Where a handler runs; the place is used for the next one, unless this one waits for something.
type Place<F> = Pin<Box<Option<CatchUnwind<AssertUnwindSafe<F>>>>>;
type Panicked = Box<dyn Any + Send>;

fn poll<F: Future>(handling: &mut Place<F>, cx: &mut Context<'_>) -> Poll<Result<F::Output, Panicked>> {
    match handling.as_mut().as_pin_mut() {
        Some(handler) => handler.poll(cx),
        None => Poll::Pending,
    }
}

impl Clerk {
    async fn work<F>(self, handle: impl Fn(PeerId, Bytes) -> F + Send + Sync)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut place: Place<F> = Box::pin(None);
        while let Some(requests) = self.desk.next().await {
            let mut answers = Vec::with_capacity(requests.len());
            for (from, id, body) in requests {
                match catch_unwind(AssertUnwindSafe(|| handle(from, body))) {
                    Ok(future) => place.set(Some(AssertUnwindSafe(future).catch_unwind())),
                    Err(panicked) => {
                        answers.push((id, self.judge(from, Err(panicked))));
                        continue;
                    }
                }
                // Most handlers answer at once, and need no task.
                match poll_fn(|cx| Poll::Ready(poll(&mut place, cx))).await {
                    Poll::Ready(outcome) => {
                        place.set(None);
                        answers.push((id, self.judge(from, outcome)));
                    }
                    Poll::Pending => self.spawn(from, id, std::mem::replace(&mut place, Box::pin(None))),
                }
            }
            self.answer(answers);
        }
    }
    /// It waits for something: others are answered in the meantime.
    fn spawn<F>(&self, from: PeerId, id: InboundRequestId, mut handling: Place<F>)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (abort, registration) = AbortHandle::new_pair();
        if !self.desk.runs(id, abort) {
            return; // It has ended already.
        }
        let clerk = self.clone();
        let task = async move {
            // If it is aborted, the request has ended.
            let handling = poll_fn(move |cx| poll(&mut handling, cx));
            if let Ok(outcome) = Abortable::new(handling, registration).await {
                let answer = clerk.judge(from, outcome);
                clerk.answer(vec![(id, answer)]);
            }
        };
        self.runtime.spawn(task.boxed());
    }
    /// What the peer is told, and what an operator is.
    fn judge(&self, from: PeerId, outcome: Result<Outcome, Panicked>) -> Result<Bytes, Code> {
        let (code, why) = match outcome {
            Ok(Ok(body)) => return Ok(body),
            Ok(Err(Refusal { code, why, is_invalid: false })) => {
                tracing::debug!(protocol = %self.protocol, %from, %code, why, "a handler refused a request");
                return Err(code);
            }
            Ok(Err(Refusal { code, why, .. })) => (code, ("answer.invalid", why)),
            Err(panicked) => {
                let text = panicked.downcast_ref::<&str>().copied();
                let text = text.or_else(|| panicked.downcast_ref::<String>().map(String::as_str));
                let why = format!("the handler panicked: {}", text.unwrap_or("without a message"));
                tracing::error!(protocol = %self.protocol, %from, why, "a handler panicked");
                (Refusal::FAILED, ("answer.panicked", why))
            }
        };
        let event = PeerEvent::NotAnswered {
            peer: from,
            protocol: Some(self.protocol.clone()),
            code: why.0,
            message: why.1.into(),
        };
        self.router.lock().tell(&event);
        Err(code)
    }
    fn answer(&self, answers: Vec<(InboundRequestId, Result<Bytes, Code>)>) {
        self.desk.done(answers.iter().map(|(id, _)| *id));
        if let Some(swarm) = self.swarm.upgrade().filter(|_| !answers.is_empty()) {
            swarm.tell(move |lan| answers.into_iter().for_each(|(id, answer)| lan.answer(id, answer)));
        }
    }
}
