//! PKCS#8 (RFC 5958, RFC 8410) and its PEM: the form in which other programs keep keys.

use crate::crypto::Curve;
use crate::der::{self, Reader};
use crate::{DecodingError, multibase};

/// The longest text that is read: an RSA key of 8,192 bits has 6.3 KiB.
const PEM_MAX: usize = 64 * 1024;
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// What is in a `PrivateKeyInfo`.
pub(crate) enum Private<'a> {
    /// The seed, and the public key if it is there.
    Ed25519(&'a [u8; 32], Option<&'a [u8]>),
    /// `RSAPrivateKey`.
    Rsa(&'a [u8]),
    /// `ECPrivateKey`.
    Ec(Curve, &'a [u8]),
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Private<'_>, DecodingError> {
    let mut info =
        Reader::whole(bytes, der::SEQUENCE).ok_or(DecodingError::Pkcs8("it is no DER sequence"))?;
    parse(&mut info).ok_or(DecodingError::Pkcs8(
        "it is no unencrypted PKCS#8 key of type Ed25519, RSA, P-256 or secp256k1",
    ))
}

fn parse<'a>(info: &mut Reader<'a>) -> Option<Private<'a>> {
    let version = info.number()?;
    let mut algorithm = info.sequence()?;
    let key = info.element(der::OCTET_STRING)?;
    info.element(der::CONTEXT_0); // attributes: nothing we know of
    let public = match info.element(der::IMPLICIT_1) {
        Some(bits) => Some(crate::ec::bits(bits)?),
        None => None,
    };
    info.end()?;
    // RFC 5958 has version 2 (a 1) if and only if the public key is there; not every program keeps to that.
    matches!(version, [] | [1]).then_some(())?;
    let private = if algorithm.exactly(der::ED25519).is_some() {
        Private::Ed25519(Reader::whole(key, der::OCTET_STRING)?.rest().try_into().ok()?, public)
    } else if algorithm.exactly(der::RSA_ENCRYPTION).is_some() {
        Private::Rsa(key)
    } else {
        algorithm.exactly(der::EC_PUBLIC_KEY)?;
        let curve = if algorithm.exactly(der::P256).is_some() {
            Curve::P256
        } else {
            algorithm.exactly(der::K256)?;
            Curve::K256
        };
        Private::Ec(curve, key)
    };
    algorithm.end()?;
    Some(private)
}

/// Version 1, which every program reads.
pub(crate) fn encode(private: &Private<'_>) -> Vec<u8> {
    let (algorithm, key) = match private {
        Private::Ed25519(seed, _) => (der::ED25519.to_vec(), der::element(der::OCTET_STRING, &[&seed[..]])),
        Private::Rsa(key) => (der::RSA_ENCRYPTION.to_vec(), key.to_vec()),
        Private::Ec(Curve::P256, key) => ([der::EC_PUBLIC_KEY, der::P256].concat(), key.to_vec()),
        Private::Ec(Curve::K256, key) => ([der::EC_PUBLIC_KEY, der::K256].concat(), key.to_vec()),
    };
    der::element(
        der::SEQUENCE,
        &[
            &der::number(&[]),
            &der::element(der::SEQUENCE, &[&algorithm]),
            &der::element(der::OCTET_STRING, &[&key]),
        ],
    )
}

/// The bytes of a PEM text that has one `PRIVATE KEY`; what stands before and behind it is ignored.
pub(crate) fn from_pem(text: &str) -> Result<Vec<u8>, DecodingError> {
    if text.len() > PEM_MAX {
        return Err(DecodingError::Pkcs8("it is longer than 64 KiB"));
    }
    let Some((_, rest)) = text.split_once(BEGIN) else {
        return Err(DecodingError::Pkcs8(if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            "it is encrypted: decrypt it first (openssl pkcs8 -in FILE -out NEW)"
        } else if text.contains("-----BEGIN ") {
            "its PEM is of another kind: convert it first (openssl pkcs8 -topk8 -nocrypt -in FILE -out NEW)"
        } else {
            "there is no line -----BEGIN PRIVATE KEY----- in it"
        }));
    };
    let (body, _) =
        rest.split_once(END).ok_or(DecodingError::Pkcs8("the line -----END PRIVATE KEY----- is missing"))?;
    let mut base64 = String::with_capacity(body.len().saturating_add(1));
    base64.push('M');
    base64.extend(body.chars().filter(|c| !c.is_ascii_whitespace()));
    multibase::decode(&base64)
        .map_err(|_| DecodingError::Pkcs8("what stands between its two lines is not base64"))
}

pub(crate) fn to_pem(der: &[u8]) -> String {
    let mut text = format!("{BEGIN}\n");
    for line in der.chunks(48) {
        text.push_str(&multibase::encode_base64(line));
        text.push('\n');
    }
    text + END + "\n"
}
