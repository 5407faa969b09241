//! Structs and attributes of every kind.
use crate::probe::{Heard, Message, Mute, Probe, drain, events};
use peerage_swarm::{Command, Instant, NetworkBehaviour};
use std::{fmt, marker::PhantomData};

const NOW: Instant = Instant::START;

#[test]
fn an_event_type_of_ones_own_is_made_from_every_fields() {
    #[derive(Debug, PartialEq)]
    enum Event {
        Probe(Heard),
        Inner(String),
    }
    impl From<Heard> for Event {
        fn from(heard: Heard) -> Self {
            Self::Probe(heard)
        }
    }
    impl From<InnerEvent> for Event {
        fn from(event: InnerEvent) -> Self {
            Self::Inner(format!("{event:?}"))
        }
    }
    #[derive(Default, NetworkBehaviour)]
    struct Inner {
        probe: Probe,
    }
    #[derive(Default, NetworkBehaviour)]
    #[behaviour(to_swarm = "Event")]
    struct Node {
        probe: Probe,
        inner: Inner,
    }
    let mut node = Node::default();
    node.probe.outbox.event(Heard(1));
    node.inner.probe.outbox.event(Heard(2));
    assert_eq!(events(&mut node), [Event::Probe(Heard(1)), Event::Inner("Probe(Heard(2))".into())]);
}

#[test]
fn attributes_of_rust_libp2p_are_understood_and_combine() {
    struct Event<T>(u8, PhantomData<T>);
    impl<T> From<Heard> for Event<T> {
        fn from(heard: Heard) -> Self {
            Self(heard.0, PhantomData)
        }
    }
    #[derive(NetworkBehaviour)]
    #[behaviour(out_event = "Event<T>", prelude = "peerage_swarm::derive_prelude")]
    struct Both<T: Send + 'static> {
        probe: Probe,
        #[behaviour(ignore)]
        of: PhantomData<T>,
    }
    #[derive(NetworkBehaviour)]
    #[behaviour(to_swarm = "Event<u8>")]
    #[behaviour(crate = "::peerage_swarm")]
    struct Each {
        probe: Probe,
    }
    let mut both = Both { probe: Probe::default(), of: PhantomData::<u16> };
    both.probe.outbox.event(Heard(1));
    assert_eq!(events(&mut both)[0].0, 1);
    let mut each = Each { probe: Probe::default() };
    each.probe.outbox.event(Heard(2));
    assert_eq!(events(&mut each)[0].0, 2);
    let PhantomData = both.of;
}

#[test]
fn ignored_fields_are_left_alone() {
    #[derive(Default, NetworkBehaviour)]
    struct Node {
        #[behaviour(ignore)]
        name: String,
        probe: Probe,
        #[behaviour(skip)]
        count: u32,
    }
    let mut node = Node { name: "n".into(), count: 1, ..Node::default() };
    node.probe.outbox.event(Heard(1));
    let NodeEvent::Probe(Heard(n)) = events(&mut node).remove(0);
    assert_eq!((node.name.as_str(), node.count, n), ("n", 1, 1));
}

/// Neither `Debug` nor public.
#[derive(NetworkBehaviour)]
struct Pair<A, B = Mute>
where
    A: NetworkBehaviour<Message = Message>,
    B: NetworkBehaviour,
{
    a: A,
    b: Option<B>,
}

fn show<A: NetworkBehaviour<Message = Message>, B: NetworkBehaviour>(event: &PairEvent<A, B>) -> String
where
    PairEvent<A, B>: fmt::Debug,
{
    format!("{event:?}")
}

#[test]
fn fields_may_be_generic_with_where_clauses_and_defaults() {
    let mut pair: Pair<Probe> = Pair { a: Probe::default(), b: None };
    pair.a.outbox.event(Heard(1));
    let event: PairEvent<Probe> = events(&mut pair).remove(0);
    assert_eq!(show(&event), "A(Heard(1))");
    let mut pair = Pair { a: Probe::default(), b: Some(Probe::default()) };
    pair.b.as_mut().unwrap().outbox.event(Heard(2));
    assert_eq!(show(&events(&mut pair)[0]), "B(Heard(2))");
}

trait Kind: Send + 'static {
    type Inner: NetworkBehaviour;
}
struct OfProbes;
impl Kind for OfProbes {
    type Inner = Probe;
}

#[derive(NetworkBehaviour)]
struct Many<K: Kind, Unused: Into<Wide<B>> + Send + 'static, B, const N: usize>
where
    Unused: Clone,
    B: NetworkBehaviour,
{
    inner: K::Inner,
    other: B,
    #[behaviour(ignore)]
    unused: [Option<Unused>; N],
}
struct Wide<B>(PhantomData<B>);
impl<B> From<u8> for Wide<B> {
    fn from(_: u8) -> Self {
        Self(PhantomData)
    }
}

#[test]
fn the_events_have_the_parameters_that_the_behaviours_use() {
    let mut many: Many<OfProbes, u8, Mute, 2> =
        Many { inner: Probe::default(), other: Mute::default(), unused: [None, None] };
    many.inner.outbox.event(Heard(1));
    let event: ManyEvent<OfProbes, Mute> = events(&mut many).remove(0);
    let ManyEvent::Inner(heard) = event;
    assert_eq!(heard, Heard(1));
    assert_eq!(many.unused, [None, None]);
    let Wide(PhantomData) = Wide::<Mute>::from(1);
}

#[test]
fn a_node_without_messages_works() {
    #[derive(Default, NetworkBehaviour)]
    struct Node {
        one: Mute,
        other: Mute,
    }
    let mut node = Node::default();
    node.on_timeout(NOW);
    let attached = drain(&mut node);
    let ids: Vec<_> = attached
        .iter()
        .filter_map(|c| if let Command::Attach(id, _) = c { Some(id) } else { None })
        .collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    assert!(node.protocols().is_empty());
}

pub mod public {
    use peerage_swarm::NetworkBehaviour;

    #[derive(Default, NetworkBehaviour)]
    struct Private {
        probe: super::Probe,
    }
    /// Public, of something private.
    #[derive(Default, NetworkBehaviour)]
    pub struct Node {
        private: Private,
        /// Public.
        pub probe: super::Probe,
    }
}

#[test]
fn a_public_struct_may_have_private_fields() {
    let mut node = public::Node::default();
    node.probe.outbox.event(Heard(1));
    assert!(matches!(events(&mut node)[..], [public::NodeEvent::Probe(Heard(1))]));
}

#[test]
fn names_that_the_code_uses_itself_are_free() {
    type Option = Probe;
    #[derive(Default, NetworkBehaviour)]
    struct Vec<Message> {
        event: Option,
        now: Message,
        r#type: Probe,
        request_response_2: Probe,
        _private: Probe,
        fmt: Probe,
        wrap: Probe,
    }
    let mut node = Vec::<Probe>::default();
    for probe in [&mut node.event, &mut node.now, &mut node.r#type, &mut node.request_response_2] {
        probe.outbox.event(Heard(1));
    }
    for probe in [&mut node._private, &mut node.fmt, &mut node.wrap] {
        probe.outbox.event(Heard(1));
    }
    let names: Box<[String]> = events(&mut node).iter().map(|e| format!("{e:?}")).collect();
    let names = names.join(" ").replace("(Heard(1))", "");
    assert_eq!(names, "Event Now Type RequestResponse2 Private Fmt Wrap");
}

macro_rules! node {
    ($name:ident { $($field:ident: $ty:ty),* }) => {
        #[derive(Default, NetworkBehaviour)]
        struct $name { $($field: $ty),* }
    };
}

#[test]
fn a_macro_may_write_the_struct() {
    node!(Node { probe: Probe, boxed: Option<Box<dyn NetworkBehaviour<Message = Message, ToSwarm = Heard>>> });
    let mut node = Node { boxed: Some(Box::new(Probe::default())), ..Node::default() };
    node.probe.outbox.event(Heard(1));
    assert!(matches!(events(&mut node)[..], [NodeEvent::Probe(Heard(1))]));
}
