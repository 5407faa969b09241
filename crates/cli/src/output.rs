//! What every command prints: its result on stdout, everything else on stderr.
use crate::{args::Color, failure::Failure, sanitize::is_harmful};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// How to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) color: Color,
}

impl Output {
    /// The result of a command that has one.
    pub(crate) fn result(&self, record: &impl Serialize, text: &str) -> Result<(), Failure> {
        let line = if self.json { json_line(record) } else { text.to_owned() + "\n" };
        print(&line)
    }

    /// A word beside the result.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{}", crate::sanitize::harmless(text));
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        let line = match self.json {
            true => json_line(&serde_json::json!({ "v": 1, "error": failure })),
            false => format!("{failure}\n"),
        };
        let _ = io::stderr().write_all(line.as_bytes());
    }

    /// Whether what goes to a stream is coloured.
    pub(crate) fn colored(&self, stream: &impl IsTerminal) -> bool {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto if set("NO_COLOR") => false,
            Color::Auto => set("CLICOLOR_FORCE") || stream.is_terminal(),
        }
    }
}

/// Writes to stdout, all of it, now.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::new("output", format!("cannot write to stdout: {error}")))
}

/// One line of JSON, with everything escaped that a terminal would act on.
pub(crate) fn json_line(record: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Escaping);
    // Into memory, and without maps whose keys are no strings: it cannot fail.
    let _ = record.serialize(&mut serializer);
    bytes.push(b'\n');
    String::from_utf8(bytes).unwrap_or_default()
}

struct Escaping;
impl serde_json::ser::Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_harmful(*c)) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = from.get(c.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_carries_what_a_terminal_would_act_on_escaped() {
        let text = "a\u{1b}[2J\"\\\n\u{7f}\u{9b}\u{202e}ü🦀\u{e0041}\u{fffd}";
        let line = json_line(&serde_json::json!({ "text": text }));
        let expected =
            "{\"text\":\"a\\u001b[2J\\\"\\\\\\n\\u007f\\u009b\\u202eü🦀\\udb40\\udc41\u{fffd}\"}\n";
        assert_eq!(line, expected);
        let back: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back["text"], text);
    }
}
