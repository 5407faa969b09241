//! Swarms that run in tasks of their own, over the memory transport, with the real noise and yamux.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#[allow(unreachable_pub, reason = "shared by the tests of this binary alone")]
mod support;

use futures::{FutureExt, StreamExt, future::join_all};
use peerage_core::memory;
use peerage_identity::Keypair;
use peerage_swarm::{
    Code, Command, Config, ConnectionError, Events, FromSwarm, Handle, HandleError, Instant, Lagged,
    Multiaddr, NetworkBehaviour, Outbox, Parts, PeerId, Protocol, Swarm, SwarmEvent, Upgrades,
};
use std::{convert::Infallible, sync::Arc, time::Duration};
use support::{Seen, node};

type Node = (Handle<Seen>, Events<SwarmEvent<()>>);

/// Listens, once it is running.
async fn listening((handle, events): &mut Node) -> Multiaddr {
    handle.listen_on("/memory/0".parse().unwrap()).await.unwrap();
    loop {
        if let Some(Ok(SwarmEvent::NewListenAddr { address, .. })) = events.next().await {
            return address;
        }
    }
}
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("within 10 s")
}
async fn closed(events: &mut Events<SwarmEvent<()>>) -> Option<ConnectionError> {
    loop {
        if let Ok(SwarmEvent::ConnectionClosed { cause, .. }) = events.next().await.expect("it goes on") {
            return cause;
        }
    }
}

async fn two_talk() {
    let (a, mut b) = (node().spawn().0, node().spawn());
    let address = listening(&mut b).await;
    let peer = a.connect(address).await.unwrap();
    assert_eq!(peer, b.0.local_peer_id());
    assert_eq!(a.peers().await.unwrap(), [peer]);
    let stream = a.with(move |seen| seen.open(peer, "/echo")).await.unwrap();
    a.with(move |seen| seen.send(stream, "hello")).await.unwrap();
    a.with(move |seen| seen.finish(stream)).await.unwrap();
    let story = loop {
        let (story, ended) =
            a.with(move |seen| (seen.story(stream).to_vec(), seen.ended(stream).is_some())).await.unwrap();
        if ended {
            break story;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(story, ["opened", "message hello", "finished", "closed Ok(())"]);
    a.shutdown(Duration::from_secs(5)).await;
    b.0.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn swarms_in_tasks_talk_on_one_thread() {
    soon(two_talk()).await;
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swarms_in_tasks_talk_on_several_threads() {
    soon(two_talk()).await;
}

#[tokio::test]
async fn a_connection_that_exists_is_enough() {
    soon(async {
        let (a, mut b) = (node().spawn().0, node().spawn());
        let address = listening(&mut b).await;
        let peer = b.0.local_peer_id();
        let address = address.with_p2p(peer).unwrap();
        let both = futures::join!(a.connect(address.clone()), a.connect(address.clone()));
        assert_eq!((both.0.unwrap(), both.1.unwrap()), (peer, peer));
        let dials = a.report().await.unwrap().stats.dials;
        assert_eq!(a.connect(address).await.unwrap(), peer);
        assert_eq!(a.connect(peer).await.unwrap(), peer);
        assert_eq!(b.0.connect(a.local_peer_id()).await.unwrap(), a.local_peer_id(), "whoever dialed");
        assert_eq!(a.report().await.unwrap().stats.dials, dials, "nobody was dialed again");
    })
    .await;
}

#[tokio::test]
async fn a_dial_that_fails_says_why() {
    soon(async {
        let (a, _events) = node().spawn();
        let error = a.connect("/memory/4242".parse::<Multiaddr>().unwrap()).await.unwrap_err();
        assert_eq!(error.code(), "dial.failed", "{error}");
        assert!(error.to_string().contains("/memory/4242"), "{error}");
        let error = a.connect(PeerId::random()).await.unwrap_err();
        assert_eq!(error.code(), "dial.no-addresses", "{error}");
    })
    .await;
}

#[tokio::test]
async fn the_last_handle_says_goodbye() {
    soon(async {
        let (mut a, mut b) = (node().spawn(), node().spawn());
        let address = listening(&mut b).await;
        a.0.connect(address).await.unwrap();
        let (other, weak) = (a.0.clone(), a.0.downgrade());
        drop(a.0);
        assert!(other.peers().await.is_ok(), "one is left");
        drop(other);
        let cause = closed(&mut b.1).await;
        assert_eq!(cause.unwrap().closed_by_peer(), Some(Code::SHUTDOWN));
        while a.1.next().await.is_some() {} // It ends.
        assert!(weak.upgrade().is_none());
    })
    .await;
}

#[tokio::test]
async fn after_a_shutdown_everybody_is_told_so() {
    soon(async {
        let (handle, mut events) = node().spawn();
        let other = handle.clone();
        let waiting = tokio::spawn(async move { other.ended().await });
        handle.shutdown(Duration::from_secs(1)).await;
        assert_eq!(waiting.await.unwrap(), HandleError::ShutDown);
        assert_eq!(handle.with(|_| ()).await, Err(HandleError::ShutDown));
        assert_eq!(handle.connect(PeerId::random()).await.unwrap_err().code(), "swarm.shut-down");
        assert!(handle.listen_on("/memory/0".parse().unwrap()).await.is_err());
        handle.shutdown(Duration::from_secs(1)).await; // It has happened.
        while events.next().await.is_some() {}
    })
    .await;
}

#[tokio::test]
async fn a_closure_that_panics_fails_and_harms_nobody_else() {
    soon(async {
        let (handle, _events) = node().spawn();
        let panicked = handle.with(|_| -> u8 { panic!("no {}", "way") }).await;
        assert_eq!(panicked, Err(HandleError::Panicked("no way".into())));
        handle.tell(|_| panic!("nor so"));
        assert_eq!(handle.with(|_| 7).await, Ok(7));
        let stats = handle.report().await.unwrap().handle;
        assert_eq!((stats.panicked, stats.commands), (2, 4));
    })
    .await;
}

/// Tells the application numbers; panics when it is told to.
#[derive(Default)]
struct Shouts(Outbox<Infallible, u32>, bool);
impl NetworkBehaviour for Shouts {
    type Message = Infallible;
    type ToSwarm = u32;
    fn protocols(&self) -> Vec<Protocol<Infallible>> {
        Vec::new()
    }
    fn next_command(&mut self) -> Option<Command<Infallible, u32>> {
        assert!(!self.1, "a bug");
        self.0.pop()
    }
    fn on_swarm_event(&mut self, _: &FromSwarm<'_>, _: Instant) {}
}
fn shouts() -> Swarm<Shouts> {
    let key = Keypair::generate_ed25519();
    Swarm::assemble(Parts {
        behaviour: Shouts::default(),
        local_peer: key.public().to_peer_id(),
        runtime: Arc::new(peerage_runtime::Tokio::try_current().unwrap()),
        transports: vec![Box::new(memory::Transport::new())],
        upgrades: Upgrades::default(),
        config: Config::default(),
    })
}

#[tokio::test]
async fn a_reader_that_lags_delays_nobody_and_is_told_what_it_lost() {
    soon(async {
        let (handle, mut events) = shouts().spawn();
        for part in 0..20_u32 {
            let shout = handle.with(move |shouts| {
                (0..100).for_each(|n| shouts.0.event(part * 100 + n));
            });
            shout.await.unwrap();
        }
        while handle.report().await.unwrap().handle.events < 2_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(events.next().await.unwrap().unwrap_err(), Lagged(976));
        match events.next().await.unwrap().unwrap() {
            SwarmEvent::Behaviour(n) => assert_eq!(n, 976, "the oldest that is left"),
            other => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_behaviour_that_panics_ends_the_swarm_and_says_so() {
    soon(async {
        let (handle, events) = shouts().spawn();
        let crashed = HandleError::Crashed("a bug".into());
        let ended = handle.ended();
        let asked = handle.with(|shouts| shouts.1 = true).await;
        assert_eq!(asked, Err(crashed.clone()), "what was asked led to it");
        assert_eq!(ended.await, crashed);
        assert_eq!(handle.with(|_| ()).await, Err(crashed));
        assert_eq!(events.collect::<Vec<_>>().await.len(), 0, "and the events end");
    })
    .await;
}

#[tokio::test]
async fn what_is_told_in_the_task_may_answer_there() {
    soon(async {
        let (to, mut heard) = futures::channel::mpsc::channel(8);
        let handle = shouts().spawn_with(move |swarm, event| {
            if let SwarmEvent::Behaviour(n) = event {
                let _ = to.clone().try_send(n);
                if n < 3 {
                    swarm.behaviour_mut().0.event(n + 1);
                }
            }
        });
        handle.tell(|shouts| shouts.0.event(1));
        assert_eq!((heard.next().await, heard.next().await, heard.next().await), (Some(1), Some(2), Some(3)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_wait_while_the_swarm_is_busy_and_none_is_lost() {
    soon(async {
        let (handle, _events) = shouts().spawn();
        let (go_on, busy) = std::sync::mpsc::sync_channel::<()>(1);
        handle.tell(move |_| busy.recv().unwrap());
        let call = |n: u32| {
            let handle = handle.clone();
            async move { handle.with(move |_| n).await.unwrap() }
        };
        let mut calls: Vec<_> = (0..5_000).map(|n| call(n).boxed()).collect();
        assert!(calls.iter_mut().all(|call| call.now_or_never().is_none()));
        // 1,024 are handed over, the others wait; some of those who wait give up.
        let mut at = 0;
        calls.retain(|_| {
            at += 1;
            at % 3 != 0 || at < 1_100
        });
        assert!(format!("{handle:?}").contains("waiting: "), "{handle:?}");
        go_on.send(()).unwrap();
        let answers = join_all(calls).await;
        assert!(answers.iter().is_sorted() && answers.len() > 3_000);
        assert_eq!(handle.report().await.unwrap().handle.panicked, 0);
    })
    .await;
}

#[test]
fn what_is_asked_of_a_runtime_that_is_gone_fails() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (handle, events) = runtime.block_on(async { shouts().spawn() });
    let waiting = std::thread::spawn({
        let handle = handle.clone();
        move || futures::executor::block_on(handle.with(|_| ()))
    });
    std::thread::sleep(Duration::from_millis(20));
    drop(runtime);
    assert_eq!(waiting.join().unwrap(), Err(HandleError::Aborted));
    assert_eq!(futures::executor::block_on(handle.ended()), HandleError::Aborted);
    assert_eq!(futures::executor::block_on(events.collect::<Vec<_>>()).len(), 0);
}
