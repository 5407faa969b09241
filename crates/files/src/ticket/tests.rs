use super::*;

/// The one in `docs/files.md`.
fn ticket() -> Ticket {
    Ticket {
        peer: "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV".parse().expect("a peer"),
        addresses: vec![
            "/ip4/192.0.2.7/udp/4001/quic-v1".parse().expect("an address"),
            "/ip4/192.0.2.7/tcp/4001".parse().expect("an address"),
        ],
        manifest: std::array::from_fn(|at| at as u8),
        secret: std::array::from_fn(|at| 0xf0 | at as u8),
    }
}
const DOCS: &str = include_str!("../../../../docs/files.md");

#[test]
fn the_vector_of_the_documentation_is_true() {
    let text = ticket().to_string();
    assert!(DOCS.contains(&text), "docs/files.md is to have this ticket:\n{text}");
    let hex: String = ticket().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let docs: String = DOCS.split_whitespace().collect();
    assert!(docs.contains(&hex), "docs/files.md is to have this record:\n{hex}");
    assert_eq!(text.parse(), Ok(ticket()));
}

#[test]
fn white_space_around_it_and_capitals_do_no_harm() {
    let text = ticket().to_string();
    assert_eq!(format!("  {text}\n").parse(), Ok(ticket()));
    assert_eq!(text.to_uppercase().parse(), Ok(ticket()));
}

#[test]
fn every_single_typo_is_told_from_a_sender_that_is_gone() {
    let text = ticket().to_string();
    let mut typos = 0;
    for at in 0..text.len() {
        for letter in "az27AZ019-é ".chars() {
            let mut typed: Vec<char> = text.chars().collect();
            if typed[at].eq_ignore_ascii_case(&letter) {
                continue;
            }
            typed[at] = letter;
            let typed: String = typed.into_iter().collect();
            let error = Ticket::from_str(&typed).expect_err(&typed);
            assert!(error.code().starts_with("ticket."));
            typos += 1;
        }
    }
    assert!(typos > 1_000, "{typos} typos");
}

#[test]
fn what_is_wrong_is_told_apart() {
    let text = ticket().to_string();
    let code = |text: &str| Ticket::from_str(text).expect_err("no ticket").code();
    assert_eq!(code(""), "ticket.prefix");
    assert_eq!(code("12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV"), "ticket.prefix");
    assert_eq!(code("peeragé1abc"), "ticket.prefix");
    assert_eq!(code("peerage2abcdef"), "ticket.newer");
    for end in 0..text.len() {
        let cut = text.get(..end).expect("ASCII");
        let expected = if end < PREFIX.len() { "ticket.prefix" } else { "ticket.truncated" };
        // Without its very last letter nothing but leftover bits may be missing.
        assert_eq!(code(cut), expected, "{cut}");
    }
    let typed = format!("{PREFIX}a1{}", text.get(PREFIX.len() + 2..).expect("more"));
    assert_eq!(Ticket::from_str(&typed), Err(TicketError::Letter { letter: '1', at: 10 }));
    for more in ["a", "x", "aa", "aaaa", "aaaaaaaa"] {
        assert_eq!(code(&format!("{text}{more}")), "ticket.typo", "{more}");
    }
    assert_eq!(code(&format!("{text} {text}")), "ticket.typo");
    assert_eq!(code(&format!("{PREFIX}{}", "a".repeat(5_000))), "ticket.invalid");

    // A later version, whole; and one that is broken is a typo, not a later version.
    let mut later = ticket().to_bytes();
    later[0] = 2;
    assert_eq!(Ticket::from_bytes(&later), Err(TicketError::Checksum));
    let end = later.len() - CHECKSUM;
    let check = checksum(&later[..end]);
    later[end..].copy_from_slice(&check);
    assert_eq!(Ticket::from_bytes(&later), Err(TicketError::Newer(2)));
}

#[test]
fn a_ticket_with_a_true_checksum_and_no_sense_is_refused() {
    let sealed = |body: &[u8]| {
        let mut record = vec![VERSION];
        record.extend_from_slice(&(body.len() as u16).to_be_bytes());
        record.extend_from_slice(body);
        let check = checksum(&record);
        record.extend_from_slice(&check);
        Ticket::from_bytes(&record)
    };
    assert_eq!(sealed(&[]), Err(TicketError::Invalid("a field is missing")));
    let field = |number, bytes: &[u8]| {
        let mut body = Vec::new();
        proto::put_slice(&mut body, number, bytes);
        body
    };
    assert!(matches!(sealed(&field(1, b"nobody")), Err(TicketError::Invalid(_))));
    assert!(matches!(sealed(&field(3, &[0; 31])), Err(TicketError::Invalid(_))));
    assert!(matches!(sealed(&field(4, &[0; 17])), Err(TicketError::Invalid(_))));
    assert!(matches!(sealed(&field(2, &[0; 200])), Err(TicketError::Invalid(_))));
    assert!(matches!(sealed(&field(2, &[4, 127, 0, 0, 1]).repeat(17)), Err(TicketError::Invalid(_))));
    assert!(matches!(sealed(&[0xff]), Err(TicketError::Invalid(_))));
}

#[test]
fn the_secret_is_not_printed_by_accident() {
    let debug = format!("{:?}", ticket());
    assert!(debug.contains("12D3KooW") && !debug.contains("240") && !debug.contains("secret"), "{debug}");
}

#[test]
fn many_or_long_addresses_make_a_ticket_no_longer_than_can_be_read() {
    let mut many = ticket();
    let long: Multiaddr = format!("/dns4/{}/tcp/1", "a".repeat(110)).parse().expect("an address");
    let too_long: Multiaddr = format!("/dns4/{}/tcp/1", "a".repeat(125)).parse().expect("an address");
    many.addresses = std::iter::once(too_long).chain(std::iter::repeat_n(long.clone(), 40)).collect();
    let text = many.to_string();
    assert!(text.len() < LENGTH);
    let read: Ticket = text.parse().expect("a ticket");
    assert_eq!(read.addresses, vec![long; 16]);
}
