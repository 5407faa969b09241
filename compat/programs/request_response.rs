//! Greets whoever is at the address given, or waits to be greeted.
use futures::StreamExt;
use libp2p::{
    Multiaddr, StreamProtocol, noise,
    request_response::{self, ProtocolSupport, cbor},
    swarm::SwarmEvent,
    tcp, yamux,
};
use serde::{Deserialize, Serialize};
use std::error::Error;

#[derive(Debug, Serialize, Deserialize)]
struct Greeting {
    name: String,
    times: u32,
}
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Greeted { words: Vec<String> },
    Busy,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|_| {
            cbor::Behaviour::<Greeting, Answer>::new(
                [(StreamProtocol::new("/greet/1"), ProtocolSupport::Full)],
                request_response::Config::default(),
            )
        })?
        .build();
    swarm.listen_on("/ip4/0.0.0.0/tcp/0".parse()?)?;
    if let Some(address) = std::env::args().nth(1) {
        swarm.dial(address.parse::<Multiaddr>()?)?;
    }
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => println!("listening on {address:?}"),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } if endpoint.is_dialer() => {
                let id = swarm.behaviour_mut().send_request(&peer_id, Greeting { name: "ana".into(), times: 3 });
                println!("request {id}");
            }
            SwarmEvent::Behaviour(request_response::Event::Message { peer, connection_id, message }) => match message {
                request_response::Message::Request { request_id, request, channel } => {
                    println!("{peer} asks over {connection_id}: {request:?} ({request_id})");
                    let answer = match request.times {
                        0..10 => Answer::Greeted { words: vec![format!("hello {}", request.name); request.times as usize] },
                        _ => Answer::Busy,
                    };
                    if swarm.behaviour_mut().send_response(channel, answer).is_err() {
                        println!("{peer} is gone");
                    }
                }
                request_response::Message::Response { request_id, response } => {
                    println!("{peer} answers {request_id}: {response:?}");
                }
            },
            SwarmEvent::Behaviour(request_response::Event::OutboundFailure { peer, request_id, error, .. }) => {
                println!("{peer} did not answer {request_id}: {error}");
            }
            SwarmEvent::Behaviour(request_response::Event::InboundFailure { peer, request_id, error, .. }) => {
                println!("{peer} was not answered, {request_id}: {error}");
            }
            SwarmEvent::Behaviour(request_response::Event::ResponseSent { peer, request_id, .. }) => {
                println!("{peer} has its answer to {request_id}");
            }
            _ => {}
        }
    }
}
