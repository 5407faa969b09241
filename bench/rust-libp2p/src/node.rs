use crate::streams::{Ask, Connection, Streams};
use bench_kit::{
    Node, Service, Setup, Transport, failed,
    node::{BODY_MAX, REQUESTS},
};
use futures::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, SinkExt, StreamExt,
    channel::{mpsc, oneshot},
};
use libp2p::{
    Stream, StreamProtocol, Swarm, SwarmBuilder, identify, noise, ping,
    request_response::{self, Message, OutboundRequestId, ProtocolSupport},
    swarm::{NetworkBehaviour, SwarmEvent, behaviour::toggle::Toggle},
    tcp, tls, yamux,
};
use std::{collections::HashMap, io, num::NonZeroUsize, sync::Arc, time::Duration};
use tokio_util::compat::Compat;

/// A handle of a swarm that runs in a task of its own.
#[derive(Clone)]
pub(crate) struct RustLibp2p {
    asks: mpsc::Sender<Ask>,
    requests: mpsc::Sender<Request>,
    address: Arc<str>,
}
struct Request {
    to: libp2p::PeerId,
    body: Vec<u8>,
    reply: oneshot::Sender<io::Result<usize>>,
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    streams: Streams,
    requests: Toggle<request_response::Behaviour<Lengths>>,
    ping: Toggle<ping::Behaviour>,
    identify: Toggle<identify::Behaviour>,
}

/// A body behind its length: four bytes, big-endian.
#[derive(Clone, Default)]
struct Lengths;
impl Lengths {
    async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        io.read_exact(&mut length).await?;
        let length = u32::from_be_bytes(length) as usize;
        if length > BODY_MAX {
            return Err(failed("too long"));
        }
        let mut body = vec![0; length];
        io.read_exact(&mut body).await?;
        Ok(body)
    }
    async fn write(io: &mut (impl AsyncWrite + Unpin), body: Vec<u8>) -> io::Result<()> {
        // In one write: two would be two frames of the muxer.
        let mut all = Vec::with_capacity(4 + body.len());
        all.extend_from_slice(&(body.len() as u32).to_be_bytes());
        all.extend_from_slice(&body);
        io.write_all(&all).await
    }
}
impl request_response::Codec for Lengths {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        Self::read(io).await
    }
    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        Self::read(io).await
    }
    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, body: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        Self::write(io, body).await
    }
    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, body: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        Self::write(io, body).await
    }
}

fn muxer() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(4096);
    config
}

fn swarm(setup: Setup, streams: Streams) -> io::Result<Swarm<Behaviour>> {
    let builder = SwarmBuilder::with_new_identity().with_tokio();
    let tcp = tcp::Config::default().nodelay(true);
    // Only where they are used: idle connections carry nothing that the others' do not.
    let requests = matches!(setup.serves, None | Some(Service::Request));
    let behaviour = |key: &libp2p::identity::Keypair| {
        let config = request_response::Config::default()
            .with_max_concurrent_streams(2048)
            .with_request_timeout(Duration::from_secs(60));
        let name = StreamProtocol::new(REQUESTS);
        Behaviour {
            streams,
            requests: requests
                .then(|| request_response::Behaviour::new([(name, ProtocolSupport::Full)], config))
                .into(),
            ping: setup.idle.then(ping::Behaviour::default).into(),
            identify: setup
                .idle
                .then(|| identify::Behaviour::new(identify::Config::new("/bench/1".into(), key.public())))
                .into(),
        }
    };
    let config = |config: libp2p::swarm::Config| {
        config
            .with_idle_connection_timeout(Duration::from_secs(3600))
            .with_max_negotiating_inbound_streams(4096)
            .with_notify_handler_buffer_size(NonZeroUsize::MIN.saturating_add(1023))
    };
    Ok(match setup.transport {
        Transport::TcpNoise => builder
            .with_tcp(tcp, noise::Config::new, muxer)
            .map_err(failed)?
            .with_behaviour(behaviour)
            .map_err(failed)?
            .with_swarm_config(config)
            .build(),
        Transport::TcpTls => builder
            .with_tcp(tcp, tls::Config::new, muxer)
            .map_err(failed)?
            .with_behaviour(behaviour)
            .map_err(failed)?
            .with_swarm_config(config)
            .build(),
        Transport::Quic => builder
            .with_quic_config(|mut quic| {
                quic.max_concurrent_stream_limit = 4096;
                quic
            })
            .with_behaviour(behaviour)
            .map_err(failed)?
            .with_swarm_config(config)
            .build(),
    })
}

impl Node for RustLibp2p {
    type Connection = Connection;
    type Stream = Compat<Stream>;

    async fn start(setup: Setup) -> io::Result<Self> {
        let (streams, asks) = Streams::new(setup.serves);
        let (requests, wanted) = mpsc::channel(1024);
        let mut swarm = swarm(setup, streams)?;
        let mut address = String::new();
        if setup.serves.is_some() {
            let on = match setup.transport {
                Transport::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
                Transport::TcpNoise | Transport::TcpTls => "/ip4/127.0.0.1/tcp/0",
            };
            address = listen(&mut swarm, on).await?;
        }
        tokio::spawn(drive(swarm, wanted));
        Ok(Self { asks, requests, address: address.into() })
    }
    fn address(&self) -> String {
        self.address.to_string()
    }

    async fn dial(&self, address: &str) -> io::Result<Connection> {
        let (reply, answer) = oneshot::channel();
        let address = address.parse().map_err(failed)?;
        self.asks.clone().send(Ask::Dial(address, reply)).await.map_err(failed)?;
        answer.await.map_err(failed)?
    }
    async fn open(&self, on: &Connection) -> io::Result<Compat<Stream>> {
        let (reply, answer) = oneshot::channel();
        self.asks.clone().send(Ask::Open(*on, reply)).await.map_err(failed)?;
        answer.await.map_err(failed)?
    }
    async fn close(&self, on: Connection) -> io::Result<()> {
        self.asks.clone().send(Ask::Close(on)).await.map_err(failed)
    }
    async fn request(&self, on: &Connection, body: Vec<u8>) -> io::Result<usize> {
        let (reply, answer) = oneshot::channel();
        let request = Request { to: on.peer, body, reply };
        self.requests.clone().send(request).await.map_err(failed)?;
        answer.await.map_err(failed)?
    }
}

/// Listens; where, with who we are.
pub(crate) async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>, on: &str) -> io::Result<String> {
    swarm.listen_on(on.parse().map_err(failed)?).map_err(failed)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return Ok(format!("{address}/p2p/{}", swarm.local_peer_id()));
        }
    }
}

async fn drive(mut swarm: Swarm<Behaviour>, mut wanted: mpsc::Receiver<Request>) {
    let mut waiting: HashMap<OutboundRequestId, oneshot::Sender<io::Result<usize>>> = HashMap::new();
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                let SwarmEvent::Behaviour(BehaviourEvent::Requests(event)) = event else { continue };
                match event {
                    request_response::Event::Message { message: Message::Request { request, channel, .. }, .. } => {
                        if let Some(requests) = swarm.behaviour_mut().requests.as_mut() {
                            let _ = requests.send_response(channel, request);
                        }
                    }
                    request_response::Event::Message { message: Message::Response { request_id, response }, .. } => {
                        if let Some(reply) = waiting.remove(&request_id) {
                            let _ = reply.send(Ok(response.len()));
                        }
                    }
                    request_response::Event::OutboundFailure { request_id, error, .. } => {
                        if let Some(reply) = waiting.remove(&request_id) {
                            let _ = reply.send(Err(failed(error)));
                        }
                    }
                    _ => {}
                }
            }
            Some(Request { to, body, reply }) = wanted.next() => {
                if let Some(requests) = swarm.behaviour_mut().requests.as_mut() {
                    waiting.insert(requests.send_request(&to, body), reply);
                }
            }
        }
    }
}
