//! Behaviours that break their contract, and what the simulator says of each.
use crate::gossip::{Fault, Gossip, sim};
use peerage_sim::{Failure, SimError, ms, secs};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a ring of three says when one of them is broken.
fn run(fault: Fault) -> Result<(), SimError> {
    let mut sim = sim(1).latency(ms(10)..ms(10)).memory_limit(64 << 20);
    let nodes = sim.nodes(3, Gossip::with(fault));
    sim.connect_randomly(&nodes, 2);
    sim.run_for(secs(1));
    let before = sim.footprint();
    sim.on(nodes[0], |b| b.say(7));
    for _ in 0..200 {
        sim.try_run_for(ms(200))?;
        for node in &nodes {
            if fault == Fault::Chatters {
                sim.try_on(*node, |b| b.say(8))?;
            }
        }
    }
    sim.try_expect_messages(&nodes[1..], &["7"])?;
    sim.try_expect_no_growth(&before)?;
    if fault == Fault::AfterTheEnd {
        sim.crash(nodes[1], Failure::Reset);
        sim.try_run_for(secs(1))?;
    }
    Ok(())
}
fn says(fault: Fault) -> String {
    run(fault).unwrap_err().to_string()
}
#[track_caller]
fn has(text: &str, parts: &[&str]) {
    assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} is not all in\n{text}");
}

#[test]
fn a_behaviour_without_a_fault_passes() {
    assert_eq!(run(Fault::None), Ok(()));
}
#[test]
fn a_leak_is_named() {
    has(&says(Fault::Leaks), &["has more streams open than before"]);
}
#[test]
fn a_lost_message_is_named() {
    has(&says(Fault::Loses), &["heard \"7\" 0 times, and was to hear it once"]);
}
#[test]
fn time_that_goes_back_is_named() {
    let text = says(Fault::GoesBack);
    has(
        &text,
        &[
            "C2: its time went back: it wants to be called at +0ns",
            "gossip::Gossip on node",
            "caused by: on_timeout",
        ],
    );
}
#[test]
fn never_draining_is_named() {
    let text = says(Fault::NeverDrains);
    has(
        &text,
        &[
            "C6: over 16384 commands between two drains",
            "gossip::Gossip on node",
            "on_stream_event(Message on inbound stream",
        ],
    );
}
#[test]
fn a_stream_that_never_was_is_named() {
    let text = says(Fault::MadeUp);
    has(&text, &["C3: reset for inbound stream", "which never was", "on_stream_event(Message"]);
}
#[test]
fn a_message_after_the_end_is_named() {
    has(
        &says(Fault::AfterTheEnd),
        &["C3: a message for outbound stream", "after its Closed", "on_stream_event(Closed"],
    );
}
#[test]
fn a_panic_is_named() {
    let text = says(Fault::Panics);
    has(&text, &["a behaviour of node", "panicked: I did not expect 7", "on_stream_event(Message"]);
}
#[test]
fn memory_that_grows_is_named() {
    let mut sim = sim(1).latency(ms(10)..ms(10)).memory_limit(1 << 20);
    let nodes = sim.nodes(2, Gossip::with(Fault::Chatters));
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(secs(1));
    let result = (0..).try_for_each(|n| {
        sim.try_on(nodes[0], |b| b.say(n))?;
        sim.try_run_for(ms(100))
    });
    has(
        &result.unwrap_err().to_string(),
        &["over the memory limit of 1048576 bytes", "swarm events that nobody takes"],
    );
}
#[test]
fn the_report_has_the_seed_the_time_and_the_last_events() {
    let mut sim = sim(77).latency(ms(10)..ms(10));
    let nodes = sim.nodes(2, Gossip::with(Fault::Panics));
    sim.connect(nodes[0], nodes[1]);
    sim.run_for(secs(1));
    let report = sim.report();
    has(
        &report,
        &["seed 77 (PEERAGE_SEED=77)", "1s of virtual time", "0.040000000 node 0 established peer=1"],
    );
    sim.on(nodes[0], |b| b.say(1));
    let panicked = catch_unwind(AssertUnwindSafe(|| sim.run_for(secs(1)))).unwrap_err();
    has(panicked.downcast_ref::<String>().unwrap(), &["I did not expect 1"]);
}
