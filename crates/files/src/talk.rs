//! A stream of frames.
use crate::{
    blocking::Watch,
    wire::{Failure, Frame, Frames, From},
};
use bytes::Bytes;
use futures::AsyncWrite;
use peerage_core::{Code, InvalidMessage, Runtime, Stream, within};
use std::{future::poll_fn, io, pin::Pin, sync::Arc, task::Poll, time::Duration};

/// How long the last word may take to arrive.
const LAST_WORD: Duration = Duration::from_secs(10);

pub(crate) struct Talk {
    pub(crate) stream: Stream,
    watch: Watch,
    frames: Frames,
    input: Bytes,
}

/// Why there is no next frame.
pub(crate) enum Broken {
    Lost(io::Error),
    Invalid(InvalidMessage),
}

impl Talk {
    /// With somebody who sends such frames; sending may stand still for so long.
    pub(crate) fn new(stream: Stream, from: From, runtime: Arc<dyn Runtime>, longest: Duration) -> Self {
        Self { stream, watch: Watch::new(runtime, longest), frames: Frames::new(from), input: Bytes::new() }
    }
    /// The next frame; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, Broken> {
        loop {
            if let Some(frame) = self.frames.next(&mut self.input).map_err(Broken::Invalid)? {
                return Ok(Some(frame));
            }
            match self.stream.next_bytes().await.map_err(Broken::Lost)? {
                Some(piece) => self.input = piece,
                None if self.frames.is_between() => return Ok(None),
                None => return Err(Broken::Invalid(InvalidMessage("the stream ends inside a frame"))),
            }
        }
    }
    /// What has come behind the frames that were read; and whoever goes on reading.
    pub(crate) fn into_rest(self) -> (Stream, Frames, Bytes) {
        (self.stream, self.frames, self.input)
    }
    /// Sends it; `None`: it stood still for too long.
    pub(crate) async fn send(&mut self, mut bytes: Bytes) -> Option<io::Result<()>> {
        let Self { stream, watch, .. } = self;
        watch.moves();
        poll_fn(|cx| {
            let before = bytes.len();
            if let Poll::Ready(sent) = stream.poll_send_bytes(cx, &mut bytes) {
                return Poll::Ready(Some(sent));
            }
            if bytes.len() < before {
                watch.moves();
            }
            watch.poll(cx).map(|()| None)
        })
        .await
    }
    /// Says why there is no more, and waits a little until that has arrived.
    pub(crate) async fn fail(mut self, runtime: &dyn Runtime, why: Failure) {
        let said = async {
            self.stream.send_bytes(Frame::Failure(why).to_bytes()).await?;
            close(&mut self.stream).await
        };
        if !matches!(within(runtime, LAST_WORD, said).await, Some(Ok(()))) {
            self.stream.reset(Code::NONE);
        }
    }
    pub(crate) fn reset(mut self, code: Code) {
        self.stream.reset(code);
    }
}

/// Our half has ended, and all of it has arrived.
pub(crate) async fn close(stream: &mut Stream) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_close(cx)).await
}
/// The same, for a while; `false`: it was not heard of.
pub(crate) async fn close_within(runtime: &dyn Runtime, stream: &mut Stream) -> bool {
    matches!(within(runtime, LAST_WORD, close(stream)).await, Some(Ok(())))
}
