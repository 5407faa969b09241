//! A transfer, from the sender's side.
use crate::{
    AHEAD, GET_TIME, IDLE, OfferEvent, ServeError, Trouble,
    behaviour::Incoming,
    blocking,
    control::{Place, Shared},
    offer::Offered,
    talk::{Broken, Talk},
    wire::{self, Failure, Frame, From, Want},
};
use bytes::Bytes;
use futures::{
    FutureExt,
    future::{AbortHandle, Abortable},
};
use peerage_core::{Bound, Code, PeerId, within};
use std::{collections::VecDeque, io, sync::Arc, time::Duration};

/// Wants that were heard while chunks are read; further ones wait on the stream.
const WANTED: usize = 16;

const fn seconds(bound: Bound) -> Duration {
    Duration::from_secs(bound.default)
}

/// From a receiver's first word to its last.
pub(crate) async fn serve(shared: Arc<Shared>, came: Incoming, mut place: Place) {
    let Incoming { peer, address, stream } = came;
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
    (offered.tell)(OfferEvent::Started { peer, address });
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
        self.send_chunks(talk).await
    }

    /// Reads ahead beside the tasks, also into the next of what is wanted, and sends in order.
    async fn send_chunks(&mut self, talk: &mut Talk) -> Result<(), Ended> {
        let (mut wanted, mut ahead) = (VecDeque::new(), VecDeque::new());
        loop {
            // Nothing is waited for as long as there is something to send.
            while wanted.len() < WANTED
                && let Some(frame) = talk.next().now_or_never()
            {
                match self.on_frame(frame)? {
                    Some(want) => wanted.push_back(want),
                    None => return Ok(()),
                }
            }
            while ahead.len() < AHEAD.get()
                && let Some(want) = wanted.front_mut()
            {
                let (piece, bytes) = self.offered.content.piece(*want);
                want.first = want.first.saturating_add(piece.count);
                want.count = want.count.saturating_sub(piece.count);
                if want.count == 0 || piece.count == 0 {
                    wanted.pop_front();
                }
                let offered = self.offered.clone();
                let read = blocking::start(&*self.shared.runtime, move || offered.content.read(piece));
                ahead.push_back((read, bytes));
            }
            let Some((read, bytes)) = ahead.pop_front() else {
                let next = within(&*self.shared.runtime, seconds(IDLE), talk.next()).await;
                match self.on_frame(next.ok_or((ServeError::Idle(seconds(IDLE)), 0))?)? {
                    Some(want) => wanted.push_back(want),
                    None => return Ok(()),
                }
                continue;
            };
            let frames = read.await.map_err(|_| (ServeError::Stopped, 0))??;
            self.send(talk, frames).await?;
            self.sent = self.sent.saturating_add(bytes as u64);
            (self.offered.tell)(OfferEvent::Progress { peer: self.peer, sent: self.sent });
        }
    }
    /// What is wanted next; `None`: nothing any more.
    fn on_frame(&self, frame: Result<Option<Frame>, Broken>) -> Result<Option<Want>, Ended> {
        match frame {
            Ok(Some(Frame::Want(want))) => {
                let end = want.first.checked_add(want.count);
                let is_there = end.is_some_and(|end| end <= self.offered.content.manifest.chunks());
                is_there.then_some(Some(want)).ok_or(violation("chunks are wanted that are not there"))
            }
            Ok(Some(Frame::Done)) => Ok(None),
            Ok(None) => Err(lost(&"it ended before it had everything")),
            Ok(Some(_)) => Err(violation("a frame that is not to be here")),
            Err(Broken::Lost(error)) => Err(lost(&error)),
            Err(Broken::Invalid(error)) => Err(violation(error.0)),
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
