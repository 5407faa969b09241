//! Swarms in tasks of their own, and their handles, while connections, nodes and handles go: every call ends, once.
use crate::gossip::{Gossip, sim};
use futures::{FutureExt, StreamExt};
use peerage_core::{Code, Multiaddr};
use peerage_sim::{Failure, Guarded, Node, Sim, ms, secs};
use peerage_swarm::{Handle, HandleError, SwarmEvent};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

type Asks = Handle<Guarded<Gossip>>;

/// Every call that was begun, and how often it ended, and how.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<BTreeMap<u32, (&'static str, Vec<String>)>>>);
impl Calls {
    /// Makes a call on a node.
    fn call<R: Debug>(
        &self,
        sim: &mut Sim<Gossip>,
        on: Node,
        what: &'static str,
        call: impl Future<Output = R> + Send + 'static,
    ) {
        let calls = self.0.clone();
        let number = {
            let mut calls = calls.lock().unwrap();
            let number = calls.len() as u32;
            calls.insert(number, (what, Vec::new()));
            number
        };
        sim.task(on, async move {
            let came = format!("{:?}", call.await);
            calls.lock().unwrap().get_mut(&number).unwrap().1.push(came);
        });
    }
    /// Each has ended exactly once: what they came to, by what was called.
    fn ends(&self, when: &str) -> BTreeMap<&'static str, Vec<String>> {
        let mut ends = BTreeMap::<_, Vec<String>>::new();
        for (number, (what, came)) in &*self.0.lock().unwrap() {
            assert_eq!(came.len(), 1, "{when}: {what}, call {number}, ended {} times: {came:?}", came.len());
            ends.entry(*what).or_default().extend(came.iter().cloned());
        }
        ends
    }
    fn waiting(&self) -> usize {
        self.0.lock().unwrap().values().filter(|(_, came)| came.is_empty()).count()
    }
}

/// Everything a handle can be asked for.
fn ask_for_everything(
    sim: &mut Sim<Gossip>,
    calls: &Calls,
    on: Node,
    handle: &Asks,
    there: Multiaddr,
    n: u64,
) {
    let with = |handle: &Asks| handle.clone();
    let (a, b, c, d, e) = (with(handle), with(handle), with(handle), with(handle), with(handle));
    calls.call(sim, on, "with", async move { a.with(move |gossip| gossip.say(n)).await });
    calls.call(sim, on, "report", async move { b.report().await.map(|report| report.peers.len()) });
    calls.call(sim, on, "peers", async move { c.peers().await.map(|peers| peers.len()) });
    calls.call(sim, on, "connect", async move { d.connect(there).await.map_err(|error| error.code()) });
    calls.call(sim, on, "panic", async move { e.with(|_| -> () { panic!("the application's") }).await });
}

/// Two nodes whose swarms are spawned; both are used for a second, and something happens after `after`.
fn they_are_used(
    after: Duration,
    happens: impl FnOnce(&mut Sim<Gossip>, &[Node], &mut [Option<Asks>; 2], &Calls),
) -> BTreeMap<&'static str, Vec<String>> {
    let mut sim = sim(1).latency(ms(10)..ms(10));
    let nodes = sim.nodes(2, Gossip::new);
    let mut handles = [Some(sim.spawn(nodes[0]).0), Some(sim.spawn(nodes[1]).0)];
    let calls = Calls::default();
    let mut happens = Some(happens);
    for n in 0..50 {
        if let Some(happens) = happens.take_if(|_| ms(20 * n) >= after) {
            happens(&mut sim, &nodes, &mut handles, &calls);
        }
        for (at, other) in [(0, 1), (1, 0)] {
            let there = sim.address(nodes[other]).with_p2p(sim.peer_id(nodes[other])).unwrap();
            if sim.is_running(nodes[at])
                && let Some(handle) = &handles[at]
            {
                ask_for_everything(&mut sim, &calls, nodes[at], handle, there, n);
            }
        }
        sim.run_for(ms(20));
    }
    sim.run_for(secs(120));
    calls.ends(&format!("after {after:?}"))
}
fn count(ends: &BTreeMap<&'static str, Vec<String>>, what: &str, is: impl Fn(&str) -> bool) -> usize {
    ends.get(what).map_or(0, |all| all.iter().filter(|came| is(came)).count())
}

#[test]
fn whatever_becomes_of_the_connection_every_call_ends_once_and_closures_run() {
    for failure in [Failure::Reset, Failure::Silence] {
        for after in (0..20).map(|at| ms(at * 15)) {
            let ends = they_are_used(after, |sim, nodes, _, _| sim.cut(nodes[0], nodes[1], failure));
            assert_eq!(count(&ends, "with", |came| came == "Ok(())"), 100);
            assert_eq!(count(&ends, "report", |came| came.starts_with("Ok")), 100);
            assert_eq!(count(&ends, "panic", |came| came.contains("Panicked(\"the application's\")")), 100);
            let connected = count(&ends, "connect", |came| came.starts_with("Ok"));
            assert!(connected > 50, "{failure:?} after {after:?}: {connected} of 100 found the other");
        }
    }
}

#[test]
fn whoever_loses_its_peer_or_its_process_hears_of_every_call() {
    for after in (0..20).map(|at| ms(at * 15)) {
        // Its own tasks die with the process; the other's calls all end, and dials fail in time.
        let mut sim = sim(1).latency(ms(10)..ms(10));
        let nodes = sim.nodes(2, Gossip::new);
        let handles = [sim.spawn(nodes[0]).0, sim.spawn(nodes[1]).0];
        let (ours, theirs) = (Calls::default(), Calls::default());
        // A handle that is held elsewhere: the test's own node asks a swarm whose process is gone.
        for n in 0..20 {
            if ms(20 * n) >= after && sim.is_running(nodes[1]) {
                sim.crash(nodes[1], Failure::Reset);
            }
            let there = sim.address(nodes[1]).with_p2p(sim.peer_id(nodes[1])).unwrap();
            ask_for_everything(&mut sim, &ours, nodes[0], &handles[0], there.clone(), n);
            ask_for_everything(&mut sim, &theirs, nodes[0], &handles[1], there, n);
            sim.run_for(ms(20));
        }
        sim.run_for(secs(60));
        let ends = ours.ends("ours");
        assert_eq!(count(&ends, "with", |came| came == "Ok(())"), 20);
        assert!(count(&ends, "connect", |came| came.contains("dial.")) > 0, "{ends:?}");
        let ends = theirs.ends("theirs");
        let aborted = format!("Err({:?})", HandleError::Aborted);
        assert!(count(&ends, "with", |came| came == aborted) > 0, "after {after:?}: {ends:?}");
        assert_eq!(count(&ends, "with", |came| came == aborted || came == "Ok(())"), 20);
    }
}

#[test]
fn a_shutdown_with_a_deadline_ends_every_call_and_the_other_hears_the_goodbye() {
    for within in [Duration::ZERO, ms(5), secs(3)] {
        for after in (0..20).map(|at| ms(at * 15)) {
            let ends = they_are_used(after, |sim, nodes, handles, calls| {
                // Twice: whoever comes second waits for the same end.
                for _ in 0..2 {
                    let handle = handles[1].clone().unwrap();
                    calls.call(sim, nodes[1], "shutdown", async move { handle.shutdown(within).await });
                }
                let handle = handles[1].clone().unwrap();
                calls.call(sim, nodes[1], "ended", async move { handle.ended().await });
            });
            let when = format!("{within:?}, after {after:?}");
            assert_eq!(ends["shutdown"], ["()", "()"], "{when}");
            assert_eq!(ends["ended"], ["ShutDown"], "{when}");
            let done = count(&ends, "with", |came| came == "Ok(())");
            let late = count(&ends, "with", |came| came == "Err(ShutDown)");
            assert!(done >= 50 && late > 0 && done + late == 100, "{when}: {done} done, {late} too late");
        }
    }
}

#[test]
fn the_last_handle_that_is_dropped_says_goodbye_and_calls_under_way_end_well() {
    for after in (0..20).map(|at| ms(at * 15)) {
        let mut sim = sim(1).latency(ms(10)..ms(10));
        let nodes = sim.nodes(2, Gossip::new);
        let (ana, mut heard) = sim.spawn(nodes[0]);
        let (ben, _) = sim.spawn(nodes[1]);
        let calls = Calls::default();
        let there = sim.address(nodes[1]).with_p2p(sim.peer_id(nodes[1])).unwrap();
        let handle = ana.clone();
        let to = there.clone();
        calls.call(
            &mut sim,
            nodes[0],
            "connect",
            async move { handle.connect(to).await.map_err(drop).is_ok() },
        );
        sim.run_for(after);
        // They are handed over, and then nobody is left but those who wait.
        for n in 0..10 {
            ask_for_everything(&mut sim, &calls, nodes[1], &ben, there.clone(), n);
        }
        let weak = ben.downgrade();
        drop(ben);
        sim.run_for(secs(10));
        let ends = calls.ends(&format!("after {after:?}"));
        assert_eq!(count(&ends, "with", |came| came == "Ok(())"), 10);
        assert!(weak.upgrade().is_none());
        // It listens no more, and whoever was connected was told.
        let mut said = Vec::new();
        while let Some(Some(Ok(event))) = heard.next().now_or_never() {
            if let SwarmEvent::ConnectionClosed { cause, .. } = event {
                said.push(cause.and_then(|cause| cause.closed_by_peer()));
            }
        }
        if ends["connect"] == ["true"] {
            assert_eq!(said, [Some(Code::SHUTDOWN)], "after {after:?}");
        }
        calls.call(&mut sim, nodes[0], "late", async move { ana.connect(there).await.is_ok() });
        sim.run_for(secs(60));
        assert_eq!(calls.ends("later")["late"], ["false"], "nobody listens there");
    }
}

#[test]
fn thousands_that_wait_for_room_are_all_carried_out_or_told_why_not() {
    for shut_down in [false, true] {
        let mut sim = sim(1).latency(ms(10)..ms(10));
        let node = sim.node(Gossip::new);
        let (handle, _events) = sim.spawn(node);
        let calls = Calls::default();
        for n in 0..5_000 {
            let handle = handle.clone();
            calls.call(&mut sim, node, "with", async move { handle.with(move |gossip| gossip.say(n)).await });
        }
        if shut_down {
            let handle = handle.clone();
            calls.call(&mut sim, node, "shutdown", async move { handle.shutdown(ms(1)).await });
        }
        assert_eq!(calls.waiting(), 5_000 + usize::from(shut_down));
        sim.run_for(secs(2));
        let ends = calls.ends("thousands");
        let done = count(&ends, "with", |came| came == "Ok(())");
        let told = count(&ends, "with", |came| came == "Err(ShutDown)");
        assert_eq!(done + told, 5_000);
        assert_eq!(told > 0, shut_down, "{done} done, {told} told");
    }
}

#[test]
fn a_call_that_is_dropped_before_it_was_handed_over_does_nothing_and_later_its_closure_runs_all_the_same() {
    let mut sim = sim(1);
    let node = sim.node(Gossip::new);
    let (handle, _events) = sim.spawn(node);
    drop(handle.with(|gossip| gossip.say(1)));
    let ran = Arc::new(AtomicBool::new(false));
    let runs = ran.clone();
    let mut call =
        Box::pin(handle.with(move |gossip| runs.store(gossip.has_heard() == 0, Ordering::Relaxed)));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(call);
    sim.run_for(secs(1));
    assert!(ran.load(Ordering::Relaxed));
}
