//! The swarm crate under another name, as in a crate that exports it in turn.
mod framework {
    pub mod libp2p {
        pub use peerage_swarm as swarm;
    }
}
#[path = "../../ui_behaviour/ping.rs"]
mod ping;

use framework::libp2p::swarm::NetworkBehaviour;

#[derive(NetworkBehaviour)]
#[behaviour(crate = "framework::libp2p::swarm")]
struct ByCrate {
    ping: ping::Ping,
}

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "crate::framework::libp2p::swarm::derive_prelude")]
struct ByPrelude {
    inner: ByCrate,
}

fn main() {
    let mut node = ByPrelude { inner: ByCrate { ping: ping::Ping } };
    assert!(node.next_command().is_none());
}
