//! `peerage sim figures`: how fast and how big simulations are. Each is a process of its own, because the memory of one
//! that is done never becomes less.
use super::{args, floodsub, path, process, stopped, words};
use crate::{
    failure::{Exit, Failure},
    output::{Output, json_line, print},
};
use serde::{Deserialize, Serialize};
use std::{process::Command, time::Duration};

const FLOOD: &str = "flood-1000";
const REACH: &str = "reach-10000";
const PATH_LONG: &str = "path-63ms";
const PATH_SHORT: &str = "path-1ms";
/// From the smallest to the largest: an event must not cost more in a larger network.
const SCALE: [(&str, usize); 3] = [("scale-100", 100), ("scale-1000", 1_000), ("scale-10000", 10_000)];
/// Messages of each of these; as many as fit in the time.
const SCALE_MESSAGES: u64 = 10;
const GIGABIT: u64 = 1_000_000_000;

/// One measurement.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Measured {
    wall_seconds: f64,
    peak_rss_bytes: u64,
    deliveries: u64,
    expected: u64,
    /// Since the first message.
    events: u64,
    events_seconds: f64,
    percent: f64,
    held_bytes: usize,
    laps: [f64; 4],
}

/// One target.
#[derive(Debug, Serialize)]
struct Target {
    v: u8,
    figure: &'static str,
    value: f64,
    target: f64,
    unit: &'static str,
    met: bool,
}

pub(super) fn command(args: &args::Figures, output: Output) -> Result<Exit, Failure> {
    if let Some(name) = &args.only {
        let measured = measure(name)?;
        print(&json_line(&measured))?;
        return Ok(Exit::Done);
    }
    let mut all = Targets { output, missed: 0 };
    let flood = child(FLOOD)?;
    all.delivered(FLOOD, &flood)?;
    all.note(&format!(
        "1,000 floodsub peers, degree 6, 100 messages of 256 B: making {:.2} s, connecting {:.2} s, publishing {:.2} s, spreading {:.2} s",
        flood.laps[0], flood.laps[1], flood.laps[2], flood.laps[3]
    ));
    all.at_most("1,000 peers, 100 messages: wall time", flood.wall_seconds, 10.0, "s")?;
    all.at_most("1,000 peers, 100 messages: memory", mebi(flood.peak_rss_bytes), 500.0, "MiB")?;

    let mut scale = Vec::new();
    for (name, peers) in SCALE {
        let measured = child(name)?;
        all.delivered(name, &measured)?;
        let per = measured.events as f64 / measured.deliveries.max(1) as f64;
        let micros = measured.events_seconds * 1e6 / measured.events.max(1) as f64;
        all.note(&format!(
            "{}: {per:.3} events of {micros:.2} us for each delivered message, {} at the peak",
            words::many(peers as u64, "peer"),
            words::size(measured.peak_rss_bytes)
        ));
        scale.push((per, micros));
    }
    let ratio = |of: fn(&(f64, f64)) -> f64| {
        let all = scale.iter().map(of);
        all.clone().fold(0.0, f64::max) / all.fold(f64::MAX, f64::min)
    };
    all.at_most(
        "100 to 10,000 peers: events for each delivery, most to least",
        ratio(|(per, _)| *per),
        1.05,
        "times",
    )?;
    let (first, last) = (scale.first().map_or(0.0, |(_, us)| *us), scale.last().map_or(0.0, |(_, us)| *us));
    all.at_most("100 to 10,000 peers: wall time for each event", last / first, 3.0, "times")?;

    let reach = child(REACH)?;
    all.delivered(REACH, &reach)?;
    all.at_most("10,000 peers connected, subscribed, reached: wall time", reach.wall_seconds, 60.0, "s")?;
    all.at_most(
        "10,000 peers connected, subscribed, reached: memory",
        mebi(reach.peak_rss_bytes),
        3_072.0,
        "MiB",
    )?;

    let long = child(PATH_LONG)?;
    all.at_least("one stream over 63 ms and 1 Gbit/s", long.percent, 90.0, "% of the path")?;
    let short = child(PATH_SHORT)?;
    all.at_least("one stream over 1 ms and 1 Gbit/s", short.percent, 90.0, "% of the path")?;
    all.at_most("and what its receiver reserves for it", short.held_bytes as f64 / 1_048_576.0, 1.0, "MiB")?;
    match all.missed {
        0 => Ok(Exit::Done),
        missed => Err(Failure::new("sim.figures", format!("{} missed", words::many(missed, "target")))),
    }
}

struct Targets {
    output: Output,
    missed: u64,
}
impl Targets {
    fn note(&self, text: &str) {
        self.output.note(text);
    }
    fn at_most(
        &mut self,
        figure: &'static str,
        value: f64,
        target: f64,
        unit: &'static str,
    ) -> Result<(), Failure> {
        self.tell(Target { v: 1, figure, value, target, unit, met: value <= target }, "at most")
    }
    fn at_least(
        &mut self,
        figure: &'static str,
        value: f64,
        target: f64,
        unit: &'static str,
    ) -> Result<(), Failure> {
        self.tell(Target { v: 1, figure, value, target, unit, met: value >= target }, "at least")
    }
    fn delivered(&mut self, name: &str, measured: &Measured) -> Result<(), Failure> {
        if measured.deliveries == measured.expected && measured.expected > 0 {
            return Ok(());
        }
        let (deliveries, expected) = (words::count(measured.deliveries), words::count(measured.expected));
        Err(Failure::new(
            "sim.figures",
            format!("{name}: {deliveries} of {expected} messages were delivered"),
        ))
    }
    fn tell(&mut self, target: Target, how: &str) -> Result<(), Failure> {
        self.missed += u64::from(!target.met);
        let mark = if target.met { "met   " } else { "MISSED" };
        let Target { figure, value, target: at, unit, .. } = &target;
        let line = format!("{mark}  {figure}: {value:.3} {unit} ({how} {at})");
        self.output.result(&target, &line)
    }
}

fn mebi(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// Measures in a process of its own.
fn child(name: &str) -> Result<Measured, Failure> {
    let failed = |why: String| Failure::new("sim.figures", format!("{name}: {why}"));
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let ran = Command::new(program).args(["sim", "figures", "--only", name]).output();
    let ran = ran.map_err(|error| failed(error.to_string()))?;
    if !ran.status.success() {
        return Err(failed(String::from_utf8_lossy(&ran.stderr).trim().to_owned()));
    }
    serde_json::from_slice(&ran.stdout).map_err(|error| failed(error.to_string()))
}

fn measure(name: &str) -> Result<Measured, Failure> {
    let scale = SCALE.iter().find(|(other, _)| *other == name);
    match (name, scale) {
        (FLOOD, _) => flood(1_000, 100),
        (REACH, _) => flood(10_000, 1),
        (_, Some((_, peers))) => flood(*peers, SCALE_MESSAGES),
        (PATH_LONG, _) => fill(Duration::from_millis(63)),
        (PATH_SHORT, _) => fill(Duration::from_millis(1)),
        _ => {
            let all = [FLOOD, REACH, PATH_LONG, PATH_SHORT].into_iter().chain(SCALE.map(|(name, _)| name));
            let all = all.collect::<Vec<_>>().join(", ");
            Err(Failure::usage(format!("there is no figure {name:?}: {all}")))
        }
    }
}
fn flood(peers: usize, messages: u64) -> Result<Measured, Failure> {
    let args = args::Floodsub {
        peers,
        degree: Some(6),
        seed: 7,
        messages,
        size: 256,
        latency: Duration::from_millis(5)..Duration::from_millis(80),
        loss_of_link: None,
        within: Duration::from_secs(60),
        memory: None,
        html: None,
    };
    let outcome = floodsub::run(&args, false, false)?;
    let laps = outcome.laps;
    Ok(Measured {
        wall_seconds: laps.all().as_secs_f64(),
        peak_rss_bytes: process::peak_rss(),
        deliveries: outcome.tally.deliveries,
        expected: outcome.tally.expected(),
        events: outcome.flood_events,
        events_seconds: laps.flood().as_secs_f64(),
        laps: [laps.making, laps.connecting, laps.publishing, laps.spreading].map(|lap| lap.as_secs_f64()),
        ..Measured::default()
    })
}
fn fill(rtt: Duration) -> Result<Measured, Failure> {
    let over = Duration::from_millis(500);
    let (percent, held_bytes) = path::fill(rtt, GIGABIT, over).map_err(|error| stopped(&error))?;
    Ok(Measured { percent, held_bytes, ..Measured::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_can_be_measured_by_name_and_no_other() {
        let failure = measure("flood").unwrap_err();
        assert!(failure.to_string().contains("flood-1000, reach-10000"), "{failure}");
        assert_eq!(failure.exit, Exit::Usage);
        let measured = measure("scale-100").unwrap();
        assert_eq!((measured.deliveries, measured.expected), (990, 990));
        assert!(measured.events > 990 * 5 && measured.percent == 0.0);
    }
    #[test]
    fn a_target_is_met_or_missed() {
        let mut all = Targets { output: Output { json: true, color: crate::args::Color::Never }, missed: 0 };
        all.at_most("x", 10.0, 10.0, "s").unwrap();
        all.at_least("x", 90.0, 90.0, "%").unwrap();
        assert_eq!(all.missed, 0);
        all.at_most("x", 10.1, 10.0, "s").unwrap();
        all.at_least("x", 89.9, 90.0, "%").unwrap();
        assert_eq!(all.missed, 2);
    }
}
