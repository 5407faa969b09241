//! What a behaviour says is moved a dozen times on its way, in a composed one as the largest of all: messages stay small.
use peerage::{files, floodsub, identify, perf, ping, request_response, stream, swarm::NetworkBehaviour};

/// Floodsub's. What is moved is a message and where it goes: up to 128 bytes in all, that takes no call of `memcpy`.
const LARGEST: usize = 112;

fn of<B: NetworkBehaviour>() -> usize {
    size_of::<B::Message>()
}

#[test]
fn messages_are_small() {
    let sizes = [
        ("ping", of::<ping::Behaviour>()),
        ("identify", of::<identify::Behaviour>()),
        ("floodsub", of::<floodsub::Behaviour>()),
        ("request_response", of::<request_response::Requests<Vec<u8>, Vec<u8>>>()),
        ("stream", of::<stream::Behaviour>()),
        ("files", of::<files::Behaviour>()),
        ("perf", of::<perf::server::Behaviour>()),
    ];
    for (name, size) in sizes {
        assert!(size <= LARGEST, "a message of {name} has {size} bytes: box what is large");
    }
}
