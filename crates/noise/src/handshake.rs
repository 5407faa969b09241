use crate::config::Inner;
use crate::payload::{self, MUXERS, Payload};
use crate::records::{HEAD_LEN, Transport};
use crate::resolver::{KeyCell, Resolver};
use bytes::{Buf, BytesMut};
use peerage_core::{Bound, Handshake, PeerId, Role, Secured, SecurityError, StreamProtocol};
use peerage_identity::PublicKey;
use snow::{Builder, HandshakeState};
use std::sync::Arc;

/// The longest handshake message: an RSA key and signature of 8,192 bits, a hundred muxers and a hundred hashes fit.
pub(crate) const MESSAGE: Bound = Bound {
    name: "noise.handshake_message",
    default: 16 << 10,
    unit: "bytes",
    policy: "refuse: the connection ends",
};

/// `e` alone: the payload of the first message is empty.
const FIRST_LEN: usize = 32;

/// A handshake of the pattern XX.
pub(crate) struct Xx {
    config: Arc<Inner>,
    role: Role,
    expected: Option<PeerId>,
    muxers: Vec<StreamProtocol>,
    keys: [KeyCell; 2],
    state: State,
}

enum State {
    /// The dialer has said nothing yet.
    Silent(HandshakeState),
    /// The listener waits for the first message.
    First(HandshakeState),
    /// The dialer waits for the second, the listener for the third.
    Identity(HandshakeState),
    Over,
}

impl Xx {
    pub(crate) fn new(
        config: Arc<Inner>,
        role: Role,
        expected: Option<PeerId>,
        muxers: &[StreamProtocol],
    ) -> Self {
        let keys = [KeyCell::default(), KeyCell::default()];
        let state = match (begin(&config, role, keys.clone()), role) {
            (Ok(noise), Role::Dialer) => State::Silent(noise),
            (Ok(noise), Role::Listener) => State::First(noise),
            (Err(_), _) => State::Over,
        };
        // A peer counts a longer list as none, and then both must.
        let muxers = muxers.iter().take(MUXERS.get()).cloned().collect();
        Self { config, role, expected, muxers, keys, state }
    }

    fn write(
        &self,
        noise: &mut HandshakeState,
        payload: &[u8],
        output: &mut BytesMut,
    ) -> Result<(), SecurityError> {
        let mut message = vec![0; payload.len().saturating_add(128)]; // two keys and two tags are 96
        let len = noise.write_message(payload, &mut message).map_err(refusal)?;
        let head = u16::try_from(len).map_err(|_| SecurityError::Violation("our own payload is too long"))?;
        output.extend_from_slice(&head.to_be_bytes());
        output.extend_from_slice(message.get(..len).unwrap_or_default());
        Ok(())
    }

    fn identify(&self, noise: &mut HandshakeState, output: &mut BytesMut) -> Result<(), SecurityError> {
        let stated = self.config.certhashes.iter().filter(|_| self.role == Role::Listener);
        let payload = Payload {
            identity_key: &self.config.identity_key,
            signature: &self.config.signature,
            certhashes: stated.map(Vec::as_slice).collect(),
            muxers: self.muxers.iter().map(|name| name.as_str().as_bytes()).collect(),
        };
        self.write(noise, &payload.encode(), output)
    }

    /// Checks who the peer says it is.
    fn check(
        &self,
        noise: &HandshakeState,
        payload: &Payload<'_>,
    ) -> Result<(PeerId, PublicKey), SecurityError> {
        if payload.identity_key.is_empty() || payload.signature.is_empty() {
            return Err(SecurityError::Violation("the noise payload has no identity key or no signature"));
        }
        let key = PublicKey::try_decode_protobuf(payload.identity_key)
            .map_err(|_| SecurityError::Violation("the identity key in the noise payload is not valid"))?;
        let static_key: &[u8; 32] = noise
            .get_remote_static()
            .and_then(|key| key.try_into().ok())
            .ok_or(SecurityError::Violation("the static key is missing"))?;
        if !key.verify(&payload::signed(static_key), payload.signature) {
            return Err(SecurityError::Violation("the identity did not sign the static key of noise"));
        }
        let obtained = key.to_peer_id();
        if let Some(expected) = self.expected.filter(|expected| *expected != obtained) {
            return Err(SecurityError::WrongPeer { expected, obtained });
        }
        let stated = |hash: &Vec<u8>| payload.certhashes.contains(&hash.as_slice());
        if self.role == Role::Dialer && !self.config.certhashes.iter().all(stated) {
            return Err(SecurityError::Violation(
                "the listener does not state the certificate that was dialed",
            ));
        }
        Ok((obtained, key))
    }

    /// The first of the dialer's list that both support. `None` means multistream-select, as go and js do it where the lists have
    /// nothing in common (the spec would have it fail), or the peer (rust-libp2p) sends none.
    fn muxer(&self, theirs: &[&[u8]]) -> Option<StreamProtocol> {
        let same = |ours: &StreamProtocol, theirs: &[u8]| ours.as_str().as_bytes() == theirs;
        match self.role {
            Role::Dialer => self.muxers.iter().find(|ours| theirs.iter().any(|name| same(ours, name))),
            Role::Listener => theirs.iter().find_map(|name| self.muxers.iter().find(|ours| same(ours, name))),
        }
        .cloned()
    }

    fn secured(
        &mut self,
        peer: PeerId,
        key: PublicKey,
        muxer: Option<StreamProtocol>,
    ) -> Result<Secured, SecurityError> {
        let [dialer, listener] = std::mem::take(&mut self.keys).map(|key| Arc::into_inner(key)?.into_inner());
        let (Some(dialer), Some(listener)) = (dialer, listener) else {
            return Err(SecurityError::Violation("the handshake left no keys"));
        };
        let records = match self.role {
            Role::Dialer => Transport::new(dialer, listener),
            Role::Listener => Transport::new(listener, dialer),
        };
        Ok(Secured { peer, key, muxer, records: Box::new(records) })
    }

    fn advance(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Option<Secured>, SecurityError> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Silent(mut noise) => {
                    self.write(&mut noise, &[], output)?;
                    self.state = State::Identity(noise);
                }
                State::First(mut noise) => {
                    let Some(message) = message(input, FIRST_LEN..=FIRST_LEN)? else {
                        self.state = State::First(noise);
                        return Ok(None);
                    };
                    noise.read_message(&message, &mut []).map_err(refusal)?;
                    self.identify(&mut noise, output)?;
                    self.state = State::Identity(noise);
                }
                State::Identity(mut noise) => {
                    let Some(message) = message(input, 0..=MESSAGE.get())? else {
                        self.state = State::Identity(noise);
                        return Ok(None);
                    };
                    let mut text = vec![0; message.len()];
                    let len = noise.read_message(&message, &mut text).map_err(refusal)?;
                    let payload = Payload::decode(text.get(..len).unwrap_or_default())
                        .map_err(|_| SecurityError::Violation("the noise payload is malformed"))?;
                    // The dialer checks before it says who it is.
                    let (peer, key) = self.check(&noise, &payload)?;
                    if self.role == Role::Dialer {
                        self.identify(&mut noise, output)?;
                    }
                    drop(noise);
                    let muxer = self.muxer(&payload.muxers);
                    return self.secured(peer, key, muxer).map(Some);
                }
                State::Over => return Err(SecurityError::Violation("the handshake is over")),
            }
        }
    }
}

impl Handshake for Xx {
    fn step(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Option<Secured>, SecurityError> {
        self.advance(input, output)
    }
}

fn begin(config: &Inner, role: Role, keys: [KeyCell; 2]) -> Result<HandshakeState, snow::Error> {
    let resolver = Resolver::new(Arc::clone(&config.static_key), keys);
    let builder = Builder::with_resolver(config.params.clone(), Box::new(resolver))
        .local_private_key(config.static_key.secret())?
        .prologue(&config.prologue)?;
    match role {
        Role::Dialer => builder.build_initiator(),
        Role::Listener => builder.build_responder(),
    }
}

/// Takes the next whole message off `input`. Its length is judged as soon as it is known.
fn message(
    input: &mut BytesMut,
    len: std::ops::RangeInclusive<usize>,
) -> Result<Option<BytesMut>, SecurityError> {
    let Some((head, rest)) = input.split_first_chunk::<HEAD_LEN>() else { return Ok(None) };
    let stated = usize::from(u16::from_be_bytes(*head));
    if !len.contains(&stated) {
        return Err(SecurityError::Violation("a noise handshake message has a length that it cannot have"));
    }
    if rest.len() < stated {
        return Ok(None);
    }
    input.advance(HEAD_LEN);
    Ok(Some(input.split_to(stated)))
}

fn refusal(error: snow::Error) -> SecurityError {
    SecurityError::Violation(match error {
        snow::Error::Decrypt => "a noise handshake message was altered, or made for another handshake",
        snow::Error::Dh => "a key in the noise handshake is of low order",
        snow::Error::Input => "a noise handshake message is cut off",
        _ => "the noise handshake failed",
    })
}

#[cfg(test)]
mod tests;
