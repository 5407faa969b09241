//! Peers of one LAN find each other, without a server
