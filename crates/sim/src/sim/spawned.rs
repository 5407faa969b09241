//! Swarms in tasks of their own, as applications run them, and the tasks of those applications.
use super::{Node, Sim, SimError, guard::Guarded, journal::Kind, world::World};
use peerage_swarm::{Events, Handle, NetworkBehaviour, SwarmEvent};
use std::{fmt::Debug, sync::Arc};

/// A spawned swarm's handle, and what it tells.
pub type Spawned<B> = (Handle<Guarded<B>>, Events<SwarmEvent<<B as NetworkBehaviour>::ToSwarm>>);

impl<B: NetworkBehaviour<ToSwarm: Debug>> Sim<B> {
    /// A node's swarm runs in a task of its own from now on: [`Swarm::spawn`](peerage_swarm::Swarm::spawn) as applications call it.
    ///
    /// What looks into swarms, such as [`on`](Self::on), finds none there any more: the handle is the way. Links, faults and the
    /// clock are the same. A handle is used by [tasks](Self::task), or by polling a call by hand. A broken rule, as any panic of the
    /// behaviour, ends the swarm: every call fails with `HandleError::Crashed`.
    ///
    /// # Panics
    /// If the node does not run, or was spawned before.
    pub fn spawn(&mut self, node: Node) -> Spawned<B> {
        let result = self.try_spawn(node);
        self.expect(result)
    }
    /// A node's swarm runs in a task of its own from now on.
    ///
    /// # Errors
    /// If the node does not run, or was spawned before.
    pub fn try_spawn(&mut self, node: Node) -> Result<Spawned<B>, SimError> {
        self.running(node)?;
        let peer = self.nodes.get_mut(node.index()).ok_or(SimError::Unknown(node))?;
        let swarm = peer.swarm.take().ok_or(SimError::Spawned(node))?;
        self.world.record(node, Kind::Used, 0, 0);
        let (feed, events) = Events::new(|_| 0);
        let ends = Ends { world: self.world.clone(), node: node.0 };
        let handle = swarm.spawn_with(move |_, event| {
            let _ = &ends;
            feed.push(event);
        });
        Ok((handle, events))
    }
    /// Something an application does on a node, in a task of its own. It ends with the node's process.
    ///
    /// # Panics
    /// If the node does not run.
    pub fn task(&mut self, node: Node, task: impl Future<Output = ()> + Send + 'static) {
        let result = self.process(node).map(|_| ());
        self.expect(result);
        self.outside(node.0).spawn(Box::pin(task));
    }
}

/// In a swarm's task: when that has ended nobody listens any more, although the process goes on.
struct Ends {
    world: Arc<World>,
    node: u32,
}
impl Drop for Ends {
    fn drop(&mut self) {
        let mut net = self.world.net();
        let incoming = net.host(self.node).map(|host| host.close_listeners()).unwrap_or_default();
        incoming.into_iter().for_each(|of| net.drop_end(of));
    }
}
