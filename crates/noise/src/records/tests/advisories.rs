//! What the record layers of others were hurt by: the attack as it was, and what ours does.
use super::*;

/// snow before 0.9.5 counted its nonce on for a forged message, so that one packet of somebody between two left a session that
/// could read nothing and did not know it. Ours must say so at once, and for good: a stream has no messages to be skipped.
#[test]
fn rustsec_2024_0011_a_forged_record_is_the_end_of_what_is_heard_and_not_a_session_out_of_step() {
    let (mut ours, mut theirs) = pair();
    let good = sealed(&mut ours, b"good");
    assert_eq!(opened(&mut theirs, &[&[0, 20][..], &[7; 20]].concat()), Err(SecurityError::Forged));
    for _ in 0..3 {
        assert_eq!(opened(&mut theirs, &good), Err(SecurityError::Exhausted), "what is behind is not opened");
    }
    // The other direction is untouched: the peer can still be told.
    let farewell = sealed(&mut theirs, b"farewell");
    assert_eq!(opened(&mut ours, &farewell).unwrap().unwrap(), "farewell");
}

/// flynn/noise let the nonce wrap to 0, which seals two texts with one key and one nonce. Ours must refuse instead, and never
/// use the last nonce, which the specification reserves.
#[test]
fn ghsa_g9mp_8g3h_3c5c_a_nonce_never_wraps() {
    let (mut ours, mut theirs) = pair();
    (ours.sealing.nonce, theirs.opening.nonce) = (u64::MAX - 1, u64::MAX - 1);
    let last = sealed(&mut ours, b"last");
    assert_eq!(opened(&mut theirs, &last).unwrap().unwrap(), "last");
    for _ in 0..3 {
        let mut out = BytesMut::from(&b"\0\0again"[..]);
        assert_eq!(ours.seal(&mut out, 0), Err(SecurityError::Exhausted));
        assert_eq!(out, &b"\0\0again"[..], "nothing was sealed");
        assert_eq!(opened(&mut theirs, &last), Err(SecurityError::Exhausted));
    }
}
