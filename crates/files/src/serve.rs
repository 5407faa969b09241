//! A transfer, from the sender's side.
use crate::{
    AHEAD, GET_TIME, IDLE, OfferEvent, ServeError, Trouble, blocking,
    control::{Place, Shared},
    offer::Offered,
    talk::{Broken, Talk},
    wire::{self, Failure, Frame, From, Want},
};
use bytes::Bytes;
use futures::future::{AbortHandle, Abortable};
use peerage_core::{Bound, Code, PeerId, Stream, within};
use std::{collections::VecDeque, io, sync::Arc, time::Duration};

const fn seconds(bound: Bound) -> Duration {
    Duration::from_secs(bound.default)
}

/// From a receiver's first word to its last.
pub(crate) async fn serve(shared: Arc<Shared>, peer: PeerId, stream: Stream, mut place: Place) {
    let runtime = &*shared.runtime;
    let mut talk = Talk::new(stream, From::Receiver, shared.runtime.clone(), seconds(IDLE));
    let get = match within(runtime, seconds(GET_TIME), talk.next()).await {
        Some(Ok(Some(Frame::Get(get)))) => get,
        Some(Ok(None) | Err(Broken::Lost(_))) => return,
        Some(_) => return talk.reset(Code::PROTOCOL_VIOLATION),
        None => return talk.reset(Code::NONE),
    };
    let Some(offered) = shared.find(&get) else {
        tracing::debug!(%peer, "a receiver is refused: it is not offered, or the secret is wrong");
        return talk.fail(runtime, Failure::Refused).await;
    };
    let (abort, registration) = AbortHandle::new_pair();
    let number = if place.transfers() { offered.begin(abort) } else { None };
    let Some(number) = number else { return talk.fail(runtime, Failure::Busy).await };
    (offered.tell)(OfferEvent::Started { peer });
    let transfer = Transfer { shared: &shared, offered: offered.clone(), peer, sent: 0 };
    // Aborted, it is offered no longer; the stream goes, and is reset.
    let _ = Abortable::new(transfer.run(talk, get.has_manifest), registration).await;
    offered.end(number);
}

struct Transfer<'a> {
    shared: &'a Arc<Shared>,
    offered: Arc<Offered>,
    peer: PeerId,
    sent: u64,
}

/// Why a transfer is over, and because of which entry.
type Ended = (ServeError, u32);

impl Transfer<'_> {
    async fn run(mut self, mut talk: Talk, has_manifest: bool) {
        let peer = self.peer;
        match self.transfer(&mut talk, has_manifest).await {
            Ok(()) => {
                self.offered.took_all();
                if self.offered.once {
                    self.shared.withdraw(&self.offered);
                }
                (self.offered.tell)(OfferEvent::Done { peer, sent: self.sent });
                // The receiver has said its last word: nobody minds if ours does not arrive.
                talk.stream.finish();
            }
            Err((error, entry)) => {
                tracing::debug!(%peer, %error, "a transfer is over before its time");
                let failure = error.failure(entry);
                (self.offered.tell)(OfferEvent::Failed { peer, error });
                match failure {
                    Some(failure) => talk.fail(&*self.shared.runtime, failure).await,
                    None => talk.reset(Code::NONE),
                }
            }
        }
    }

    async fn transfer(&mut self, talk: &mut Talk, has_manifest: bool) -> Result<(), Ended> {
        if !has_manifest {
            let manifest = self.offered.content.manifest.bytes().clone();
            let mut head = Vec::new();
            wire::put_manifest_head(&mut head, manifest.len());
            self.send(talk, head.into()).await?;
            self.send(talk, manifest).await?;
        }
        loop {
            match within(&*self.shared.runtime, seconds(IDLE), talk.next()).await {
                Some(Ok(Some(Frame::Want(want)))) => self.send_chunks(talk, want).await?,
                Some(Ok(Some(Frame::Done))) => return Ok(()),
                Some(Ok(None)) => return Err(lost(&"it ended before it had everything")),
                Some(Ok(Some(_))) => return Err(violation("a frame that is not to be here")),
                Some(Err(Broken::Lost(error))) => return Err(lost(&error)),
                Some(Err(Broken::Invalid(error))) => return Err(violation(error.0)),
                None => return Err((ServeError::Idle(seconds(IDLE)), 0)),
            }
        }
    }

    /// Reads ahead beside the tasks, and sends in order.
    async fn send_chunks(&mut self, talk: &mut Talk, want: Want) -> Result<(), Ended> {
        let content = &self.offered.content;
        let end = want.first.checked_add(want.count).filter(|end| *end <= content.manifest.chunks());
        let end = end.ok_or(violation("chunks are wanted that are not there"))?;
        let (mut next, mut ahead) = (want.first, VecDeque::new());
        loop {
            while ahead.len() < AHEAD.get() && next < end {
                let content = &self.offered.content;
                let (piece, bytes) = content.piece(Want { first: next, count: end.saturating_sub(next) });
                next = next.saturating_add(piece.count.max(1));
                let offered = self.offered.clone();
                let read = blocking::start(&*self.shared.runtime, move || offered.content.read(piece));
                ahead.push_back((read, bytes));
            }
            let Some((read, bytes)) = ahead.pop_front() else { return Ok(()) };
            let frames = read.await.map_err(|_| (ServeError::Stopped, 0))??;
            self.send(talk, frames).await?;
            self.sent = self.sent.saturating_add(bytes as u64);
            (self.offered.tell)(OfferEvent::Progress { peer: self.peer, sent: self.sent });
        }
    }

    async fn send(&self, talk: &mut Talk, bytes: Bytes) -> Result<(), Ended> {
        match talk.send(bytes).await {
            Some(sent) => sent.map_err(|error: io::Error| lost(&error)),
            None => Err((ServeError::Idle(seconds(IDLE)), 0)),
        }
    }
}

fn lost(why: &dyn std::fmt::Display) -> Ended {
    (ServeError::Lost(Trouble::new("files.lost", why)), 0)
}
fn violation(why: &'static str) -> Ended {
    (ServeError::Violation(why), 0)
}
