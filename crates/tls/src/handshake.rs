use crate::alert;
use crate::config::Made;
use crate::records::{HEAD_LEN, Keys, SEALED_MAX, TAIL_LEN, Transport};
use crate::{CertificateError, peer};
use bytes::{Buf, BytesMut};
use peerage_core::{Bound, Handshake, PeerId, Role, Secured, SecurityError, StreamProtocol};
use peerage_identity::PublicKey;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, IpAddr, Ipv4Addr, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use std::{ops::ControlFlow, sync::Arc};

/// The bytes that a whole handshake may take: two RSA keys and two signatures of 8,192 bits are 8 KiB.
pub(crate) const INPUT: Bound =
    Bound { name: "tls.handshake", default: 64 << 10, unit: "bytes", policy: "refuse: the connection ends" };

/// The records that they may come in: with one message in each there are eight.
pub(crate) const RECORDS: Bound = Bound {
    name: "tls.handshake_records",
    default: 256,
    unit: "records",
    policy: "refuse: the connection ends",
};

/// A handshake: `rustls`, fed with exactly the records it asks for, so that it never holds what comes behind them.
pub(crate) struct Tls {
    role: Role,
    expected: Option<PeerId>,
    muxers: Vec<StreamProtocol>,
    state: State,
    /// How much at the front of `input` rustls has seen: parts of a message that stands in several records.
    seen: usize,
    bytes: usize,
    records: usize,
}

enum State {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
    Over(SecurityError),
}

/// What it ends with.
pub(crate) struct Finished {
    pub(crate) peer: PeerId,
    pub(crate) key: PublicKey,
    pub(crate) muxer: Option<StreamProtocol>,
    pub(crate) records: Transport,
}

/// What rustls asks for.
enum Asks {
    /// To be asked again.
    Again,
    /// The next record.
    More,
    /// Nothing: the handshake is over.
    Done,
    /// Nothing: the peer has closed.
    Nothing,
}

const OVER: SecurityError = SecurityError::Violation("the handshake is over");

impl Tls {
    pub(crate) fn new(
        made: Option<Arc<Made>>,
        role: Role,
        expected: Option<PeerId>,
        muxers: &[StreamProtocol],
    ) -> Self {
        // It is not sent; rustls keeps sessions under it, and we keep none.
        let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0; 4])));
        let state = made.and_then(|made| match role {
            Role::Dialer => {
                let connection = UnbufferedClientConnection::new(Arc::clone(&made.client), name);
                connection.ok().map(|connection| State::Client(Box::new(connection)))
            }
            Role::Listener => {
                let connection = UnbufferedServerConnection::new(Arc::clone(&made.server));
                connection.ok().map(|connection| State::Server(Box::new(connection)))
            }
        });
        let state =
            state.unwrap_or(State::Over(SecurityError::Violation("this build does not know TLS 1.3")));
        Self { role, expected, muxers: muxers.to_vec(), state, seen: 0, bytes: 0, records: 0 }
    }

    pub(crate) fn advance(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Option<Finished>, SecurityError> {
        let mut failed = None;
        loop {
            let before = output.len();
            // It goes on where it was: with other bytes rustls would panic.
            let shown = input.get_mut(..self.seen).ok_or(OVER)?;
            let (used, asks) = match &mut self.state {
                State::Client(connection) => carry_out(connection.process_tls_records(shown), output),
                State::Server(connection) => carry_out(connection.process_tls_records(shown), output),
                State::Over(error) => return Err(error.clone()),
            };
            let used = used.min(self.seen);
            input.advance(used);
            self.seen = self.seen.saturating_sub(used);
            if let Err(error) = self.check_dialed() {
                output.truncate(before); // it says who we are
                return Err(error);
            }
            match (asks, &failed) {
                (Ok(Asks::Again), None) => {}
                // Asked once more, rustls may want to send a second alert, which it must not.
                (Ok(Asks::Again), Some(_)) if !is_alert(output.get(before..).unwrap_or_default()) => {}
                (_, Some(error)) => return Err(alert::reason(error)),
                (Err(error), None) => failed = Some(error), // what waits to be sent ends with an alert
                (Ok(Asks::More), None) => {
                    let Some(len) = self.next_record(input)? else { return Ok(None) };
                    self.seen = self.seen.saturating_add(len);
                }
                (Ok(Asks::Done), None) if self.seen > 0 => {
                    return Err(SecurityError::Violation("something stands behind Finished in its record"));
                }
                (Ok(Asks::Done), None) => return self.finish().map(Some),
                (Ok(Asks::Nothing), None) => return Err(alert::received(0)),
            }
        }
    }

    /// The length of the next record of the handshake, once it is there as a whole. It is judged as soon as it is known.
    fn next_record(&mut self, input: &BytesMut) -> Result<Option<usize>, SecurityError> {
        let unseen = input.get(self.seen..).unwrap_or_default();
        let Some((head, rest)) = unseen.split_first_chunk::<HEAD_LEN>() else { return Ok(None) };
        let [kind, version, _, high, low] = *head;
        let len = usize::from(u16::from_be_bytes([high, low]));
        // change_cipher_spec, alert, handshake, application_data; "legacy_record_version: MUST be ignored", but its first byte is 3
        // for everybody who speaks TLS.
        if !(20..=23).contains(&kind) || version != 3 {
            return Err(SecurityError::Violation("what the peer sends is not TLS"));
        }
        let whole = len.saturating_add(HEAD_LEN);
        let bytes = self.bytes.saturating_add(whole);
        if len > SEALED_MAX || bytes > INPUT.get() || self.records >= RECORDS.get() {
            return Err(SecurityError::Violation("a handshake has at most 64 KiB, in 256 records"));
        }
        if rest.len() < len {
            return Ok(None);
        }
        self.bytes = bytes;
        self.records = self.records.saturating_add(1);
        Ok(Some(whole))
    }

    fn certificates(&self) -> Option<&[CertificateDer<'static>]> {
        match &self.state {
            State::Client(connection) => connection.peer_certificates(),
            State::Server(connection) => connection.peer_certificates(),
            State::Over(_) => None,
        }
    }

    /// Who the peer's certificate vouches for: it has been verified when rustls shows it.
    fn peer(&self) -> Result<(PublicKey, PeerId), SecurityError> {
        let [certificate] = self.certificates().unwrap_or_default() else {
            return Err(SecurityError::Violation(CertificateError::NotOne.rule()));
        };
        let (key, peer) = peer(certificate).map_err(|error| SecurityError::Violation(error.rule()))?;
        match self.expected.filter(|expected| *expected != peer) {
            Some(expected) => Err(SecurityError::WrongPeer { expected, obtained: peer }),
            None => Ok((key, peer)),
        }
    }

    /// A dialer checks who answered before it says who it is.
    fn check_dialed(&self) -> Result<(), SecurityError> {
        match self.role {
            Role::Dialer if self.certificates().is_some() => self.peer().map(|_| ()),
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<Finished, SecurityError> {
        let (key, peer) = self.peer()?;
        let state = std::mem::replace(&mut self.state, State::Over(OVER));
        let alpn = match &state {
            State::Client(connection) => connection.alpn_protocol(),
            State::Server(connection) => connection.alpn_protocol(),
            State::Over(error) => return Err(error.clone()),
        };
        // "libp2p", or no ALPN at all: the muxer is negotiated by multistream-select.
        let muxer = self.muxers.iter().find(|ours| Some(ours.as_str().as_bytes()) == alpn).cloned();
        let no_keys = |_| SecurityError::Violation("the handshake left no keys");
        let (secrets, keys): (_, Box<dyn Keys>) = match state {
            State::Client(connection) => {
                let (secrets, keys) = connection.dangerous_into_kernel_connection().map_err(no_keys)?;
                (secrets, Box::new(keys))
            }
            State::Server(connection) => {
                let (secrets, keys) = connection.dangerous_into_kernel_connection().map_err(no_keys)?;
                (secrets, Box::new(keys))
            }
            State::Over(error) => return Err(error),
        };
        let records = Transport::new(secrets, keys)?;
        Ok(Finished { peer, key, muxer, records })
    }
}

impl Handshake for Tls {
    fn step(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Option<Secured>, SecurityError> {
        let advanced = self.advance(input, output);
        if let Err(error) = &advanced {
            self.state = State::Over(error.clone());
        }
        let secured = |Finished { peer, key, muxer, records }| {
            let records = Box::new(records);
            Secured { peer, key, muxer, records }
        };
        Ok(advanced?.map(secured))
    }
}

/// In the clear, or sealed: nothing else is as short.
fn is_alert(record: &[u8]) -> bool {
    matches!(record, [21, ..]) || record.len() == HEAD_LEN.saturating_add(2).saturating_add(TAIL_LEN)
}

/// Does what rustls asks for; says how much of the input it is done with.
fn carry_out<D>(
    status: UnbufferedStatus<'_, '_, D>,
    output: &mut BytesMut,
) -> (usize, Result<Asks, rustls::Error>) {
    let UnbufferedStatus { discard, state } = status;
    let asks = state.map(|state| match state {
        ConnectionState::EncodeTlsData(mut encode) => {
            let from = output.len();
            let mut room = 0;
            // Asked with too little room, it says how much it needs.
            let written = (0..2).try_fold((), |(), _| {
                output.resize(from.saturating_add(room), 0);
                match encode.encode(output.get_mut(from..).unwrap_or_default()) {
                    Err(EncodeError::InsufficientSize(needed)) => {
                        room = needed.required_size;
                        ControlFlow::Continue(())
                    }
                    Ok(written) => ControlFlow::Break(written),
                    Err(EncodeError::AlreadyEncoded) => ControlFlow::Break(0),
                }
            });
            output.truncate(from.saturating_add(written.break_value().unwrap_or_default()));
            Asks::Again
        }
        ConnectionState::TransmitTlsData(transmit) => {
            transmit.done();
            Asks::Again
        }
        ConnectionState::BlockedHandshake => Asks::More,
        ConnectionState::WriteTraffic(_) => Asks::Done,
        _ => Asks::Nothing,
    });
    (discard, asks)
}

#[cfg(test)]
pub(crate) mod tests;
