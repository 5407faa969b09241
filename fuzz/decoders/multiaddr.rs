//! Addresses, as bytes and as text: what is read can be written, and reads back as the same.
use peerage_core::{Multiaddr, multiaddr::Protocol};

pub(crate) fn run(data: &[u8]) {
    match Multiaddr::try_from(data) {
        Ok(address) => {
            assert_eq!(address.as_ref(), data);
            check(&address);
        }
        Err(error) => drop(error.to_string()),
    }
    let Ok(text) = str::from_utf8(data) else { return };
    match text.parse::<Multiaddr>() {
        Ok(address) => check(&address),
        Err(error) => drop(error.to_string()),
    }
}

fn check(address: &Multiaddr) {
    assert_eq!(Multiaddr::try_from(address.to_vec()).as_ref(), Ok(address));
    let text = address.to_string();
    match address.iter().last() {
        // A path of rust has no slash in front; read again, it gets one.
        Some(Protocol::Unix(path)) if !path.starts_with('/') => {
            assert_eq!(text.parse::<Multiaddr>().map(|again| again.to_string()), Ok(text.clone()));
        }
        _ => assert_eq!(text.parse::<Multiaddr>().as_ref(), Ok(address), "{text}"),
    }
    assert!(!text.contains(char::is_control), "{text:?} moves a terminal's cursor");

    assert_eq!(address.iter().collect::<Multiaddr>(), *address);
    assert_eq!(address.iter().count(), address.protocol_stack().count());
    assert_eq!(address.replace(0, |part| Some(part.clone().acquire())).is_some(), !address.is_empty());
    let mut other = address.clone();
    if let Some(last) = other.pop() {
        assert!(address.starts_with(&other));
        assert!(address.ends_with(&last.clone().into()));
        other.push(last);
    }
    assert_eq!(other, *address);
    assert!(address.decapsulate(address).is_empty());
    let normal = address.normalized();
    assert_eq!(normal.normalized(), normal);
    if let Some(peer) = address.peer_id() {
        let bare = address.clone().without_p2p();
        if bare.peer_id().is_none() {
            assert_eq!(bare.with_p2p(peer).as_ref(), Ok(address));
        }
    }
}
