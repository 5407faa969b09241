use peerage_swarm::NetworkBehaviour;

#[derive(NetworkBehaviour)]
union Node {
    ping: u8,
}

fn main() {}
