//! Text of strangers: anybody may say anything, and it ends up on somebody's terminal.
use peerage_core::Bound;

pub(crate) const LENGTH: Bound = Bound {
    name: "identify.text",
    default: 128,
    unit: "characters of an agent or protocol version",
    policy: "drop: the text is cut off",
};

/// At most 128 characters, without control characters and those that change the direction or hide what follows.
pub fn sanitise(text: &str) -> String {
    text.chars().filter(|c| !is_harmful(*c)).take(LENGTH.get()).collect()
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_dropped_and_the_length_is_bounded() {
        assert_eq!(sanitise("kubo/0.1\u{1b}[2J\r\n\u{202e}evil\u{0}"), "kubo/0.1[2Jevil");
        assert_eq!(sanitise("peerage/0.1.0 (anä 🦀)"), "peerage/0.1.0 (anä 🦀)");
        assert_eq!(sanitise(&"ü".repeat(500)).chars().count(), 128);
    }
}
