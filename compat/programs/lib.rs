//! Programs and tests that only use the application-level API of rust-libp2p 0.57.
