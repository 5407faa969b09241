use futures::{SinkExt, Stream, channel::mpsc, executor::block_on};
use peerage_core::Bound;
use std::io::{self, BufRead, Read};

/// What is read of a line before it counts as one.
pub(crate) const LINE: Bound = Bound {
    name: "runtime.line",
    default: 1 << 20,
    unit: "bytes of a line of the standard input",
    policy: "split: the rest is the next line",
};

/// The lines of the standard input, without their ends, until it ends or cannot be read.
///
/// They are read on a thread of its own that nobody waits for, so that a program can end while nothing is typed, and only
/// as fast as they are taken. What is no UTF-8 is replaced.
pub fn stdin_lines() -> impl Stream<Item = String> + Send + Unpin {
    let (to, lines) = mpsc::channel(1);
    // Without a thread there are no lines.
    let _ = std::thread::Builder::new().name("stdin".into()).spawn(move || hand_over(io::stdin().lock(), to));
    lines
}

fn hand_over(mut from: impl BufRead, mut to: mpsc::Sender<String>) {
    while let Ok(Some(line)) = next(&mut from)
        && block_on(to.send(line)).is_ok()
    {}
}

fn next(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    from.take(LINE.default).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let text = line.strip_suffix(b"\n").map_or(&*line, |text| text.strip_suffix(b"\r").unwrap_or(text));
    Ok(Some(String::from_utf8_lossy(text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    #[test]
    fn lines_come_without_their_ends_and_a_long_one_in_parts() {
        let mut input = b"one\r\n\ntwo \xff\n".to_vec();
        input.resize(input.len() + LINE.get() + 3, b'x');
        let (to, lines) = mpsc::channel(0);
        let reading = std::thread::spawn(move || hand_over(&*input, to));
        let lines: Vec<String> = block_on(lines.collect());
        reading.join().unwrap();
        assert_eq!(lines[..3], ["one", "", "two \u{fffd}"]);
        assert_eq!(lines[3..].iter().map(String::len).collect::<Vec<_>>(), [LINE.get(), 3]);
    }
}
