//! Links what it depends on and does nothing.
use aws_lc_rs as _;
use bytes as _;
use futures as _;
use if_addrs as _;
use if_watch as _;
use quinn as _;
use quinn_proto as _;
use rustix as _;
use rustls as _;
use snow as _;
use socket2 as _;
use thiserror as _;
use tracing as _;

#[tokio::main(flavor = "current_thread")]
async fn main() {}
