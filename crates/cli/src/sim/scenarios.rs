//! Tests: what every behaviour does when nodes and links fail. The large ones run with `--ignored`, in release.
mod discovery;
mod flood;
mod hours;
mod limits;
mod ping;
