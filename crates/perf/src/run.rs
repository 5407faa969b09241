//! The bytes of one run, on both sides. What they take is measured by the behaviours, which are told of every step.
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, unfold};
use peerage_core::{Code, Stream};
use std::{future::poll_fn, io, pin::Pin};

/// Sent again and again.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// So many bytes are moved before a step is told.
const STEP: u64 = 1 << 20;

/// What has happened.
#[derive(Debug)]
pub enum Step {
    /// So many bytes more.
    Sent(u64),
    /// So many bytes more.
    Received(u64),
    /// Of a server: how many bytes are wanted.
    Wanted(u64),
    /// The first of the two directions is done.
    Turned,
    /// Both are; or it is over before its time.
    Over(io::Result<()>),
}

enum Phase {
    Ask,
    Send { left: u64 },
    Receive { left: Option<u64> },
    Over,
}

struct Moving {
    stream: Stream,
    role: Role,
    phase: Phase,
    /// Of a server: what is to be sent when everything has come.
    wanted: u64,
}
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Client { to_receive: u64 },
    Server,
}

/// Sends `to_send` bytes, then receives `to_receive`.
pub(crate) fn ask(stream: Stream, to_send: u64, to_receive: u64) -> BoxStream<'static, Step> {
    steps(Moving {
        stream,
        role: Role::Client { to_receive },
        phase: Phase::Send { left: to_send },
        wanted: 0,
    })
}
/// Receives until the peer has ended its half, then sends what it wanted.
pub(crate) fn answer(stream: Stream) -> BoxStream<'static, Step> {
    steps(Moving { stream, role: Role::Server, phase: Phase::Ask, wanted: 0 })
}
fn steps(moving: Moving) -> BoxStream<'static, Step> {
    unfold((moving, true), async |(mut moving, first)| {
        if matches!(moving.phase, Phase::Over) {
            return None;
        }
        let step = moving.step(first).await.unwrap_or_else(|error| {
            moving.stream.reset(Code::NONE);
            moving.phase = Phase::Over;
            Step::Over(Err(error))
        });
        Some((step, (moving, false)))
    })
    .boxed()
}

impl Moving {
    async fn step(&mut self, first: bool) -> io::Result<Step> {
        match (&mut self.phase, self.role) {
            (Phase::Ask, _) => {
                let mut wanted = [0; 8];
                futures::AsyncReadExt::read_exact(&mut self.stream, &mut wanted).await?;
                self.wanted = u64::from_be_bytes(wanted);
                self.phase = Phase::Receive { left: None };
                Ok(Step::Wanted(self.wanted))
            }
            (Phase::Send { left }, role) => {
                if let (true, Role::Client { to_receive }) = (first, role) {
                    futures::AsyncWriteExt::write_all(&mut self.stream, &to_receive.to_be_bytes()).await?;
                }
                let now = (*left).min(STEP);
                send(&mut self.stream, now).await?;
                *left = left.saturating_sub(now);
                if now > 0 {
                    return Ok(Step::Sent(now));
                }
                Ok(match role {
                    Role::Client { to_receive } => {
                        poll_fn(|cx| futures::AsyncWrite::poll_close(Pin::new(&mut self.stream), cx)).await?;
                        self.phase = Phase::Receive { left: Some(to_receive) };
                        Step::Turned
                    }
                    // A client that has everything may be gone before it could say so.
                    Role::Server => {
                        poll_fn(|cx| futures::AsyncWrite::poll_flush(Pin::new(&mut self.stream), cx)).await?;
                        self.stream.finish();
                        self.phase = Phase::Over;
                        Step::Over(Ok(()))
                    }
                })
            }
            (Phase::Receive { left }, role) => {
                let mut received = 0_u64;
                while received < STEP {
                    let Some(piece) = self.stream.next_bytes().await? else { break };
                    received = received.saturating_add(piece.len() as u64);
                }
                if let Some(left) = left {
                    *left = left
                        .checked_sub(received)
                        .ok_or_else(|| bad("the peer sends more than was wanted"))?;
                }
                if received > 0 {
                    return Ok(Step::Received(received));
                }
                match (*left, role) {
                    (None, Role::Server) => {
                        self.phase = Phase::Send { left: self.wanted };
                        Ok(Step::Turned)
                    }
                    (Some(1..), _) => Err(bad("the peer has ended before it sent what was wanted")),
                    _ => {
                        self.phase = Phase::Over;
                        Ok(Step::Over(Ok(())))
                    }
                }
            }
            (Phase::Over, _) => Ok(Step::Over(Ok(()))),
        }
    }
}

fn bad(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

async fn send(stream: &mut Stream, mut bytes: u64) -> io::Result<()> {
    let zeros = Bytes::from_static(&ZEROS);
    while bytes > 0 {
        let piece = usize::try_from(bytes).unwrap_or(usize::MAX).min(zeros.len());
        stream.send_bytes(zeros.slice(..piece)).await?;
        bytes = bytes.saturating_sub(piece as u64);
    }
    Ok(())
}
