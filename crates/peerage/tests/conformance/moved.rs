//! QUIC alone: a peer whose address changes stays connected.
use crate::kit::*;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::SeqCst},
    },
};
use tokio::net::UdpSocket;

/// Packets go through it, to the listener from a port that changes.
async fn road(to: SocketAddr) -> (SocketAddr, Arc<AtomicU16>) {
    let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = near.local_addr().unwrap();
    let port = Arc::new(AtomicU16::new(0));
    let told = port.clone();
    tokio::spawn(async move {
        let mut far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        told.store(far.local_addr().unwrap().port(), SeqCst);
        let (mut a, mut b) = ([0; 2048], [0; 2048]);
        let mut dialer = None;
        loop {
            if told.load(SeqCst) == 0 {
                far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                told.store(far.local_addr().unwrap().port(), SeqCst);
            }
            tokio::select! {
                Ok((n, from)) = near.recv_from(&mut a) => {
                    dialer = Some(from);
                    if told.load(SeqCst) != 0 {
                        let _ = far.send_to(&a[..n], to).await;
                    }
                }
                Ok((n, _)) = far.recv_from(&mut b) => {
                    if let Some(dialer) = dialer {
                        let _ = near.send_to(&b[..n], dialer).await;
                    }
                }
            }
        }
    });
    while port.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    (address, port)
}

#[tokio::test]
async fn a_peer_whose_address_changes_is_told_of_and_stays_connected() {
    let (mut a, mut b) = (Net::Quic.node(), Net::Quic.node());
    let listening = listen(&mut b, Net::Quic.address()).await;
    let port = |address: &peerage::Multiaddr| {
        address.iter().find_map(|part| match part {
            peerage::multiaddr::Protocol::Udp(port) => Some(port),
            _ => None,
        })
    };
    let to = SocketAddr::from(([127, 0, 0, 1], port(&listening).unwrap()));
    let (via, seen) = road(to).await;
    a.dial(format!("/ip4/127.0.0.1/udp/{}/quic-v1", via.port()).parse::<peerage::Multiaddr>().unwrap())
        .unwrap();
    run(&mut [&mut a, &mut b], |nodes| nodes.iter().all(|node| node.connected_peers().count() == 1)).await;
    let b_id = *b.local_peer_id();
    let on = a.behaviour_mut().open(b_id, ECHO);
    a.behaviour_mut().send(on, "here");
    run(&mut [&mut a, &mut b], |nodes| nodes[0].behaviour().messages(on) == 1).await;

    let before = seen.swap(0, SeqCst);
    a.behaviour_mut().send(on, "there");
    run(&mut [&mut a, &mut b], |nodes| {
        nodes[0].behaviour().messages(on) == 2 && !nodes[1].behaviour().moved.is_empty()
    })
    .await;
    let (old, new) = &b.behaviour().moved[0];
    assert_eq!((port(old), port(new)), (Some(before), Some(seen.load(SeqCst))));
    assert!(a.behaviour().closed.is_empty() && b.behaviour().closed.is_empty());
}
