//! What the programs of all stacks share: scenarios, written once over [`Node`], and how they are measured.
//!
//! | file | |
//! |---|---|
//! | `node.rs` | what a scenario asks of a stack |
//! | `arguments.rs` | what the runner says |
//! | `process.rs` | one core, processor time, memory |
//! | `service.rs` | what a server does with a stream |
//! | `scenario.rs` | which scenario is which file; a client's life |
//! | `pubsub.rs` | floodsub: many nodes in one process |
#![forbid(unsafe_code)]

pub mod arguments;
pub mod node;
pub mod process;
pub mod pubsub;
pub mod scenario;
pub mod service;

pub use arguments::{Arguments, Transport};
pub use node::{Node, Setup, failed};
pub use pubsub::Pubsub;
pub use scenario::{Report, run};
pub use service::{Service, serve};
