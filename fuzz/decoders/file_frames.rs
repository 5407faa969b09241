//! Frames of either side: it does not matter how they are cut, and what is read can be written.
#[path = "input.rs"]
mod input;

use bytes::Bytes;
use input::{Input, pieces};
use peerage_files::wire::{Frame, Frames, From};

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    let side = if input.byte() % 2 == 0 { From::Receiver } else { From::Sender };
    let size = usize::from(input.byte());
    let whole = read(side, input.0, 0);
    assert_eq!(read(side, input.0, size), whole);
    let (frames, _) = whole;
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut bytes));
    assert_eq!(read(side, &bytes, size), (frames, true));
}

/// The frames until one is none, and whether all was read.
fn read(side: From, bytes: &[u8], size: usize) -> (Vec<Frame>, bool) {
    let (mut frames, mut reader) = (Vec::new(), Frames::new(side));
    for piece in pieces(bytes, size) {
        let mut piece = Bytes::copy_from_slice(piece);
        loop {
            match reader.next(&mut piece) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, false),
            }
        }
        assert!(piece.is_empty());
    }
    (frames, reader.is_between())
}
