//! Noise XX: who is at the other end, and nobody else listening
