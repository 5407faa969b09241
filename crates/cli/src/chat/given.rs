//! Addresses that were given with `--peer`: dialed again until somebody answers, and again when the connection is lost.
use peerage::{
    Multiaddr, PeerId,
    core::{ConnectionId, Instant},
    swarm::Timers,
};
use std::{collections::BTreeMap, time::Duration};

/// The first pause after a failure; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The addresses and how they do.
#[derive(Default)]
pub(crate) struct Given {
    targets: BTreeMap<Multiaddr, Target>,
    timers: Timers<Multiaddr>,
}

#[derive(Default)]
struct Target {
    state: State,
    failures: u32,
    /// The failure was told.
    told: bool,
}
#[derive(Default)]
enum State {
    #[default]
    Idle,
    Dialing(ConnectionId),
    Connected(PeerId),
}

impl Given {
    pub(crate) fn new(addresses: impl IntoIterator<Item = Multiaddr>, now: Instant) -> Self {
        let mut given = Self::default();
        for address in addresses {
            given.timers.set(address.clone(), now);
            given.targets.insert(address, Target::default());
        }
        given
    }
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
    /// An address to be dialed now.
    pub(crate) fn next_dial(&mut self, now: Instant) -> Option<Multiaddr> {
        self.timers.pop_due(now)
    }
    pub(crate) fn on_dialing(&mut self, address: &Multiaddr, connection: ConnectionId) {
        if let Some(target) = self.targets.get_mut(address) {
            target.state = State::Dialing(connection);
        }
    }
    /// A dial failed; the address, if it is one of these and this is news.
    pub(crate) fn on_failed(&mut self, connection: ConnectionId, now: Instant) -> Option<Multiaddr> {
        let is_it = |(_, target): &(&Multiaddr, &mut Target)| matches!(target.state, State::Dialing(dialing) if dialing == connection);
        let (address, target) = self.targets.iter_mut().find(is_it)?;
        target.state = State::Idle;
        let pause = PAUSE.saturating_mul(1 << target.failures.min(5)).min(PAUSE_MAX);
        target.failures = target.failures.saturating_add(1);
        self.timers.set(address.clone(), now.after(pause));
        (!std::mem::replace(&mut target.told, true)).then(|| address.clone())
    }
    /// Somebody is connected, whoever dialed.
    pub(crate) fn on_connected(&mut self, peer: PeerId, connection: ConnectionId) {
        for (address, target) in &mut self.targets {
            let dialed = matches!(target.state, State::Dialing(dialing) if dialing == connection);
            if dialed || address.peer_id() == Some(peer) {
                *target = Target { state: State::Connected(peer), failures: 0, told: false };
                self.timers.cancel(address.clone());
            }
        }
    }
    /// The last connection to somebody has ended. `clean`: it wanted that, so it is not dialed at once.
    pub(crate) fn on_disconnected(&mut self, peer: PeerId, clean: bool, now: Instant) {
        for (address, target) in &mut self.targets {
            if matches!(target.state, State::Connected(connected) if connected == peer) {
                // Whoever left is heard of no more: nothing to tell when it does not answer.
                *target = Target { state: State::Idle, failures: if clean { 3 } else { 0 }, told: true };
                self.timers.set(address.clone(), now.after(if clean { PAUSE_MAX } else { PAUSE }));
            }
        }
    }
    /// Those that did not answer.
    pub(crate) fn unreachable(&self) -> Vec<String> {
        let failed = self.targets.iter().filter(|(_, target)| target.failures > 0);
        failed.map(|(address, _)| address.to_string()).collect()
    }
    pub(crate) fn is_connected(&self, address: &Multiaddr) -> bool {
        self.targets.get(address).is_some_and(|target| matches!(target.state, State::Connected(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_dialed_again_more_and_more_slowly_and_told_once() {
        let address: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        let mut now = Instant::START;
        let mut given = Given::new([address.clone()], now);
        let mut pauses = Vec::new();
        for n in 0..8 {
            assert_eq!(given.next_dial(now), Some(address.clone()));
            let id = ConnectionId::new_unchecked(n);
            given.on_dialing(&address, id);
            assert_eq!(given.on_failed(ConnectionId::new_unchecked(99), now), None, "somebody else's");
            assert_eq!(given.on_failed(id, now).is_some(), n == 0);
            let next = given.next_timeout().unwrap();
            pauses.push(next.since(now).as_secs());
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(given.unreachable(), [address.to_string()]);
    }

    #[test]
    fn a_connection_ends_the_dialing_and_its_loss_begins_it_again() {
        let peer = PeerId::random();
        let address: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        let address = address.with_p2p(peer).unwrap();
        let mut given = Given::new([address.clone()], Instant::START);
        given.on_connected(peer, ConnectionId::new_unchecked(7)); // it dialed us
        assert!(given.is_connected(&address));
        assert_eq!(given.next_timeout(), None);
        given.on_disconnected(peer, false, Instant::START);
        assert_eq!(given.next_timeout(), Some(Instant::START.after(PAUSE)));
    }
}
