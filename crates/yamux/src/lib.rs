//! Yamux: many streams over one connection, as a pure state machine
