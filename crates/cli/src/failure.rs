//! What goes wrong, as a person is told: what happened, what to do, and a name that stays the same.
use crate::sanitize::harmless;
use serde::Serialize;
use std::{fmt, process::ExitCode};

/// What the program ends with. The numbers are part of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    TimedOut = 5,
    Refused = 7,
    Locked = 9,
    Interrupted = 130,
}
impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, exit: Exit::Failed }
    }
    /// What was asked for cannot be read: one line is enough.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new("usage", message) }
    }
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
    pub(crate) fn exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }
}

/// As it stands on a terminal: harmless, whatever a peer or a file had in it.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: ")?;
        for (at, line) in self.message.lines().enumerate() {
            write!(f, "{}{}", if at > 0 { "\n" } else { "" }, harmless(line))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {}  [{}]", harmless(hint), self.code),
            None if self.exit == Exit::Usage => Ok(()),
            None => write!(f, "  [{}]", self.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_happened_what_to_do_and_its_name() {
        let failure =
            Failure::new("dial.timeout", "could not connect\n  10.0.0.9: timed out").hint("is it on?");
        assert_eq!(
            failure.to_string(),
            "error: could not connect\n  10.0.0.9: timed out\nhint: is it on?  [dial.timeout]"
        );
    }

    #[test]
    fn a_usage_failure_is_one_line() {
        assert_eq!(Failure::usage("no such flag").to_string(), "error: no such flag");
    }

    #[test]
    fn escape_sequences_are_shown_and_not_sent_to_the_terminal() {
        assert_eq!(Failure::new("x", "a\u{1b}[2Jb").to_string(), "error: a␛[2Jb  [x]");
    }
}
