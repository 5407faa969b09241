use peerage_swarm::NetworkBehaviour;

#[derive(NetworkBehaviour)]
struct Node(u8, u16);

fn main() {}
