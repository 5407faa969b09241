//! A peer-to-peer networking stack: the facade
