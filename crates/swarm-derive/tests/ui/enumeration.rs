use peerage_swarm::NetworkBehaviour;

#[derive(NetworkBehaviour)]
enum Node {
    Ping(u8),
}

fn main() {}
