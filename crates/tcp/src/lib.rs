//! TCP transport
