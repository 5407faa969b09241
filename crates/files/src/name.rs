//! Which names travel: those that mean one file, inside the target folder, on every system.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// The longest name, in bytes: what file systems take.
pub(crate) const LENGTH: usize = 255;

/// Why a name does not travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It has no letters.
    #[error("it is empty")]
    Empty,
    /// Over 255 bytes.
    #[error("it is longer than {LENGTH} bytes")]
    Long,
    /// `.` or `..`.
    #[error("it leads elsewhere")]
    Dots,
    /// `/`, `\` or `:`: several names, a drive, or a second stream of a file.
    #[error("it has a / or \\ or : in it, which some systems take for another folder or drive")]
    Separator,
    /// NUL, another control character, or one of `<>"|?*`.
    #[error("it has a character in it that not every system takes")]
    Character,
    /// A dot or a space at its end, which Windows drops: it would be another file.
    #[error("it ends in a dot or a space, which Windows drops")]
    End,
    /// `CON`, `NUL`, `COM1` and so on, with whatever extension: on Windows these are devices.
    #[error("it is the name of a device on Windows")]
    Device,
    /// `.peerage-..`: where unfinished files lie.
    #[error("it begins with .peerage-, where unfinished files lie")]
    Ours,
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    Utf8,
}

/// What a folder for unfinished files begins with.
pub(crate) const OURS: &str = ".peerage-";

pub(crate) fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > LENGTH {
        return Err(NameError::Long);
    }
    if matches!(name, "." | "..") {
        return Err(NameError::Dots);
    }
    if name.contains(['/', '\\', ':']) {
        return Err(NameError::Separator);
    }
    if name.chars().any(|c| c.is_control() || "<>\"|?*".contains(c)) {
        return Err(NameError::Character);
    }
    if name.ends_with(['.', ' ']) {
        return Err(NameError::End);
    }
    if is_device(name) {
        return Err(NameError::Device);
    }
    if name.get(..OURS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OURS)) {
        return Err(NameError::Ours);
    }
    Ok(())
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end_matches(' ').to_ascii_uppercase();
    if matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$") {
        return true;
    }
    // "The superscript digits one, two and three are treated as digits."
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let mut number = number.unwrap_or_default().chars();
    matches!((number.next(), number.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
}

/// Two names with the same key are one file on systems that do not tell case apart.
pub(crate) fn key(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_one_file_everywhere_travel() {
        for name in [
            "a",
            "notes.txt",
            ".hidden",
            "...a",
            "Größe 2.md",
            "com",
            "com10",
            "console",
            "aux-c",
            "日本",
            "peerage-1",
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        assert_eq!(check(&"a".repeat(255)), Ok(()));
    }

    #[test]
    fn others_do_not() {
        let bad = [
            ("", NameError::Empty),
            (".", NameError::Dots),
            ("..", NameError::Dots),
            ("../etc", NameError::Separator),
            ("/etc", NameError::Separator),
            ("a\\b", NameError::Separator),
            ("C:", NameError::Separator),
            ("file:stream", NameError::Separator),
            ("a\0b", NameError::Character),
            ("a\nb", NameError::Character),
            ("\u{9b}2J", NameError::Character),
            ("what?", NameError::Character),
            ("a.", NameError::End),
            ("a ", NameError::End),
            ("...", NameError::End),
            ("CON", NameError::Device),
            ("con.txt", NameError::Device),
            ("nul .txt", NameError::Device),
            ("aux.tar.gz", NameError::Device),
            ("Com1", NameError::Device),
            ("lpt².txt", NameError::Device),
            (".peerage-0123", NameError::Ours),
            (".Peerage-x", NameError::Ours),
        ];
        for (name, why) in bad {
            assert_eq!(check(name), Err(why), "{name:?}");
        }
        assert_eq!(check(&"a".repeat(256)), Err(NameError::Long));
    }

    #[test]
    fn names_that_differ_only_in_case_have_one_key() {
        for (a, b) in [("Makefile", "makefile"), ("STRASSE", "straße"), ("ÉTÉ", "été"), ("ſ", "s")] {
            assert_eq!(key(a), key(b), "{a} {b}");
        }
        assert_ne!(key("a"), key("b"));
    }
}
