//! `peerage sim sweep`: a random scenario per seed, with everything that can go wrong, and every invariant.
//!
//! | part | what it holds |
//! |---|---|
//! | `plan` | what a seed draws: the network and its weather |
//! | `chaos` | one seed: things go wrong, and must come right again |
//! | `asker` | what a peer is: a chat that asks and is asked |
//! | `record` | what peers have said, and what they never may |
mod asker;
mod chaos;
mod plan;
pub(super) mod record;

use super::{args, process::Stopwatch, words};
use crate::{
    failure::{Exit, Failure},
    output::{Output, json_line, print},
};
use serde_json::json;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// What one seed has shown.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) seed: u64,
    pub(super) plan: String,
    pub(super) events: u64,
    pub(super) hash: u128,
    pub(super) virtual_time: Duration,
    pub(super) messages: u64,
    pub(super) deliveries: u64,
    pub(super) requests: u64,
    /// Why it failed, in words; with the last events.
    pub(super) failure: Option<(String, String)>,
}

pub(super) fn command(args: &args::Sweep, events: bool, output: Output) -> Result<Exit, Failure> {
    if args.from.checked_add(args.seeds).is_none() {
        return Err(Failure::usage("there are no seeds over 2^64"));
    }
    let watch = Stopwatch::start();
    let mut all = sweep(args, events);
    all.sort_unstable_by_key(|shown| shown.seed);
    let mut failed = Vec::new();
    for shown in &all {
        let Some((reason, last)) = &shown.failure else { continue };
        failed.push(shown.seed);
        if args.seeds == 1 && !events {
            eprint!("{last}");
        }
        let again = again(args, shown.seed);
        print(&match output.json {
            true => json_line(&json!({
                "v": 1, "scenario": "sweep", "seed": shown.seed, "failed": reason, "plan": shown.plan, "again": again,
            })),
            false => format!("seed {} failed: {reason}\n  {}\n  again: {again}\n", shown.seed, shown.plan),
        })?;
    }
    let sum = |of: fn(&Shown) -> u64| all.iter().map(of).sum::<u64>();
    let virtual_time: Duration = all.iter().map(|shown| shown.virtual_time).sum();
    let (events, messages) = (sum(|shown| shown.events), sum(|shown| shown.messages));
    let (deliveries, requests) = (sum(|shown| shown.deliveries), sum(|shown| shown.requests));
    let hash = all.iter().fold(0_u128, |all, shown| all.rotate_left(1) ^ shown.hash);
    let record = json!({
        "v": 1, "scenario": "sweep", "seeds": args.seeds, "from": args.from, "failed": failed,
        "virtual_seconds": virtual_time.as_secs_f64(), "wall_seconds": watch.seconds(), "events": events,
        "events_hash": format!("{hash:032x}"), "published": messages, "deliveries": deliveries, "requests": requests,
    });
    let text = format!(
        "{}, {} failed: {:.1} virtual hours in {:.1} s, {} events, {} messages, {} deliveries, {} requests; each seed ran twice",
        words::many(args.seeds, "seed"),
        words::count(failed.len() as u64),
        virtual_time.as_secs_f64() / 3600.0,
        watch.seconds(),
        words::count(events),
        words::count(messages),
        words::count(deliveries),
        words::count(requests)
    );
    output.result(&record, &text)?;
    Ok(if failed.is_empty() { Exit::Done } else { Exit::Failed })
}

fn again(args: &args::Sweep, seed: u64) -> String {
    format!("peerage sim sweep --seeds 1 --from {seed} --for {} --log", words::time(args.within))
}

/// On every core; each simulation stays on one thread.
fn sweep(args: &args::Sweep, events: bool) -> Vec<Shown> {
    let threads = if events { 1 } else { thread::available_parallelism().map_or(1, usize::from) };
    let next = AtomicU64::new(0);
    let all = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= args.seeds {
                        return;
                    }
                    let shown = twice(args.from + at, args.within, events);
                    all.lock().unwrap_or_else(PoisonError::into_inner).push(shown);
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Once, and if it went well once more: it must go the same way.
fn twice(seed: u64, within: Duration, events: bool) -> Shown {
    let mut first = once(seed, within, events);
    if first.failure.is_none() && !events {
        let second = once(seed, within, false);
        let same = |shown: &Shown| (shown.hash, shown.events);
        if same(&first) != same(&second) {
            let ways = format!("{:?} and {:?}", same(&first), same(&second));
            first.failure = Some((format!("C4: two runs differ: hash and events are {ways}"), String::new()));
        }
    }
    first
}
fn once(seed: u64, within: Duration, events: bool) -> Shown {
    let run = catch_unwind(AssertUnwindSafe(|| chaos::run(seed, within, events)));
    run.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let reason = format!("the scenario panicked: {}", text.unwrap_or_default());
        Shown { seed, failure: Some((reason, String::new())), ..Shown::default() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_seeds_go_well_and_go_the_same_way_twice() {
        for seed in 1..=3 {
            let shown = twice(seed, Duration::from_secs(20), false);
            assert_eq!(shown.failure, None, "seed {seed}: {}", shown.plan);
            assert!(
                shown.messages > 5 && shown.deliveries > shown.messages && shown.requests > 0,
                "{shown:?}"
            );
        }
    }
    #[test]
    fn another_seed_is_another_scenario() {
        let plan = |seed| plan::Plan::draw(seed).to_string();
        assert_eq!(plan(1), plan(1));
        let all: std::collections::BTreeSet<String> = (0..50).map(plan).collect();
        assert_eq!(all.len(), 50);
    }
}
