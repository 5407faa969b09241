//! The loop: whoever was woken is driven, then the next thing that is due happens.
use super::{
    Node, Seen, Sim, SimError, State,
    build::TASKS,
    guard::Violation,
    journal::{Fields, Kind},
    units::nanos,
    world::{Bell, What},
};
use futures::{StreamExt, future::BoxFuture};
use peerage_core::Bound;
use peerage_swarm::{NetworkBehaviour, SwarmEvent};
use std::{
    any::Any,
    fmt::{Debug, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

/// How often a node is driven at one instant before it counts as stuck.
pub(crate) const TURNS: Bound = Bound {
    name: "sim.turns",
    default: 200_000,
    unit: "times a node is driven at one instant",
    policy: "stop: the run ends, and names the node",
};
/// Events of a swarm that are taken before others are driven.
const EVENTS_AT_ONCE: usize = 64;
/// Events handled between two looks at memory.
const LOOK: u32 = 16_384;
/// For how long nothing may be under way before a network counts as idle.
const QUIET: Duration = Duration::from_secs(1);
/// How long `run_until_idle` waits for that.
const IDLE_WITHIN: Duration = Duration::from_secs(3_600);

/// A connection, or one that is being made.
pub(super) struct Task {
    pub(super) node: u32,
    future: BoxFuture<'static, ()>,
    bell: Arc<Bell>,
    waker: Waker,
}

impl<B: NetworkBehaviour<ToSwarm: Debug>> Sim<B> {
    /// Lets virtual time pass.
    ///
    /// # Panics
    /// If a rule is broken; the message names it, and what caused it.
    pub fn run_for(&mut self, time: Duration) {
        let result = self.try_run_for(time);
        self.expect(result);
    }
    /// Lets virtual time pass.
    ///
    /// # Errors
    /// If a behaviour breaks its contract, something panics, or memory runs out.
    pub fn try_run_for(&mut self, time: Duration) -> Result<(), SimError> {
        let end = self.world.now().saturating_add(nanos(time));
        while self.step(end)? {}
        let world = self.world.clone();
        world.set_now(&mut world.net(), end);
        Ok(())
    }
    /// Runs until a condition holds; it is asked whenever something has happened.
    ///
    /// # Panics
    /// If it does not hold within so much virtual time, or a rule is broken.
    pub fn run_until(&mut self, within: Duration, holds: impl FnMut(&mut Self) -> bool) {
        let result = self.try_run_until(within, holds);
        self.expect(result);
    }
    /// Runs until a condition holds; it is asked whenever something has happened.
    ///
    /// # Errors
    /// If it does not hold within so much virtual time, or the run is stopped.
    pub fn try_run_until(
        &mut self,
        within: Duration,
        mut holds: impl FnMut(&mut Self) -> bool,
    ) -> Result<(), SimError> {
        let end = self.world.now().saturating_add(nanos(within));
        loop {
            self.drive()?;
            if holds(self) {
                return Ok(());
            }
            if !self.step(end)? {
                let world = self.world.clone();
                world.set_now(&mut world.net(), end);
                return Err(SimError::InVain { what: "what was waited for", within });
            }
        }
    }
    /// Runs until nothing is under way: for one second of virtual time nothing was sent and nothing arrived.
    ///
    /// Keep-alives count: a network of thousands that ping one another may never be idle; use
    /// [`run_until`](Self::run_until) there.
    ///
    /// # Panics
    /// If that does not come about within an hour of virtual time, or a rule is broken.
    pub fn run_until_idle(&mut self) {
        let result = self.try_run_until_idle();
        self.expect(result);
    }
    /// Runs until nothing is under way: for one second of virtual time nothing was sent and nothing arrived.
    ///
    /// # Errors
    /// If that does not come about within an hour of virtual time, or the run is stopped.
    pub fn try_run_until_idle(&mut self) -> Result<(), SimError> {
        let began = self.world.now();
        self.world.net().busy = began;
        loop {
            self.drive()?;
            let quiet = self.world.net().busy.saturating_add(nanos(QUIET));
            if self.step(quiet)? {
                if self.world.now().saturating_sub(began) > nanos(IDLE_WITHIN) {
                    return Err(SimError::InVain { what: "an idle network", within: IDLE_WITHIN });
                }
                continue;
            }
            let world = self.world.clone();
            let mut net = world.net();
            if net.busy.saturating_add(nanos(QUIET)) <= quiet {
                world.set_now(&mut net, quiet);
                return Ok(());
            }
        }
    }

    /// What is due next happens, if it is due by `end`. `false`: nothing is.
    fn step(&mut self, end: u64) -> Result<bool, SimError> {
        self.drive()?;
        let world = self.world.clone();
        {
            let mut guard = world.net();
            let net = &mut *guard;
            let Some(at) = net.next_due().filter(|at| *at <= end) else { return Ok(false) };
            let at = at.max(net.now);
            world.set_now(net, at);
            while let Some(what) = net.pop_due(at) {
                match what {
                    What::Syn { link, life, tries } => net.on_syn(link, life, tries),
                    What::SynAck { link, life } => net.on_syn_ack(link, life),
                    What::Refused { link, life } => net.on_refused(link, life),
                    What::Ack { link, life } => net.on_ack(link, life),
                    What::Arrival { link, life, way } => net.on_arrival(link, life, way),
                    What::Reset { link, life, end } => net.on_reset(link, life, end),
                    What::Timer { timer, life } => net.on_timer(timer, life),
                    What::Datagram { slot } => net.on_datagram(slot),
                    What::Failures => net.on_failures(),
                    What::Failure => net.on_failure(),
                }
            }
        }
        self.drive()?;
        Ok(true)
    }

    /// Drives everybody who was woken, and whoever they wake, until all wait for time to pass.
    pub(super) fn drive(&mut self) -> Result<(), SimError> {
        let mut signatures = std::mem::take(&mut self.signatures);
        let driven = signatures.during(|| self.drive_all());
        self.signatures = signatures;
        driven
    }
    fn drive_all(&mut self) -> Result<(), SimError> {
        let world = self.world.clone();
        loop {
            if world.has_spawned.swap(false, Ordering::Relaxed) {
                let spawned = std::mem::take(&mut world.net().spawned);
                spawned.into_iter().for_each(|(node, future)| self.adopt(node, future));
            }
            let Some(id) = world.queue.pop() else { return Ok(()) };
            if id >= TASKS {
                self.drive_task(id - TASKS)?;
            } else {
                self.drive_swarm(Node(id))?;
            }
            self.until_look = self.until_look.saturating_sub(1);
            if self.until_look == 0 {
                self.until_look = LOOK;
                self.check_memory()?;
            }
        }
    }

    fn adopt(&mut self, node: u32, future: BoxFuture<'static, ()>) {
        let at = self.tasks_free.pop().unwrap_or(self.tasks.len() as u32);
        let bell = Bell::new(TASKS + at, &self.world.queue);
        bell.ring();
        let task = Task { node, future, waker: Waker::from(bell.clone()), bell };
        match self.tasks.get_mut(at as usize) {
            Some(place) => *place = Some(task),
            None => self.tasks.push(Some(task)),
        }
        if let Some(peer) = self.nodes.get_mut(node as usize) {
            peer.tasks.push(at);
        }
    }

    fn drive_task(&mut self, at: u32) -> Result<(), SimError> {
        let Some(mut task) = self.tasks.get_mut(at as usize).and_then(Option::take) else { return Ok(()) };
        task.bell.heard();
        let node = Node(task.node);
        self.turn(node)?;
        let polled = self.caught(node, "a connection", move |_| {
            let done = task.future.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready();
            (!done).then_some(task)
        })?;
        let over = polled.is_none();
        if let Some(place) = self.tasks.get_mut(at as usize) {
            *place = polled;
        }
        if over {
            self.tasks_free.push(at);
            if let Some(peer) = self.nodes.get_mut(node.index())
                && let Some(found) = peer.tasks.iter().position(|other| *other == at)
            {
                peer.tasks.swap_remove(found);
            }
        }
        Ok(())
    }

    fn drive_swarm(&mut self, node: Node) -> Result<(), SimError> {
        let Some(peer) = self.nodes.get_mut(node.index()) else { return Ok(()) };
        peer.bell.heard();
        if peer.state == State::Down {
            return Ok(());
        }
        self.turn(node)?;
        for _ in 0..EVENTS_AT_ONCE {
            let polled = self.caught(node, "a behaviour", |sim| {
                let peer = sim.nodes.get_mut(node.index())?;
                let swarm = peer.swarm.as_mut()?;
                let polled = swarm.poll_next_unpin(&mut Context::from_waker(&peer.waker));
                Some((polled, swarm.behaviour().take_asked()))
            })?;
            let Some((polled, asked)) = polled else { return Ok(()) };
            if let Some((commands, content)) = asked {
                self.world.net().record(node.0, Kind::Asked, commands, 0, content);
            }
            match polled {
                Poll::Ready(Some(event)) => self.on_event(node, event),
                Poll::Ready(None) => {
                    self.end_process(node, super::hosts::Running::Stopped, None);
                    self.world.record(node, Kind::Stopped, 0, 0);
                    return Ok(());
                }
                Poll::Pending => return Ok(()),
            }
        }
        if let Some(peer) = self.nodes.get(node.index()) {
            peer.bell.ring();
        }
        Ok(())
    }

    fn turn(&mut self, node: Node) -> Result<(), SimError> {
        let now = self.world.now();
        let Some(peer) = self.nodes.get_mut(node.index()) else { return Ok(()) };
        let (at, turns) = peer.turns;
        peer.turns = if at == now { (now, turns + 1) } else { (now, 1) };
        if peer.turns.1 as usize > TURNS.get() {
            self.failed = true;
            let cause = self.cause(node);
            let behaviour = std::any::type_name::<B>().to_string();
            return Err(SimError::StandsStill { node, behaviour, turns: TURNS.get(), cause });
        }
        Ok(())
    }

    fn on_event(&mut self, node: Node, event: SwarmEvent<B::ToSwarm>) {
        let world = self.world.clone();
        let number =
            |peer: &peerage_core::PeerId| self.by_peer.get(peer).map_or(u64::MAX, |node| u64::from(*node));
        let maybe = |peer: &Option<peerage_core::PeerId>| peer.as_ref().map_or(u64::MAX, number);
        let now = world.now();
        {
            let mut net = world.net();
            let (kind, a, b) = match &event {
                SwarmEvent::Behaviour(said) => {
                    let mut fields = Fields::new();
                    match &self.hashing {
                        Some(hash) => hash(said, &mut fields),
                        None => drop(write!(fields, "{said:?}")),
                    }
                    net.journal.record_words(now, node.0, Kind::Said, &fields);
                    (None, 0, 0)
                }
                SwarmEvent::ConnectionEstablished { peer_id, num_established, .. } => {
                    (Some(Kind::Established), number(peer_id), u64::from(num_established.get()))
                }
                SwarmEvent::ConnectionClosed { peer_id, num_established, .. } => {
                    (Some(Kind::Closed), number(peer_id), u64::from(*num_established))
                }
                SwarmEvent::IncomingConnection { .. } => (Some(Kind::Incoming), 0, 0),
                SwarmEvent::IncomingConnectionError { peer_id, .. } => {
                    (Some(Kind::IncomingFailed), maybe(peer_id), 0)
                }
                SwarmEvent::OutgoingConnectionError { peer_id, .. } => {
                    (Some(Kind::DialFailed), maybe(peer_id), 0)
                }
                SwarmEvent::Dialing { peer_id, .. } => (Some(Kind::Dialing), maybe(peer_id), 0),
                SwarmEvent::NewListenAddr { .. } => (Some(Kind::Listening), 0, 0),
                SwarmEvent::ExpiredListenAddr { .. } => (Some(Kind::ListenExpired), 0, 0),
                SwarmEvent::ListenerClosed { .. } => (Some(Kind::ListenerClosed), 0, 0),
                _ => (Some(Kind::Other), 0, 0),
            };
            if let Some(kind) = kind {
                net.record(node.0, kind, a, b, 0);
            }
        }
        let said = match &event {
            SwarmEvent::Behaviour(said) => self.reading.as_ref().and_then(|read| read(said)),
            _ => None,
        };
        let at = world.instant();
        let kept = match &mut self.watch {
            Some(watch) => watch(Seen { node, at, event: &event }),
            None => true,
        };
        let Some(peer) = self.nodes.get_mut(node.index()) else { return };
        peer.messages.extend(said);
        if kept {
            if peer.events.len() == super::EVENTS.get() {
                peer.events.pop_front();
                peer.events_dropped += 1;
            } else {
                self.events_held += Self::EVENT_SIZE;
            }
            peer.events.push_back((at, event));
        }
    }
    pub(super) const EVENT_SIZE: usize =
        size_of::<SwarmEvent<B::ToSwarm>>() + size_of::<peerage_core::Instant>();

    /// A panic stops the run, and says whose it was.
    pub(super) fn caught<R>(
        &mut self,
        node: Node,
        what: &'static str,
        run: impl FnOnce(&mut Self) -> R,
    ) -> Result<R, SimError> {
        if self.failed {
            return Err(SimError::Down(node));
        }
        catch_unwind(AssertUnwindSafe(|| run(self))).map_err(|panic| {
            self.failed = true;
            self.blame(node, what, &*panic)
        })
    }
    fn blame(&self, node: Node, what: &'static str, panic: &(dyn Any + Send)) -> SimError {
        let (mut behaviour, cause) = (std::any::type_name::<B>().to_string(), self.cause(node));
        if let Some(Violation { rule, what, field }) = panic.downcast_ref() {
            if !field.is_empty() {
                let _ = write!(behaviour, ", field {field}");
            }
            return SimError::Contract { rule, what: what.clone(), behaviour, node, cause };
        }
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
        SimError::Panicked { what, node, behaviour, text: text.unwrap_or_default(), cause }
    }
    fn cause(&self, node: Node) -> String {
        let swarm = self.nodes.get(node.index()).and_then(|peer| peer.swarm.as_ref());
        swarm.map_or_else(|| "its start".into(), |swarm| swarm.behaviour().cause().to_string())
    }
}
