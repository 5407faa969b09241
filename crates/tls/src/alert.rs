//! What TLS peers say when they end a connection (RFC 8446, 6), and what we say.

use crate::CertificateError;
use peerage_core::SecurityError;
use rustls::{AlertDescription, Error, PeerIncompatible};

/// Why a handshake failed.
pub(crate) fn reason(error: &Error) -> SecurityError {
    SecurityError::Violation(match error {
        Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
            match other.0.downcast_ref::<CertificateError>() {
                Some(error) => error.rule(),
                None => "its certificate is not valid",
            }
        }
        Error::InvalidCertificate(_) => "its key of TLS did not sign the handshake",
        Error::AlertReceived(description) => return received(u8::from(*description)),
        Error::NoCertificatesPresented
        | Error::PeerIncompatible(PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon) => {
            "a peer shows a certificate"
        }
        Error::NoApplicationProtocol => "it offers neither one of our muxers nor \"libp2p\" by ALPN",
        Error::PeerIncompatible(_) => {
            "it has no version, cipher or key exchange of TLS 1.3 in common with us"
        }
        Error::DecryptError => return SecurityError::Forged,
        Error::InvalidMessage(_) => "a message of its TLS handshake is malformed",
        _ => "its TLS handshake is out of order",
    })
}

/// What an alert of the peer means.
pub(crate) fn received(description: u8) -> SecurityError {
    SecurityError::Alert(match AlertDescription::from(description) {
        AlertDescription::CloseNotify => "it closed it (close_notify)",
        AlertDescription::UnexpectedMessage => "it did not expect what we sent (unexpected_message)",
        AlertDescription::BadRecordMac => "it could not open a record of ours (bad_record_mac)",
        AlertDescription::RecordOverflow => "a record of ours was too long (record_overflow)",
        AlertDescription::HandshakeFailure => "it has no cipher in common with us (handshake_failure)",
        AlertDescription::BadCertificate => "it refused our certificate (bad_certificate)",
        AlertDescription::UnsupportedCertificate => "it refused our certificate (unsupported_certificate)",
        AlertDescription::CertificateRevoked => "it refused our certificate (certificate_revoked)",
        AlertDescription::CertificateExpired => {
            "it says that our certificate is not valid now: a clock is wrong (certificate_expired)"
        }
        AlertDescription::CertificateUnknown => "it refused our certificate (certificate_unknown)",
        AlertDescription::UnknownCA => "it refused our certificate: does it speak libp2p? (unknown_ca)",
        AlertDescription::AccessDenied => "it does not talk to us (access_denied)",
        AlertDescription::IllegalParameter => "it could not use what we sent (illegal_parameter)",
        AlertDescription::DecodeError => "it could not read what we sent (decode_error)",
        AlertDescription::DecryptError => "it could not verify what we sent (decrypt_error)",
        AlertDescription::ProtocolVersion => "it does not speak TLS 1.3 (protocol_version)",
        AlertDescription::InternalError => "something went wrong there (internal_error)",
        AlertDescription::CertificateRequired => "it saw no certificate of ours (certificate_required)",
        AlertDescription::NoApplicationProtocol => {
            "it speaks neither our muxers nor \"libp2p\" (no_application_protocol)"
        }
        _ => "with an alert of TLS that has no meaning here",
    })
}
