//! Peers that are honest until they are secured, and then are not. Whatever they do, others are served, memory is bounded
//! and given back, and nothing spins.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#[allow(unreachable_pub, reason = "shared by the tests of this binary alone")]
mod support;

use bytes::{Bytes, BytesMut};
use peerage_core::{
    Resource::{Bytes as Memory, Connections, Descriptors, Streams},
    Socket,
};
use peerage_swarm::{Code, Config, ConnectionLimits, Multiaddr, StreamError, StreamId};
use std::{
    io::{self, IoSlice},
    task::{Context, Poll},
    time::Duration,
};
use support::{
    Node, connect, node, node_with,
    raw::{self, ACK, DATA, FIN, Frame, GO_AWAY, PING, RST, Raw, SYN, WINDOW, data, header, hello},
    run, within,
};

const PER_CONNECTION: usize = 16 << 20;
/// What a scope takes from its parent ahead of need.
const SLACK: usize = 256 << 10;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A node, an honest peer that echoes with it, and room for one who is not.
struct Scene {
    node: Node,
    honest: Node,
    stream: StreamId,
    address: Multiaddr,
    echoes: usize,
    most_memory: usize,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Config::default()).await
    }
    async fn with(config: Config) -> Self {
        let (mut node, mut honest) = (node_with(config), node());
        let peer = connect(&mut honest, &mut node).await;
        let address = node.listeners().next().unwrap().clone();
        let stream = honest.behaviour_mut().open(peer, "/echo");
        let mut scene = Self { node, honest, stream, address, echoes: 0, most_memory: 0 };
        scene.echo().await;
        scene
    }
    async fn peer(&mut self) -> Raw {
        let address = self.address.clone();
        let peer = within(&mut [&mut self.node, &mut self.honest], Raw::connect(&address)).await;
        let id = peer.id;
        run(&mut [&mut self.node, &mut self.honest], |nodes| nodes[0].is_connected(&id)).await;
        peer
    }
    /// The honest peer is served, soon.
    async fn echo(&mut self) {
        self.echoes += 1;
        let text = format!("echo {}", self.echoes);
        self.honest.behaviour_mut().send(self.stream, &text);
        let expected = format!("message {text}");
        let stream = self.stream;
        let nodes = &mut [&mut self.node, &mut self.honest];
        let echo = run(nodes, |nodes| nodes[1].behaviour().story(stream).last() == Some(&expected));
        tokio::time::timeout(ms(3000), echo).await.expect("an echo takes no three seconds");
    }
    /// Echoes while an attack goes on.
    async fn during<T: Send + 'static>(&mut self, attack: impl Future<Output = T> + Send + 'static) -> T {
        let mut attack = tokio::spawn(attack);
        let begun = tokio::time::Instant::now();
        loop {
            self.echo().await;
            self.most_memory = self.most_memory.max(self.node.scope().used(Memory));
            let nodes = &mut [&mut self.node, &mut self.honest];
            if let Ok(over) = within(nodes, tokio::time::timeout(ms(5), &mut attack)).await {
                return over.expect("the attack itself went wrong");
            }
            assert!(begun.elapsed() < ms(30_000), "an attack that does not end");
        }
    }
    /// The attacker is gone: so is everything that was its.
    async fn after(mut self, others: usize) {
        run(&mut [&mut self.node, &mut self.honest], |nodes| {
            nodes[0].network_info().connection_counters().num_connections() as usize == 1 + others
        })
        .await;
        self.echo().await;
        quiet(&mut self).await;
        let most = PER_CONNECTION + SLACK;
        assert!(self.most_memory < most, "{} bytes at the worst", self.most_memory);
        let peer = *self.node.local_peer_id();
        self.honest.disconnect_peer_id(peer).unwrap();
        if others == 0 {
            run(&mut [&mut self.node, &mut self.honest], |nodes| {
                nodes.iter().all(|node| node.connected_peers().count() == 0)
            })
            .await;
            tokio::time::sleep(ms(50)).await;
            for what in [Memory, Streams, Connections, Descriptors] {
                assert_eq!(self.node.scope().used(what), 0, "{:?}", self.node.scope());
            }
        }
    }
}

/// Nothing is left that keeps the processor busy.
async fn quiet(scene: &mut Scene) {
    let before = processor_time();
    within(&mut [&mut scene.node, &mut scene.honest], tokio::time::sleep(ms(300))).await;
    let spent = processor_time() - before;
    assert!(spent < ms(100), "{spent:?} of processor time in 300 ms in which nothing happens");
}
/// Of this thread, on which all of a test runs.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ms(ticks * 10)
}

/// Sends until it is cut off, or everything is sent.
async fn pour(mut peer: Raw, parts: impl Iterator<Item = Vec<u8>>) -> Raw {
    for part in parts {
        // What comes back is read, as far as it is there.
        std::future::poll_fn(|cx| {
            while matches!(peer.poll_frame(cx), Poll::Ready(Ok(_))) {}
            Poll::Ready(())
        })
        .await;
        match tokio::time::timeout(ms(1000), peer.send(&part)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
    peer
}
fn odd() -> impl Iterator<Item = u32> {
    (0..).map(|n| 2 * n + 1)
}

#[tokio::test]
async fn a_flood_of_streams_that_say_nothing() {
    let mut scene = Scene::new().await;
    let peer = scene.peer().await;
    let frames = odd().take(200_000).map(|id| header(WINDOW, SYN, id, 0)).collect::<Vec<_>>();
    let parts: Vec<_> = frames.chunks(1000).map(<[_]>::concat).collect();
    let peer = scene.during(pour(peer, parts.into_iter())).await;
    assert!(scene.node.scope().used(Streams) <= 128 + 1 + 1, "{:?}", scene.node.scope());
    drop(peer);
    scene.after(0).await;
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_at_once_without_end() {
    let mut scene = Scene::new().await;
    let peer = scene.peer().await;
    let frames: Vec<_> = odd()
        .take(100_000)
        .map(|id| [data(SYN, id, &hello("/sink")), header(WINDOW, RST, id, 0)].concat())
        .collect();
    let parts: Vec<_> = frames.chunks(100).map(<[_]>::concat).collect();
    drop(scene.during(pour(peer, parts.into_iter())).await);
    scene.after(0).await;
}

#[tokio::test]
async fn the_same_while_the_application_does_not_listen_is_put_off() {
    let mut scene = Scene::new().await;
    let peer = scene.peer().await;
    let frames: Vec<_> = odd()
        .take(100_000)
        .map(|id| [data(SYN, id, &hello("/sink")), header(WINDOW, RST, id, 0)].concat())
        .collect();
    let parts: Vec<_> = frames.chunks(100).map(<[_]>::concat).collect();
    let opened = scene.node.behaviour().opened;
    // Nobody polls the node.
    let before = processor_time();
    let peer = pour(peer, parts.into_iter()).await;
    let idle = processor_time();
    tokio::time::sleep(ms(500)).await;
    assert!(processor_time() - idle < ms(100), "it spins ({:?} before)", idle - before);
    // What was told until then is bounded: the first look shows all of it, and each stream is told of twice.
    drop(peer);
    tokio::time::sleep(ms(50)).await;
    scene.echo().await;
    let told = scene.node.behaviour().opened - opened;
    assert!(told < 4096, "{told} streams waited to be told of");
    scene.after(0).await;
}

#[tokio::test]
async fn data_on_streams_that_nobody_opened() {
    let mut scene = Scene::new().await;
    let peer = scene.peer().await;
    let parts = (0..400_u32).map(|n| data(0, 2 * n + 1, &[7; 60_000]));
    drop(scene.during(pour(peer, parts)).await);
    assert!(scene.most_memory < SLACK, "{}", scene.most_memory);
    scene.after(0).await;
}

#[tokio::test]
async fn proposals_without_end() {
    let mut scene = Scene::new().await;
    let mut peer = scene.peer().await;
    let reset = scene
        .during(async move {
            peer.send(&data(SYN, 1, &raw::line("/multistream/1.0.0"))).await.unwrap();
            let mut all = Vec::new();
            for n in 0..1000 {
                peer.send(&data(0, 1, &raw::line(&format!("/no/such/{n}")))).await.unwrap();
                all.extend(peer.read_for(ms(0)).await);
            }
            all.extend(peer.read_for(ms(200)).await);
            all.into_iter().any(|frame: Frame| frame.flags & RST != 0)
        })
        .await;
    assert!(reset);
    scene.after(0).await;
}

#[tokio::test]
async fn a_thousand_messages_that_never_become_whole() {
    let mut scene = Scene::new().await;
    let peer = scene.peer().await;
    let protocols = ["/echo", "/sink", "/answered", "/raw", "/passed"];
    let parts = odd().take(1024).map(move |id| {
        let protocol = protocols[id as usize / 2 % protocols.len()];
        // A mebibyte is announced, and most of a window sent.
        [hello(protocol), b"\x80\x80\x40".to_vec(), vec![b'x'; 60_000]].concat()
    });
    let parts = parts.zip(odd()).flat_map(|(body, id)| {
        [data(SYN, id, &body), data(0, id, &[b'x'; 65_000]), data(0, id, &[b'x'; 65_000])]
    });
    drop(scene.during(pour(peer, parts)).await);
    assert!(scene.most_memory > 1 << 20, "{}: the attack came through", scene.most_memory);
    scene.after(0).await;
}

#[tokio::test]
async fn a_peer_that_reads_nothing_of_what_it_is_sent() {
    let mut scene = Scene::new().await;
    let peer = scene.peer().await;
    let stream = scene.node.behaviour_mut().open(peer.id, "/sink");
    let payload = Bytes::from(vec![7; 60_000]);
    for _ in 0..40 {
        scene.node.behaviour_mut().send_bytes(stream, payload.clone());
        scene.echo().await;
    }
    let end = scene.node.behaviour().ended(stream);
    assert_eq!(end, Some(Err(StreamError::Cancelled(Code::RESOURCE_LIMIT))), "its bound was reached");
    drop(peer);
    scene.after(0).await;
}

#[tokio::test]
async fn records_of_one_byte_and_of_none() {
    let mut scene = Scene::new().await;
    let mut peer = scene.peer().await;
    let back = scene
        .during(async move {
            let plain = [data(SYN, 1, &hello("/echo")), data(0, 1, b"\x02hi")].concat();
            let mut sealed = BytesMut::new();
            for byte in plain {
                for _ in 0..100 {
                    let nothing = peer.seal(b"");
                    sealed.extend_from_slice(&nothing);
                }
                let one = peer.seal(&[byte]);
                sealed.extend_from_slice(&one);
            }
            raw::write_all(&mut peer.socket, &mut sealed).await.unwrap();
            let all = peer.read_for(ms(300)).await;
            all.into_iter()
                .filter(|frame| frame.kind == DATA)
                .flat_map(|frame| frame.body)
                .collect::<Vec<_>>()
        })
        .await;
    assert_eq!(back, [hello("/echo"), b"\x02hi".to_vec()].concat(), "odd, and allowed");
    scene.after(0).await;
}

#[tokio::test]
async fn a_part_of_a_record_that_is_never_whole_is_charged_and_keeps_no_buffer_for_long() {
    let mut scene = Scene::new().await;
    let mut peer = scene.peer().await;
    let id = peer.open("/sink").await;
    let message = [b"\xe0\xd4\x03", &[b'x'; 60_000][..]].concat();
    let mut record = peer.seal(&data(0, id, &message));
    let mut part = record.split_to(20_000);
    raw::write_all(&mut peer.socket, &mut part).await.unwrap();
    let held = |scene: &Scene| scene.node.scope().used(Memory);
    let quiet = held(&scene);
    within(&mut [&mut scene.node, &mut scene.honest], tokio::time::sleep(ms(300))).await;
    assert!(held(&scene) >= quiet + (128 << 10), "{} after {quiet}", held(&scene));
    within(&mut [&mut scene.node, &mut scene.honest], tokio::time::sleep(ms(1200))).await;
    assert!(held(&scene) <= quiet, "{} after {quiet}", held(&scene));
    // Late is not wrong.
    let echoes = scene.node.behaviour().messages;
    raw::write_all(&mut peer.socket, &mut record).await.unwrap();
    run(&mut [&mut scene.node, &mut scene.honest], |nodes| nodes[0].behaviour().messages > echoes).await;
    drop(peer);
    scene.after(0).await;
}

#[tokio::test]
async fn frames_of_no_length() {
    let mut scene = Scene::new().await;
    let mut peer = scene.peer().await;
    let id = peer.open("/sink").await;
    let parts = (0..500).map(move |_| data(0, id, b"").repeat(1000));
    drop(scene.during(pour(peer, parts)).await);
    assert!(scene.most_memory < SLACK, "{}", scene.most_memory);
    scene.after(0).await;
}

#[tokio::test]
async fn a_flood_of_pings_ends_the_connection() {
    let mut scene = Scene::new().await;
    let mut peer = scene.peer().await;
    let said = scene
        .during(async move {
            let _ = peer.send(&header(PING, SYN, 0, 7).repeat(5000)).await;
            peer.until_closed().await
        })
        .await;
    assert_eq!(said, Some(Code::RATE_LIMITED.0));
    scene.after(0).await;
}

#[tokio::test]
async fn a_flood_of_answers_to_pings_that_were_not_sent_and_of_window_updates() {
    let mut scene = Scene::new().await;
    let mut peer = scene.peer().await;
    let id = peer.open("/echo").await;
    let parts = (0..200).map(move |n| {
        let frames =
            [header(PING, ACK, 0, n + 100), header(WINDOW, 0, id, u32::MAX), header(WINDOW, 0, 99, 1)];
        frames.concat().repeat(500)
    });
    let mut peer = scene.during(pour(peer, parts)).await;
    // The stream is as good as before.
    let back = scene
        .during(async move {
            peer.send(&data(0, id, b"\x02hi")).await.unwrap();
            let all = peer.read_for(ms(200)).await;
            all.into_iter()
                .filter(|frame| frame.kind == DATA)
                .flat_map(|frame| frame.body)
                .collect::<Vec<_>>()
        })
        .await;
    assert!(back.ends_with(b"\x02hi"), "{back:?}");
    scene.after(0).await;
}

#[tokio::test]
async fn a_goodbye_and_then_more() {
    let mut scene = Scene::new().await;
    let mut peer = scene.peer().await;
    let id = peer.open("/sink").await;
    let messages = scene.node.behaviour().messages;
    let goodbye = header(GO_AWAY, 0, 0, 0);
    let more = data(0, id, &b"\x02hi".repeat(1000));
    let parts = [goodbye].into_iter().chain((0..200).map(move |_| more.clone()));
    let peer = scene.during(pour(peer, parts)).await;
    assert!(scene.node.behaviour().messages - messages < 50, "only echoes of the honest peer");
    drop(peer);
    scene.after(0).await;
}

#[tokio::test]
async fn ends_before_a_name_was_said() {
    let mut scene = Scene::new().await;
    let peer = scene.peer().await;
    let parts = odd().take(3000).map(|id| match id % 3 {
        0 => header(WINDOW, SYN | FIN, id, 0),
        1 => data(SYN | FIN, id, &raw::line("/multistream/1.0.0")),
        _ => [data(SYN, id, b"\x13/multi"), header(WINDOW, FIN, id, 0), header(WINDOW, RST, id, 0)].concat(),
    });
    let peer = scene.during(pour(peer, parts)).await;
    // The last of them may still be under way.
    within(&mut [&mut scene.node, &mut scene.honest], tokio::time::sleep(ms(50))).await;
    assert_eq!(scene.node.scope().used(Streams), 1, "the one of the honest peer");
    drop(peer);
    scene.after(0).await;
}

#[tokio::test]
async fn lengths_that_nobody_can_mean() {
    for (name, bytes, ends) in [
        ("a frame of 4 GiB", header(DATA, 0, 1, u32::MAX), true),
        ("a frame over the window", header(DATA, 0, 1, (256 << 10) + 1), true),
        ("a message of 2^63 bytes", data(0, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), false),
        ("a varint without end", data(0, 1, &[0xff; 1000]), false),
        ("a message one byte too long", data(0, 1, b"\x81\x80\x40"), false),
        ("another version", vec![9; 12], true),
        ("a stream opened twice", header(WINDOW, SYN, 1, 0), true),
        ("a stream of the other side's", header(WINDOW, SYN, 2, 0), true),
    ] {
        let mut scene = Scene::new().await;
        let mut peer = scene.peer().await;
        let all = scene
            .during(async move {
                let id = peer.open("/echo").await;
                assert_eq!(id, 1);
                peer.send(&bytes).await.unwrap();
                peer.read_for(ms(300)).await
            })
            .await;
        let what = |frame: &Frame| if ends { frame.kind == GO_AWAY } else { frame.flags & RST != 0 };
        assert!(all.iter().any(what), "{name}: {all:?}");
        assert!(scene.most_memory < SLACK, "{name}: {}", scene.most_memory);
        scene.after(0).await;
    }
}

#[tokio::test]
async fn bytes_that_no_record_is_made_of() {
    for garbage in [vec![0xff; 70_000], vec![0; 70_000], b"GET / HTTP/1.1\r\n\r\n".repeat(10_000)] {
        let mut scene = Scene::new().await;
        let mut peer = scene.peer().await;
        scene
            .during(async move {
                let mut garbage = BytesMut::from(&garbage[..]);
                let _ = raw::write_all(&mut peer.socket, &mut garbage).await;
                peer.until_closed().await
            })
            .await;
        scene.after(0).await;
    }
}

/// Ends after so many bytes.
struct Cut {
    socket: Box<dyn Socket>,
    left: usize,
}
impl Socket for Cut {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        match self.left {
            0 => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            _ => self.socket.poll_read(cx, into),
        }
    }
    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let part = from.first().map(|part| &part[..part.len().min(self.left)]).unwrap_or_default();
        if part.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let n = std::task::ready!(self.socket.poll_write(cx, &[IoSlice::new(part)]))?;
        self.left -= n;
        Poll::Ready(Ok(n))
    }
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_close(cx)
    }
}

#[tokio::test]
async fn a_handshake_that_breaks_off_at_any_byte_ends_in_one_event() {
    let mut scene = Scene::new().await;
    let mut dialer = support::silent_dialer();
    let mut cuts = 0;
    for left in 1.. {
        let socket = dialer.connect(&scene.address).await;
        let nodes = &mut [&mut scene.node, &mut scene.honest];
        let peer = within(nodes, Raw::secure(Box::new(Cut { socket, left }))).await;
        if peer.is_ok() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 200, "{cuts}");
    run(&mut [&mut scene.node, &mut scene.honest], |nodes| {
        nodes[0].behaviour().incoming_failed.len() == cuts
            && nodes[0].network_info().connection_counters().num_pending() == 0
    })
    .await;
    let stats = scene.node.stats();
    assert_eq!(stats.incoming, stats.incoming_failed + stats.established, "C8: {stats:?}");
    scene.after(0).await;
}

#[tokio::test]
async fn a_handshake_that_takes_for_ever_ends_in_time() {
    let mut scene = Scene::with(Config::default().with_connection_timeout(ms(600))).await;
    let mut dialer = support::silent_dialer();
    let mut socket = dialer.connect(&scene.address).await;
    let held = scene
        .during(async move {
            let slowly = [hello("/noise"), vec![0; 2000]].concat();
            for byte in slowly {
                if raw::write_all(&mut socket, &mut BytesMut::from(&[byte][..])).await.is_err() {
                    break;
                }
                tokio::time::sleep(ms(20)).await;
            }
            socket
        })
        .await;
    run(&mut [&mut scene.node, &mut scene.honest], |nodes| !nodes[0].behaviour().incoming_failed.is_empty())
        .await;
    let failed = &scene.node.behaviour().incoming_failed;
    assert_eq!(failed.len(), 1, "C8");
    assert!(failed[0].contains("timed out"), "{failed:?}");
    drop(held);
    scene.after(0).await;
}

#[tokio::test]
async fn connections_that_say_nothing_and_others_that_come_and_go() {
    let limits = ConnectionLimits { pending_incoming: 32, ..Default::default() };
    let mut scene = Scene::with(Config::default().with_limits(limits)).await;
    let address = scene.address.clone();
    scene
        .during(async move {
            let (mut dialer, mut held) = (support::silent_dialer(), Vec::new());
            for n in 0..2000 {
                let socket = dialer.connect(&address).await;
                if n % 2 == 0 {
                    held.push(socket);
                }
                tokio::task::yield_now().await;
                if n % 64 == 0 {
                    tokio::time::sleep(ms(2)).await;
                }
            }
        })
        .await;
    let stats = scene.node.stats();
    assert!(stats.incoming >= 2000, "{stats:?}");
    run(&mut [&mut scene.node, &mut scene.honest], |nodes| {
        nodes[0].network_info().connection_counters().num_pending() == 0
    })
    .await;
    let stats = scene.node.stats();
    let failed = scene.node.behaviour().incoming_failed.len() as u64;
    assert_eq!(stats.incoming, failed + stats.established, "C8: {stats:?}");
    scene.after(0).await;
}

#[tokio::test]
async fn many_at_once_do_all_of_it() {
    let mut scene = Scene::new().await;
    let mut peers = Vec::new();
    for _ in 0..12 {
        peers.push(scene.peer().await);
    }
    scene
        .during(async move {
            let attacks = peers.into_iter().enumerate().map(|(n, mut peer)| async move {
                let id = peer.open("/echo").await;
                let part = match n % 4 {
                    0 => data(0, id, &b"\x02hi".repeat(4000)),
                    1 => header(WINDOW, 0, id, 1).repeat(1000),
                    2 => data(0, id, b"").repeat(1000),
                    _ => header(PING, ACK, 0, 1).repeat(1000),
                };
                pour(peer, (0..20).map(move |_| part.clone())).await
            });
            futures::future::join_all(attacks).await
        })
        .await;
    scene.most_memory = 0; // Of twelve.
    scene.after(0).await;
}
