//! As much X.509 (RFC 5280) as libp2p's certificates need: the only file that reads a peer's bytes.

use crate::CertificateError as Error;
use peerage_core::Bound;
use peerage_identity::der::{
    BIT_STRING, CONTEXT_0, CONTEXT_3, IMPLICIT_1, INTEGER, OCTET_STRING, Reader, SEQUENCE,
};

/// The longest certificate: RSA keys and signatures of 8,192 bits for TLS and for the identity need about 5 KiB.
pub const CERTIFICATE: Bound = Bound {
    name: "tls.certificate",
    default: 16 << 10,
    unit: "bytes",
    policy: "refuse: the connection ends",
};

/// The most extensions.
pub const EXTENSIONS: Bound =
    Bound { name: "tls.extensions", default: 32, unit: "extensions", policy: "refuse: the connection ends" };

/// 1.3.6.1.4.1.53594.1.1: "libp2p Public Key Extension".
pub(crate) const LIBP2P: &[u8] = &[0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01];

const BOOLEAN: u8 = 0x01;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[2]`, primitive: an implicit one.
const IMPLICIT_2: u8 = 0x82;

/// What of a certificate matters. Nothing of it has been verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct X509<'a> {
    /// `TBSCertificate`: what the certificate's key signs.
    pub tbs: &'a [u8],
    /// `SubjectPublicKeyInfo`: the key of TLS, and what the identity signs.
    pub spki: &'a [u8],
    /// The content of the key's `AlgorithmIdentifier`.
    pub key_algorithm: &'a [u8],
    /// The key.
    pub key: &'a [u8],
    /// The content of the signature's `AlgorithmIdentifier`.
    pub signature_algorithm: &'a [u8],
    /// The certificate's signature.
    pub signature: &'a [u8],
    /// The first second at which it is valid, since 1970.
    pub not_before: i64,
    /// The last one.
    pub not_after: i64,
    /// The identity's public key, in libp2p's protobuf.
    pub host_key: &'a [u8],
    /// The identity's signature.
    pub host_signature: &'a [u8],
}

impl<'a> X509<'a> {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    ///
    /// The rule it breaks.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > CERTIFICATE.get() {
            return Err(Error::TooLong);
        }
        let (outer, inner) = Outer::read(bytes).ok_or(Error::Malformed)?;
        let tbs = Tbs::read(inner).ok_or(Error::Malformed)?;
        if tbs.version != Some(&[0x02, 0x01, 0x02]) {
            return Err(Error::Version);
        }
        // RFC 5280, 4.1.1.2: "This field MUST contain the same algorithm identifier as the signature field in the sequence
        // tbsCertificate".
        if tbs.signature_algorithm != outer.signature_algorithm {
            return Err(Error::AlgorithmsDiffer);
        }
        let signed_key = libp2p(tbs.extensions)?;
        let (host_key, host_signature) = split(signed_key).ok_or(Error::SignedKey)?;
        Ok(Self {
            tbs: outer.tbs,
            spki: tbs.spki,
            key_algorithm: tbs.key_algorithm,
            key: tbs.key,
            signature_algorithm: outer.signature_algorithm,
            signature: outer.signature,
            not_before: tbs.not_before,
            not_after: tbs.not_after,
            host_key,
            host_signature,
        })
    }
}

struct Outer<'a> {
    tbs: &'a [u8],
    signature_algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Outer<'a> {
    fn read(bytes: &'a [u8]) -> Option<(Self, Reader<'a>)> {
        let mut reader = Reader::whole(bytes, SEQUENCE)?;
        let tbs = reader.with_head(SEQUENCE)?;
        let signature_algorithm = reader.element(SEQUENCE)?;
        let signature = bits(reader.element(BIT_STRING)?)?;
        reader.end()?;
        Some((Self { tbs, signature_algorithm, signature }, Reader::whole(tbs, SEQUENCE)?))
    }
}

struct Tbs<'a> {
    version: Option<&'a [u8]>,
    signature_algorithm: &'a [u8],
    not_before: i64,
    not_after: i64,
    spki: &'a [u8],
    key_algorithm: &'a [u8],
    key: &'a [u8],
    extensions: Option<&'a [u8]>,
}

impl<'a> Tbs<'a> {
    fn read(mut tbs: Reader<'a>) -> Option<Self> {
        let version = tbs.element(CONTEXT_0);
        tbs.element(INTEGER)?; // the serial number: anything goes
        let signature_algorithm = tbs.element(SEQUENCE)?;
        tbs.element(SEQUENCE)?; // the issuer's name
        let mut validity = tbs.sequence()?;
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        validity.end()?;
        tbs.element(SEQUENCE)?; // the subject's name
        let spki = tbs.with_head(SEQUENCE)?;
        tbs.element(IMPLICIT_1); // unique identifiers, which nobody has
        tbs.element(IMPLICIT_2);
        let extensions = tbs.element(CONTEXT_3);
        tbs.end()?;
        let mut info = Reader::whole(spki, SEQUENCE)?;
        let key_algorithm = info.element(SEQUENCE)?;
        let key = bits(info.element(BIT_STRING)?)?;
        info.end()?;
        Some(Self {
            version,
            signature_algorithm,
            not_before,
            not_after,
            spki,
            key_algorithm,
            key,
            extensions,
        })
    }
}

/// The value of libp2p's extension: there is one, and none that is critical and unknown.
fn libp2p(extensions: Option<&[u8]>) -> Result<&[u8], Error> {
    let mut found = None;
    let mut reader = Reader::new(match extensions {
        Some(extensions) => Reader::whole(extensions, SEQUENCE).ok_or(Error::Malformed)?.rest(),
        None => &[],
    });
    for _ in 0..=EXTENSIONS.get() {
        if reader.end().is_some() {
            return found.ok_or(Error::NoExtension);
        }
        let (oid, critical, value) = extension(&mut reader).ok_or(Error::Malformed)?;
        if oid == LIBP2P {
            if found.replace(value).is_some() {
                return Err(Error::TwoExtensions);
            }
        } else if critical && !known(oid) {
            return Err(Error::UnknownCritical);
        }
    }
    Err(Error::TooLong)
}

/// keyUsage, subjectAltName, basicConstraints and extKeyUsage (2.5.29.15, .17, .19, .37) may be critical: they say what an
/// authority allows, and nobody stands above a self-signed certificate. go-libp2p takes them too.
fn known(oid: &[u8]) -> bool {
    matches!(oid, [0x06, 0x03, 0x55, 0x1d, 15 | 17 | 19 | 37])
}

fn extension<'a>(reader: &mut Reader<'a>) -> Option<(&'a [u8], bool, &'a [u8])> {
    let mut extension = reader.sequence()?;
    let oid = extension.with_head(OBJECT_IDENTIFIER)?;
    let critical = match extension.element(BOOLEAN) {
        Some([0xff]) => true,
        Some([0]) | None => false, // the default, which DER leaves out and not every encoder does
        Some(_) => return None,
    };
    let value = extension.element(OCTET_STRING)?;
    extension.end()?;
    Some((oid, critical, value))
}

/// `SignedKey ::= SEQUENCE { publicKey OCTET STRING, signature OCTET STRING }`
fn split(signed_key: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader::whole(signed_key, SEQUENCE)?;
    let parts = (reader.element(OCTET_STRING)?, reader.element(OCTET_STRING)?);
    reader.end()?;
    Some(parts)
}

/// A bit string of whole bytes.
fn bits(content: &[u8]) -> Option<&[u8]> {
    content.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bits)| bits)
}

/// Seconds since 1970. RFC 5280, 4.1.2.5: in UTC, with seconds, without fractions.
fn time(reader: &mut Reader<'_>) -> Option<i64> {
    let (year, rest) = if let Some(text) = reader.element(UTC_TIME) {
        let (year, rest) = number::<2>(text)?;
        // "Where YY is greater than or equal to 50, the year SHALL be interpreted as 19YY"
        (year.checked_add(if year >= 50 { 1900 } else { 2000 })?, rest)
    } else {
        number::<4>(reader.element(GENERALIZED_TIME)?)?
    };
    let (month, rest) = number::<2>(rest)?;
    let (day, rest) = number::<2>(rest)?;
    let (hour, rest) = number::<2>(rest)?;
    let (minute, rest) = number::<2>(rest)?;
    let (second, rest) = number::<2>(rest)?;
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if rest != b"Z" || !in_range {
        return None;
    }
    let seconds = days(year, month, day).checked_mul(86_400)?;
    seconds.checked_add(hour.checked_mul(3600)?)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)
}

fn number<const DIGITS: usize>(text: &[u8]) -> Option<(i64, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<DIGITS>()?;
    let value = digits.iter().try_fold(0_i64, |value, digit| {
        digit.is_ascii_digit().then(|| value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')))
    })?;
    Some((value, rest))
}

/// Days from 1970 to a date of the Gregorian calendar; years of four digits, so nothing overflows.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March: then the day that is sometimes there is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests;
