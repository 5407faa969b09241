//! The swarm: drives behaviours, connections and transports
