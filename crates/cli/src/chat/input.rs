//! Where lines come from: a terminal with editing and history, or stdin as it is. Each is a thread of its own, because
//! reading cannot be interrupted; a full channel holds it back.
use super::room::{LINE, Line};
use std::{
    io::{self, BufRead, Write},
    sync::{Arc, Mutex, PoisonError},
    thread,
};
use tokio::sync::mpsc;

/// Lines that were read and not taken.
const AHEAD: usize = 4;

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Line(Line),
    /// `/help` and the like; only from a terminal.
    Command(String),
    /// Ctrl-C at a terminal that is being edited on.
    Interrupt,
    /// No more comes.
    End,
}

/// Lines of stdin.
pub(crate) fn plain() -> io::Result<mpsc::Receiver<Input>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    thread::Builder::new().name("stdin".into()).spawn(move || {
        let mut stdin = io::BufReader::with_capacity(16 << 10, io::stdin());
        while let Ok(Some(line)) = read_line(&mut stdin) {
            if sender.blocking_send(Input::Line(line)).is_err() {
                return;
            }
        }
        let _ = sender.blocking_send(Input::End);
    })?;
    Ok(receiver)
}

/// Lines typed at a terminal, and a writer that does not garble the line being typed.
pub(crate) fn terminal() -> Result<(mpsc::Receiver<Input>, Printer), rustyline::error::ReadlineError> {
    use rustyline::{Config, DefaultEditor, error::ReadlineError};
    let config = Config::builder().auto_add_history(true).max_history_size(1000)?.build();
    let mut editor = DefaultEditor::with_config(config)?;
    let printer = Printer::new(editor.create_external_printer()?);
    let (sender, receiver) = mpsc::channel(AHEAD);
    let run = move || {
        loop {
            let typed = match editor.readline("> ") {
                Ok(text) => text.lines().filter_map(typed).collect(),
                Err(ReadlineError::Interrupted) => vec![Input::Interrupt],
                // The window changed its size, or a signal came.
                Err(ReadlineError::Signal(_)) => continue,
                Err(_) => vec![Input::End],
            };
            let last = typed.iter().any(|input| matches!(input, Input::Interrupt | Input::End));
            for input in typed {
                if sender.blocking_send(input).is_err() {
                    return;
                }
            }
            if last {
                return;
            }
        }
    };
    thread::Builder::new().name("terminal".into()).spawn(run)?;
    Ok((receiver, printer))
}

/// What a typed line means: `/help` is a command, `//help` is the text `/help`, an empty line is nothing.
fn typed(line: &str) -> Option<Input> {
    if line.trim().is_empty() {
        return None;
    }
    let text = match line.strip_prefix('/') {
        Some(text) if text.starts_with('/') => text,
        Some(command) => return Some(Input::Command(command.trim().to_owned())),
        None => line,
    };
    Some(Input::Line(if text.len() > LINE.get() { Line::TooLong } else { Line::Text(text.to_owned()) }))
}

/// The next line without its end; bytes that are not UTF-8 become U+FFFD. A long one is read to its end and dropped.
fn read_line(from: &mut impl BufRead) -> io::Result<Option<Line>> {
    let (mut line, mut too_long) = (Vec::new(), false);
    loop {
        let buffer = match from.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            buffer => buffer?,
        };
        if buffer.is_empty() && line.is_empty() && !too_long {
            return Ok(None);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let (part, taken) = match end {
            Some(end) => (buffer.get(..end).unwrap_or_default(), end + 1),
            None => (buffer, buffer.len()),
        };
        // One more for the '\r' that may stand before the end.
        too_long |= line.len() + part.len() > LINE.get() + 1;
        if too_long {
            line = Vec::new();
        } else {
            line.extend_from_slice(part);
        }
        from.consume(taken);
        if end.is_some() || taken == 0 {
            break;
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    let text = String::from_utf8_lossy(&line);
    let fits = !too_long && text.len() <= LINE.get();
    Ok(Some(if fits { Line::Text(text.into_owned()) } else { Line::TooLong }))
}

/// Writes above the line being typed.
#[derive(Clone)]
pub(crate) struct Printer(Arc<Mutex<Print>>);
type Print = dyn FnMut(String) -> io::Result<()> + Send;
impl Printer {
    fn new(mut printer: impl rustyline::ExternalPrinter + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(move |text| printer.print(text).map_err(io::Error::other))))
    }
}
impl Write for Printer {
    /// Whole lines: whoever writes here does so line by line.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut print = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        print(String::from_utf8_lossy(bytes).into_owned())?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts the terminal back as it was: a thread that reads a line has it in another mode, and is never woken.
pub(crate) struct Restore {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}
impl Restore {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(unix)]
            before: rustix::termios::tcgetattr(io::stdin()).ok(),
        }
    }
}
impl Drop for Restore {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(before) = &self.before {
            let now = rustix::termios::tcgetattr(io::stdin());
            if now.is_ok_and(|now| now.local_modes != before.local_modes) {
                // A line is being edited: pasting is as it was, and the shell's prompt gets a line of its own.
                let _ = io::stdout().write_all(b"\x1b[?2004l\r\n");
            }
            let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Drain, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut bytes: &[u8]) -> Vec<Line> {
        std::iter::from_fn(|| read_line(&mut bytes).unwrap()).collect()
    }
    fn text(text: &str) -> Line {
        Line::Text(text.into())
    }

    #[test]
    fn lines_are_read_without_their_ends() {
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"a\nb\r\n\nc"), [text("a"), text("b"), text(""), text("c")]);
        assert_eq!(lines(b"\n"), [text("")]);
        assert_eq!(lines(b"a\xffb\n"), [text("a\u{fffd}b")]);
    }

    #[test]
    fn a_long_line_is_dropped_whole_and_the_next_one_is_read() {
        let limit = LINE.get();
        let fits = "x".repeat(limit);
        assert_eq!(lines(format!("{fits}\r\n{fits}").as_bytes()), [text(&fits), text(&fits)]);
        let long = "x".repeat(limit + 1);
        assert_eq!(
            lines(format!("{long}\nnext\n{long}").as_bytes()),
            [Line::TooLong, text("next"), Line::TooLong]
        );
        // Ten times the limit, through a small buffer.
        let much = format!("{}\nnext", "y".repeat(limit * 10));
        let mut reader = io::BufReader::with_capacity(7, much.as_bytes());
        assert_eq!(read_line(&mut reader).unwrap(), Some(Line::TooLong));
        assert_eq!(read_line(&mut reader).unwrap(), Some(text("next")));
        // What is not UTF-8 grows on the way.
        let mut bytes = vec![0xff; limit];
        bytes.push(b'\n');
        assert_eq!(lines(&bytes), [Line::TooLong]);
    }

    #[test]
    fn a_slash_begins_a_command() {
        assert_eq!(typed("hello"), Some(Input::Line(text("hello"))));
        assert_eq!(typed("/help "), Some(Input::Command("help".into())));
        assert_eq!(typed("//etc/hosts"), Some(Input::Line(text("/etc/hosts"))));
        assert_eq!(typed("  "), None);
        assert_eq!(typed(&"x".repeat(LINE.get() + 1)), Some(Input::Line(Line::TooLong)));
    }
}
