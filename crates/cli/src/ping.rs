//! `peerage ping`: how far away a peer is.
use crate::{
    args::Ping,
    chat::{host, millis, transport_of, wrong_peer},
    failure::{Exit, Failure},
    output::{Output, json_line, print},
};
use peerage::{
    Multiaddr, PeerId, Swarm, SwarmBuilder,
    futures::StreamExt,
    noise, ping,
    swarm::{DialError, SwarmEvent},
    tcp, tls, yamux,
};
use serde_json::json;
use std::time::Duration;

pub(crate) fn ping(args: Ping, output: Output) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("runtime", format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let mut tally = Tally::default();
        let result = tokio::select! {
            result = run(&args, output, &mut tally) => result,
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
        // What was measured is worth a line, however it ended.
        if tally.sent > 0 {
            tally.print(output)?;
        }
        result?;
        Ok(if tally.times.is_empty() { Exit::Failed } else { Exit::Done })
    })
}

async fn run(args: &Ping, output: Output, tally: &mut Tally) -> Result<(), Failure> {
    let mut swarm = swarm().map_err(|error| Failure::new("ping.start", format!("cannot start: {error}")))?;
    swarm.dial(args.addr.clone()).map_err(|error| unreachable(&args.addr, &error))?;
    let mut connected = None;
    while args.count.is_none_or(|count| tally.sent < count) {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { endpoint, .. } => {
                connected = Some(endpoint.get_remote_address().clone());
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(unreachable(&args.addr, &error)),
            SwarmEvent::ConnectionClosed { peer_id, cause, .. } => {
                let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                return Err(Failure::new("ping.closed", format!("the connection to {peer_id} ended{cause}")));
            }
            SwarmEvent::Behaviour(ping::Event { peer, result, .. }) => {
                let via = connected.as_ref().unwrap_or(&args.addr);
                tally.sent = tally.sent.saturating_add(1);
                match result {
                    Ok(rtt) => {
                        tally.count(rtt);
                        print(&pong(output, peer, via, rtt, tally.sent))?;
                    }
                    Err(ping::Failure::Unsupported) => {
                        return Err(Failure::new("ping.unsupported", format!("{peer} does not speak ping"))
                            .hint("it is reachable, but how far away it is cannot be measured")
                            .exit(Exit::Refused));
                    }
                    Err(failure) => print(&lost(output, peer, tally.sent, &failure))?,
                }
            }
            _ => {}
        }
    }
    let within = Duration::from_secs(1);
    swarm.shutdown(within).await;
    Ok(())
}

fn swarm() -> Result<Swarm<ping::Behaviour>, Box<dyn std::error::Error + Send + Sync>> {
    let config =
        ping::Config::new().with_interval(Duration::from_secs(1)).with_timeout(Duration::from_secs(5));
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), (tls::Config::new, noise::Config::new), yamux::Config::default)?
        .with_quic()
        .with_behaviour(|_| ping::Behaviour::new(config))?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::MAX))
        .build())
}

fn pong(output: Output, peer: PeerId, via: &Multiaddr, rtt: Duration, seq: u64) -> String {
    if output.json {
        let rtt = rtt.as_secs_f64() * 1000.0;
        return json_line(&json!({
            "v": 1, "event": "pong", "peer": peer.to_string(), "addr": via.clone().without_p2p().to_string(),
            "seq": seq, "rtt_ms": rtt,
        }));
    }
    format!("pong from {} via {} · {} in {}\n", peer.short(), host(via), transport_of(via), millis(rtt))
}
fn lost(output: Output, peer: PeerId, seq: u64, failure: &ping::Failure) -> String {
    if output.json {
        let why = failure.to_string();
        return json_line(
            &json!({ "v": 1, "event": "lost", "peer": peer.to_string(), "seq": seq, "why": why }),
        );
    }
    format!("no answer from {}: {failure}\n", peer.short())
}

/// What there is to say about a dial that failed, with every address that was tried.
pub(crate) fn unreachable(address: &Multiaddr, error: &DialError) -> Failure {
    if let DialError::WrongPeerId { obtained, .. } = error {
        return Failure::new(error.code(), wrong_peer(address.peer_id(), *obtained, address))
            .hint(error.hint())
            .exit(Exit::Refused);
    }
    let mut message = format!("could not reach {}", host(address));
    let report = error.report();
    if report.is_empty() {
        message += &format!(": {error}");
    } else {
        let took = report.iter().map(|attempt| attempt.took).max().unwrap_or_default().as_secs_f64();
        let noun = if report.len() == 1 { "address" } else { "addresses" };
        message += &format!(" ({} {noun}, {took:.1} s)", report.len());
        for attempt in report {
            message += &format!("\n  ✗ {}   {}", attempt.address, attempt.cause);
        }
    }
    let exit = if error.code() == "dial.timeout" { Exit::TimedOut } else { Exit::Failed };
    Failure::new(error.code(), message).hint(error.hint()).exit(exit)
}

/// Round trips so far.
#[derive(Default)]
struct Tally {
    sent: u64,
    times: Times,
}
/// Their number, sum, least and greatest.
#[derive(Default)]
struct Times {
    received: u32,
    sum: Duration,
    min: Option<Duration>,
    max: Duration,
}
impl Times {
    fn is_empty(&self) -> bool {
        self.received == 0
    }
}
impl Tally {
    fn count(&mut self, rtt: Duration) {
        let times = &mut self.times;
        times.received = times.received.saturating_add(1);
        times.sum = times.sum.saturating_add(rtt);
        times.min = Some(times.min.map_or(rtt, |min| min.min(rtt)));
        times.max = times.max.max(rtt);
    }
    fn print(&self, output: Output) -> Result<(), Failure> {
        let Times { received, sum, min, max } = self.times;
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let (min, avg, max) = (
            millis(min.unwrap_or_default()),
            millis(sum.checked_div(received).unwrap_or_default()),
            millis(max),
        );
        if output.json {
            return print(&json_line(&json!({
                "v": 1, "event": "summary", "sent": self.sent, "received": received,
                "min_ms": min, "avg_ms": avg, "max_ms": max,
            })));
        }
        let times =
            if received > 0 { format!(", min/avg/max {min:.1}/{avg:.1}/{max:.1} ms") } else { String::new() };
        print(&format!("{} sent, {received} received{times}\n", self.sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_peer_is_refused_by_name() {
        let (expected, obtained) = (PeerId::random(), PeerId::random());
        let address: Multiaddr = format!("/ip4/10.0.0.1/tcp/1/p2p/{expected}").parse().unwrap();
        let failure = unreachable(&address, &DialError::WrongPeerId { obtained, address: address.clone() });
        assert!(
            failure.message.contains(&expected.to_string())
                && failure.message.contains(&obtained.to_string())
        );
        assert_eq!((failure.code, failure.exit), ("dial.wrong-peer", Exit::Refused));
    }

    #[test]
    fn a_pong_names_the_peer_the_way_and_the_time() {
        let peer = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh".parse().unwrap();
        let via: Multiaddr = "/ip4/10.0.0.1/tcp/4001".parse().unwrap();
        let output = Output { json: false, color: crate::args::Color::Never };
        let line = pong(output, peer, &via, Duration::from_micros(21_700), 1);
        assert_eq!(line, "pong from …dKH9fh via 10.0.0.1 · tcp in 21.7 ms\n");
        let mut tally = Tally { sent: 3, ..Tally::default() };
        [1, 2, 6].into_iter().for_each(|millis| tally.count(Duration::from_millis(millis)));
        assert_eq!(tally.times.sum, Duration::from_millis(9));
    }
}
