//! The record layer of TLS: what was sealed comes out in order, and nothing else, and nothing behind a forgery.
#[path = "input.rs"]
mod input;

use bytes::BytesMut;
use input::{Input, pieces};
use peerage_core::{Records, Role, Secured, Security as _, SecurityError};
use peerage_identity::Keypair;
use peerage_tls::Config;
use std::sync::OnceLock;

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    let size = usize::from(input.u16());
    let (mut one, mut other) = pair();
    let mut sealed = BytesMut::new();
    let mut texts: Vec<Vec<u8>> = Vec::new();
    let mut forged = false;
    let mut left = 256 << 10;
    while !input.is_empty() {
        match input.byte() % 4 {
            0 => {
                // More than 32 empty records in a row are an offence.
                let least = usize::from(texts.last().is_some_and(Vec::is_empty));
                let len = usize::from(input.byte()).max(least);
                let mut text = input.take(len).to_vec();
                text.resize(text.len().max(least), 0);
                texts.push(text);
                seal(&mut *one, &mut sealed, &texts[texts.len() - 1]);
            }
            1 => {
                let least = usize::from(texts.last().is_some_and(Vec::is_empty));
                let len = usize::from(input.u16()).min(one.layout().2).min(left).max(least);
                left = left.saturating_sub(len);
                texts.push(vec![7; len]);
                seal(&mut *one, &mut sealed, &texts[texts.len() - 1]);
            }
            2 if !sealed.is_empty() => {
                let at = input.below(sealed.len());
                sealed[at] ^= 1 << (input.byte() % 8);
                forged = true;
            }
            _ => {
                let len = usize::from(input.byte());
                let bytes = input.take(len);
                sealed.extend_from_slice(bytes);
                forged |= !bytes.is_empty();
            }
        }
    }
    open(&mut *other, &sealed, size, &texts, forged);
}

fn seal(one: &mut dyn Records, sealed: &mut BytesMut, text: &[u8]) {
    let from = sealed.len();
    sealed.resize(from + one.layout().0, 0);
    sealed.extend_from_slice(text);
    assert_eq!(one.seal(sealed, from), Ok(()));
}

fn open(other: &mut dyn Records, sealed: &[u8], size: usize, texts: &[Vec<u8>], forged: bool) {
    let (mut unread, mut reply) = (BytesMut::new(), BytesMut::new());
    // Empty records are padding: they are never seen.
    let mut expected = texts.iter().filter(|text| !text.is_empty());
    let mut failed = false;
    for piece in pieces(sealed, size) {
        unread.extend_from_slice(piece);
        loop {
            match other.open(&mut unread, &mut reply) {
                Ok(Some(text)) => {
                    assert!(!failed, "nothing is opened behind a forgery");
                    assert_eq!(Some(&text[..]), expected.next().map(Vec::as_slice));
                }
                Ok(None) => break assert!(unread.len() < (16 << 10) + 256 + 5),
                Err(error) => {
                    assert!(failed || matches!(error, SecurityError::Forged | SecurityError::Violation(_)));
                    failed = true;
                    break;
                }
            }
        }
    }
    assert!(reply.len() < 100, "one alert");
    if !forged {
        assert!(reply.is_empty() && !failed && unread.is_empty() && expected.next().is_none());
    }
}

fn pair() -> (Box<dyn Records>, Box<dyn Records>) {
    static CONFIG: OnceLock<Option<Config>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| Config::new(&Keypair::generate_ed25519()).ok());
    let Some(config) = config else { panic!("there is no configuration") };
    let mut dialer = config.handshake(Role::Dialer, None, &[]);
    let mut listener = config.handshake(Role::Listener, None, &[]);
    let (mut there, mut back) = (BytesMut::new(), BytesMut::new());
    let mut ends: [Option<Secured>; 2] = [None, None];
    for _ in 0..2 {
        if ends[0].is_none() {
            ends[0] = dialer.step(&mut back, &mut there).unwrap_or_default();
        }
        ends[1] = listener.step(&mut there, &mut back).unwrap_or_default();
    }
    let [Some(dialer), Some(listener)] = ends else { panic!("two of ours do not understand one another") };
    (dialer.records, listener.records)
}
