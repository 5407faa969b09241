//! Tickets, as text and as bytes: what is read can be written, and reads back as the same; what is not is named.
use peerage_files::{PREFIX, Ticket};

pub(crate) fn run(data: &[u8]) {
    match Ticket::from_bytes(data) {
        Ok(ticket) => check(&ticket),
        Err(error) => {
            assert!(!error.code().is_empty() && !error.hint().is_empty() && !error.to_string().is_empty())
        }
    }
    let Ok(text) = str::from_utf8(data) else { return };
    for text in [text.to_owned(), format!("{PREFIX}{text}")] {
        match text.parse::<Ticket>() {
            Ok(ticket) => check(&ticket),
            Err(error) => drop(error.to_string()),
        }
    }
}

fn check(ticket: &Ticket) {
    assert_eq!(Ticket::from_bytes(&ticket.to_bytes()).as_ref(), Ok(ticket));
    assert_eq!(ticket.to_string().parse().as_ref(), Ok(ticket));
    assert!(!format!("{ticket:?}").contains(&format!("{:?}", ticket.secret)), "the secret is printed");
}
