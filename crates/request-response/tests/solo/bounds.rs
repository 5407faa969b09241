//! Much at once.
use crate::{NAME, Plainly, SECOND, said, solo};
use bytes::Bytes;
use peerage_request_response::{NotAsked, Plain, Requests, Service, Told};
use peerage_sim::{Solo, dialed, peer};

#[test]
fn two_thousand_requests_at_once_to_a_slow_peer_wait_their_turn_and_none_is_lost() {
    let mut solo = solo();
    solo.connect(peer(1), dialed());
    solo.app(|requests| {
        for n in 0..2_000 {
            requests.ask(peer(1), n.to_string().into()).expect("there is room for as many");
        }
    });
    let mut answered = 0;
    while answered < 2_000 {
        let under_way = solo.outbound(peer(1));
        assert!(!under_way.is_empty() && under_way.len() <= 100, "{}", under_way.len());
        for stream in under_way.into_iter().take(50) {
            let request = solo.peer_reads_bytes(stream);
            solo.peer_accepts(stream);
            solo.peer_sends_bytes(stream, request);
            solo.peer_finishes(stream);
        }
        solo.advance(SECOND); // So slow that most of them wait for longer than their time-out.
        for told in solo.events() {
            let Told::Response { response, .. } = told else { panic!("{told:?}") };
            assert_eq!(response, answered.to_string());
            answered += 1;
        }
    }
    assert_eq!(solo.behaviour().stats().waiting_bytes, 0);
}

#[test]
fn what_does_not_fit_is_refused_and_room_is_told() {
    let mut solo = solo();
    let mut taken = 0;
    let full = loop {
        match solo.app(|requests| requests.ask(peer(1), "12345678".into())) {
            Ok(_) => taken += 1,
            Err(full) => break full,
        }
    };
    assert_eq!(taken, 12_288);
    assert!(matches!(full, NotAsked::QueueFull { waiting: 12_288, bytes: 98_304 }), "{full}");
    assert_eq!(full.to_string(), "12288 requests of 96 KiB wait to be sent already");
    let dial = solo.dials()[0].0;
    solo.dial_succeeds(dial, peer(1));
    assert!(said(&mut solo).is_empty());
    let mut told = Vec::new();
    while told.is_empty() {
        for stream in solo.outbound(peer(1)) {
            solo.peer_accepts(stream);
            solo.peer_finishes(stream);
        }
        told = said(&mut solo);
        told.retain(|told| !told.starts_with("response"));
    }
    assert_eq!(told, ["Room"]);
    assert!(solo.app(|requests| requests.ask(peer(1), "more".into())).is_ok());
}

#[test]
fn bytes_that_wait_have_a_bound_as_well() {
    let mut solo = solo();
    let body = Bytes::from(vec![1; 1 << 20]);
    for _ in 0..64 {
        solo.app(|requests| requests.ask(peer(1), body.clone())).unwrap();
    }
    assert!(solo.app(|requests| requests.ask(peer(1), body.clone())).is_err());
    assert_eq!(solo.behaviour().stats().waiting_bytes, 64 << 20);
    let dial = solo.dials()[0].0;
    solo.dial_fails(dial, peerage_swarm::DialError::NoAddresses);
    assert_eq!(solo.events().iter().filter(|told| matches!(told, Told::Failed { .. })).count(), 64);
    assert_eq!(solo.behaviour().stats().waiting_bytes, 0);
}

#[test]
fn all_that_waits_fails_when_the_connection_closes() {
    let mut solo = solo();
    let connection = solo.connect(peer(1), dialed());
    solo.app(|requests| {
        for _ in 0..5_000 {
            requests.ask(peer(1), "a".into()).unwrap();
        }
    });
    solo.disconnect(connection);
    let events = solo.events();
    let ends = events.iter().filter(|told| matches!(told, Told::Failed { .. })).count();
    assert_eq!((ends, events.len()), (5_000, 5_000));
    assert_eq!(solo.next_timeout(), None);
}

/// Responses of 9 MiB, so many at once that all of them together do not fit.
#[test]
fn bodies_that_do_not_fit_together_are_read_one_after_another() {
    const PEERS: u8 = 10;
    let mut solo: Solo<Plainly> = Solo::start(Requests::new(Plain, [Service::new(NAME)]));
    solo.split(64 << 10); // As records bring it.
    let mut streams = Vec::new();
    for number in 1..=PEERS {
        solo.connect(peer(number), dialed());
        solo.app(|requests| requests.ask(peer(number), "all".into())).unwrap();
        let stream = solo.outbound(peer(number))[0];
        solo.peer_accepts(stream);
        streams.push(stream);
    }
    for _ in 0..9 {
        for stream in &streams {
            solo.peer_sends_bytes(*stream, vec![7; 1 << 20]);
        }
    }
    let reading = solo.behaviour().stats().reading_bytes;
    assert!(reading <= (64 << 20) + (10 << 20), "{reading}");
    assert!(solo.behaviour().stats().paused > 0);
    for stream in streams {
        solo.peer_finishes(stream);
    }
    let lens: Vec<_> = solo
        .events()
        .into_iter()
        .map(|told| match told {
            Told::Response { response, .. } => response.len(),
            told => panic!("{told:?}"),
        })
        .collect();
    assert_eq!(lens, [9 << 20; PEERS as usize]);
    assert_eq!(solo.behaviour().stats().reading_bytes, 0);
}

#[test]
fn responses_that_nobody_reads_have_a_bound() {
    let mut solo = solo();
    let connection = solo.connect(peer(1), dialed());
    let body = Bytes::from(vec![1; 9 << 20]);
    let mut kept = 0;
    loop {
        let stream = solo.peer_opens(connection, &NAME).unwrap();
        solo.peer_stalls(stream, true);
        solo.peer_finishes(stream);
        let Some(Told::Request { id, .. }) = solo.events().pop() else { panic!("a request") };
        solo.app(|requests| requests.answer(id, body.clone())).unwrap();
        match solo.events().pop() {
            None => kept += 1,
            Some(Told::NotAnswered { error, .. }) => {
                assert_eq!(error.code(), "answer.backlogged");
                break;
            }
            told => panic!("{told:?}"),
        }
    }
    assert_eq!(kept, 28, "256 MiB");
    solo.advance(10 * SECOND);
    assert_eq!(solo.behaviour().stats().answering_bytes, 0);
}
