//! A stream that is like a telephone's: frames at a steady pace, one way, and a listener that would rather lose a few than be late.
//!
//! ```sh
//! cargo run -p peerage --example audio -- listen
//! cargo run -p peerage --example audio -- call /ip4/127.0.0.1/udp/4001/quic-v1/p2p/12D3.. 3
//! ```
use peerage::futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use peerage::{Multiaddr, Peer, Stream};
use std::time::Duration;

const VOICE: &str = "/voice/1";
/// 20 ms of a voice: a number, and as many bytes as Opus makes of it at 32 kbit/s.
const FRAME: usize = 4 + 80;
const PACE: Duration = Duration::from_millis(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let peer =
        Peer::lan("telephone").ephemeral().without_mdns().listen(["/ip4/127.0.0.1/udp/0/quic-v1"]).await?;
    match (args.next().as_deref(), args.next(), args.next()) {
        (Some("listen"), ..) => listen(&peer).await?,
        (Some("call"), Some(who), seconds) => {
            call(&peer, who.parse()?, seconds.map_or(Ok(3), |n| n.parse())?).await?;
        }
        _ => println!("audio listen | audio call ADDRESS [SECONDS]"),
    }
    peer.shutdown(Duration::from_secs(3)).await;
    Ok(())
}

async fn call(peer: &Peer, who: Multiaddr, seconds: u64) -> Result<(), Box<dyn std::error::Error>> {
    let who = peer.connect(who).await?;
    let mut voice = peer.open_stream(who, VOICE).await?;
    let mut clock = tokio::time::interval(PACE);
    let frames = u32::try_from(seconds * 50)?;
    for number in 0..frames {
        clock.tick().await;
        let mut frame = [0; FRAME];
        frame[..4].copy_from_slice(&number.to_be_bytes());
        voice.write_all(&frame).await?;
        voice.flush().await?; // Now: the next one is 20 ms away.
    }
    voice.close().await?; // And it has arrived.
    println!("said {frames} frames");
    Ok(())
}

async fn listen(peer: &Peer) -> Result<(), Box<dyn std::error::Error>> {
    let mut calls = peer.accept(VOICE)?;
    for address in peer.addresses().await? {
        println!("call {address}");
    }
    loop {
        tokio::select! {
            Some((who, voice)) = calls.next() => {
                println!("{who} calls");
                tokio::spawn(async move {
                    match hear(voice).await {
                        Ok(heard) => println!("{who} hung up: {heard}"),
                        Err(error) => println!("{who} was cut off: {error}"),
                    }
                });
            }
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

/// Until the other side hangs up. A gap of over 60 ms would be heard.
async fn hear(mut voice: Stream) -> std::io::Result<String> {
    let (mut frames, mut gaps, mut last) = (0_u32, 0_u32, tokio::time::Instant::now());
    let mut frame = [0; FRAME];
    loop {
        match voice.read_exact(&mut frame).await {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
        let now = tokio::time::Instant::now();
        gaps += u32::from(frames > 0 && now - last > 3 * PACE);
        (frames, last) = (frames + 1, now);
    }
    Ok(format!("{frames} frames, {gaps} gaps"))
}
