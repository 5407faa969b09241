//! What comes in: frames, in the order they were wanted, into the store. No stream, no clock: bytes in, what is wrong out.
use crate::{
    FetchError,
    store::{Placed, Store},
    wire::{Failure, Frame, Frames, Want},
};
use bytes::Bytes;
use peerage_core::PeerId;
use std::collections::VecDeque;

/// Takes what one stream brings.
pub(crate) struct Intake {
    pub(crate) store: Store,
    peer: PeerId,
    frames: Frames,
    wanted: VecDeque<Want>,
}
/// What has happened.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) placed: Vec<Placed>,
    /// The sender is busy.
    pub(crate) is_busy: bool,
}

impl Intake {
    /// `frames`: whoever has read the stream until now.
    pub(crate) fn new(store: Store, peer: PeerId, frames: Frames, wanted: Vec<Want>) -> Self {
        Self { store, peer, frames, wanted: wanted.into() }
    }
    /// Takes what has come; all files that are whole then have their names.
    pub(crate) fn take(&mut self, pieces: Vec<Bytes>) -> Result<Taken, FetchError> {
        let mut taken = Taken::default();
        for mut piece in pieces {
            while let Some(frame) = self.frames.next(&mut piece).map_err(|error| self.violation(error.0))? {
                match frame {
                    Frame::Chunk(bytes) => {
                        self.on_chunk(&bytes)?;
                        self.frames.reuse(bytes);
                    }
                    Frame::Failure(Failure::Busy) => taken.is_busy = true,
                    Frame::Failure(failure) => {
                        self.store.place_ready()?;
                        return Err(self.on_failure(failure));
                    }
                    _ => return Err(self.violation("a frame that is not to be here")),
                }
            }
        }
        self.store.place_ready()?;
        taken.placed = std::mem::take(&mut self.store.placed);
        Ok(taken)
    }
    /// The stream has ended; whether it may.
    pub(crate) fn is_between(&self) -> bool {
        self.frames.is_between()
    }

    fn on_chunk(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        let Some(want) = self.wanted.front_mut() else {
            return Err(self.violation("more is sent than was wanted"));
        };
        let number = want.first;
        want.first = want.first.saturating_add(1);
        want.count = want.count.saturating_sub(1);
        if want.count == 0 {
            self.wanted.pop_front();
        }
        if self.store.put(number, bytes)? {
            return Ok(());
        }
        // The first wrong one is the last.
        self.store.place_ready()?;
        let path = self.store.manifest.chunk(number).map(|chunk| chunk.entry.path());
        Err(FetchError::Wrong { peer: self.peer, what: path.unwrap_or_default() })
    }
    fn on_failure(&self, failure: Failure) -> FetchError {
        failed(self.peer, failure, |entry| {
            let entry = self.store.manifest.entry(usize::try_from(entry).unwrap_or(usize::MAX));
            entry.map_or_else(|| "a file".to_owned(), |entry| entry.path())
        })
    }
    fn violation(&self, why: &'static str) -> FetchError {
        FetchError::Violation { peer: self.peer, why }
    }
}

/// What a sender says for its last word.
pub(crate) fn failed(peer: PeerId, failure: Failure, path: impl FnOnce(u32) -> String) -> FetchError {
    match failure {
        Failure::Changed(entry) => FetchError::Changed { peer, path: path(entry) },
        Failure::Unreadable(entry) => FetchError::Unreadable { peer, path: path(entry) },
        Failure::Refused => FetchError::Refused { peer },
        Failure::Stopped => FetchError::Stopped { peer },
        Failure::Busy | Failure::Other(_) => {
            FetchError::Violation { peer, why: "it ends for a reason that is not known here" }
        }
    }
}
