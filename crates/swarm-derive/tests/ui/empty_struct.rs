use peerage_swarm::NetworkBehaviour;

#[derive(NetworkBehaviour)]
struct Node {}

#[derive(NetworkBehaviour)]
struct Unit;

fn main() {}
