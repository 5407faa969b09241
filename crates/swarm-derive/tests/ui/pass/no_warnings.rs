//! The generated code is clean under the strictest lints, in whatever crate it lands.
#![deny(warnings, missing_docs, unreachable_pub, unused, unreachable_code, private_bounds, private_interfaces)]
#![deny(rust_2018_idioms, unused_qualifications, missing_debug_implementations, unused_lifetimes)]

#[path = "../../ui_behaviour/ping.rs"]
#[allow(missing_docs, missing_debug_implementations)]
mod ping;

/// Fields of every kind.
pub mod node {
    use crate::ping::Ping;
    use peerage_swarm::NetworkBehaviour;

    #[derive(Debug, NetworkBehaviour)]
    struct Inner<B> {
        inner: B,
    }
    #[derive(NetworkBehaviour)]
    #[allow(missing_debug_implementations)]
    struct Private {
        ping: Ping,
    }
    /// A node.
    #[derive(NetworkBehaviour)]
    #[allow(missing_debug_implementations)]
    pub struct Node<B> {
        ping: Ping,
        private: Private,
        inner: Inner<Option<Private>>,
        /// Generic.
        pub other: B,
    }
    impl<B> Node<B> {
        /// A node.
        pub fn new(other: B) -> Self {
            Self { ping: Ping, private: Private { ping: Ping }, inner: Inner { inner: None }, other }
        }
    }
}

fn main() {
    use peerage_swarm::NetworkBehaviour;
    assert!(node::Node::new(ping::Ping).next_command().is_none());
}
