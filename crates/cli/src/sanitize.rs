//! Text of strangers, made harmless for a terminal: control characters and escape sequences are shown, never sent to it,
//! and neither are characters that turn the direction of what follows, or hide it.
use std::borrow::Cow;

/// The longest nick, in characters.
pub(crate) const NICK_MAX: usize = 64;

/// The text with every harmful character replaced by one that shows it.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => shown.push(' '),
            // Unicode has a picture of each.
            '\0'..='\x1f' => shown.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            '\x7f' => shown.push('\u{2421}'),
            c if is_harmful(c) => shown.push_str(&format!("<U+{:04X}>", u32::from(c))),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal would do something else than show it.
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Left to right, right to left, and what isolates and overrides them.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Lines and paragraphs.
            | '\u{2028}' | '\u{2029}'
            // Without width, and not needed by any script or emoji.
            | '\u{00ad}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// A nick: harmful characters left out, blanks at both ends cut off, at most 64 characters; `None` if nothing is left.
pub(crate) fn nick(text: &str) -> Option<String> {
    let nick: String = text.chars().filter(|c| !is_harmful(*c)).take(NICK_MAX).collect();
    let nick = nick.trim();
    (!nick.is_empty()).then(|| nick.to_owned())
}

/// The nick in an agent version such as `peerage/0.1.0 (ana)`; other programs have none.
pub(crate) fn nick_of(agent: &str) -> Option<String> {
    let (_, rest) = agent.strip_prefix("peerage/")?.split_once(" (")?;
    nick(rest.strip_suffix(')')?)
}

/// An agent version without its nick.
pub(crate) fn program_of(agent: &str) -> String {
    let program = match agent.strip_prefix("peerage/").and_then(|rest| rest.split_once(" (")) {
        Some((version, _)) => format!("peerage/{version}"),
        None => agent.to_owned(),
    };
    harmless(&program).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_shown() {
        let cases = [
            ("hi there, ünï 🦀 👩‍👩‍👧", "hi there, ünï 🦀 👩‍👩‍👧"),
            ("\u{1b}[31mred\u{1b}[0m", "␛[31mred␛[0m"),
            ("\u{1b}]0;title\u{7}", "␛]0;title␇"),
            ("a\tb", "a b"),
            ("a\r\nb", "a␍␊b"),
            ("nul\0del\x7f", "nul␀del␡"),
            ("csi\u{9b}2J", "csi<U+009B>2J"),
            ("\u{202e}txt.exe", "<U+202E>txt.exe"),
            ("\u{2066}x\u{2069}", "<U+2066>x<U+2069>"),
            ("a\u{200b}b\u{feff}", "a<U+200B>b<U+FEFF>"),
            ("line\u{2028}sep", "line<U+2028>sep"),
            ("tag\u{e0041}", "tag<U+E0041>"),
        ];
        for (text, shown) in cases {
            assert_eq!(harmless(text), shown, "{text:?}");
            assert!(!harmless(text).contains(is_harmful), "{text:?}");
        }
    }

    #[test]
    fn a_nick_travels_in_the_agent_version() {
        assert_eq!(nick_of("peerage/0.1.0 (ana)").as_deref(), Some("ana"));
        assert_eq!(nick_of("peerage/0.1.0 (a (b) c)").as_deref(), Some("a (b) c"));
        assert_eq!(nick_of("peerage/0.1.0 ()"), None);
        assert_eq!(nick_of("peerage/0.1.0"), None);
        assert_eq!(nick_of("go-libp2p/0.48 (kubo)"), None);
        assert_eq!(nick_of("peerage/0.1.0 (\u{1b}[1m\u{202e}x\n)").as_deref(), Some("[1mx"));
        assert_eq!(program_of("peerage/0.1.0 (ana)"), "peerage/0.1.0");
        assert_eq!(program_of("go-libp2p/0.48 (kubo)"), "go-libp2p/0.48 (kubo)");
    }

    #[test]
    fn a_nick_has_at_most_64_characters() {
        assert_eq!(nick(&"ü".repeat(100)).map(|nick| nick.chars().count()), Some(64));
        assert_eq!(nick(" \u{200b}\n "), None);
        assert_eq!(nick("  ana  ").as_deref(), Some("ana"));
    }
}
