//! `peerage forward …`: TCP ports of other machines.
//!
//! Each TCP connection is a stream of `/peerage/tcp/1.0.0/PORT`, which carries nothing but its bytes: a port that is not offered is
//! a protocol that is not spoken.
use crate::{
    args::{Forward, Remote, Who},
    failure::{Exit, Failure},
    output::Output,
    tunnel::{self, PORTS, Shared, Tunnel},
};
use peerage::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    bytes::BytesMut,
    core::{Bound, Code, StreamFailure},
    futures::{
        FutureExt, StreamExt,
        future::{Either, LocalBoxFuture, select},
        stream::FuturesUnordered,
    },
    stream::{Control, OpenStreamError},
};
use serde_json::json;
use std::{io, net::SocketAddr, pin::pin};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Nobody answers where the port leads to.
const NOBODY: Code = Code(1);
/// Read from a TCP connection at once.
const PIECE: usize = 64 << 10;

pub(crate) const CONNECTIONS: Bound = Bound {
    name: "forward.connections",
    default: 1_024,
    unit: "TCP connections that are carried at once",
    policy: "wait: further ones are accepted when others have ended",
};

pub(crate) fn forward(command: Forward, output: Output) -> Result<Exit, Failure> {
    tunnel::run(async || match command {
        Forward::Tcp { local, to, addr, who } => reach(local, &to, &addr, &who, output).await,
        Forward::Serve { port, to, listen, who } => {
            let to = to.unwrap_or_else(|| format!("127.0.0.1:{port}"));
            serve(port, &to, &listen, &who, output).await
        }
    })
}

fn protocol(port: u16) -> StreamProtocol {
    StreamProtocol::from_peer(&format!("{PORTS}{port}"))
}

// --- the side that offers ---------------------------------------------------------------------------

async fn serve(
    port: u16,
    to: &str,
    listen: &[Multiaddr],
    who: &Who,
    output: Output,
) -> Result<Exit, Failure> {
    let mut tunnel = Tunnel::start(who, output)?;
    let accepted = tunnel.control().accept(protocol(port));
    let mut incoming = accepted.map_err(|error| Failure::new("tunnel.start", error.to_string()))?;
    tunnel.listen(listen)?;
    let text = format!("port {port} leads to {to}");
    tunnel.say.tell("serving", json!({ "port": port, "to": to }), &text);
    let mut carried = Carried::default();
    loop {
        let next = async {
            tokio::select! {
                biased;
                over = carried.next() => Next::Over(over),
                next = incoming.next(), if carried.has_room() => Next::New(next),
            }
        };
        match tunnel.beside(next).await {
            Some(Next::Over(over)) => over.tell(&tunnel),
            Some(Next::New(Some((peer, mut stream)))) => {
                if tunnel.is_allowed(&peer) {
                    carried.push(offer(peer, stream, to.to_owned()));
                } else {
                    let text = format!("{peer} is refused: it is not among those allowed");
                    tunnel.say.tell("refused", json!({ "peer": peer.to_string() }), &text);
                    stream.reset(Code::GATED);
                }
            }
            Some(Next::New(None)) => return Err(Failure::new("tunnel.start", "the swarm has ended")),
            None => break,
        }
    }
    drop(carried);
    tunnel.leave().await;
    Ok(Exit::Done)
}

/// One stream of a peer, and the connection it is for.
async fn offer(peer: PeerId, stream: Stream, to: String) -> Over {
    let stream = Shared::new(stream);
    let failure = match TcpStream::connect(&to).await {
        Ok(tcp) => carry(tcp, &stream).await.err().map(|broken| broken.words(&peer)),
        Err(error) => {
            stream.reset(NOBODY);
            Some(("forward.unanswered", format!("cannot connect to {to}: {error}")))
        }
    };
    Over { peer, failure, unopened: None }
}

// --- the side that wants it -------------------------------------------------------------------------

async fn reach(
    local: SocketAddr,
    to: &Remote,
    addresses: &[Multiaddr],
    who: &Who,
    output: Output,
) -> Result<Exit, Failure> {
    let Remote { peer, addr, port } = to;
    let addresses: Vec<Multiaddr> = addr.iter().chain(addresses).cloned().collect();
    if addresses.is_empty() {
        return Err(Failure::usage(format!(
            "where is {peer}? give its address before the port, or with --addr"
        )));
    }
    let failed = |error: io::Error| {
        Failure::new("forward.listen", format!("cannot listen on {local}: {error}"))
            .hint(crate::chat::why_not(&error))
    };
    let listener = TcpListener::bind(local).await.map_err(failed)?;
    let local = listener.local_addr().unwrap_or(local);
    let mut tunnel = Tunnel::start(who, output)?;
    if !find(&mut tunnel, *peer, &addresses).await? {
        tunnel.leave().await;
        return Ok(Exit::Interrupted);
    }
    // What is not offered now is better said now. A peer that does not tell is asked when somebody connects.
    let name = protocol(*port);
    let spoken = tunnel.spoken_by(peer).await;
    if !spoken.is_empty() && !spoken.iter().any(|spoken| spoken == name.as_ref()) {
        let error = OpenStreamError::UnsupportedProtocol(name);
        let failure = tunnel.explain(peer, &error, &format!("port {port}")).await;
        tunnel.leave().await;
        return Err(failure);
    }
    let fields = json!({ "local": local.to_string(), "peer": peer.to_string(), "port": port });
    tunnel.say.tell("forwarding", fields, &format!("{local} leads to port {port} of {peer}"));
    let mut carried = Carried::default();
    loop {
        let next = async {
            tokio::select! {
                biased;
                over = carried.next() => Next::Over(over),
                next = listener.accept(), if carried.has_room() => Next::New(next),
            }
        };
        match tunnel.beside(next).await {
            Some(Next::Over(over)) => {
                if let Some(error) = &over.unopened {
                    let failure = tunnel.explain(peer, error, &format!("port {port}")).await;
                    tunnel.say.failure(&failure);
                }
                over.tell(&tunnel);
            }
            Some(Next::New(Ok((tcp, _)))) => {
                carried.push(ask(*peer, tunnel.control(), name.clone(), tcp));
            }
            // One that was given up before we took it, or no descriptor is free: others may be.
            Some(Next::New(Err(error))) => {
                let text = format!("cannot accept: {error}");
                tunnel.say.tell("error", json!({ "code": "forward.accept", "message": text }), &text);
                let pause = tokio::time::sleep(std::time::Duration::from_millis(100));
                if tunnel.beside(pause).await.is_none() {
                    break;
                }
            }
            None => break,
        }
    }
    drop(carried);
    tunnel.leave().await;
    Ok(Exit::Done)
}

/// Connects at the first address that works. `false`: a signal came first.
async fn find(tunnel: &mut Tunnel, peer: PeerId, addresses: &[Multiaddr]) -> Result<bool, Failure> {
    let mut last = None;
    for address in addresses {
        let address = address.clone().with_p2p(peer).unwrap_or_else(|address| address);
        tunnel.learn(peer, &address);
        match tunnel.connect(&address).await {
            Ok(connected) => return Ok(connected.is_some()),
            Err(failure) => last = Some(failure),
        }
    }
    last.map_or(Ok(false), Err)
}

/// One TCP connection, and the stream that is opened for it.
async fn ask(peer: PeerId, mut control: Control, name: StreamProtocol, tcp: TcpStream) -> Over {
    match control.open_stream(peer, name).await {
        Ok(stream) => {
            let stream = Shared::new(stream);
            let failure = carry(tcp, &stream).await.err().map(|broken| broken.words(&peer));
            Over { peer, failure, unopened: None }
        }
        Err(error) => {
            abort(tcp);
            match error {
                // It may say no before we have heard that it speaks the protocol.
                OpenStreamError::Io(error)
                    if matches!(StreamFailure::of(&error), Some(StreamFailure::Reset(_))) =>
                {
                    Over { peer, failure: Some(Broken::Stream(error).words(&peer)), unopened: None }
                }
                error => Over { peer, failure: None, unopened: Some(error) },
            }
        }
    }
}

// --- both -------------------------------------------------------------------------------------------

enum Next<T> {
    Over(Over),
    New(T),
}

/// A connection that has ended.
struct Over {
    peer: PeerId,
    /// A stable name and words, if it did not end well.
    failure: Option<(&'static str, String)>,
    unopened: Option<OpenStreamError>,
}
impl Over {
    fn tell(&self, tunnel: &Tunnel) {
        if let Some((code, message)) = &self.failure {
            let fields = json!({ "code": code, "message": message, "peer": self.peer.to_string() });
            tunnel.say.tell("error", fields, &format!("{message}  [{code}]"));
        }
    }
}

/// Those that are under way.
#[derive(Default)]
struct Carried<'a>(FuturesUnordered<LocalBoxFuture<'a, Over>>);
impl<'a> Carried<'a> {
    fn has_room(&self) -> bool {
        self.0.len() < CONNECTIONS.get()
    }
    fn push(&mut self, one: impl Future<Output = Over> + 'a) {
        self.0.push(one.boxed_local());
    }
    /// The next one that has ended.
    async fn next(&mut self) -> Over {
        match self.0.next().await {
            Some(over) => over,
            None => std::future::pending().await,
        }
    }
}

/// Which side a connection broke on.
enum Broken {
    Tcp(io::Error),
    Stream(io::Error),
}
impl Broken {
    fn words(self, peer: &PeerId) -> (&'static str, String) {
        match self {
            Self::Tcp(error) => ("forward.tcp", format!("a connection broke: {error}")),
            Self::Stream(error) => match StreamFailure::of(&error) {
                Some(StreamFailure::Reset(Code::GATED)) => {
                    ("forward.refused", format!("{peer} refused us: we are not among those it allows"))
                }
                Some(StreamFailure::Reset(NOBODY)) => {
                    ("forward.unanswered", format!("{peer} offers the port, but nothing answers behind it"))
                }
                _ => ("forward.stream", format!("a stream to {peer} broke: {error}")),
            },
        }
    }
}

/// Carries both directions to their ends; each half ends by itself. What breaks one side is seen as broken on the other.
async fn carry(mut tcp: TcpStream, stream: &Shared) -> Result<(), Broken> {
    let _ = tcp.set_nodelay(true);
    let result = {
        let (mut from, mut to) = tcp.split();
        let outward = async {
            let mut room = BytesMut::new();
            loop {
                room.reserve(PIECE);
                if from.read_buf(&mut room).await.map_err(Broken::Tcp)? == 0 {
                    stream.finish();
                    return Ok(());
                }
                stream.send(room.split().freeze()).await.map_err(Broken::Stream)?;
            }
        };
        let inward = async {
            while let Some(piece) = stream.next().await.map_err(Broken::Stream)? {
                to.write_all(&piece).await.map_err(Broken::Tcp)?;
            }
            to.shutdown().await.map_err(Broken::Tcp)
        };
        match select(pin!(outward), pin!(inward)).await {
            Either::Left((Ok(()), inward)) => inward.await,
            Either::Right((Ok(()), outward)) => outward.await,
            Either::Left((Err(broken), _)) | Either::Right((Err(broken), _)) => Err(broken),
        }
    };
    if result.is_err() {
        stream.reset(Code::NONE);
        abort(tcp);
    }
    result
}

/// The other side of the TCP connection sees that it was broken off, not that it has ended.
fn abort(tcp: TcpStream) {
    let _ = tcp.set_zero_linger();
}
