//! The outside, on tokio: tasks, clock, entropy, interfaces, multicast
