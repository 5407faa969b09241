//! `peerage pipe …`: stdin and stdout of two machines, over one stream.
//!
//! The end of the input ends our half; the stream has ended when both have, and everything has arrived.
mod stdio;

use crate::{
    args::{Pipe, Who},
    failure::{Exit, Failure},
    output::Output,
    tunnel::{self, Shared, Tunnel},
};
use peerage::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Code, StreamFailure},
    futures::{
        StreamExt,
        future::{Either, select},
    },
    stream::IncomingStreams,
};
use serde_json::json;
use std::{cell::Cell, io, pin::pin};
pub(crate) use stdio::AHEAD;
use stdio::{Input, Sink};

/// The stream's name on the wire. It carries nothing but the bytes of both inputs.
const PIPE: StreamProtocol = StreamProtocol::new("/peerage/pipe/1.0.0");

pub(crate) fn pipe(command: Pipe, output: Output) -> Result<Exit, Failure> {
    tunnel::run(async || match command {
        Pipe::Listen { listen, who } => wait(&listen, &who, output).await,
        Pipe::Connect { addr, who } => connect(&addr, &who, output).await,
    })
}

async fn wait(listen: &[Multiaddr], who: &Who, output: Output) -> Result<Exit, Failure> {
    let mut tunnel = Tunnel::start(who, output)?;
    let accepted = tunnel.control().accept(PIPE);
    let mut incoming = accepted.map_err(|error| Failure::new("tunnel.start", error.to_string()))?;
    tunnel.listen(listen)?;
    let (peer, stream) = loop {
        let (peer, mut stream) = match tunnel.beside(incoming.next()).await {
            None => return interrupted(&mut tunnel).await,
            Some(None) => return Err(Failure::new("tunnel.start", "the swarm has ended")),
            Some(Some(next)) => next,
        };
        if tunnel.is_allowed(&peer) {
            break (peer, stream);
        }
        let text = format!("{peer} is refused: it is not among those allowed");
        tunnel.say.tell("refused", json!({ "peer": peer.to_string() }), &text);
        stream.reset(Code::GATED);
    };
    join(tunnel, peer, stream, Some(incoming)).await
}

async fn connect(addr: &Multiaddr, who: &Who, output: Output) -> Result<Exit, Failure> {
    let mut tunnel = Tunnel::start(who, output)?;
    let Some(peer) = tunnel.connect(addr).await? else { return interrupted(&mut tunnel).await };
    let mut control = tunnel.control();
    let opened = match tunnel.beside(control.open_stream(peer, PIPE)).await {
        None => return interrupted(&mut tunnel).await,
        Some(opened) => opened,
    };
    match opened {
        Ok(stream) => join(tunnel, peer, stream, None).await,
        Err(error) => {
            let failure = tunnel.explain(&peer, &error, "a pipe").await;
            tunnel.leave().await;
            Err(failure)
        }
    }
}

async fn interrupted(tunnel: &mut Tunnel) -> Result<Exit, Failure> {
    tunnel.leave().await;
    Ok(Exit::Interrupted)
}

/// Carries both directions to their ends.
async fn join(
    mut tunnel: Tunnel,
    peer: PeerId,
    stream: Stream,
    incoming: Option<IncomingStreams>,
) -> Result<Exit, Failure> {
    let text = format!("joined with {peer}");
    tunnel.say.tell("joined", json!({ "peer": peer.to_string() }), &text);
    let start = |error: io::Error| Failure::new("pipe.start", format!("cannot start: {error}"));
    let (input, sink) = (Input::start().map_err(start)?, Sink::start().map_err(start)?);
    let stream = Shared::new(stream);
    let carried = Carried::default();
    let work = async {
        let carry = pin!(carry(&stream, input, sink, &carried));
        match select(carry, pin!(refuse(incoming))).await {
            Either::Left((result, _)) => result,
            Either::Right((never, _)) => match never {},
        }
    };
    let result = match tunnel.beside(work).await {
        None => Ok(Exit::Interrupted),
        Some(Ok(())) => Ok(Exit::Done),
        // Its last word to us was the end of its half, and it left only when it had the end of ours.
        Some(Err(broken @ Broken::AtTheEnd(_))) if broken.is_lost() => match tunnel.said_goodbye(&peer).await
        {
            true => Ok(Exit::Done),
            false => Err(explain(&tunnel, &peer, broken)),
        },
        Some(Err(broken)) => Err(explain(&tunnel, &peer, broken)),
    };
    if !matches!(result, Ok(Exit::Done)) {
        stream.reset(Code::NONE); // Of what was finished too: the other end must not think that all is well.
    }
    drop(stream);
    tunnel.leave().await;
    let (sent, received) = (carried.sent.get(), carried.received.get());
    let text = format!("sent {sent} bytes, received {received}");
    tunnel.say.tell("ended", json!({ "sent": sent, "received": received }), &text);
    result
}

/// How many bytes were carried.
#[derive(Default)]
struct Carried {
    sent: Cell<u64>,
    received: Cell<u64>,
}

/// What ended it before its time.
enum Broken {
    Stream(io::Error),
    /// Everything was read, and written, but whether the last of it has arrived was not heard.
    AtTheEnd(io::Error),
    Input(io::Error),
    Output(io::Error),
}

async fn carry(stream: &Shared, mut input: Input, mut sink: Sink, carried: &Carried) -> Result<(), Broken> {
    let outward = async {
        while let Some(piece) = input.next().await {
            let piece = piece.map_err(Broken::Input)?;
            let bytes = piece.len() as u64;
            stream.send(piece).await.map_err(Broken::Stream)?;
            carried.sent.set(carried.sent.get().saturating_add(bytes));
        }
        stream.close().await.map_err(Broken::AtTheEnd)
    };
    let inward = async {
        while let Some(piece) = stream.next().await.map_err(Broken::Stream)? {
            let bytes = piece.len() as u64;
            sink.write(piece).await.map_err(Broken::Output)?;
            carried.received.set(carried.received.get().saturating_add(bytes));
        }
        sink.end().await.map_err(Broken::Output)
    };
    // What ends one at once ends both; but what has come is read to its end although the connection is lost.
    match select(pin!(outward), pin!(inward)).await {
        Either::Left((Ok(()), inward)) => inward.await,
        Either::Left((Err(broken), inward)) if broken.is_lost() => inward.await.and(Err(broken)),
        Either::Left((Err(broken), _)) | Either::Right((Err(broken), _)) => Err(broken),
        Either::Right((Ok(()), outward)) => outward.await,
    }
}
impl Broken {
    fn is_lost(&self) -> bool {
        match self {
            Self::Stream(error) | Self::AtTheEnd(error) => {
                StreamFailure::of(error) == Some(StreamFailure::ConnectionLost)
            }
            Self::Input(_) | Self::Output(_) => false,
        }
    }
}

/// One pipe is joined: whoever comes later is told so.
async fn refuse(incoming: Option<IncomingStreams>) -> std::convert::Infallible {
    if let Some(mut incoming) = incoming {
        while let Some((_, mut stream)) = incoming.next().await {
            stream.reset(Code::RESOURCE_LIMIT);
        }
    }
    std::future::pending().await
}

fn explain(tunnel: &Tunnel, peer: &PeerId, broken: Broken) -> Failure {
    let error = match broken {
        Broken::Input(error) => return Failure::new("input", format!("cannot read the input: {error}")),
        Broken::Output(error) => return Failure::new("output", format!("cannot write to stdout: {error}")),
        Broken::Stream(error) | Broken::AtTheEnd(error) => error,
    };
    let me = tunnel.me();
    match StreamFailure::of(&error) {
        Some(StreamFailure::Reset(Code::GATED)) => {
            Failure::new("pipe.refused", format!("{peer} refused us: we are not among those it allows"))
                .hint(format!("the other end allows us with --allow {me}"))
                .exit(Exit::Refused)
        }
        Some(StreamFailure::Reset(Code::RESOURCE_LIMIT)) => {
            Failure::new("pipe.busy", format!("{peer} is joined with somebody else"))
                .hint("one pipe joins two: start another `peerage pipe listen`")
                .exit(Exit::Refused)
        }
        Some(StreamFailure::Reset(code)) => {
            Failure::new("pipe.broken-off", format!("{peer} broke off: {code}"))
                .hint("the other end was interrupted, or could not write what we sent")
        }
        Some(StreamFailure::ConnectionLost) => {
            let text = format!("the connection to {peer} was lost: what was sent last may not have arrived");
            Failure::new("pipe.lost", text).hint("is the other end still running? start both again")
        }
        _ => Failure::new("pipe.broken", format!("the pipe to {peer} broke: {error}")),
    }
}
