//! What `pipe` and `forward` share: a peer that opens and accepts raw streams, says where it listens, and is found by nobody
//! who was not told.
mod carry;

pub(crate) use carry::Shared;

use crate::{
    args::Who,
    chat::{everywhere, identity, stop, why_not},
    failure::{Exit, Failure},
    output::{Output, json_line},
    ping::unreachable,
    sanitize::harmless,
};
use peerage::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, TransportError,
    core::{Bound, Code},
    futures::StreamExt,
    identify, noise, ping,
    runtime::Lock,
    stream,
    swarm::{ConnectionError, DialOpts, NetworkBehaviour, SwarmEvent},
    tcp, tls, yamux,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    pin::pin,
    time::Duration,
};
use tokio::sync::mpsc;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long the list of what a peer speaks is waited for.
const IDENTIFY: Duration = Duration::from_secs(2);
/// A connection without a stream is kept for a while: the next TCP connection may come soon.
const IDLE: Duration = Duration::from_secs(60);

/// What such a peer does.
#[derive(NetworkBehaviour)]
pub(crate) struct Node {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    stream: stream::Behaviour,
}

/// A peer that runs as long as somebody waits for something [`beside`](Self::beside) it.
pub(crate) struct Tunnel {
    swarm: Swarm<Node>,
    control: stream::Control,
    me: PeerId,
    allowed: BTreeSet<PeerId>,
    pub(crate) say: Say,
    stop: mpsc::Receiver<()>,
    /// What connected peers speak, as far as they have told.
    speaks: BTreeMap<PeerId, Vec<String>>,
    /// How the last connection to a peer ended: `true` if it said goodbye.
    ended: BTreeMap<PeerId, bool>,
    _lock: Option<Lock>,
}

/// What is told beside the data: on stderr.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Say {
    json: bool,
}
impl Say {
    /// `fields` are those of a JSON line; `text` is for people.
    pub(crate) fn tell(self, event: &str, mut fields: Value, text: &str) {
        let line = match (self.json, fields.as_object_mut()) {
            (true, Some(all)) => {
                all.insert("v".into(), json!(1));
                all.insert("event".into(), json!(event));
                json_line(&fields)
            }
            _ => format!("{}\n", harmless(text)),
        };
        // If nobody reads it, the data still flows.
        let _ = io::stderr().write_all(line.as_bytes());
    }
    /// Of one connection of many: the program goes on.
    pub(crate) fn failure(self, failure: &Failure) {
        let mut fields = json!(failure);
        if let Some(all) = fields.as_object_mut() {
            all.retain(|_, value| !value.is_null());
        }
        let hint = failure.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let text = format!("{}{hint}  [{}]", failure.message, failure.code);
        self.tell("error", fields, &text);
    }
}

/// Runs a command of a tunnel to its end.
pub(crate) fn run<F: Future<Output = Result<Exit, Failure>>>(
    command: impl FnOnce() -> F,
) -> Result<Exit, Failure> {
    let _ = peerage::runtime::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("runtime", format!("cannot start: {error}")))?;
    let result = runtime.block_on(command());
    // Nothing that still runs is waited for: a thread may be reading what never comes.
    runtime.shutdown_background();
    result
}

impl Tunnel {
    pub(crate) fn start(who: &Who, output: Output) -> Result<Self, Failure> {
        let stop = stop()?;
        let say = Say { json: output.json };
        let (keypair, lock, notes) = identity(who.identity.identity.as_deref(), who.ephemeral)?;
        for (code, message, hint) in notes {
            let text = format!("note: {message}; {hint}");
            say.tell("note", json!({ "code": code, "message": message, "hint": hint }), &text);
        }
        let me = keypair.public().to_peer_id();
        let behaviour = stream::Behaviour::new();
        let control = behaviour.new_control();
        let failed =
            |error: &dyn std::fmt::Display| Failure::new("tunnel.start", format!("cannot start: {error}"));
        let agent = format!("peerage/{}", env!("CARGO_PKG_VERSION"));
        let swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), (tls::Config::new, noise::Config::new), yamux::Config::default)
            .map_err(|error| failed(&error))?
            .with_quic()
            .with_behaviour(|key| Node {
                identify: identify::Behaviour::new(identify::Config::signed(key).with_agent_version(agent)),
                ping: ping::Behaviour::default(),
                stream: behaviour,
            })
            .map_err(|error| failed(&error))?
            .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
            .build();
        Ok(Self {
            swarm,
            control,
            me,
            allowed: who.allow.iter().copied().collect(),
            say,
            stop,
            speaks: BTreeMap::new(),
            ended: BTreeMap::new(),
            _lock: lock,
        })
    }
    pub(crate) fn control(&self) -> stream::Control {
        self.control.clone()
    }
    pub(crate) fn is_allowed(&self, peer: &PeerId) -> bool {
        self.allowed.is_empty() || self.allowed.contains(peer)
    }
    /// Whether a peer said goodbye when its last connection ended, which was just now.
    pub(crate) async fn said_goodbye(&mut self, peer: &PeerId) -> bool {
        let deadline = tokio::time::Instant::now() + GOODBYE;
        while !self.ended.contains_key(peer) {
            tokio::select! {
                biased;
                event = self.swarm.select_next_some() => self.on_event(event),
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        self.ended.get(peer) == Some(&true)
    }
    pub(crate) fn me(&self) -> PeerId {
        self.me
    }

    /// Drives the network while something else is done; `None`: a signal came first.
    pub(crate) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                _ = self.stop.recv() => return None,
                event = self.swarm.select_next_some() => self.on_event(event),
            }
        }
    }
    /// Says goodbye to everybody.
    pub(crate) async fn leave(&mut self) {
        self.swarm.shutdown(GOODBYE).await;
    }

    /// Listens on these addresses, or everywhere.
    pub(crate) fn listen(&mut self, addresses: &[Multiaddr]) -> Result<(), Failure> {
        let default = addresses.is_empty();
        let wanted = if default { everywhere() } else { addresses.to_vec() };
        let mut listening = false;
        let mut failure = None;
        for address in wanted {
            match self.swarm.listen_on(address.clone()) {
                Ok(_) => listening = true,
                Err(error) => failure = Some(cannot_listen(&address, &error)),
            }
        }
        // A machine without IPv6 is no reason to complain, as long as something works.
        match failure {
            Some(failure) if !default || !listening => Err(failure),
            _ => Ok(()),
        }
    }

    /// A connection to whoever is at the address; who it is. `None`: a signal came first.
    pub(crate) async fn connect(&mut self, address: &Multiaddr) -> Result<Option<PeerId>, Failure> {
        let opts = DialOpts::from(address.clone());
        let dialed = opts.connection_id();
        self.swarm.dial(opts).map_err(|error| unreachable(address, &error))?;
        loop {
            let event = tokio::select! {
                biased;
                _ = self.stop.recv() => return Ok(None),
                event = self.swarm.select_next_some() => event,
            };
            let connected = match &event {
                SwarmEvent::ConnectionEstablished { peer_id, connection_id, .. } => {
                    (*connection_id == dialed).then_some(*peer_id)
                }
                SwarmEvent::OutgoingConnectionError { connection_id, error, .. }
                    if *connection_id == dialed =>
                {
                    return Err(unreachable(address, error));
                }
                _ => None,
            };
            self.on_event(event);
            if let Some(peer) = connected {
                return if self.is_allowed(&peer) { Ok(Some(peer)) } else { Err(not_allowed(&peer)) };
            }
        }
    }
    /// Where a peer may be dialed from now on.
    pub(crate) fn learn(&mut self, peer: PeerId, address: &Multiaddr) {
        self.swarm.add_peer_address(peer, address.clone());
    }

    /// What a peer speaks; empty if it does not tell.
    pub(crate) async fn spoken_by(&mut self, peer: &PeerId) -> Vec<String> {
        let deadline = tokio::time::Instant::now() + IDENTIFY;
        while !self.speaks.contains_key(peer) {
            tokio::select! {
                biased;
                event = self.swarm.select_next_some() => self.on_event(event),
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        self.speaks.get(peer).cloned().unwrap_or_default()
    }

    fn on_event(&mut self, event: SwarmEvent<NodeEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                let full = address.clone().with_p2p(self.me).unwrap_or(address).to_string();
                self.say.tell("listening", json!({ "addr": full }), &format!("listening on {full}"));
            }
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                self.ended.remove(&peer_id);
                let addr = endpoint.get_remote_address().clone().without_p2p().to_string();
                let fields = json!({ "peer": peer_id.to_string(), "addr": addr });
                self.say.tell("connected", fields, &format!("connected to {peer_id} at {addr}"));
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                self.speaks.remove(&peer_id);
                let code = cause.as_ref().and_then(ConnectionError::closed_by_peer);
                if self.ended.len() >= ENDED.get() {
                    self.ended.pop_first();
                }
                self.ended.insert(peer_id, matches!(code, Some(Code::SHUTDOWN | Code::NONE)));
                let why = cause.map_or_else(|| "closed".to_owned(), |cause| cause.to_string());
                let fields = json!({ "peer": peer_id.to_string(), "why": why });
                self.say.tell("disconnected", fields, &format!("disconnected from {peer_id}: {why}"));
            }
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => {
                let text = format!("a listener has ended: {error}");
                self.say.tell("error", json!({ "code": "listen.failed", "message": text }), &text);
            }
            SwarmEvent::Behaviour(NodeEvent::Identify(identify::Event::Received {
                peer_id, info, ..
            })) => {
                let names = info.protocols.iter().map(ToString::to_string).collect();
                self.speaks.insert(peer_id, names);
            }
            _ => {}
        }
    }

    /// What there is to say about a stream that could not be opened. `wanted` is what it would have been.
    pub(crate) async fn explain(
        &mut self,
        peer: &PeerId,
        error: &stream::OpenStreamError,
        wanted: &str,
    ) -> Failure {
        match error {
            stream::OpenStreamError::UnsupportedProtocol(name) => {
                let spoken = self.spoken_by(peer).await;
                not_spoken(peer, name.as_ref(), wanted, &spoken)
            }
            error => {
                let exit = if error.code() == "stream.timeout" { Exit::TimedOut } else { Exit::Failed };
                let hint = match error {
                    stream::OpenStreamError::Io(io) => {
                        io.get_ref().and_then(|e| e.downcast_ref::<stream::Unreached>())
                    }
                    _ => None,
                };
                let hint = hint.map_or("is the peer still there?", stream::Unreached::hint);
                Failure::new(error.code(), format!("{peer}: {error}")).hint(hint).exit(exit)
            }
        }
    }
}

/// Peers that are remembered to have gone.
pub(crate) const ENDED: Bound =
    Bound { name: "tunnel.ended", default: 64, unit: "peers", policy: "forget: how their connection ended" };

pub(crate) fn not_allowed(peer: &PeerId) -> Failure {
    Failure::new("peer.not-allowed", format!("{peer} answered, who is not among those allowed"))
        .hint("allow it with --allow, or ask for the right address")
        .exit(Exit::Refused)
}

/// The name of the protocol that carries a port.
pub(crate) const PORTS: &str = "/peerage/tcp/1.0.0/";

fn not_spoken(peer: &PeerId, name: &str, wanted: &str, spoken: &[String]) -> Failure {
    let code = if name.starts_with(PORTS) { "forward.not-offered" } else { "stream.unsupported" };
    let mut ports: Vec<u16> =
        spoken.iter().filter_map(|name| name.strip_prefix(PORTS)?.parse().ok()).collect();
    ports.sort_unstable();
    let has = match (spoken, &ports[..]) {
        ([], _) => "what it offers is not known".to_owned(),
        (_, []) if name.starts_with(PORTS) => "it offers no port".to_owned(),
        (_, []) => format!("it speaks {}", spoken.join(", ")),
        (_, ports) => {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            format!("it offers {} {}", if ports.len() == 1 { "port" } else { "ports" }, ports.join(", "))
        }
    };
    Failure::new(code, format!("{peer} does not offer {wanted}: it does not speak {name}"))
        .hint(has)
        .exit(Exit::Refused)
}

fn cannot_listen(address: &Multiaddr, error: &TransportError<io::Error>) -> Failure {
    let (cause, hint) = match error {
        TransportError::MultiaddrNotSupported(_) => (
            "this program has no transport for it".to_owned(),
            "listen on /ip4/…/udp/…/quic-v1 or /ip4/…/tcp/…, or the same with /ip6/…",
        ),
        TransportError::Other(error) => (error.to_string(), why_not(error)),
    };
    let named = cause.starts_with("cannot listen");
    let message = if named { cause } else { format!("cannot listen on {address}: {cause}") };
    Failure::new("listen.failed", message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_not_offered_is_said_with_those_that_are() {
        let peer: PeerId = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh".parse().unwrap();
        let spoken = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let failure = not_spoken(
            &peer,
            "/peerage/tcp/1.0.0/23",
            "port 23",
            &spoken(&["/ipfs/ping/1.0.0", "/peerage/tcp/1.0.0/8080", "/peerage/tcp/1.0.0/22"]),
        );
        assert_eq!(
            failure.to_string(),
            format!(
                "error: {peer} does not offer port 23: it does not speak /peerage/tcp/1.0.0/23\n\
                 hint: it offers ports 22, 8080  [forward.not-offered]"
            )
        );
        let failure = not_spoken(&peer, "/peerage/pipe/1.0.0", "a pipe", &spoken(&["/ipfs/ping/1.0.0"]));
        assert_eq!((failure.code, failure.exit), ("stream.unsupported", Exit::Refused));
        assert_eq!(failure.hint.as_deref(), Some("it speaks /ipfs/ping/1.0.0"));
        assert_eq!(not_spoken(&peer, "/x", "x", &[]).hint.as_deref(), Some("what it offers is not known"));
    }
}
