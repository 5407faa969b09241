//! rust-libp2p's form.
use super::*;
use peerage_floodsub::{Behaviour, Config, Event, FloodsubMessage};

fn old(number: u8) -> Solo<Behaviour> {
    let mut solo = Solo::start_as(Behaviour::new(id(number)), id(number), Seed::new(0), UNIX);
    solo.app(|floodsub| floodsub.subscribe(lan()));
    solo
}
fn said(events: Vec<Event>) -> Vec<FloodsubMessage> {
    let messages = events.into_iter().filter_map(|event| match event {
        Event::Message(message) => Some(message),
        Event::Subscribed { .. } | Event::Unsubscribed { .. } => None,
    });
    messages.collect()
}

#[test]
fn only_the_partial_view_is_talked_to() {
    let mut both = Solos::join([old(0), old(1)]);
    both.connect(0, 1);
    both.advance(5 * SECOND);
    assert!(both.events(1).is_empty(), "neither knows the other");
    both.app(0, |floodsub| floodsub.add_node_to_partial_view(id(1)));
    both.app(1, |floodsub| floodsub.add_node_to_partial_view(id(0)));
    assert!(
        matches!(&both.events(0)[..], [Event::Subscribed { peer_id, topic }] if *peer_id == id(1) && *topic == lan())
    );
    both.app(0, |floodsub| floodsub.publish(lan(), "hello"));
    let messages = said(both.events(1));
    assert_eq!(messages.len(), 1);
    assert_eq!((messages[0].source, &messages[0].data[..]), (id(0), &b"hello"[..]));
    assert_eq!((messages[0].topics.clone(), messages[0].sequence_number.len()), (vec![lan()], 8));
    both.app(1, |floodsub| floodsub.remove_node_from_partial_view(&id(0)));
    both.app(0, |floodsub| floodsub.publish(lan(), "again"));
    assert!(said(both.events(1)).is_empty());
}

#[test]
fn publish_wants_a_subscription_and_publish_any_does_not() {
    let mut both = Solos::join([old(0), old(1)]);
    both.app(1, |floodsub| floodsub.subscribe(Topic::new("wan")));
    both.app(0, |floodsub| floodsub.add_node_to_partial_view(id(1)));
    both.app(1, |floodsub| floodsub.add_node_to_partial_view(id(0)));
    both.connect(0, 1);
    both.events(1);
    both.app(0, |floodsub| floodsub.publish(Topic::new("wan"), "a"));
    both.app(0, |floodsub| floodsub.publish_any(Topic::new("wan"), "b"));
    both.app(0, |floodsub| floodsub.publish_many([Topic::new("lan"), Topic::new("wan")], "c"));
    both.app(0, |floodsub| floodsub.publish_many_any([Topic::new("elsewhere")], "d"));
    let texts: Vec<_> = said(both.events(1)).into_iter().map(|message| message.data).collect();
    assert_eq!(texts, ["b", "c", "c"], "one message per topic");
}

#[test]
fn local_messages_are_told_if_wanted() {
    let config = Config { subscribe_local_messages: true, ..Config::new(id(0)) };
    let mut solo = Solo::start_as(Behaviour::from_config(config), id(0), Seed::new(0), UNIX);
    solo.app(|floodsub| floodsub.subscribe(lan()));
    solo.app(|floodsub| floodsub.publish(lan(), "hello"));
    solo.app(|floodsub| floodsub.publish_any(Topic::new("wan"), "hello"));
    assert_eq!(said(solo.events()).len(), 1);
    assert!(old(0).events().is_empty());
}

#[test]
fn peers_of_the_view_are_dialed_when_they_are_added_and_when_they_leave() {
    let mut solo = old(0);
    solo.app(|floodsub| floodsub.add_node_to_partial_view(id(1)));
    let (dial, to) = solo.dials()[0];
    assert_eq!(to, Some(id(1)));
    let connection = solo.dial_succeeds(dial, id(1));
    assert_eq!(solo.outbound(id(1)).len(), 1, "0.57 asks nobody first");
    solo.disconnect(connection);
    assert_eq!(solo.dials().len(), 1);
    solo.app(|floodsub| floodsub.remove_node_from_partial_view(&id(1)));
    let (dial, _) = solo.dials()[0];
    let connection = solo.dial_succeeds(dial, id(1));
    assert!(solo.outbound(id(1)).is_empty());
    solo.disconnect(connection);
    assert!(solo.dials().is_empty());
}
