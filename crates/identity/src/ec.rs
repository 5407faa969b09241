//! What secp256k1 and ECDSA on P-256 have in common: their DER.

use crate::crypto::{Curve, EcKey};
use crate::der::{self, Reader};

fn oid(curve: Curve) -> &'static [u8] {
    match curve {
        Curve::P256 => der::P256,
        Curve::K256 => der::K256,
    }
}

/// The key with this secret number, from 1 up to the order of the curve.
pub(crate) fn from_scalar(curve: Curve, scalar: &[u8]) -> Option<EcKey> {
    let scalar: &[u8; 32] = scalar.try_into().ok()?;
    EcKey::from_der(curve, &private_key(curve, scalar, None)).ok()
}

/// Reads `ECPrivateKey` of RFC 5915, whose curve and public key may be left out.
pub(crate) fn from_private_key(curve: Curve, bytes: &[u8]) -> Option<EcKey> {
    let mut key = Reader::whole(bytes, der::SEQUENCE)?;
    (key.number()? == [1]).then_some(())?;
    let scalar = key.element(der::OCTET_STRING)?;
    if let Some(mut parameters) = key.nested(der::CONTEXT_0) {
        parameters.exactly(oid(curve))?;
        parameters.end()?;
    }
    let public = match key.nested(der::CONTEXT_1) {
        Some(mut public) => Some(bits(public.element(der::BIT_STRING)?)?),
        None => None,
    };
    key.end()?;
    let key = from_scalar(curve, scalar)?;
    let same = public.is_none_or(|public| curve.point(public).is_ok_and(|point| point == key.point()));
    same.then_some(key)
}

/// Writes `ECPrivateKey`.
pub(crate) fn to_private_key(curve: Curve, key: &EcKey) -> Vec<u8> {
    private_key(curve, &key.scalar(), Some(&key.point()))
}

fn private_key(curve: Curve, scalar: &[u8; 32], point: Option<&[u8; 65]>) -> Vec<u8> {
    let public =
        point.map(|point| der::element(der::CONTEXT_1, &[&der::element(der::BIT_STRING, &[&[0], point])]));
    der::element(
        der::SEQUENCE,
        &[
            &der::number(&[1]),
            &der::element(der::OCTET_STRING, &[scalar]),
            &der::element(der::CONTEXT_0, &[oid(curve)]),
            &public.unwrap_or_default(),
        ],
    )
}

/// `SubjectPublicKeyInfo` of a point.
pub(crate) fn to_spki(curve: Curve, point: &[u8; 65]) -> Vec<u8> {
    let algorithm = der::element(der::SEQUENCE, &[der::EC_PUBLIC_KEY, oid(curve)]);
    der::element(der::SEQUENCE, &[&algorithm, &der::element(der::BIT_STRING, &[&[0], point])])
}

/// The point in a `SubjectPublicKeyInfo`.
pub(crate) fn from_spki(curve: Curve, bytes: &[u8]) -> Option<&[u8]> {
    let mut spki = Reader::whole(bytes, der::SEQUENCE)?;
    let mut algorithm = spki.sequence()?;
    algorithm.exactly(der::EC_PUBLIC_KEY)?;
    algorithm.exactly(oid(curve))?;
    algorithm.end()?;
    let point = bits(spki.element(der::BIT_STRING)?)?;
    spki.end()?;
    Some(point)
}

/// `ECDSA-Sig-Value`.
pub(crate) fn signature(r: &[u8; 32], s: &[u8; 32]) -> Vec<u8> {
    der::element(der::SEQUENCE, &[&der::number(r), &der::number(s)])
}

/// A bit string of whole bytes.
pub(crate) fn bits(content: &[u8]) -> Option<&[u8]> {
    content.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bits)| bits)
}
