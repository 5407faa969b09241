//! Negotiation of a protocol, from either side: it does not matter in which pieces the bytes come.
#[path = "input.rs"]
mod input;

use bytes::BytesMut;
use input::{Input, pieces};
use peerage_core::multistream::{Dialing, Listening, NegotiationError};

/// The most that waits unread: a message that is not complete, with its length.
const UNREAD: usize = 1024 + 2;

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    let (mode, size) = (input.byte(), usize::from(input.byte()));
    match mode % 4 {
        0 => either(input.0, size, |data, size| dial(data, size, &few())),
        1 => either(input.0, size, |data, size| dial(data, size, &many())),
        2 => either(input.0, size, listen),
        _ => both(input.0, size),
    }
}

fn few() -> Vec<String> {
    ["/yamux/1.0.0", "/floodsub/1.0.0", "/x"].map(str::to_owned).to_vec()
}
fn many() -> Vec<String> {
    (0..80).map(|n| format!("/{n}")).collect()
}

/// The end, what was said, and what was left for the protocol.
type Outcome = (Result<Option<String>, NegotiationError>, Vec<u8>, Vec<u8>);

fn either(data: &[u8], size: usize, run: impl Fn(&[u8], usize) -> Outcome) {
    let (whole, parts) = (run(data, 0), run(data, size));
    assert_eq!(whole.0, parts.0);
    if whole.0.is_ok() {
        assert_eq!(whole, parts);
    }
}

fn dial(data: &[u8], size: usize, names: &[String]) -> Outcome {
    let (mut unread, mut output) = (BytesMut::new(), BytesMut::new());
    let mut dialing = Dialing::new(names.to_vec(), &mut output);
    let mut end = Ok(None);
    for piece in pieces(data, size) {
        unread.extend_from_slice(piece);
        if matches!(end, Ok(None)) {
            end = dialing.on_bytes(&mut unread, &mut output);
            assert!(!matches!(end, Ok(None)) || unread.len() < UNREAD);
        }
    }
    assert!(output.len() < 65 * UNREAD);
    let end = end.map(|index| index.and_then(|index| names.get(index).cloned()));
    (end, output.to_vec(), unread.to_vec())
}

fn listen(data: &[u8], size: usize) -> Outcome {
    let (mut unread, mut output) = (BytesMut::new(), BytesMut::new());
    let mut listening = Listening::new();
    let mut end = Ok(None);
    for piece in pieces(data, size) {
        unread.extend_from_slice(piece);
        if matches!(end, Ok(None)) {
            end = listening.on_bytes(&mut unread, &mut output, |name| {
                few().contains(&name.to_owned()).then(|| name.to_owned())
            });
            assert!(!matches!(end, Ok(None)) || unread.len() < UNREAD);
        }
    }
    assert!(output.len() < 65 * UNREAD);
    (end, output.to_vec(), unread.to_vec())
}

/// Two of ours: they agree on the first name that both know.
fn both(data: &[u8], size: usize) {
    let names: Vec<String> =
        String::from_utf8_lossy(data).split('\n').map(str::to_owned).filter(|name| name != "na").collect();
    let speaks = |name: &str| name.len().is_multiple_of(3);
    let can_be_offered = |name: &&String| !name.is_empty() && name.len() < 1024;
    let expected = names.iter().take(64).filter(can_be_offered).find(|name| speaks(name)).cloned();

    let (mut there, mut back) = (BytesMut::new(), BytesMut::new());
    let (mut at_dialer, mut at_listener) = (BytesMut::new(), BytesMut::new());
    let mut dialing = Dialing::new(names.clone(), &mut there);
    let mut listening = Listening::new();
    let (mut dialed, mut listened) = (Ok(None), None);
    for _ in 0..66 {
        for piece in pieces(&there.split(), size) {
            at_listener.extend_from_slice(piece);
            if listened.is_none() {
                let accept = |name: &str| speaks(name).then(|| name.to_owned());
                let end = listening.on_bytes(&mut at_listener, &mut back, accept);
                assert!(end.is_ok(), "{end:?}");
                listened = end.unwrap_or_default();
            }
        }
        for piece in pieces(&back.split(), size) {
            at_dialer.extend_from_slice(piece);
            if dialed == Ok(None) {
                dialed = dialing.on_bytes(&mut at_dialer, &mut there);
            }
        }
    }
    assert_eq!(listened, expected);
    match expected {
        Some(name) => {
            let agreed = dialed.map(|index| index.and_then(|index| names.get(index).cloned()));
            assert_eq!(agreed, Ok(Some(name)));
            assert!(at_dialer.is_empty() && at_listener.is_empty() && there.is_empty() && back.is_empty());
        }
        None => assert_eq!(dialed, Err(NegotiationError::Unsupported)),
    }
}
