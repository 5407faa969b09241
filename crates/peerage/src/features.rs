//! Features that rust-libp2p has and this version has not: one compile error each, and nothing else.

macro_rules! not_built_yet {
    ($($feature:literal)*) => { $(
        #[cfg(feature = $feature)]
        compile_error!(concat!("peerage: the feature \"", $feature, "\" is not built yet: leave it out"));
    )* };
}

not_built_yet! {
    "autonat" "cbor" "dcutr" "dns" "gossipsub" "gossipsub-partial-messages" "json" "kad" "memory-connection-limits"
    "metrics" "peer-store" "plaintext" "pnet" "quic" "relay" "rendezvous" "request-response" "serde" "tls" "uds" "upnp"
    "webrtc-websys" "websocket" "websocket-websys" "webtransport-websys"
}
