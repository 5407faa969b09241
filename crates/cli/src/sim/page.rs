//! The page that shows a flood: one file, without anything from outside, `page.html` with the run's data in it.
use super::{
    args,
    floodsub::Outcome,
    report,
    tally::{NONE, Spread, percentile},
    words,
};
use serde::Serialize;
use std::fmt::Write;

/// Of more peers than this no picture is drawn: nobody would see anything in it.
const DRAWN: usize = 2_000;
/// Points of a curve.
const POINTS: usize = 200;
/// Bars of a distribution, about.
const BARS: u64 = 32;

#[derive(Serialize)]
struct Data {
    title: String,
    command: String,
    peers: usize,
    figures: Vec<(&'static str, String, String)>,
    /// Both ends and the latency in microseconds, link after link; empty if nothing is drawn.
    links: Vec<u32>,
    messages: Vec<Shown>,
    /// Over all messages.
    curve: Vec<u32>,
    reached: f64,
    p50: Option<f64>,
    p99: Option<f64>,
    latency: Bars,
    duplicates: Bars,
    bytes: Bars,
}
#[derive(Serialize)]
struct Shown {
    number: u32,
    from: u32,
    at_ms: f64,
    /// Peers that have it.
    reached: usize,
    /// When the first, …, the last of them had it, in microseconds.
    curve: Vec<u32>,
    /// How many have it over so many links.
    hops: Vec<u32>,
    /// Per peer, if it is drawn: since when, and from whom; -1 is never, and nobody.
    arrivals: Vec<i64>,
    sources: Vec<i64>,
}
/// How often values occur.
#[derive(Debug, PartialEq, Serialize)]
struct Bars {
    from: u64,
    width: u64,
    counts: Vec<u64>,
}

pub(super) fn page(args: &args::Floodsub, outcome: &Outcome) -> String {
    let is_drawn = args.peers <= DRAWN;
    let links = outcome.links.iter().filter(|_| is_drawn);
    let latencies: Vec<u64> = outcome.latencies.iter().map(|micros| u64::from(*micros)).collect();
    let (delivered, expected) = (outcome.tally.deliveries, outcome.tally.expected());
    let data = Data {
        title: format!("floodsub, {}", words::many(args.peers as u64, "peer")),
        command: args.repeat(),
        peers: args.peers,
        figures: report::rows(args, outcome),
        links: links
            .flat_map(|link| {
                let latency = u32::try_from(link.latency.as_micros()).unwrap_or(u32::MAX);
                [link.from.index() as u32, link.to.index() as u32, latency]
            })
            .collect(),
        messages: outcome.tally.spreads().map(|spread| shown(spread, is_drawn)).collect(),
        curve: points(&outcome.latencies),
        reached: if expected > 0 { delivered as f64 / expected as f64 } else { 0.0 },
        p50: percentile(&outcome.latencies, 50),
        p99: percentile(&outcome.latencies, 99),
        latency: bars(&latencies),
        duplicates: bars(&outcome.duplicates),
        bytes: bars(&outcome.bytes),
    };
    // A script ends at the first `</script>`, wherever it stands.
    let json = serde_json::to_string(&data).unwrap_or_default().replace('<', "\\u003c");
    let (before, after) = TEMPLATE.split_once("{{data}}").unwrap_or((TEMPLATE, ""));
    let mut page = String::with_capacity(TEMPLATE.len() + json.len());
    let title = data.title.replace('<', "&lt;");
    let _ = write!(page, "{}{json}{after}", before.replace("{{title}}", &title));
    page
}
const TEMPLATE: &str = include_str!("page.html");

fn shown(spread: &Spread, is_drawn: bool) -> Shown {
    let mut times: Vec<u32> =
        spread.arrivals.iter().filter(|(_, via)| *via != NONE).map(|(at, _)| *at).collect();
    times.sort_unstable();
    let number = |n: u32| if n == NONE { -1 } else { i64::from(n) };
    let drawn = || spread.arrivals.iter().filter(|_| is_drawn);
    Shown {
        number: spread.number,
        from: spread.from,
        at_ms: spread.at as f64 / 1e6,
        reached: times.len(),
        curve: points(&times),
        hops: hops(spread),
        arrivals: drawn().map(|(at, _)| number(*at)).collect(),
        sources: drawn().map(|(_, via)| number(*via)).collect(),
    }
}

/// How many peers are so many links away from the publisher, as the message went.
fn hops(spread: &Spread) -> Vec<u32> {
    let mut order: Vec<u32> = (0..spread.arrivals.len() as u32).collect();
    let arrival = |at: u32| spread.arrivals.get(at as usize).copied().unwrap_or((NONE, NONE));
    order.sort_unstable_by_key(|at| arrival(*at).0);
    let mut far = vec![0_u32; spread.arrivals.len()];
    let mut counts = Vec::new();
    for peer in order {
        let (at, via) = arrival(peer);
        if at == NONE {
            continue;
        }
        let hop = far.get(via as usize).map_or(0, |hop| hop + 1);
        if let Some(place) = far.get_mut(peer as usize) {
            *place = hop;
        }
        if counts.len() <= hop as usize {
            counts.resize(hop as usize + 1, 0);
        }
        if let Some(count) = counts.get_mut(hop as usize) {
            *count += 1;
        }
    }
    counts
}

/// The least, the greatest, and evenly chosen ones between.
fn points(ascending: &[u32]) -> Vec<u32> {
    let last = ascending.len().saturating_sub(1);
    let points = POINTS.min(last);
    (0..=points).filter_map(|at| ascending.get(at * last / points.max(1)).copied()).collect()
}

/// Bars of a width of 1, 2 or 5 times a power of ten.
fn bars(values: &[u64]) -> Bars {
    let (Some(least), Some(most)) = (values.iter().min().copied(), values.iter().max().copied()) else {
        return Bars { from: 0, width: 1, counts: Vec::new() };
    };
    let wanted = (most - least) / BARS;
    let mut width: u64 = 1;
    for factor in [2, 5, 10].into_iter().cycle().take(60) {
        if width > wanted {
            break;
        }
        let power = 10_u64.saturating_pow(width.ilog10());
        width = power.saturating_mul(factor);
    }
    let from = least / width * width;
    let mut counts = vec![0; usize::try_from((most - from) / width).unwrap_or(0) + 1];
    for value in values {
        if let Some(count) = counts.get_mut(usize::try_from((value - from) / width).unwrap_or(0)) {
            *count += 1;
        }
    }
    Bars { from, width, counts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_round_widths_and_hold_every_value() {
        assert_eq!(bars(&[4, 4, 6]), Bars { from: 4, width: 1, counts: vec![2, 0, 1] });
        assert_eq!(bars(&[]).counts, Vec::<u64>::new());
        for most in [1, 9, 31, 32, 33, 100, 999, 12_345, 7_000_000, u64::from(u32::MAX)] {
            let values: Vec<u64> = (0..=100).map(|n| most / 100 * n).chain([0, most]).collect();
            let bars = bars(&values);
            assert!([1, 2, 5].contains(&(bars.width / 10_u64.pow(bars.width.ilog10()))), "{bars:?}");
            assert!(bars.counts.len() as u64 <= 2 * BARS, "{most}: {bars:?}");
            assert_eq!(bars.counts.iter().sum::<u64>(), 103);
        }
    }
    #[test]
    fn hops_follow_the_way_of_the_message() {
        let arrivals = vec![(5, 2), (9, 0), (0, NONE), (NONE, NONE), (6, 2)];
        let spread = Spread { number: 0, from: 2, at: 0, arrivals };
        assert_eq!(hops(&spread), [1, 2, 1]);
        let shown = shown(&spread, true);
        assert_eq!((shown.curve, shown.reached), (vec![5, 6, 9], 3));
        assert_eq!((shown.arrivals[3], shown.sources[2]), (-1, -1));
    }
    #[test]
    fn curves_have_few_points_and_keep_their_ends() {
        let all: Vec<u32> = (0..10_000).collect();
        let few = points(&all);
        assert_eq!((few.len(), few.first(), few.last()), (POINTS + 1, Some(&0), Some(&9_999)));
        assert_eq!((points(&[3]), points(&[])), (vec![3], vec![]));
    }
    #[test]
    fn the_page_names_nothing_outside_of_it() {
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            let without = TEMPLATE.replace("http://www.w3.org/2000/svg", "");
            assert!(!without.contains(outside), "{outside}");
        }
        assert_eq!(TEMPLATE.matches("{{data}}").count(), 1);
    }
}
