//! A peer by hand: honest until it is secured, then whatever the test writes.
use bytes::BytesMut;
use peerage_core::{Records, Role, Security, Socket, StreamProtocol, memory};
use peerage_identity::Keypair;
use peerage_swarm::{Multiaddr, PeerId};
use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
};

pub const DATA: u8 = 0;
pub const WINDOW: u8 = 1;
pub const PING: u8 = 2;
pub const GO_AWAY: u8 = 3;
pub const SYN: u16 = 1;
pub const ACK: u16 = 2;
pub const FIN: u16 = 4;
pub const RST: u16 = 8;

/// A frame of yamux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u16,
    pub stream: u32,
    pub length: u32,
    pub body: Vec<u8>,
}

pub fn header(kind: u8, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    let mut all = vec![0, kind];
    all.extend(flags.to_be_bytes());
    all.extend(stream.to_be_bytes());
    all.extend(length.to_be_bytes());
    all
}
pub fn data(flags: u16, stream: u32, body: &[u8]) -> Vec<u8> {
    let mut all = header(DATA, flags, stream, body.len() as u32);
    all.extend(body);
    all
}
/// A message of multistream-select.
pub fn line(text: &str) -> Vec<u8> {
    assert!(text.len() < 127);
    let mut all = vec![text.len() as u8 + 1];
    all.extend(text.as_bytes());
    all.push(b'\n');
    all
}
/// What opens a stream of a protocol.
pub fn hello(protocol: &str) -> Vec<u8> {
    [line("/multistream/1.0.0"), line(protocol)].concat()
}

pub struct Raw {
    pub socket: Box<dyn Socket>,
    records: Box<dyn Records>,
    input: BytesMut,
    plain: BytesMut,
    next: u32,
    /// Records opened so far.
    pub read: usize,
    pub peer: PeerId,
    pub id: PeerId,
}

impl Raw {
    /// Dials over memory and is as honest as everybody.
    pub async fn connect(to: &Multiaddr) -> Self {
        let mut transport = memory::Transport::new();
        let dial =
            peerage_core::Transport::dial(&mut transport, to, Role::Dialer, peerage_core::PortUse::New);
        let Ok(peerage_core::Raw::Socket(socket)) = dial.await else { panic!("memory has sockets") };
        Self::secure(socket).await.expect("the handshake")
    }
    pub async fn secure(mut socket: Box<dyn Socket>) -> io::Result<Self> {
        let key = Keypair::generate_ed25519();
        let noise = peerage_noise::Config::new(&key).unwrap();
        let yamux = [StreamProtocol::new("/yamux/1.0.0")];
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
        output.extend_from_slice(&hello("/noise"));
        let answer = hello("/noise");
        while input.len() < answer.len() {
            exchange(&mut socket, &mut input, &mut output).await?;
        }
        assert_eq!(input.split_to(answer.len()), &answer[..]);
        let mut handshake = noise.handshake(Role::Dialer, None, &yamux);
        let secured = loop {
            match handshake.step(&mut input, &mut output) {
                Ok(Some(secured)) => break secured,
                Ok(None) => exchange(&mut socket, &mut input, &mut output).await?,
                Err(error) => return Err(io::Error::other(error)),
            }
        };
        write_all(&mut socket, &mut output).await?;
        assert_eq!(secured.muxer.as_ref(), Some(&yamux[0]));
        Ok(Self {
            socket,
            records: secured.records,
            input,
            plain: BytesMut::new(),
            next: 1,
            read: 0,
            peer: secured.peer,
            id: key.public().to_peer_id(),
        })
    }

    /// The id of one more stream.
    pub fn next_id(&mut self) -> u32 {
        self.next += 2;
        self.next - 2
    }
    /// One record.
    pub fn seal(&mut self, plain: &[u8]) -> BytesMut {
        let mut record = BytesMut::new();
        record.resize(self.records.layout().0, 0);
        record.extend_from_slice(plain);
        self.records.seal(&mut record, 0).unwrap();
        record
    }
    /// Sends bytes in records as large as they may be.
    pub async fn send(&mut self, plain: &[u8]) -> io::Result<()> {
        for part in plain.chunks(self.records.layout().2) {
            let mut record = self.seal(part);
            write_all(&mut self.socket, &mut record).await?;
        }
        Ok(())
    }
    /// Opens a stream and says what it is for.
    pub async fn open(&mut self, protocol: &str) -> u32 {
        let id = self.next_id();
        self.send(&data(SYN, id, &hello(protocol))).await.unwrap();
        id
    }
    /// The next frame.
    pub async fn frame(&mut self) -> io::Result<Frame> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Frame>> {
        loop {
            if let Some(frame) = self.parse() {
                return Poll::Ready(Ok(frame));
            }
            match self.records.open(&mut self.input, &mut BytesMut::new()) {
                Ok(Some(plain)) => {
                    self.read += 1;
                    self.plain.extend_from_slice(&plain);
                    continue;
                }
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            }
            self.input.reserve(64 << 10);
            match self.socket.poll_read(cx, &mut self.input) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
    fn parse(&mut self) -> Option<Frame> {
        let h = self.plain.first_chunk::<12>()?;
        let (kind, flags) = (h[1], u16::from_be_bytes([h[2], h[3]]));
        let stream = u32::from_be_bytes([h[4], h[5], h[6], h[7]]);
        let length = u32::from_be_bytes([h[8], h[9], h[10], h[11]]);
        let body = if kind == DATA { length as usize } else { 0 };
        if self.plain.len() < 12 + body {
            return None;
        }
        let frame = self.plain.split_to(12 + body);
        Some(Frame { kind, flags, stream, length, body: frame[12..].to_vec() })
    }
    /// Reads until the other side hangs up: the last words, if it had any.
    pub async fn until_closed(&mut self) -> Option<u32> {
        let mut said = None;
        loop {
            match self.frame().await {
                Ok(frame) if frame.kind == GO_AWAY => said = Some(frame.length),
                Ok(_) => {}
                Err(_) => return said,
            }
        }
    }
    /// Reads what is there, and answers pings so as not to be taken for dead.
    pub async fn read_for(&mut self, time: std::time::Duration) -> Vec<Frame> {
        let mut all = Vec::new();
        let until = tokio::time::Instant::now() + time;
        while let Ok(Ok(frame)) = tokio::time::timeout_at(until, self.frame()).await {
            if frame.kind == PING && frame.flags == SYN {
                let _ = self.send(&header(PING, ACK, 0, frame.length)).await;
            }
            all.push(frame);
        }
        all
    }
}

pub async fn write_all(socket: &mut Box<dyn Socket>, output: &mut BytesMut) -> io::Result<()> {
    while !output.is_empty() {
        let n = poll_fn(|cx| socket.poll_write(cx, &[io::IoSlice::new(output)])).await?;
        let _ = output.split_to(n);
    }
    Ok(())
}

async fn exchange(
    socket: &mut Box<dyn Socket>,
    input: &mut BytesMut,
    output: &mut BytesMut,
) -> io::Result<()> {
    write_all(socket, output).await?;
    input.reserve(4096);
    match poll_fn(|cx| socket.poll_read(cx, input)).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
