use super::*;
use peerage_core::Rng;
use prost::Message as _;

/// The same messages, as others read and write them.
mod reference {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Rpc {
        #[prost(message, repeated, tag = "1")]
        pub(super) subscriptions: Vec<SubOpts>,
        #[prost(message, repeated, tag = "2")]
        pub(super) publish: Vec<Message>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct SubOpts {
        #[prost(bool, optional, tag = "1")]
        pub(super) subscribe: Option<bool>,
        #[prost(string, optional, tag = "2")]
        pub(super) topicid: Option<String>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Message {
        #[prost(bytes = "vec", optional, tag = "1")]
        pub(super) from: Option<Vec<u8>>,
        #[prost(bytes = "vec", optional, tag = "2")]
        pub(super) data: Option<Vec<u8>>,
        #[prost(bytes = "vec", optional, tag = "3")]
        pub(super) seqno: Option<Vec<u8>>,
        #[prost(string, repeated, tag = "4")]
        pub(super) topics: Vec<String>,
        #[prost(bytes = "vec", optional, tag = "5")]
        pub(super) signature: Option<Vec<u8>>,
        #[prost(bytes = "vec", optional, tag = "6")]
        pub(super) key: Option<Vec<u8>>,
    }
}

fn keys() -> Keypair {
    Keypair::ed25519_from_bytes([7; 32]).unwrap()
}
fn author() -> Author {
    let keys = keys();
    let me = keys.public().to_peer_id();
    Author::Signed(Box::new(keys), me)
}
fn hello() -> Message {
    Message::compose(&author(), 0x1122_3344_5566_7788, &Topic::new("lan"), &Bytes::from("hello")).unwrap()
}
fn encoded(rpc: Rpc) -> Vec<u8> {
    let len = rpc.encoded_len();
    let mut to = FrameWriter::default();
    rpc.encode(&mut to);
    assert_eq!(to.len(), len);
    use bytes::Buf;
    to.copy_to_bytes(len).to_vec()
}

#[test]
fn a_message_of_ours_is_what_others_read_and_what_they_sign() {
    let message = hello();
    let read = reference::Message::decode(message.raw().clone()).unwrap();
    assert_eq!(read.from.as_deref(), Some(author().peer().as_bytes()));
    assert_eq!(read.data.as_deref(), Some(&b"hello"[..]));
    assert_eq!(read.seqno.as_deref(), Some(&[0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88][..]));
    assert_eq!(read.topics, ["lan"]);
    assert_eq!(read.key, None, "an Ed25519 key is in the peer id");
    // As the specification's text does not say, and all implementations do: the key is cleared too.
    let unsigned = reference::Message { signature: None, key: None, ..read.clone() };
    let signed = [b"libp2p-pubsub:", &unsigned.encode_to_vec()[..]].concat();
    assert!(keys().public().verify(&signed, &read.signature.unwrap()));
    assert!(message.is_authentic());
}

#[test]
fn a_message_of_others_is_read_whatever_it_has() {
    let full = reference::Message {
        from: Some(author().peer().to_bytes()),
        data: Some(b"x".to_vec()),
        seqno: Some(vec![1; 8]),
        topics: vec!["a".into(), "b".into()],
        signature: Some(vec![2; 64]),
        key: Some(vec![3; 36]),
    };
    let read = Message::decode(full.encode_to_vec().into()).unwrap();
    assert_eq!(read.from(), Some(author().peer()));
    assert_eq!(
        (read.data(), read.seqno().len(), read.signature().len(), read.key().len()),
        (&b"x"[..], 8, 64, 36)
    );
    assert_eq!((read.topics().collect::<Vec<_>>(), read.flaw), (vec!["a", "b"], None));
    assert!(!read.is_authentic());
}

#[test]
fn an_rpc_is_the_same_in_both_directions() {
    let rpc = Rpc {
        subscriptions: vec![
            Subscription::to(&Topic::new("lan")),
            Subscription { subscribe: false, topic: Some(Topic::new("")) },
        ]
        .into(),
        publish: [hello(), hello()].into_iter().collect(),
        excess: 0,
    };
    let bytes = encoded(rpc.clone());
    assert_eq!(Rpc::decode(bytes.clone().into()).unwrap(), rpc);
    let theirs = reference::Rpc::decode(&bytes[..]).unwrap();
    assert_eq!(theirs.subscriptions[0].topicid.as_deref(), Some("lan"));
    assert_eq!(theirs.subscriptions[1].subscribe, Some(false));
    assert_eq!(theirs.publish.len(), 2);
    assert_eq!(Rpc::decode(theirs.encode_to_vec().into()).unwrap(), rpc);
}

#[test]
fn every_change_of_a_signed_byte_breaks_the_signature() {
    let raw = hello().raw().to_vec();
    for at in 0..raw.len() {
        let mut changed = raw.clone();
        changed[at] ^= 1;
        let authentic = Message::decode(changed.into()).is_ok_and(|message| message.is_authentic());
        assert!(!authentic, "byte {at}");
    }
}

#[test]
fn any_bytes_are_an_rpc_or_an_error() {
    let rpc = Rpc {
        subscriptions: [Subscription::to(&Topic::new("lan"))].into(),
        publish: [hello()].into_iter().collect(),
        excess: 0,
    };
    let good = encoded(rpc);
    let mut rng = Rng::default();
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        bytes.truncate(rng.below(good.len() as u64 + 1) as usize);
        for _ in 0..rng.below(4) {
            if !bytes.is_empty() {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] = rng.next_u64() as u8;
            }
        }
        if let Ok(rpc) = Rpc::decode(bytes.into()) {
            assert!(rpc.publish.iter().filter(|message| message.is_authentic()).count() <= 1);
            encoded(rpc);
        }
    }
}

#[test]
fn a_small_message_does_not_pin_a_large_rpc() {
    let large = Message::compose(&author(), 1, &Topic::new("lan"), &Bytes::from(vec![0; 100_000])).unwrap();
    let bytes =
        Bytes::from(encoded(Rpc { publish: [hello(), large].into_iter().collect(), ..Rpc::default() }));
    let read = Rpc::decode(bytes.clone()).unwrap();
    let [small, large] = &read.publish.into_iter().collect::<Vec<_>>()[..] else { panic!("two messages") };
    assert!(!bytes.as_ptr_range().contains(&small.raw().as_ptr()));
    assert!(bytes.as_ptr_range().contains(&large.data().as_ptr()), "and a large one is not copied");
}
