//! Connections, as the network sees them: two pipes with latency, bandwidth and a queue that pushes back.
use super::{
    Failure,
    hosts::{ListenerState, port_of},
    journal::{Digest, Kind},
    world::{Net, What},
};
use bytes::BytesMut;
use peerage_core::Bound;
use std::{collections::VecDeque, io, task::Waker};

/// A dial that nobody answers is tried again after 1, 2, 4 s, as Linux does.
const SYN_AGAIN: u64 = 1_000_000_000;
const SYN_TRIES: u8 = 6;
/// Bytes that wait on a link without a bandwidth: what Linux lets a socket's send buffer grow to.
pub(crate) const QUEUE: Bound = Bound {
    name: "sim.queue",
    default: 4 << 20,
    unit: "bytes per link and direction",
    policy: "wait: the writer is not ready",
};
/// And on one with a bandwidth, besides what is under way.
pub(crate) const QUEUE_NARROW: Bound = Bound {
    name: "sim.queue_narrow",
    default: 256 << 10,
    unit: "bytes per link and direction, besides what is under way",
    policy: "wait: the writer is not ready",
};

/// All connections.
#[derive(Default)]
pub(super) struct Links {
    all: Vec<Link>,
    free: Vec<u32>,
    /// Established ones, in no order that matters, so that one can be drawn.
    live: Vec<u32>,
    number: u64,
    /// Bytes that wait in pipes.
    pub(super) held: usize,
}

pub(super) struct Link {
    /// Counts who has used this place, so that what was meant for an earlier one is dropped.
    pub(super) life: u32,
    /// Counts links since the beginning: what events name it by.
    pub(super) number: u64,
    pub(super) nodes: [u32; 2],
    pub(super) port: u16,
    pub(super) from_port: u16,
    pub(super) latency: u64,
    pub(super) since: u64,
    pub(super) dial: Dial,
    ends: [End; 2],
    reset: [bool; 2],
    /// Nothing passes: the other side is behind a partition.
    parted: bool,
    /// Nothing passes ever again.
    silent: bool,
    /// From each end to the other.
    pipes: [Pipe; 2],
    dialer: Option<Waker>,
    live_at: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dial {
    UnderWay,
    Refused,
    Made,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    Here,
    Gone,
    /// The machine has stopped: nobody is there to answer, until it runs again.
    Dead,
}

#[derive(Default)]
struct Pipe {
    segments: VecDeque<Segment>,
    /// Of the segments, those that have arrived.
    arrived: usize,
    /// Read of the first segment.
    read: usize,
    in_flight: usize,
    busy_until: u64,
    last_at: u64,
    scheduled: bool,
    finished: bool,
    /// Written since the beginning.
    total: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
}
struct Segment {
    at: u64,
    content: u64,
    /// Empty: the end.
    data: Box<[u8]>,
}

/// One end of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndOf {
    pub(super) link: u32,
    pub(super) life: u32,
    pub(super) end: u8,
}

impl Link {
    pub(super) fn bytes(&self) -> [u64; 2] {
        [self.pipes[0].total, self.pipes[1].total]
    }
}

impl Links {
    pub(super) fn get(&mut self, link: u32, life: u32) -> Option<&mut Link> {
        self.all.get_mut(link as usize).filter(|found| found.life == life)
    }
    pub(super) fn live(&self) -> impl Iterator<Item = &Link> {
        self.live.iter().filter_map(|at| self.all.get(*at as usize))
    }
    pub(super) fn live_len(&self) -> usize {
        self.live.len()
    }
    fn add(&mut self, nodes: [u32; 2], port: u16, from_port: u16, latency: u64, parted: bool) -> (u32, u32) {
        self.number += 1;
        let at = self.free.pop().unwrap_or(self.all.len() as u32);
        let life = self.all.get(at as usize).map_or(0, |old| old.life);
        let link = Link {
            life,
            number: self.number,
            nodes,
            port,
            from_port,
            latency,
            since: 0,
            dial: Dial::UnderWay,
            ends: [End::Here, End::NotYet],
            reset: [false; 2],
            parted,
            silent: false,
            pipes: Default::default(),
            dialer: None,
            live_at: None,
        };
        match self.all.get_mut(at as usize) {
            Some(place) => *place = link,
            None => self.all.push(link),
        }
        (at, life)
    }
    fn enlist(&mut self, link: u32) {
        if let Some(found) = self.all.get_mut(link as usize) {
            found.live_at = Some(self.live.len() as u32);
            self.live.push(link);
        }
    }
    fn delist(&mut self, link: u32) -> bool {
        let at = self.all.get_mut(link as usize).and_then(|found| found.live_at.take());
        let Some(at) = at else { return false };
        self.live.swap_remove(at as usize);
        if let Some(moved) = self.live.get(at as usize).copied()
            && let Some(moved) = self.all.get_mut(moved as usize)
        {
            moved.live_at = Some(at);
        }
        true
    }
    fn remove(&mut self, link: u32) {
        if let Some(found) = self.all.get_mut(link as usize) {
            found.life = found.life.wrapping_add(1);
            for pipe in &mut found.pipes {
                self.held -= pipe.in_flight.min(self.held);
                *pipe = Pipe::default();
            }
            found.dialer = None;
            self.free.push(link);
        }
    }
    pub(super) fn drawn(&self, at: usize) -> Option<u32> {
        self.live.get(at).copied()
    }
    pub(super) fn bytes(&self) -> usize {
        self.held + self.all.capacity() * size_of::<Link>()
    }
    /// Every connection two halves of the network share.
    pub(super) fn between(&self, parted: impl Fn(u32, u32) -> bool) -> Vec<u32> {
        let ours = |(at, link): (usize, &Link)| parted(link.nodes[0], link.nodes[1]).then_some(at as u32);
        self.all.iter().enumerate().filter_map(ours).collect()
    }
}

impl Net {
    fn latency(&mut self) -> u64 {
        let (least, more) = self.weather.latency;
        least.saturating_add(self.dice.below(more))
    }
    fn link(&mut self, of: EndOf) -> Option<&mut Link> {
        self.links.get(of.link, of.life)
    }

    // --- dialing --------------------------------------------------------------------------------

    pub(super) fn dial(&mut self, from: u32, to: u32, port: u16, from_port: u16) -> EndOf {
        let latency = self.latency();
        let parted = self.is_parted(from, to);
        let (link, life) = self.links.add([from, to], port, from_port, latency, parted);
        let number = self.links.number;
        self.record(from, Kind::Dialed, number, u64::from(to), 0);
        self.busy = self.now;
        self.due(self.now.saturating_add(latency), What::Syn { link, life, tries: 0 });
        EndOf { link, life, end: 0 }
    }
    pub(super) fn dialed(&mut self, of: EndOf, waker: &Waker) -> Option<io::Result<()>> {
        let link = self.link(of)?;
        match link.dial {
            Dial::Made => Some(Ok(())),
            Dial::Refused => Some(Err(io::ErrorKind::ConnectionRefused.into())),
            Dial::UnderWay => {
                link.dialer = Some(waker.clone());
                None
            }
        }
    }
    pub(super) fn on_syn(&mut self, link: u32, life: u32, tries: u8) {
        let Some(found) = self.links.get(link, life) else { return };
        let ([from, to], port, latency) = (found.nodes, found.port, found.latency);
        let state = self.hosts.get(to as usize).map_or(ListenerState::Nobody, |host| host.listens(port));
        let lost = self.is_parted(from, to) || state == ListenerState::Silent;
        if lost {
            if tries < SYN_TRIES {
                let again = self.now.saturating_add(SYN_AGAIN << tries);
                self.due(again, What::Syn { link, life, tries: tries + 1 });
            }
            return;
        }
        let at = self.now.saturating_add(latency);
        self.due(
            at,
            match state {
                ListenerState::Open => What::SynAck { link, life },
                _ => What::Refused { link, life },
            },
        );
    }
    pub(super) fn on_syn_ack(&mut self, link: u32, life: u32) {
        let now = self.now;
        let Some(found) = self.links.get(link, life) else { return };
        (found.dial, found.since) = (Dial::Made, now);
        let at = now.saturating_add(found.latency);
        found.pipes[0].last_at = at;
        let ([from, to], number, waker) = (found.nodes, found.number, found.dialer.take());
        self.links.enlist(link);
        self.record(from, Kind::Connected, number, u64::from(to), 0);
        for node in [from, to] {
            if let Some(host) = self.host(node) {
                host.links += 1;
            }
        }
        self.due(at, What::Ack { link, life });
        if let Some(waker) = waker {
            waker.wake();
        }
    }
    pub(super) fn on_refused(&mut self, link: u32, life: u32) {
        let Some(found) = self.links.get(link, life) else { return };
        found.dial = Dial::Refused;
        let ([from, to], number, waker) = (found.nodes, found.number, found.dialer.take());
        self.record(from, Kind::Refused, number, u64::from(to), 0);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
    pub(super) fn on_ack(&mut self, link: u32, life: u32) {
        let Some(found) = self.links.get(link, life) else { return };
        let ([from, to], port, number, lost) = (found.nodes, found.port, found.number, found.parted);
        let open = self.hosts.get(to as usize).map(|host| host.listens(port));
        if lost {
            return self.due(self.now.saturating_add(SYN_AGAIN), What::Ack { link, life }); // It is sent again.
        }
        if open == Some(ListenerState::Silent) {
            // The dialer believes in it, until it hears nothing.
            if let Some(found) = self.links.get(link, life) {
                found.ends[1] = End::Dead;
            }
            return;
        }
        if open != Some(ListenerState::Open) {
            return self.reset_soon(EndOf { link, life, end: 0 });
        }
        if let Some(found) = self.links.get(link, life) {
            found.ends[1] = End::Here;
        }
        self.record(to, Kind::Accepted, number, u64::from(from), 0);
        if let Some(host) = self.host(to) {
            host.incoming.push_back(EndOf { link, life, end: 1 });
            host.wake_transport();
        }
    }
    /// Where the other side stands: its address, as this end sees it, and our port.
    pub(super) fn ports(&mut self, of: EndOf) -> Option<([u32; 2], u16, u16)> {
        let link = self.link(of)?;
        Some((link.nodes, link.port, link.from_port))
    }

    // --- bytes ----------------------------------------------------------------------------------

    fn capacity(&self, latency: u64) -> usize {
        match (self.weather.queue, self.weather.bandwidth) {
            (Some(queue), None) => queue,
            (None, None) => QUEUE.get(),
            (queue, Some(bandwidth)) => {
                let under_way = u128::from(bandwidth) * u128::from(latency) * 2 / 1_000_000_000;
                let under_way = usize::try_from(under_way).unwrap_or(usize::MAX);
                queue.unwrap_or(QUEUE_NARROW.get()).saturating_add(under_way)
            }
        }
    }

    pub(super) fn write(
        &mut self,
        of: EndOf,
        from: &[io::IoSlice<'_>],
        waker: &Waker,
    ) -> Option<io::Result<usize>> {
        let gone = || Some(Err(io::ErrorKind::ConnectionReset.into()));
        let Some(latency) = self.link(of).map(|link| link.latency) else { return gone() };
        let capacity = self.capacity(latency);
        let way = usize::from(of.end);
        let Some(link) = self.link(of) else { return gone() };
        if link.reset[way] {
            return gone();
        }
        let (silent, far, node) = (link.silent, link.ends[1 - way], link.nodes[way]);
        let pipe = &mut link.pipes[way];
        if pipe.finished {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let wanted: usize = from.iter().map(|slice| slice.len()).sum();
        let mut room = wanted.min(capacity.saturating_sub(pipe.in_flight));
        if room == 0 && wanted > 0 {
            pipe.writer = Some(waker.clone());
            return None;
        }
        let taken = room;
        pipe.in_flight += taken;
        pipe.total += taken as u64;
        let nobody = silent || matches!(far, End::Gone | End::Dead);
        if !nobody {
            let mut data = Vec::with_capacity(taken);
            for slice in from {
                let part = slice.get(..room.min(slice.len())).unwrap_or_default();
                data.extend_from_slice(part);
                room -= part.len();
            }
            self.send(of, data.into());
        } else if far == End::Gone && !silent {
            self.reset_soon(of); // "The other side has closed its socket": it answers with a reset.
        } else if far == End::Dead && !silent && self.answers_for_the_dead(of) {
            self.reset_soon(of);
        }
        self.links.held += taken;
        if let Some(host) = self.host(node) {
            host.bytes_sent += taken as u64;
        }
        Some(Ok(taken))
    }
    /// A machine that has started again knows nothing of its earlier connections.
    fn answers_for_the_dead(&mut self, of: EndOf) -> bool {
        let Some(nodes) = self.link(of).map(|link| link.nodes) else { return false };
        let far = nodes[1 - usize::from(of.end)];
        !self.is_parted(nodes[0], nodes[1])
            && self.hosts.get(far as usize).is_some_and(|host| host.is_answering())
    }

    /// Puts a segment under way.
    fn send(&mut self, of: EndOf, data: Box<[u8]>) {
        let (now, way) = (self.now, usize::from(of.end));
        let jitter = match self.weather.jitter {
            0 => 0,
            most => self.dice.below(most),
        };
        let bandwidth = self.weather.bandwidth;
        self.busy = now;
        let Some(link) = self.link(of) else { return };
        let (latency, stands) = (link.latency, link.parted || link.silent);
        let pipe = &mut link.pipes[way];
        let mut leaves = now;
        if let Some(bandwidth) = bandwidth {
            let takes = data.len() as u128 * 1_000_000_000 / u128::from(bandwidth.max(1));
            leaves = pipe.busy_until.max(now).saturating_add(u64::try_from(takes).unwrap_or(u64::MAX));
            pipe.busy_until = leaves;
        }
        // Bytes never overtake each other.
        let at = leaves.saturating_add(latency).saturating_add(jitter).max(pipe.last_at);
        pipe.last_at = at;
        let mut digest = Digest::new();
        digest.bytes(&data);
        pipe.segments.push_back(Segment { at, content: digest.short(), data });
        if !pipe.scheduled && !stands {
            pipe.scheduled = true;
            self.due(at, What::Arrival { link: of.link, life: of.life, way: of.end });
        }
    }

    pub(super) fn on_arrival(&mut self, link: u32, life: u32, way: u8) {
        let now = self.now;
        let Some(found) = self.links.get(link, life) else { return };
        let stands = found.parted || found.silent;
        let (number, to) = (found.number, found.nodes[1 - usize::from(way)]);
        let pipe = &mut found.pipes[usize::from(way)];
        pipe.scheduled = false;
        if stands {
            return;
        }
        let (mut bytes, mut ended, mut digest) = (0_u64, false, Digest::new());
        let mut content = 0;
        while let Some(segment) = pipe.segments.get(pipe.arrived).filter(|segment| segment.at <= now) {
            content = match content {
                0 => segment.content,
                _ => {
                    digest.word(content);
                    digest.word(segment.content);
                    digest.short()
                }
            };
            pipe.arrived += 1;
            bytes += segment.data.len() as u64;
            ended |= segment.data.is_empty();
        }
        let next = pipe.segments.get(pipe.arrived).map(|segment| segment.at);
        pipe.scheduled = next.is_some();
        let reader = pipe.reader.take();
        if let Some(at) = next {
            self.due(at, What::Arrival { link, life, way });
        }
        let kind = if ended { Kind::Ended } else { Kind::Arrived };
        self.record(to, kind, number, bytes, content);
        self.busy = now;
        if let Some(host) = self.host(to) {
            host.bytes_received += bytes;
        }
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    pub(super) fn read(
        &mut self,
        of: EndOf,
        into: &mut BytesMut,
        waker: &Waker,
    ) -> Option<io::Result<usize>> {
        let gone = || Some(Err(io::ErrorKind::ConnectionReset.into()));
        let Some(latency) = self.link(of).map(|link| link.latency) else { return gone() };
        let capacity = self.capacity(latency);
        let way = 1 - usize::from(of.end);
        let Some(link) = self.link(of) else { return gone() };
        if link.reset[usize::from(of.end)] {
            return gone();
        }
        let pipe = &mut link.pipes[way];
        let (mut taken, mut ended) = (0, false);
        while pipe.arrived > 0 {
            let Some(first) = pipe.segments.front() else { break };
            if first.data.is_empty() {
                ended = true; // It stays: whoever reads again is told again.
                break;
            }
            let room = into.capacity().saturating_sub(into.len());
            if room == 0 && taken > 0 {
                break;
            }
            let rest = first.data.get(pipe.read..).unwrap_or_default();
            let part = rest.get(..rest.len().min(room.max(1))).unwrap_or_default();
            into.extend_from_slice(part);
            taken += part.len();
            pipe.read += part.len();
            if pipe.read == first.data.len() {
                pipe.segments.pop_front();
                pipe.arrived -= 1;
                pipe.read = 0;
            }
        }
        if pipe.segments.is_empty() {
            pipe.segments = VecDeque::new(); // A quiet link holds no memory.
        }
        if taken == 0 {
            if ended {
                return Some(Ok(0));
            }
            pipe.reader = Some(waker.clone());
            return None;
        }
        pipe.in_flight -= taken.min(pipe.in_flight);
        if pipe.in_flight <= capacity / 2
            && let Some(writer) = pipe.writer.take()
        {
            writer.wake();
        }
        self.links.held -= taken.min(self.links.held);
        Some(Ok(taken))
    }

    /// No more bytes follow.
    pub(super) fn finish(&mut self, of: EndOf) -> io::Result<()> {
        let way = usize::from(of.end);
        let Some(link) = self.link(of) else { return Err(io::ErrorKind::NotConnected.into()) };
        if link.reset[way] {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let nobody = link.silent || matches!(link.ends[1 - way], End::Gone | End::Dead);
        if !std::mem::replace(&mut link.pipes[way].finished, true) && !nobody {
            self.send(of, Box::default());
        }
        Ok(())
    }

    // --- ends -----------------------------------------------------------------------------------

    fn reset_soon(&mut self, of: EndOf) {
        let Some(latency) = self.link(of).map(|link| link.latency) else { return };
        let at = self.now.saturating_add(latency.saturating_mul(2));
        self.due(at, What::Reset { link: of.link, life: of.life, end: of.end });
    }
    pub(super) fn on_reset(&mut self, link: u32, life: u32, end: u8) {
        let way = usize::from(end);
        let Some(found) = self.links.get(link, life) else { return };
        if found.reset[way] || found.ends[way] != End::Here || found.parted || found.silent {
            return;
        }
        found.reset[way] = true;
        let (number, node) = (found.number, found.nodes[way]);
        let wakers = [found.pipes[way].writer.take(), found.pipes[1 - way].reader.take()];
        self.record(node, Kind::Reset, number, 0, 0);
        self.busy = self.now;
        self.down(link);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
    /// It counts no more as a connection of the network.
    fn down(&mut self, link: u32) {
        if self.links.delist(link) {
            let nodes = self.links.all.get(link as usize).map(|link| link.nodes);
            for node in nodes.into_iter().flatten() {
                if let Some(host) = self.host(node) {
                    host.links = host.links.saturating_sub(1);
                }
            }
        }
    }

    /// A socket was dropped.
    pub(super) fn drop_end(&mut self, of: EndOf) {
        let way = usize::from(of.end);
        let Some(link) = self.link(of) else { return };
        let node = link.nodes[way];
        let how = self.hosts.get(node as usize).and_then(|host| host.dying);
        let Some(link) = self.link(of) else { return };
        link.ends[way] = if how == Some(Failure::Silence) { End::Dead } else { End::Gone };
        let heard = &mut link.pipes[1 - way];
        let unread = heard.arrived > 0 && heard.segments.front().is_some_and(|first| !first.data.is_empty());
        let (held, writer) = (heard.in_flight, heard.writer.take());
        heard.segments = VecDeque::new();
        (heard.arrived, heard.read, heard.in_flight) = (0, 0, 0);
        let (far, silent, parted) = (link.ends[1 - way], link.silent, link.parted);
        let (finished, reset) = (link.pipes[way].finished, link.reset[way]);
        self.links.held -= held.min(self.links.held);
        self.down(of.link);
        if let Some(writer) = writer {
            writer.wake();
        }
        let other = EndOf { end: 1 - of.end, ..of };
        let unmade = far == End::NotYet;
        match how {
            _ if silent || reset || unmade => {}
            Some(Failure::Silence) => {}
            Some(Failure::Reset) => self.reset_other(other, parted),
            // "A socket closed with unread bytes is reset by the system."
            None if unread => self.reset_other(other, parted),
            None if finished => {}
            None => {
                if let Some(link) = self.link(of) {
                    link.pipes[way].finished = true;
                }
                self.send(of, Box::default());
            }
        }
        let over = |end| matches!(end, End::Gone | End::Dead | End::NotYet);
        if over(far) {
            self.links.remove(of.link);
        }
    }
    fn reset_other(&mut self, other: EndOf, parted: bool) {
        if let Some(latency) = self.link(other).map(|link| link.latency).filter(|_| !parted) {
            let at = self.now.saturating_add(latency);
            self.due(at, What::Reset { link: other.link, life: other.life, end: other.end });
        }
    }

    // --- faults ---------------------------------------------------------------------------------

    /// A link fails.
    pub(super) fn fail(&mut self, link: u32, how: Failure) {
        let Some(found) = self.links.all.get_mut(link as usize) else { return };
        let (life, [a, b], number) = (found.life, found.nodes, found.number);
        match how {
            Failure::Reset => {
                self.on_reset(link, life, 0);
                self.on_reset(link, life, 1);
            }
            Failure::Silence => {
                found.silent = true;
                self.record(a, Kind::Silenced, number, u64::from(b), 0);
                self.down(link);
            }
        }
    }
    /// Everything between two halves of the network stands.
    pub(super) fn part(&mut self, a: Vec<bool>, b: Vec<bool>) {
        self.partitions.push((a, b));
        let parted: Vec<u32> = self.links.between(|a, b| self.is_parted(a, b));
        let first = self.partitions.last().and_then(|(a, _)| a.iter().position(|yes| *yes)).unwrap_or(0);
        self.record(first as u32, Kind::Parted, parted.len() as u64, 0, 0);
        for link in parted {
            if let Some(link) = self.links.all.get_mut(link as usize) {
                link.parted = true;
            }
        }
    }
    /// And goes on: what was sent in the meantime is sent again.
    pub(super) fn heal(&mut self) {
        self.partitions.clear();
        let now = self.now;
        let mut due = Vec::new();
        for (at, link) in self.links.all.iter_mut().enumerate().filter(|(_, link)| link.parted) {
            link.parted = false;
            for (way, pipe) in link.pipes.iter_mut().enumerate() {
                let mut last = now.saturating_add(link.latency);
                for segment in pipe.segments.iter_mut().skip(pipe.arrived) {
                    segment.at = segment.at.max(last);
                    last = segment.at;
                }
                pipe.last_at = pipe.last_at.max(last);
                if let Some(next) =
                    pipe.segments.get(pipe.arrived).filter(|_| !pipe.scheduled && !link.silent)
                {
                    pipe.scheduled = true;
                    due.push((next.at, What::Arrival { link: at as u32, life: link.life, way: way as u8 }));
                }
            }
            // A side that has gone in the meantime has left its end unsaid.
            for end in 0..2_u8 {
                let (here, there) = (link.ends[usize::from(end)], link.ends[1 - usize::from(end)]);
                if here == End::Here && there == End::Gone && !link.pipes[1 - usize::from(end)].finished {
                    due.push((
                        now.saturating_add(link.latency),
                        What::Reset { link: at as u32, life: link.life, end },
                    ));
                }
            }
        }
        self.record(0, Kind::Healed, due.len() as u64, 0, 0);
        for (at, what) in due {
            self.due(at, what);
        }
    }
    /// Draws how many links fail within the next second, and when.
    pub(super) fn on_failures(&mut self) {
        const SECOND: u64 = 1_000_000_000;
        let (per_million, _) = self.weather.loss;
        if per_million == 0 {
            return;
        }
        let share = self.links.live_len() as u64 * u64::from(per_million);
        let more = u64::from(self.dice.below(1_000_000) < share % 1_000_000);
        for _ in 0..share / 1_000_000 + more {
            let at = self.now.saturating_add(self.dice.below(SECOND));
            self.due(at, What::Failure);
        }
        self.due(self.now.saturating_add(SECOND), What::Failures);
    }
    pub(super) fn on_failure(&mut self) {
        let at = self.dice.index(self.links.live_len());
        if let Some(link) = self.links.drawn(at) {
            let how = self.weather.loss.1;
            self.fail(link, how);
        }
    }
    /// Every link of a node that is to die, or of which one is to fail.
    pub(super) fn links_of(&self, a: u32, b: u32) -> Vec<u32> {
        let both = |link: &&Link| link.nodes == [a, b] || link.nodes == [b, a];
        self.links
            .live()
            .filter(both)
            .filter_map(|link| self.links.live.get(link.live_at? as usize))
            .copied()
            .collect()
    }
    pub(super) fn free_port(&mut self, node: u32) -> u16 {
        self.host(node).map_or(port_of(0), |host| {
            host.next_port = host.next_port.wrapping_add(1);
            port_of(host.next_port)
        })
    }
}
