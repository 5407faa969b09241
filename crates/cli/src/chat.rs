//! `peerage chat`: a room on the network, its lines, and whoever reads and types them.
//!
//! | part | what it holds |
//! |---|---|
//! | `room` | who is here, what was sent, who has it: a pure state machine |
//! | `node` | the behaviour: floodsub, identify, ping, mDNS |
//! | `given` | addresses given with `--peer` |
//! | `event` | what is told |
//! | `output` | how: JSON, or words for people |
//! | `alone` | why nobody is here |
//! | `input` | where lines come from |
//! | `clock` | the time of day |
//!
//! Everything runs in one task on one thread: a chat has little to do, and what it does is done without a hop.
mod alone;
mod clock;
mod event;
mod given;
mod input;
mod node;
mod output;
mod room;

pub(crate) use alone::wrong_peer;
pub(crate) use node::{Node, NodeEvent, agent, everywhere};
pub(crate) use output::{host, millis};
pub(crate) use room::transport_of;

use self::output::{Human, Voice};
use crate::{
    args::Chat,
    failure::{Exit, Failure},
    identity_file::{self, Accept},
    key::exposed,
    output::Output,
};
use alone::{Alone, Facts};
use event::Event;
use given::Given;
use input::{Input, Printer};
use peerage::{
    Multiaddr, PeerId, Swarm, TransportError,
    core::{Bound, Code, ConnectionId, Instant},
    floodsub::{FloodEvent, MessageId, Missed, PublishError, Topic},
    futures::StreamExt,
    identify,
    identity::Keypair,
    mdns::LanEvent,
    runtime::{Home, Lock},
    swarm::{ConnectionError, DialError, DialOpts, SwarmEvent},
};
use room::{Refused, Room};
use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    path::Path,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant as Wall, sleep_until},
};

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(3);

pub(crate) fn chat(args: Chat, output: Output) -> Result<Exit, Failure> {
    let _restore = input::Restore::new();
    let _ = peerage::runtime::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("runtime", format!("cannot start: {error}")))?;
    let result = runtime.block_on(run(args, output));
    // Nothing that still runs is waited for: a thread may be reading a line that never comes.
    runtime.shutdown_background();
    result
}

async fn run(args: Chat, output: Output) -> Result<Exit, Failure> {
    let stop = stop()?;
    let (keypair, _lock, notes) = identity(args.identity.identity.as_deref(), args.ephemeral)?;
    let nick = args.nick.clone().unwrap_or_else(own_name);
    let mdns = !args.no_mdns;
    let peer = keypair.public().to_peer_id();
    let mut swarm = node::swarm(keypair, &nick, mdns)
        .map_err(|error| Failure::new("chat.start", format!("cannot start: {error}")))?;
    let (input, voice) = talk(&args, output, mdns)?;

    let start = Wall::now();
    let now = Instant::START;
    let room = Room::new(&args.topic, peer, &nick, args.stay, now);
    let topic = Topic::new(args.topic.as_str());
    // Rooms have short names, and this is the first.
    swarm
        .behaviour_mut()
        .flood
        .subscribe(topic.clone())
        .map_err(|error| Failure::usage(error.to_string()))?;
    let given = Given::new(args.peer.iter().cloned(), now);
    let mut chat = Session {
        start,
        peer,
        topic,
        room,
        given,
        sent: BTreeMap::new(),
        swarm,
        voice,
        connections: BTreeMap::new(),
        refused: BTreeMap::new(),
        leaving: false,
    };
    for (code, message, hint) in notes {
        chat.room.on_error(code, message, Some(hint));
    }
    chat.listen(
        if args.listen.is_empty() { node::everywhere() } else { args.listen.clone() },
        args.listen.is_empty(),
    );
    chat.run(input, stop).await
}

/// Who we are. A second process on the same data directory is somebody else, and told so.
pub(crate) type Notes = Vec<(&'static str, String, String)>;
pub(crate) fn identity(
    file: Option<&Path>,
    ephemeral: bool,
) -> Result<(Keypair, Option<Lock>, Notes), Failure> {
    if ephemeral {
        return Ok((Keypair::generate_ed25519(), None, Vec::new()));
    }
    let mut notes = Vec::new();
    let mut check = |path: &Path| {
        if identity_file::is_exposed(path) {
            let hint = format!("chmod 600 {}", identity_file::quoted(path));
            notes.push(("identity.exposed", exposed(path), hint));
        }
    };
    if let Some(path) = file {
        let keypair = identity_file::load(path, Accept::Any)?;
        check(path);
        return Ok((keypair, None, notes));
    }
    let Some(kept) = Home::find()?.keep()? else {
        let message = "another process uses your identity: for this run you are somebody else".to_owned();
        let hint =
            "two peers must not share a key; give each its own with PEERAGE_HOME or --identity".to_owned();
        return Ok((Keypair::generate_ed25519(), None, vec![("identity.in-use", message, hint)]));
    };
    check(&kept.path);
    Ok((kept.keypair, Some(kept.lock), notes))
}

/// What others call us if nothing else is said.
fn own_name() -> String {
    let variable = |name| std::env::var(name).ok().and_then(|name| crate::sanitize::nick(&name));
    #[cfg(unix)]
    let host = || crate::sanitize::nick(&rustix::system::uname().nodename().to_string_lossy());
    #[cfg(not(unix))]
    let host = || variable("COMPUTERNAME");
    variable("USER").or_else(|| variable("USERNAME")).or_else(host).unwrap_or_else(|| "somebody".into())
}

/// Where lines come from, and who is told: a terminal if both ends are one.
fn talk(args: &Chat, output: Output, mdns: bool) -> Result<(mpsc::Receiver<Input>, Voice), Failure> {
    let failed = |error: io::Error| Failure::new("input", format!("cannot read the input: {error}"));
    if output.json {
        return Ok((input::plain().map_err(failed)?, Voice::Json(Box::new(io::stdout()))));
    }
    let on_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let terminal: Option<(_, Printer)> = if on_terminal { input::terminal().ok() } else { None };
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut human = Human {
        messages: Box::new(io::stdout()),
        asides: Box::new(io::stderr()),
        colored_messages: output.colored(&io::stdout()),
        colored_asides: output.colored(&io::stderr()),
        clock: None,
        topic: args.topic.clone(),
        mdns,
        interfaces: interfaces.into_iter().map(|interface| (interface.ip(), interface.name)).collect(),
        me: None,
    };
    let input = match terminal {
        Some((input, printer)) => {
            human.messages = Box::new(printer.clone());
            human.asides = Box::new(printer);
            human.colored_asides = human.colored_messages;
            human.clock = Some(clock::Clock::local());
            input
        }
        None => input::plain().map_err(failed)?,
    };
    Ok((input, Voice::Human(Box::new(human))))
}

/// Signals that ask to leave, one by one.
pub(crate) fn stop() -> Result<mpsc::Receiver<()>, Failure> {
    let (sender, receiver) = mpsc::channel(2);
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: io::Error| Failure::new("signals", format!("cannot wait for signals: {error}"));
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            let (mut signal, sender) = (signal(kind).map_err(failed)?, sender.clone());
            tokio::spawn(
                async move { while signal.recv().await.is_some() && sender.send(()).await.is_ok() {} },
            );
        }
    }
    #[cfg(not(unix))]
    tokio::spawn(
        async move { while tokio::signal::ctrl_c().await.is_ok() && sender.send(()).await.is_ok() {} },
    );
    Ok(receiver)
}

/// A chat that runs.
struct Session {
    start: Wall,
    peer: PeerId,
    topic: Topic,
    room: Room,
    given: Given,
    /// Published messages and the lines they were.
    sent: BTreeMap<MessageId, u64>,
    swarm: Swarm<Node>,
    voice: Voice,
    /// How many there are to a peer, and whether one of them was closed with a word.
    connections: BTreeMap<PeerId, bool>,
    /// Addresses where somebody else answered: told once each.
    refused: BTreeMap<Multiaddr, PeerId>,
    leaving: bool,
}

/// Addresses in [`Session::refused`].
const REFUSED: Bound =
    Bound { name: "chat.refused", default: 64, unit: "addresses", policy: "drop: further ones are not told" };

impl Session {
    fn now(&self) -> Instant {
        Instant::START.after(self.start.elapsed())
    }

    async fn run(
        &mut self,
        mut input: mpsc::Receiver<Input>,
        mut stop: mpsc::Receiver<()>,
    ) -> Result<Exit, Failure> {
        let mut input_open = true;
        self.settle();
        loop {
            let timeout = [self.room.next_timeout(), self.given.next_timeout()].into_iter().flatten().min();
            let wake = timeout.map(|at| self.start + at.since(Instant::START));
            let wants_lines = input_open && !self.leaving && self.room.wants_lines();
            tokio::select! {
                biased;
                signal = stop.recv() => {
                    if signal.is_none() || self.leaving {
                        return Ok(Exit::Interrupted);
                    }
                    self.leave();
                }
                event = self.swarm.next() => match event {
                    Some(event) => self.on_swarm_event(event),
                    None => return Ok(Exit::Done),
                },
                line = input.recv(), if wants_lines => match line {
                    Some(Input::Line(line)) => self.room.on_line(line, self.now()),
                    Some(Input::Command(command)) => self.on_command(&command),
                    Some(Input::Interrupt) => self.leave(),
                    Some(Input::End) | None => {
                        input_open = false;
                        self.room.on_end_of_input();
                    }
                },
                () = sleep_until(wake.unwrap_or_else(|| self.start + Duration::from_secs(1 << 30))), if wake.is_some() => {
                    self.room.on_timeout(self.now());
                }
            }
            self.settle();
        }
    }

    /// Does what is to be done, until nothing is.
    fn settle(&mut self) {
        self.dial_given();
        while let Some(output) = self.room.next_output() {
            match output {
                room::Output::Tell(event) => self.tell(&event),
                room::Output::Publish { id, text } => self.publish(id, text),
                room::Output::Explain => self.explain(),
                room::Output::Leave => self.leave(),
            }
        }
    }

    fn tell(&mut self, event: &Event) {
        // We leave them, not they us.
        if self.leaving && matches!(event, Event::Left { .. }) {
            return;
        }
        if self.voice.tell(event).is_err() {
            self.leave(); // Nobody reads any more.
        }
    }

    fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaving, true) {
            self.swarm.begin_shutdown(GOODBYE);
        }
    }

    fn publish(&mut self, id: u64, text: String) {
        let published = self.swarm.behaviour_mut().flood.publish(self.topic.clone(), text.into_bytes());
        match published {
            Ok(message) => drop(self.sent.insert(message, id)),
            Err(PublishError::QueueFull) => self.room.on_refused(id, Refused::Later, self.now()),
            Err(error) => self.room.on_refused(id, Refused::Never(error.to_string()), self.now()),
        }
    }

    fn explain(&mut self) {
        let facts = Facts {
            topic: self.topic.id(),
            peer: self.peer,
            mdns: self.swarm.behaviour().heard(),
            listening: self.room.listening(),
            outsiders: self.room.outsiders(),
            other_topics: self.room.other_topics().collect(),
            unreachable: self.given.unreachable(),
        };
        let event = Event::Alone(Alone::new(facts));
        self.tell(&event);
    }

    fn on_command(&mut self, command: &str) {
        let text = match command {
            "help" => HELP.to_owned(),
            "who" => self.room.here(),
            "quit" => return self.leave(),
            _ => format!("  there is no /{command}: /help shows what there is; to send it, type //{command}"),
        };
        if self.voice.note(&text).is_err() {
            self.leave();
        }
    }

    // --- the network ---

    fn listen(&mut self, addresses: Vec<Multiaddr>, default: bool) {
        let wanted = addresses.len();
        let mut failures = Vec::new();
        for address in addresses {
            if let Err(error) = self.swarm.listen_on(address.clone()) {
                failures.push((address, error));
            }
        }
        // A machine without IPv6 is no reason to complain, as long as something works.
        if default && failures.len() < wanted {
            return;
        }
        for (address, error) in failures {
            self.listen_failed(&address.to_string(), &error);
        }
    }
    fn listen_failed(&mut self, address: &str, error: &TransportError<io::Error>) {
        let (cause, hint) = match error {
            TransportError::MultiaddrNotSupported(_) => (
                "this program has no transport for it".into(),
                "listen on /ip4/…/udp/…/quic-v1 or /ip4/…/tcp/…, or the same with /ip6/…",
            ),
            TransportError::Other(error) => (error.to_string(), why_not(error)),
        };
        // Transports name the address themselves, if they can.
        let message = if cause.starts_with("cannot listen") {
            cause
        } else {
            format!("cannot listen on {address}: {cause}")
        };
        self.room.on_error("listen.failed", message, Some(hint.into()));
    }

    fn dial_given(&mut self) {
        while let Some(address) = self.given.next_dial(self.now()) {
            if self.given.is_connected(&address) {
                continue;
            }
            let opts = DialOpts::from(address.clone());
            let id = opts.connection_id();
            self.given.on_dialing(&address, id);
            if let Err(error) = self.swarm.dial(opts) {
                self.dial_failed(id, &error);
            }
        }
    }
    fn dial_failed(&mut self, id: ConnectionId, error: &DialError) {
        let now = self.now();
        let given = self.given.on_failed(id, now);
        if let DialError::WrongPeerId { obtained, address } = error {
            return self.wrong_peer(*obtained, address, given);
        }
        let Some(address) = given else { return };
        // Already connected, or about to be: what was wanted.
        if matches!(error, DialError::DialPeerConditionFalse(_)) {
            return;
        }
        let cause = match &error.report()[..] {
            [attempt] => attempt.cause.clone(),
            _ => error.to_string(),
        };
        let message = format!("cannot reach {address}: {cause}; trying again");
        self.room.on_error(error.code(), message, Some(error.hint().into()));
    }
    /// Of discovered peers too: somebody announces what is not his, or an old address.
    fn wrong_peer(&mut self, obtained: PeerId, address: &Multiaddr, given: Option<Multiaddr>) {
        let key = given.unwrap_or_else(|| address.clone());
        if self.refused.len() >= REFUSED.get() || self.refused.insert(key.clone(), obtained) == Some(obtained)
        {
            return;
        }
        let expected = key.peer_id().or_else(|| address.peer_id());
        let hint = "the address is out of date, or another peer has taken it over: ask for a new one";
        self.room.on_error("dial.wrong-peer", alone::wrong_peer(expected, obtained, &key), Some(hint.into()));
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<NodeEvent>) {
        let now = self.now();
        match event {
            SwarmEvent::Behaviour(event) => self.on_node_event(event, now),
            SwarmEvent::NewListenAddr { address, .. } => self.room.on_listening(address, now),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.room.on_listening_no_more(&address),
            SwarmEvent::ListenerClosed { reason: Err(error), addresses, .. } => {
                let at: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                self.listen_failed(&at.join(", "), &TransportError::Other(error));
            }
            SwarmEvent::ConnectionEstablished {
                peer_id, connection_id, endpoint, established_in, ..
            } => {
                self.given.on_connected(peer_id, connection_id);
                self.connections.insert(peer_id, false);
                self.room.on_connected(peer_id, endpoint.get_remote_address(), established_in);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established, cause, .. } => {
                let clean = matches!(
                    cause.as_ref().and_then(ConnectionError::closed_by_peer),
                    Some(Code::SHUTDOWN | Code::NONE)
                );
                if let Some(before) = self.connections.get_mut(&peer_id) {
                    *before |= clean;
                }
                if num_established == 0 {
                    let clean = self.connections.remove(&peer_id).unwrap_or(clean);
                    self.given.on_disconnected(peer_id, clean, now);
                    self.room.on_disconnected(peer_id, clean, now);
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.dial_failed(connection_id, &error);
            }
            _ => {}
        }
    }

    fn on_node_event(&mut self, event: NodeEvent, now: Instant) {
        match event {
            NodeEvent::Flood(event) => self.on_flood_event(event, now),
            NodeEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.room.on_identified(peer_id, &info.agent_version);
            }
            NodeEvent::Identify(_) => {}
            NodeEvent::Ping(event) => {
                if let Ok(rtt) = event.result {
                    self.room.on_rtt(event.peer, rtt);
                }
            }
            NodeEvent::Mdns(event) => self.on_lan_event(event, now),
        }
    }
    fn on_flood_event(&mut self, event: FloodEvent, now: Instant) {
        match event {
            FloodEvent::Subscribed { peer, topic } => self.room.on_subscribed(peer, topic.id(), now),
            FloodEvent::Unsubscribed { peer, topic } => self.room.on_unsubscribed(peer, topic.id(), now),
            FloodEvent::Message { from, propagation_source, topic, data, verified, .. }
                if topic == self.topic =>
            {
                self.room.on_message(from.unwrap_or(propagation_source), &data, verified);
            }
            FloodEvent::Delivered { id, to, of, missed } => {
                let Some(line) = self.sent.remove(&id) else { return };
                let missed = missed.into_iter().map(|(peer, why)| (peer, explain_missed(why))).collect();
                self.room.on_delivered(line, to, of, missed, now);
            }
            _ => {}
        }
    }
    fn on_lan_event(&mut self, event: LanEvent, now: Instant) {
        match event {
            LanEvent::Discovered(found) => {
                for (peer, address) in found {
                    self.room.on_discovered(peer, &address);
                }
            }
            LanEvent::Left(peer) => self.room.on_goodbye(peer, now),
            LanEvent::SharedKey { from, interface } => {
                let message = format!(
                    "another process at {from} (heard on {interface}) announces your peer id, {}: two peers must not \
                     share a key",
                    self.peer
                );
                let hint = "start one of them with --ephemeral, or give each its own PEERAGE_HOME";
                self.room.on_error("mdns.shared-key", message, Some(hint.into()));
            }
            LanEvent::Trouble { interface, error } => {
                let (message, hint) = match interface {
                    Some(interface) => (format!("mDNS does not work on {interface}: {error}"), MDNS_HINT),
                    None => (format!("mDNS does not work: {error}"), MDNS_HINT),
                };
                self.room.on_error("mdns.trouble", message, Some(hint.into()));
            }
            _ => {}
        }
    }
}

const MDNS_HINT: &str = "peers there are not found by themselves; --peer ADDRESS reaches them all the same";

const HELP: &str = "  what you type is sent to everybody in the room; Ctrl-C or /quit leaves
  /who   who is here
  //…    sends a line that begins with /";

/// Every bound of the program: see the table in `ARCHITECTURE.md`.
#[cfg_attr(not(test), allow(dead_code, reason = "read by the test"))]
const BOUNDS: &[Bound] = &[
    REFUSED,
    crate::forward::CONNECTIONS,
    crate::pipe::AHEAD,
    crate::tunnel::ENDED,
    room::DISCOVERED,
    room::LINE,
    room::OTHER_TOPICS,
    room::QUEUE,
    room::QUEUE_BYTES,
    room::QUEUE_SECS,
    room::SENDING,
];

/// What a sender is told of a peer that has not got a message.
fn explain_missed(why: Missed) -> String {
    match why {
        Missed::TooLargeForPeer { limit } => format!(
            "too long for it: its program (rust-libp2p's floodsub) reads {} bytes at most, with about 150 around \
             the text",
            thousands(limit)
        ),
        other => other.to_string(),
    }
}

/// `2,048`.
fn thousands(n: usize) -> String {
    let (high, low) = (n / 1000, n % 1000);
    if high == 0 { low.to_string() } else { format!("{},{low:03}", thousands(high)) }
}

/// What to do about an address that cannot be listened on.
pub(crate) fn why_not(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process uses the port: take another, or 0 for any",
        io::ErrorKind::AddrNotAvailable => {
            "no interface has this address: take one of this machine, or 0.0.0.0"
        }
        io::ErrorKind::PermissionDenied => {
            "ports under 1024 are not for everybody: take another, or 0 for any"
        }
        _ => "listen on another address",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_bounds_is_true() {
        let table = include_str!("../../../ARCHITECTURE.md");
        for Bound { name, default, unit, policy } in BOUNDS {
            let row = format!("| `{name}` | {default} | {unit} | {policy} |");
            let plain = table.replace(',', "");
            assert!(plain.contains(&row.replace(',', "")), "put this into ARCHITECTURE.md: {row}");
        }
    }
}
