//! What happened to a connection, whose fault it is, what to do.
use peerage_core::Code;
use quinn::{ConnectError, ConnectionError, TransportErrorCode, VarInt};
use std::{error::Error, fmt, io, time::Duration};

/// A failure in words; the cause is behind it.
#[derive(Debug)]
struct Words {
    words: String,
    cause: Option<ConnectionError>,
}
impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}
impl Error for Words {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

fn words(kind: io::ErrorKind, words: String, cause: Option<ConnectionError>) -> io::Error {
    io::Error::new(kind, Words { words, cause })
}

/// A dial could not even begin.
pub(crate) fn connect(error: &ConnectError) -> io::Error {
    words(io::ErrorKind::AddrNotAvailable, format!("cannot dial from our socket: {error}"), None)
}

/// Nobody answered in time, or did not finish.
pub(crate) fn timed_out(after: Duration, heard: bool) -> io::Error {
    let seconds = after.as_secs();
    let text = match heard {
        true => format!("the peer answered, but did not finish the handshake within {seconds} s"),
        false => format!("no answer within {seconds} s: nobody listens there, or UDP does not get through"),
    };
    words(io::ErrorKind::TimedOut, text, None)
}

/// A handshake failed.
pub(crate) fn handshake(error: ConnectionError, timeout: Duration) -> io::Error {
    use io::ErrorKind as Kind;
    let (kind, text) = match &error {
        ConnectionError::TimedOut => return timed_out(timeout, false),
        ConnectionError::VersionMismatch => {
            (Kind::Unsupported, "the peer speaks other versions of QUIC than version 1".to_owned())
        }
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            (Kind::ConnectionRefused, "the peer takes no more connections for now".to_owned())
        }
        ConnectionError::ConnectionClosed(close) => match alert(close.error_code) {
            Some(120) => (Kind::Unsupported, "the peer speaks QUIC, but not libp2p's".to_owned()),
            Some(alert) => {
                (Kind::PermissionDenied, format!("the peer refused our certificate (TLS alert {alert})"))
            }
            None => (Kind::ConnectionRefused, format!("the peer ended the handshake: {close}")),
        },
        ConnectionError::ApplicationClosed(close) => {
            (Kind::ConnectionRefused, format!("the peer closed the connection: {}", code(close.error_code)))
        }
        ConnectionError::TransportError(why) => match alert(why.code) {
            // No ALPN in common is said by whoever listens, so here it is the certificate.
            Some(_) => (Kind::InvalidData, certificate(&why.reason)),
            None => (Kind::InvalidData, format!("the peer broke a rule of QUIC: {why}")),
        },
        ConnectionError::Reset => {
            (Kind::ConnectionReset, "the peer does not know of this connection".to_owned())
        }
        ConnectionError::LocallyClosed => (Kind::ConnectionAborted, "we closed it".to_owned()),
        ConnectionError::CidsExhausted => {
            (Kind::OutOfMemory, "our socket has too many connections".to_owned())
        }
    };
    words(kind, text, Some(error))
}

/// Rustls wraps our words into its own.
fn certificate(reason: &str) -> String {
    match reason.find("the peer's certificate") {
        Some(at) => reason.get(at..).unwrap_or(reason).to_owned(),
        None => format!("the handshake failed: {reason}"),
    }
}

/// The alert in a code of QUIC: "0x0100-0x01ff".
fn alert(code: TransportErrorCode) -> Option<u8> {
    let code = u64::from(code);
    (0x100..0x200).contains(&code).then_some(code as u8)
}

/// How an established connection ended.
pub(crate) fn closed(error: ConnectionError, ours: Option<Code>) -> Result<Code, io::Error> {
    use io::ErrorKind as Kind;
    let (kind, text) = match &error {
        ConnectionError::ApplicationClosed(close) => return Ok(code(close.error_code)),
        ConnectionError::LocallyClosed => return Ok(ours.unwrap_or(Code::NONE)),
        ConnectionError::TimedOut => {
            (Kind::TimedOut, "nothing was heard from the peer any more: it or the network is gone".to_owned())
        }
        ConnectionError::Reset => (
            Kind::ConnectionReset,
            "the peer knows nothing of this connection: it was started anew".to_owned(),
        ),
        ConnectionError::ConnectionClosed(close) => match alert(close.error_code) {
            // "A close right after the handshake is an authentication failure": whoever dials is done first.
            Some(alert) => {
                (Kind::PermissionDenied, format!("the peer refused our certificate (TLS alert {alert})"))
            }
            None => (Kind::ConnectionAborted, format!("the peer says that we broke a rule of QUIC: {close}")),
        },
        ConnectionError::TransportError(why) => {
            (Kind::InvalidData, format!("the peer broke a rule of QUIC: {why}"))
        }
        ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => (Kind::Other, error.to_string()),
    };
    Err(words(kind, text, Some(error)))
}

/// The system of a silent peer says that nobody has its port.
pub(crate) fn gone() -> io::Error {
    words(
        io::ErrorKind::ConnectionReset,
        "the peer's program ended without a word: its port is closed".to_owned(),
        None,
    )
}

/// What a peer says, as far as we have a name for it.
pub(crate) fn code(code: VarInt) -> Code {
    u32::try_from(code.into_inner()).map_or(Code::OUT_OF_RANGE, Code)
}
