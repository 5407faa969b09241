//! Certificates: nothing that was altered is valid, and what is not names the rule.
use peerage_identity::Keypair;
use peerage_tls::{Certificate, peer, verify, wire::X509};
use std::{sync::OnceLock, time::Duration};

const NOW: Duration = Duration::from_secs(1_767_225_600);

pub(crate) fn run(data: &[u8]) {
    match X509::read(data) {
        Ok(read) => {
            assert!(data.len() <= 16 << 10);
            for part in [read.tbs, read.spki, read.key, read.signature, read.host_key, read.host_signature] {
                assert!(part.len() < data.len());
            }
        }
        Err(error) => {
            assert!(error.code().starts_with("tls.certificate.") && !error.to_string().is_empty());
            assert_eq!(peer(data), Err(error));
            assert_eq!(verify(data, NOW), Err(error));
        }
    }
    match verify(data, NOW) {
        Ok(who) => assert_eq!(peer(data), Ok(who)),
        Err(error) => assert!(!error.rule().is_empty()),
    }
    // The same bytes as damage to a good one: where, and what is put there.
    if let [high, low, with @ ..] = data {
        let good = good();
        let at = usize::from(u16::from_be_bytes([*high, *low])) % good.len();
        let mut altered = good.to_vec();
        altered.iter_mut().skip(at).zip(with).for_each(|(byte, with)| *byte = *with);
        assert_eq!(verify(&altered, NOW).is_ok(), altered == good);
    }
}

fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| match Certificate::new(&Keypair::generate_ed25519()) {
        Ok(certificate) => certificate.der().to_vec(),
        Err(error) => panic!("{error}"),
    })
}
