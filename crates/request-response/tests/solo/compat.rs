//! rust-libp2p's form: over CBOR and JSON, and over codecs that read and write by themselves.
use crate::{NAME, OTHER, SECOND};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt};
use peerage_core::{Code, ConnectionId, StreamProtocol};
use peerage_request_response::{
    Behaviour, Codec, Config, Event, InboundFailure, Message, OutboundFailure, ProtocolSupport,
    ResponseChannel, cbor, json,
};
use peerage_sim::{Solo, accepted, dialed, peer};
use peerage_swarm::StreamId;
use std::{fmt::Debug, io};

type Cbor = cbor::Behaviour<String, Vec<u32>>;

fn cbor() -> Solo<Cbor> {
    Solo::start(Cbor::new([(NAME, ProtocolSupport::Full)], Config::default()))
}
fn said<Q: Debug, R: Debug>(events: Vec<Event<Q, R>>) -> Vec<String> {
    let say = |event| match event {
        Event::Message { message: Message::Request { request, .. }, .. } => format!("request {request:?}"),
        Event::Message { message: Message::Response { response, .. }, .. } => {
            format!("response {response:?}")
        }
        Event::OutboundFailure { error: OutboundFailure::Io(why), .. } => {
            format!("outbound {:?}: {why}", why.kind())
        }
        Event::InboundFailure { error: InboundFailure::Io(why), .. } => {
            format!("inbound {:?}: {why}", why.kind())
        }
        Event::OutboundFailure { error, .. } => format!("outbound {error:?}"),
        Event::InboundFailure { error, .. } => format!("inbound {error:?}"),
        Event::ResponseSent { .. } => "sent".into(),
    };
    events.into_iter().map(say).collect()
}
fn channel<C: Codec + Clone + Send + 'static>(solo: &mut Solo<Behaviour<C>>) -> ResponseChannel<C::Response>
where
    C::Request: Debug,
    C::Response: Debug,
{
    match solo.events().pop() {
        Some(Event::Message { message: Message::Request { channel, .. }, .. }) => channel,
        other => panic!("{other:?}"),
    }
}
/// A whole request has come in.
fn asked(solo: &mut Solo<Cbor>, connection: ConnectionId) -> StreamId {
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(stream, &b"\x63abc"[..]);
    solo.peer_finishes(stream);
    stream
}

#[test]
fn cbor_is_what_rust_libp2p_writes() {
    let mut solo = cbor();
    let connection = solo.connect(peer(1), dialed());
    solo.app(|behaviour| behaviour.send_request(&peer(1), "abc".into()));
    let stream = solo.outbound(peer(1))[0];
    assert_eq!(solo.peer_reads_bytes(stream), &b"\x63abc"[..], "RFC 8949: a text of three bytes");
    solo.peer_accepts(stream);
    solo.peer_sends_bytes(stream, &b"\x82\x01\x19\x01\x00"[..]);
    solo.peer_finishes(stream);
    assert_eq!(said(solo.events()), ["response [1, 256]"]);
    let stream = asked(&mut solo, connection);
    let channel = channel(&mut solo);
    assert!(channel.is_open());
    solo.app(|behaviour| behaviour.send_response(channel, vec![1, 256])).unwrap();
    assert_eq!(solo.peer_reads_bytes(stream), &b"\x82\x01\x19\x01\x00"[..]);
    assert!(solo.finished(stream));
    assert_eq!(said(solo.events()), ["sent"]);
}

#[test]
fn json_is_what_rust_libp2p_writes() {
    let behaviour =
        json::Behaviour::<String, Vec<u32>>::new([(NAME, ProtocolSupport::Full)], Config::default());
    let mut solo = Solo::start(behaviour);
    solo.connect(peer(1), dialed());
    solo.app(|behaviour| behaviour.send_request(&peer(1), "abc".into()));
    let stream = solo.outbound(peer(1))[0];
    assert_eq!(solo.peer_reads_bytes(stream), "\"abc\"");
    solo.peer_accepts(stream);
    solo.peer_sends_bytes(stream, "[1,256]");
    solo.peer_finishes(stream);
    assert_eq!(said(solo.events()), ["response [1, 256]"]);
}

#[test]
fn limits_are_one_and_ten_mebibytes_or_as_the_codec_says() {
    let codec = cbor::codec::Codec::default().set_request_size_maximum(10).set_response_size_maximum(20);
    let behaviours = [
        (Cbor::with_codec(codec, [(NAME, ProtocolSupport::Full)], Config::default()), [10, 20]),
        (Cbor::new([(NAME, ProtocolSupport::Full)], Config::default()), [1 << 20, 10 << 20]),
    ];
    for (behaviour, [request, response]) in behaviours {
        let mut solo = Solo::start(behaviour);
        let connection = solo.connect(peer(1), dialed());
        let inbound = solo.peer_opens(connection, &NAME).unwrap();
        solo.peer_sends_bytes(inbound, vec![0x60; request]);
        assert!(solo.events().is_empty());
        solo.peer_sends_bytes(inbound, vec![0x60; 10_000]);
        assert!(solo.events().is_empty(), "of what was never told 0.57 tells no end either");
        assert_eq!(solo.was_reset(inbound), Some(Code::RESOURCE_LIMIT));

        solo.app(|behaviour| behaviour.send_request(&peer(1), "a".into()));
        let outbound = solo.outbound(peer(1))[0];
        solo.peer_accepts(outbound);
        solo.peer_sends_bytes(outbound, vec![0x60; response]);
        assert!(solo.events().is_empty());
        solo.peer_sends_bytes(outbound, vec![0x60; 10_000]);
        let events = said(solo.events());
        assert!(events[0].starts_with("outbound InvalidData: response is at least "), "{events:?}");
    }
}

#[test]
fn what_is_sent_is_not_limited_as_in_rust_libp2p() {
    let codec = cbor::codec::Codec::default().set_request_size_maximum(10).set_response_size_maximum(10);
    let mut solo = Solo::start(Cbor::with_codec(codec, [(NAME, ProtocolSupport::Full)], Config::default()));
    let connection = solo.connect(peer(1), dialed());
    solo.app(|behaviour| behaviour.send_request(&peer(1), "x".repeat(1000)));
    let stream = solo.outbound(peer(1))[0];
    assert_eq!(solo.peer_reads_bytes(stream).len(), 1003);
    let stream = asked(&mut solo, connection);
    let channel = channel(&mut solo);
    solo.app(|behaviour| behaviour.send_response(channel, vec![0; 1000])).unwrap();
    assert_eq!(solo.peer_reads_bytes(stream).len(), 1003);
}

#[test]
fn each_failure_has_the_shape_it_has_there() {
    let mut solo = cbor();
    solo.app(|behaviour| behaviour.send_request(&peer(1), "a".into()));
    let dial = solo.dials()[0].0;
    solo.dial_fails(dial, peerage_swarm::DialError::Aborted);
    assert_eq!(said(solo.events()), ["outbound DialFailure"]);

    type Does = fn(&mut Solo<Cbor>, StreamId);
    let cases: [(Does, &str); 6] = [
        (|solo, stream| solo.peer_refuses(stream), "outbound UnsupportedProtocols"),
        (|solo, _| solo.advance(10 * SECOND), "outbound Timeout"),
        (
            |solo, _| {
                let connection = solo.connections()[0].0;
                solo.disconnect(connection);
            },
            "outbound ConnectionClosed",
        ),
        (
            |solo, stream| solo.peer_resets(stream, Code(5)),
            "outbound ConnectionReset: the peer gave the request up: code 0x5",
        ),
        (
            |solo, stream| {
                solo.peer_accepts(stream);
                solo.peer_finishes(stream);
            },
            "outbound UnexpectedEof: ",
        ),
        (
            |solo, stream| {
                solo.peer_accepts(stream);
                solo.peer_sends_bytes(stream, "abc");
                solo.peer_finishes(stream);
            },
            "outbound InvalidData: ",
        ),
    ];
    for (does, expected) in cases {
        let mut solo = cbor();
        solo.connect(peer(1), dialed());
        solo.app(|behaviour| behaviour.send_request(&peer(1), "a".into()));
        let stream = solo.outbound(peer(1))[0];
        does(&mut solo, stream);
        let events = said(solo.events());
        assert!(events.len() == 1 && events[0].starts_with(expected), "{events:?}, not {expected}");
        solo.advance(60 * SECOND);
        assert!(solo.events().is_empty());
    }

    let mut solo = cbor();
    let connection = solo.connect(peer(1), accepted());
    asked(&mut solo, connection);
    let channel = channel(&mut solo);
    solo.advance(10 * SECOND);
    assert_eq!(said(solo.events()), ["inbound Timeout"]);
    assert!(!channel.is_open());
    assert_eq!(solo.app(|behaviour| behaviour.send_response(channel, vec![1])), Err(vec![1]));
    asked(&mut solo, connection);
    let channel = self::channel(&mut solo);
    solo.disconnect(connection);
    assert_eq!(said(solo.events()), ["inbound ConnectionClosed"]);
    drop(channel);
    solo.poll();
    assert!(solo.events().is_empty());
}

#[test]
fn a_dropped_channel_is_an_omission() {
    let mut solo = cbor();
    let connection = solo.connect(peer(1), accepted());
    let stream = asked(&mut solo, connection);
    drop(channel(&mut solo));
    solo.poll();
    assert_eq!(said(solo.events()), ["inbound ResponseOmission"]);
    assert_eq!(solo.was_reset(stream), Some(Code::NONE));
}

#[test]
fn what_is_pending_is_known() {
    let mut solo = cbor();
    let id = solo.app(|behaviour| behaviour.send_request(&peer(1), "a".into()));
    assert!(!solo.behaviour().is_connected(&peer(1)));
    assert!(solo.behaviour().is_pending_outbound(&peer(1), &id), "while it is dialed");
    let connection = solo.connect(peer(1), dialed());
    assert!(solo.behaviour().is_connected(&peer(1)));
    assert!(solo.behaviour().is_pending_outbound(&peer(1), &id));
    assert!(!solo.behaviour().is_pending_outbound(&peer(2), &id));
    asked(&mut solo, connection);
    let Some(Event::Message { message: Message::Request { request_id, channel, .. }, .. }) =
        solo.events().pop()
    else {
        panic!("a request")
    };
    assert!(solo.behaviour().is_pending_inbound(&peer(1), &request_id));
    assert!(!solo.behaviour().is_pending_inbound(&peer(2), &request_id));
    solo.app(|behaviour| behaviour.send_response(channel, vec![])).unwrap();
    assert!(!solo.behaviour().is_pending_inbound(&peer(1), &request_id));
    solo.disconnect(connection);
    assert!(!solo.behaviour().is_pending_outbound(&peer(1), &id));
}

#[test]
#[allow(deprecated, reason = "programs that move over still call it")]
fn addresses_that_were_added_are_known() {
    use peerage_swarm::NetworkBehaviour;
    let mut solo = cbor();
    let address: peerage_core::Multiaddr = "/memory/7".parse().unwrap();
    assert!(solo.app(|behaviour| behaviour.add_address(&peer(1), address.clone())));
    assert!(!solo.app(|behaviour| behaviour.add_address(&peer(1), address.clone())));
    assert_eq!(solo.behaviour().addresses_of(&peer(1), solo.now()), std::slice::from_ref(&address));
    solo.app(|behaviour| behaviour.remove_address(&peer(1), &address));
    assert!(solo.behaviour().addresses_of(&peer(1), solo.now()).is_empty());
}

#[test]
fn the_codecs_work_on_streams_as_well() {
    let mut codec = cbor::codec::Codec::<String, Vec<u32>>::default().set_request_size_maximum(4);
    let mut written = Vec::new();
    codec.write_request(&NAME, &mut written, "abc".into()).now_or_never().unwrap().unwrap();
    let read = codec.read_request(&NAME, &mut &written[..]).now_or_never().unwrap().unwrap();
    assert_eq!(read, "abc");
    written.push(0);
    let error = codec.read_request(&NAME, &mut &written[..]).now_or_never().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "request is at least 5 B but the limit for /files/1 is 4 B");
}

/// A codec of rust-libp2p's kind: lines, so that nobody has to end a stream.
#[derive(Clone, Default)]
struct Lines {
    fails: Option<&'static str>,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named(&'static str);
impl AsRef<str> for Named {
    fn as_ref(&self) -> &str {
        self.0
    }
}
impl Lines {
    fn at(&self, what: &str) -> io::Result<()> {
        assert_ne!(self.fails, Some("panic"), "it does");
        if self.fails == Some(what) { Err(io::Error::other(what.to_owned())) } else { Ok(()) }
    }
    async fn read(io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            io.read_exact(&mut byte).await?;
            if byte == *b"\n" {
                return String::from_utf8(line).map_err(io::Error::other);
            }
            line.extend(byte);
        }
    }
}
impl Codec for Lines {
    type Protocol = Named;
    type Request = String;
    type Response = String;

    async fn read_request<T>(&mut self, protocol: &Named, io: &mut T) -> io::Result<String>
    where
        T: AsyncRead + Unpin + Send,
    {
        assert_eq!(*protocol, Named("/files/1"));
        self.at("read_request")?;
        Self::read(io).await
    }
    async fn read_response<T>(&mut self, _: &Named, io: &mut T) -> io::Result<String>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.at("read_response")?;
        Self::read(io).await
    }
    async fn write_request<T>(&mut self, _: &Named, io: &mut T, request: String) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.at("write_request")?;
        io.write_all(format!("{request}\n").as_bytes()).await
    }
    async fn write_response<T>(&mut self, _: &Named, io: &mut T, response: String) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.at("write_response")?;
        io.write_all(format!("{response}\n").as_bytes()).await
    }
}
fn lines(fails: Option<&'static str>) -> Solo<Behaviour<Lines>> {
    let protocols = [(Named("/files/1"), ProtocolSupport::Full)];
    Solo::start(Behaviour::with_codec(Lines { fails }, protocols, Config::default()))
}

#[test]
fn a_codec_that_reads_and_writes_by_itself_decides_where_messages_end() {
    let mut solo = lines(None);
    let connection = solo.connect(peer(1), dialed());
    solo.app(|behaviour| behaviour.send_request(&peer(1), "hello".into()));
    let stream = solo.outbound(peer(1))[0];
    solo.poll();
    assert_eq!(solo.peer_reads_bytes(stream), "hello\n", "before the peer has confirmed the name");
    solo.peer_accepts(stream);
    solo.peer_sends_bytes(stream, "hi");
    assert!(solo.events().is_empty());
    solo.peer_sends_bytes(stream, "\n");
    solo.poll();
    assert_eq!(said(solo.events()), ["response \"hi\""]);

    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(stream, "and you?\n"); // It does not end its half.
    solo.poll();
    let channel = channel(&mut solo);
    solo.app(|behaviour| behaviour.send_response(channel, "well".into())).unwrap();
    solo.poll();
    assert_eq!(solo.peer_reads_bytes(stream), "well\n");
    solo.poll();
    assert_eq!(said(solo.events()), ["sent"]);
}

#[test]
fn an_error_of_the_codec_is_told_as_it_is() {
    for (fails, outbound) in [
        ("write_request", true),
        ("read_response", true),
        ("read_request", false),
        ("panic", true),
        ("panic", false),
    ] {
        let mut solo = lines(Some(fails));
        let connection = solo.connect(peer(1), dialed());
        if outbound {
            solo.app(|behaviour| behaviour.send_request(&peer(1), "hello".into()));
            if let Some(stream) = solo.outbound(peer(1)).first().copied() {
                solo.peer_reads_bytes(stream);
            }
        } else {
            let stream = solo.peer_opens(connection, &NAME).unwrap();
            solo.peer_sends_bytes(stream, "hello\n");
        }
        solo.poll();
        let why = if fails == "panic" { "the codec panicked" } else { fails };
        // Of what was never told 0.57 tells no end either.
        let told = if outbound { vec![format!("outbound Other: {why}")] } else { vec![] };
        assert_eq!(said(solo.events()), told);
        solo.advance(60 * SECOND);
        assert!(solo.events().is_empty());
        assert_eq!(solo.next_timeout(), None);
    }
    let mut solo = lines(Some("write_response"));
    let connection = solo.connect(peer(1), accepted());
    let stream = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(stream, "hello\n");
    solo.poll();
    let channel = channel(&mut solo);
    solo.app(|behaviour| behaviour.send_response(channel, "hi".into())).unwrap();
    solo.poll();
    assert_eq!(said(solo.events()), ["inbound Other: write_response"]);
}

#[test]
fn a_codec_that_waits_for_ever_is_given_up_at_the_deadline() {
    let mut solo = lines(None);
    let connection = solo.connect(peer(1), dialed());
    solo.app(|behaviour| behaviour.send_request(&peer(1), "hello".into()));
    let ours = solo.outbound(peer(1))[0];
    solo.peer_accepts(ours);
    let theirs = solo.peer_opens(connection, &NAME).unwrap();
    solo.peer_sends_bytes(theirs, "hel");
    solo.advance(10 * SECOND);
    assert_eq!(said(solo.events()), ["outbound Timeout"]);
    assert!(solo.is_over(ours) && solo.is_over(theirs));
}

#[test]
fn what_drips_or_never_ends_is_given_up_at_the_deadline_by_a_codec_that_reads_by_itself() {
    let mut solo = lines(None);
    let connection = solo.connect(peer(1), dialed());
    solo.app(|behaviour| behaviour.send_request(&peer(1), "hello".into()));
    let ours = solo.outbound(peer(1))[0];
    solo.peer_accepts(ours);
    let [drips, floods] = [(); 2].map(|()| solo.peer_opens(connection, &NAME).unwrap());
    // Every second a byte, or 64 KiB, of a message whose end never comes; and so it answers.
    for _ in 0..9 {
        solo.peer_sends_bytes(drips, "x");
        solo.peer_sends_bytes(ours, "x");
        solo.peer_sends_bytes(floods, vec![b'x'; 64 << 10]);
        solo.advance(SECOND);
        assert!(solo.events().is_empty());
    }
    solo.advance(SECOND);
    assert!(solo.is_over(ours) && solo.is_over(drips) && solo.is_over(floods));
    assert_eq!(
        said(solo.events()),
        ["outbound Timeout"],
        "of requests that never were nothing is told, as there"
    );
    solo.app(|behaviour| behaviour.send_request(&peer(1), "and now?".into()));
    let again = solo.outbound(peer(1)).pop().unwrap();
    solo.peer_accepts(again);
    solo.peer_sends_bytes(again, "yes\n");
    solo.poll();
    assert!(said(solo.events())[0].contains("yes"), "the connection lives on");
}

#[test]
fn whether_the_protocol_is_spoken_is_told_and_not_what_the_codec_made_of_it() {
    let mut solo = lines(None);
    let connection = solo.connect(peer(1), dialed());
    solo.app(|behaviour| behaviour.send_request(&peer(1), "hello".into()));
    let stream = solo.outbound(peer(1))[0];
    solo.peer_refuses(stream);
    assert_eq!(said(solo.events()), ["outbound UnsupportedProtocols"]);
    solo.app(|behaviour| behaviour.send_request(&peer(1), "hello".into()));
    solo.disconnect(connection);
    assert_eq!(said(solo.events()), ["outbound ConnectionClosed"]);
}

#[test]
fn names_that_are_none_are_left_out() {
    let protocols =
        [("no slash".to_owned(), ProtocolSupport::Full), ("/files/2".to_owned(), ProtocolSupport::Full)];
    let behaviour: Behaviour<Owned> = Behaviour::new(protocols, Config::default());
    let mut solo = Solo::start(behaviour);
    let connection = solo.connect(peer(1), dialed());
    assert!(solo.peer_opens(connection, &OTHER).is_ok());
    assert!(solo.peer_opens(connection, &StreamProtocol::from_peer("no slash")).is_err());
}

/// Names of any type that is text.
#[derive(Clone, Default)]
struct Owned;
impl Codec for Owned {
    type Protocol = String;
    type Request = ();
    type Response = ();
    async fn read_request<T: AsyncRead + Unpin + Send>(&mut self, _: &String, _: &mut T) -> io::Result<()> {
        Ok(())
    }
    async fn read_response<T: AsyncRead + Unpin + Send>(&mut self, _: &String, _: &mut T) -> io::Result<()> {
        Ok(())
    }
    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &String,
        _: &mut T,
        (): (),
    ) -> io::Result<()> {
        Ok(())
    }
    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &String,
        _: &mut T,
        (): (),
    ) -> io::Result<()> {
        Ok(())
    }
}
