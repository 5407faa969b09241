//! The outside: on tokio clock, entropy, tasks, timers, interfaces and multicast groups; and where a peer keeps its key.
//!
//! [`Tokio`] is what a swarm gets as its [`Runtime`] outside simulations. It belongs to the tokio runtime in which it
//! was made, which must have its timer and its I/O driver (`enable_all`, or `#[tokio::main]`):
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), peerage_runtime::NoRuntime> {
//! use peerage_core::Runtime;
//!
//! let runtime = peerage_runtime::Tokio::try_current()?;
//! runtime.spawn(Box::pin(async { println!("in a task of its own") }));
//! # Ok(()) }
//! ```
//!
//! Left out on purpose: sockets that connect (they are transports), and everything that decides.
#![forbid(unsafe_code)]

mod clock;
mod home;
mod interfaces;
pub mod key_file;
mod limits;
mod lines;
mod multicast;
mod timer;
mod turn;

pub use home::{Home, HomeError, Kept, Lock};
pub use limits::raise_descriptor_limit;
pub use lines::stdin_lines;

use clock::Clock;
use futures::{future::BoxFuture, stream::BoxStream};
use multicast::Groups;
use peerage_core::{Bound, Instant, Interface, Multicast, Runtime, Seed};
use peerage_identity::crypto;
use std::{net::SocketAddr, time::Duration};
use timer::Timer;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[
    interfaces::INTERFACES,
    interfaces::ADDRESSES,
    multicast::MEMBERS,
    multicast::DATAGRAM,
    multicast::OVERSIZED,
    lines::LINE,
];

/// There is no tokio runtime here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no tokio runtime here: call it inside `#[tokio::main]`, or inside `Runtime::block_on`")]
pub struct NoRuntime;

/// The outside of a swarm: the system, as tokio shows it.
#[derive(Clone, Debug)]
pub struct Tokio {
    handle: Handle,
    clock: Clock,
}

impl Tokio {
    /// The tokio runtime of the caller; its clock starts now.
    ///
    /// # Errors
    ///
    /// If the caller is in no tokio runtime.
    pub fn try_current() -> Result<Self, NoRuntime> {
        let handle = Handle::try_current().map_err(|_| NoRuntime)?;
        Ok(Self { handle, clock: Clock::start() })
    }
}

impl Runtime for Tokio {
    fn now(&self) -> Instant {
        self.clock.now()
    }
    fn unix(&self) -> Duration {
        clock::unix()
    }
    fn seed(&self) -> Seed {
        Seed::from_bytes(crypto::random())
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(self.handle.spawn(task));
    }
    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        drop(self.handle.spawn_blocking(work));
    }
    fn threads(&self) -> usize {
        match self.handle.runtime_flavor() {
            RuntimeFlavor::CurrentThread => 1,
            _ => self.handle.metrics().num_workers(),
        }
    }
    fn timer(&self) -> Box<dyn peerage_core::Timer> {
        Box::new(Timer::new(self.handle.clone(), self.clock))
    }
    fn turn(&self) -> Box<dyn peerage_core::Turn> {
        Box::<turn::Turn>::default()
    }
    fn interfaces(&self) -> BoxStream<'static, Vec<Interface>> {
        interfaces::watch(self.handle.clone())
    }
    fn multicast(&self, v4: SocketAddr, v6: SocketAddr) -> Box<dyn Multicast> {
        Box::new(Groups::new(self.handle.clone(), self.clock, v4, v6))
    }
    fn memory(&self) -> u64 {
        limits::memory().unwrap_or(4 << 30)
    }
    fn descriptors(&self) -> Option<u64> {
        limits::descriptors()
    }
}
