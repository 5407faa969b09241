//! How fast a flood is simulated: `flood PEERS DEGREE MESSAGES BYTES [SEED]`.
use peerage_floodsub::{Flood, FloodEvent, Topic};
use peerage_sim::{Fields, Sim, ms, secs};
use std::{cell::Cell, env, rc::Rc};

fn argument(at: usize, default: u64) -> u64 {
    env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The words of an event take longer than its delivery: its bytes say as much.
fn hash(event: &FloodEvent, to: &mut Fields) {
    match event {
        FloodEvent::Message { from, propagation_source, data, seqno, verified, .. } => {
            let from = from.iter().flat_map(|peer| peer.as_bytes().iter().copied()).collect::<Vec<_>>();
            to.words("Message").bytes(&from).bytes(propagation_source.as_bytes()).bytes(data).bytes(seqno);
            to.number(u64::from(*verified));
        }
        FloodEvent::Subscribed { peer, topic } => {
            to.words("Subscribed").bytes(peer.as_bytes()).words(topic.id());
        }
        FloodEvent::Unsubscribed { peer, topic } => {
            to.words("Unsubscribed").bytes(peer.as_bytes()).words(topic.id());
        }
        FloodEvent::Delivered { to: heard, of, .. } => {
            to.words("Delivered").number(*heard as u64).number(*of as u64);
        }
        _ => {}
    }
}

#[allow(clippy::disallowed_methods, reason = "it measures how long the simulation takes")]
fn main() {
    let (peers, degree) = (argument(1, 1000) as usize, argument(2, 6) as usize);
    let (messages, size) = (argument(3, 100), argument(4, 256) as usize);
    let seed = argument(5, 7);
    let began = std::time::Instant::now();
    let heard = Rc::new(Cell::new(0_u64));
    let count = heard.clone();
    let mut sim = Sim::new(seed).latency(ms(5)..ms(80)).hashing(hash).watch(move |seen| {
        if let peerage_swarm::SwarmEvent::Behaviour(FloodEvent::Message { .. }) = seen.event {
            count.set(count.get() + 1);
        }
        false
    });
    let topic = Topic::new("news");
    let nodes = sim.nodes(peers, Flood::signed);
    println!("made       {:>8.3} s", began.elapsed().as_secs_f64());
    sim.connect_randomly(&nodes, degree);
    sim.each(&nodes, |b| b.subscribe(topic.clone()).map(drop))
        .into_iter()
        .for_each(|done| done.unwrap_or(()));
    sim.run_for(secs(5));
    println!(
        "connected  {:>8.3} s, {} links, {} events",
        began.elapsed().as_secs_f64(),
        sim.links().len(),
        sim.events_handled()
    );
    let (published, events) = (std::time::Instant::now(), sim.events_handled());
    for n in 0..messages {
        let from = nodes[n as usize * 7919 % nodes.len()];
        if sim.on(from, |b| b.publish(topic.clone(), vec![n as u8; size])).is_err() {
            println!("refused");
        }
        sim.run_for(ms(50));
    }
    let expected = messages * (peers as u64 - 1);
    let done = sim.try_run_until(secs(60), |_| heard.get() >= expected);
    let (took, events) = (published.elapsed().as_secs_f64(), sim.events_handled() - events);
    println!("delivered  {:>8.3} s, {} of {expected} {done:?}", began.elapsed().as_secs_f64(), heard.get());
    println!(
        "per delivery {:.3} events, {:.1} us; per event {:.2} us",
        events as f64 / expected as f64,
        took * 1e6 / expected as f64,
        took * 1e6 / events as f64
    );
    println!("hash {:032x}, {:?} virtual, {:?}", sim.hash(), sim.now(), sim.memory());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
}
