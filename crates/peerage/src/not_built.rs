//! Features rust-libp2p has and we have not built yet: one clear error each, instead of a module that is not there.
macro_rules! not_built {
    ($($feature:literal)*) => { $(
        #[cfg(feature = $feature)]
        compile_error!(concat!("the feature `", $feature, "` is not built yet: peerage has tcp, quic, noise, tls, yamux, ping, identify, floodsub, mdns, request-response, cbor, json, stream and perf"));
    )* };
}
not_built! {
    "autonat" "dcutr" "dns" "gossipsub" "gossipsub-partial-messages" "kad" "memory-connection-limits" "metrics"
    "plaintext" "pnet" "relay" "rendezvous" "serde" "uds" "upnp" "webrtc-websys" "websocket"
    "websocket-websys" "webtransport-websys"
}
