//! #[derive(NetworkBehaviour)]
