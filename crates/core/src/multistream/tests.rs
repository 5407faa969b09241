use super::*;
use crate::StreamProtocol;
use NegotiationError as E;

const GREETING: &[u8] = b"\x13/multistream/1.0.0\n";

fn bytes(parts: &[&[u8]]) -> BytesMut {
    parts.concat().as_slice().into()
}

/// A listener that speaks `/b` and `/c`, fed in pieces: what it agreed on, what is left over, what it wrote.
fn listen(pieces: &[&[u8]]) -> (Result<Option<String>, E>, BytesMut, BytesMut) {
    let (mut machine, mut input, mut output) = (Listening::new(), BytesMut::new(), BytesMut::new());
    let mut agreed = Ok(None);
    for piece in pieces {
        input.extend_from_slice(piece);
        if let Ok(None) = agreed {
            agreed = machine.on_bytes(&mut input, &mut output, |name| {
                matches!(name, "/b" | "/c").then(|| name.to_owned())
            });
        }
    }
    (agreed, input, output)
}

/// A dialer, fed in pieces.
fn dial(names: &[&'static str], pieces: &[&[u8]]) -> (Result<Option<usize>, E>, BytesMut, BytesMut) {
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut machine = Dialing::new(names.to_vec(), &mut output);
    let mut agreed = Ok(None);
    for piece in pieces {
        input.extend_from_slice(piece);
        if let Ok(None) = agreed {
            agreed = machine.on_bytes(&mut input, &mut output);
        }
    }
    (agreed, input, output)
}

fn one_by_one(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.chunks(1).collect()
}

#[test]
fn a_listener_answers_in_one_piece_and_leaves_optimistic_data() {
    let all = bytes(&[GREETING, b"\x03/b\n", b"hello"]);
    let (agreed, rest, output) = listen(&[&all]);
    assert_eq!((agreed, &rest[..]), (Ok(Some("/b".into())), &b"hello"[..]));
    assert_eq!(output, bytes(&[GREETING, b"\x03/b\n"]));
}

#[test]
fn messages_may_be_split_at_every_byte() {
    let offers = bytes(&[GREETING, b"\x03/a\n", b"\x03ls\n", b"\x03/c\n", b"data"]);
    let answers = bytes(&[GREETING, b"\x03na\n", b"\x03na\n", b"\x03/c\n", b"data"]);
    let expected = bytes(&[GREETING, b"\x03na\n", b"\x03na\n", b"\x03/c\n"]);
    for at in 0..=offers.len() {
        let (head, tail) = offers.split_at(at);
        assert_eq!(listen(&[head, tail]), (Ok(Some("/c".into())), bytes(&[b"data"]), expected.clone()));
        let (head, tail) = answers.split_at(at);
        let (agreed, rest, _) = dial(&["/a", "/b", "/c"], &[head, tail]);
        assert_eq!((agreed, rest), (Ok(Some(2)), bytes(&[b"data"])));
    }
    assert_eq!(listen(&one_by_one(&offers)), (Ok(Some("/c".into())), bytes(&[b"data"]), expected));
    let (agreed, rest, output) = dial(&["/a", "/b", "/c"], &one_by_one(&answers));
    assert_eq!((agreed, rest), (Ok(Some(2)), bytes(&[b"data"])));
    assert_eq!(output, bytes(&[GREETING, b"\x03/a\n\x03/b\n\x03/c\n"]));
}

#[test]
fn a_listener_greets_a_dialer_that_waits_for_it() {
    let (agreed, _, output) = listen(&[GREETING]);
    assert_eq!((agreed, &output[..]), (Ok(None), GREETING));
}

#[test]
fn headers_may_cross() {
    let (mut input, mut output) = (bytes(&[GREETING]), BytesMut::new());
    let mut machine = Dialing::new(vec![StreamProtocol::new("/b")], &mut output);
    assert_eq!(output, bytes(&[GREETING, b"\x03/b\n"]), "it does not wait for the peer's");
    assert_eq!(machine.on_bytes(&mut input, &mut output), Ok(None));
    input.extend_from_slice(b"\x03/b\n");
    assert_eq!(machine.on_bytes(&mut input, &mut output), Ok(Some(0)));
    assert_eq!(machine.on_bytes(&mut input, &mut output), Ok(Some(0)), "and stays agreed");
}

#[test]
fn a_refusal_brings_the_next_offer_and_the_last_one_ends_it() {
    let refused = bytes(&[GREETING, b"\x03na\n"]);
    let (agreed, _, output) = dial(&["/a", "/b"], &[&refused]);
    assert_eq!((agreed, output), (Ok(None), bytes(&[GREETING, b"\x03/a\n\x03/b\n"])));
    let (agreed, _, output) = dial(&["/a"], &[&refused]);
    assert_eq!((agreed, output), (Err(E::Unsupported), bytes(&[GREETING, b"\x03/a\n"])));
}

#[test]
fn what_breaks_a_rule_is_refused() {
    let long = |len: usize| [&[len as u8 | 0x80, (len >> 7) as u8][..], &vec![b'x'; len - 1], b"\n"].concat();
    for (rule, after_the_header, dialer, listener) in [
        ("no newline", b"\x03/bb".to_vec(), E::Newline, E::Newline),
        ("length 0", b"\x00".to_vec(), E::Empty, E::Empty),
        ("1,025 bytes", long(1025), E::TooLong, E::TooLong),
        ("1,025 bytes, at the sight of the length", long(1025)[..2].to_vec(), E::TooLong, E::TooLong),
        ("a length of three bytes", b"\x80\x80".to_vec(), E::TooLong, E::TooLong),
        ("a length that is not minimal", b"\x83\x00/b\n".to_vec(), E::Length, E::Length),
        ("not UTF-8", b"\x03\xff\xff\n".to_vec(), E::Text, E::Text),
    ] {
        let all = [GREETING, &after_the_header].concat();
        assert_eq!(dial(&["/b"], &[&all]).0, Err(dialer), "{rule}");
        assert_eq!(listen(&[&all]).0, Err(listener), "{rule}");
    }
    for (rule, all) in [
        ("another version", &b"\x13/multistream/2.0.0\n"[..]),
        ("no header", b"\x03/b\n"),
        ("a refusal without a header", b"\x03na\n"),
    ] {
        assert_eq!(dial(&["/b"], &[all]).0, Err(E::Header), "{rule}");
        assert_eq!(listen(&[all]).0, Err(E::Header), "{rule}");
    }
    for (rule, answer) in [
        ("another name", &b"\x03/c\n"[..]),
        ("a list of names, unasked", b"\x09\x03/b\n\x03/c\n\n"),
        ("the header again", GREETING),
        ("the name in other letters", b"\x03/B\n"),
    ] {
        assert_eq!(dial(&["/b"], &[&bytes(&[GREETING, answer])]).0, Err(E::Answer), "{rule}");
    }
    assert_eq!(listen(&[&bytes(&[GREETING, &long(1024)])]).0, Ok(None), "1,024 bytes are a message");
}

#[test]
fn ten_thousand_offers_cost_no_more_than_64() {
    let all = bytes(&[GREETING, &b"\x03/x\n".repeat(10_000)]);
    let (agreed, _, output) = listen(&[&all]);
    assert_eq!(agreed, Err(E::TooManyOffers));
    assert_eq!(output.len(), GREETING.len() + 64 * 4);
    let (agreed, _, output) = dial(&["/x"; 10_000], &[&bytes(&[GREETING, &b"\x03na\n".repeat(10_000)])]);
    assert_eq!(agreed, Err(E::Unsupported));
    assert_eq!(output.len(), GREETING.len() + 64 * 4);
}

#[test]
fn a_name_that_cannot_be_sent_is_passed_over() {
    let long: &'static str = Box::leak("x".repeat(1024).into_boxed_str());
    let (agreed, _, output) = dial(&["", "/n\n", long, "/b"], &[&bytes(&[GREETING, b"\x03/b\n"])]);
    assert_eq!((agreed, output), (Ok(Some(3)), bytes(&[GREETING, b"\x03/b\n"])));
    assert_eq!(dial(&[long], &[]).2, GREETING);
}

#[test]
fn any_bytes_end_in_an_answer() {
    let mut rng = crate::Rng::new(crate::Seed::new(3));
    for _ in 0..5_000 {
        let mut all = bytes(&[GREETING, b"\x03na\n\x03/b\n\x03/c\n"]);
        for _ in 0..rng.below(5) {
            let at = rng.below(all.len() as u64) as usize;
            all[at] = rng.next_u64() as u8;
        }
        // Pieces make no difference, to either side.
        assert_eq!(listen(&[&all]).0, listen(&one_by_one(&all)).0);
        assert_eq!(dial(&["/a", "/b"], &[&all]).0, dial(&["/a", "/b"], &one_by_one(&all)).0);
    }
}
