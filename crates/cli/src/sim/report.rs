//! The figures of a run: words for people, one line of JSON for programs.
use super::{args, floodsub::Outcome, process, tally::percentile, words};
use crate::{failure::Failure, output::Output};
use serde::Serialize;
use std::time::Duration;

/// The line of `--json`: its keys are part of the program's interface.
#[derive(Debug, Serialize)]
struct Line {
    v: u8,
    scenario: &'static str,
    peers: usize,
    seed: u64,
    virtual_seconds: f64,
    wall_seconds: f64,
    events: u64,
    events_hash: String,
    published: u64,
    expected_deliveries: u64,
    deliveries: u64,
    duplicates: u64,
    latency_ms: Latency,
    bytes_sent: u64,
    peak_rss_bytes: u64,
}
/// `null` if nothing was delivered.
#[derive(Debug, Serialize)]
struct Latency {
    p50: Option<f64>,
    p99: Option<f64>,
}

pub(super) fn print(args: &args::Floodsub, outcome: &Outcome, output: Output) -> Result<(), Failure> {
    let line = Line {
        v: 1,
        scenario: "floodsub",
        peers: args.peers,
        seed: args.seed,
        virtual_seconds: seconds(outcome.virtual_time),
        wall_seconds: seconds(outcome.laps.all()),
        events: outcome.events,
        events_hash: format!("{:032x}", outcome.hash),
        published: outcome.tally.published(),
        expected_deliveries: outcome.tally.expected(),
        deliveries: outcome.tally.deliveries,
        duplicates: outcome.duplicates.iter().sum(),
        latency_ms: Latency {
            p50: percentile(&outcome.latencies, 50),
            p99: percentile(&outcome.latencies, 99),
        },
        bytes_sent: outcome.bytes.iter().sum(),
        peak_rss_bytes: process::peak_rss(),
    };
    output.result(&line, &table(args, outcome))
}

/// A row per figure: its name, its value, what it means.
pub(super) fn rows(args: &args::Floodsub, outcome: &Outcome) -> Vec<(&'static str, String, String)> {
    let tally = &outcome.tally;
    let peers = args.peers as u64;
    let ms = |percent| percentile(&outcome.latencies, percent).map_or("-".into(), |ms| format!("{ms:.1} ms"));
    let per = |all: u64, of: u64| all as f64 / of.max(1) as f64;
    let copies: u64 = outcome.duplicates.iter().sum();
    let bytes: u64 = outcome.bytes.iter().sum();
    let laps = outcome.laps;
    let micros = |time: Duration, of: u64| time.as_secs_f64() * 1e6 / of.max(1) as f64;
    let mut published = format!(
        "{} of {}, to {} each",
        words::many(tally.published(), "message"),
        words::size(args.size),
        words::many(peers.saturating_sub(1), "peer")
    );
    if tally.published() < args.messages {
        published += &format!("; {} were not published", words::count(args.messages - tally.published()));
    }
    if outcome.refused > 0 {
        published += &format!("; {} had no room in a queue", words::count(outcome.refused));
    }
    let links = args.peers as u64 * args.degree() as u64 / 2;
    let lost = match args.loss_of_link {
        None => "none failed".into(),
        Some(_) => format!("{} failed", words::count(tally.links_lost)),
    };
    let mut rows = vec![
        (
            "delivered",
            format!("{} of {}", words::count(tally.deliveries), words::count(tally.expected())),
            published,
        ),
        ("latency", format!("p50 {}, p99 {}", ms(50), ms(99)), format!("at most {}", ms(100))),
        ("copies", words::count(copies), format!("{:.2} for each delivery", per(copies, tally.deliveries))),
        ("sent", words::size(bytes), format!("{} by each peer", words::size(bytes / peers.max(1)))),
        ("links", words::count(links), lost),
        (
            "virtual time",
            format!("{:.3} s", outcome.virtual_time.as_secs_f64()),
            format!("{:.1} times the wall time", per_second(outcome.virtual_time, laps.all())),
        ),
        ("events", words::count(outcome.events), format!("hash {:032x}", outcome.hash)),
        (
            "wall time",
            format!("{:.2} s", laps.all().as_secs_f64()),
            format!(
                "making peers {:.2} s, connecting them {:.2} s, publishing {:.2} s, spreading {:.2} s",
                laps.making.as_secs_f64(),
                laps.connecting.as_secs_f64(),
                laps.publishing.as_secs_f64(),
                laps.spreading.as_secs_f64()
            ),
        ),
    ];
    if tally.deliveries > 0 {
        rows.push((
            "each delivery",
            format!("{:.2} us", micros(laps.flood(), tally.deliveries)),
            format!(
                "{:.2} events of {:.2} us, since the first message",
                per(outcome.flood_events, tally.deliveries),
                micros(laps.flood(), outcome.flood_events)
            ),
        ));
    }
    let peak = process::peak_rss();
    if peak > 0 {
        rows.push((
            "memory",
            words::size(peak),
            format!("{} for each peer, at the peak", words::size(peak / peers.max(1))),
        ));
    }
    if (outcome.links.len() as u64) < links {
        let made = format!("{} of {}", words::count(outcome.links.len() as u64), words::count(links));
        rows.push((
            "connected",
            made,
            "in half of the time; a dial takes several times the latency, at most 10 s".into(),
        ));
    }
    rows
}

fn table(args: &args::Floodsub, outcome: &Outcome) -> String {
    let mut text = format!(
        "floodsub: {}, {} each, seed {}",
        words::many(args.peers as u64, "peer"),
        words::many(args.degree() as u64, "link"),
        args.seed
    );
    let rows = rows(args, outcome);
    let wide = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or(0);
    for (name, value, meaning) in rows {
        text += &format!("\n  {name:<14}{value:<wide$}  {meaning}");
    }
    text + &format!("\nagain: {}", args.repeat())
}

fn per_second(of: Duration, wall: Duration) -> f64 {
    of.as_secs_f64() / wall.as_secs_f64().max(1e-9)
}
/// To the microsecond.
fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}
