//! The buffers of streams against a plain vector: every message is framed with them.
#[path = "input.rs"]
mod input;

use bytes::{Buf, Bytes};
use input::Input;
use peerage_core::{FrameWriter, RecvBuf};

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    if input.byte() & 1 == 0 { receive(input) } else { write(input) }
}

fn receive(mut input: Input<'_>) {
    let (mut buf, mut model) = (RecvBuf::default(), Vec::new());
    while !input.is_empty() {
        match input.byte() % 8 {
            0..=2 => {
                let len = usize::from(input.byte());
                let bytes = input.take(len);
                model.extend_from_slice(bytes);
                buf.push(Bytes::copy_from_slice(bytes));
            }
            3 => {
                let n = usize::from(input.byte());
                let expected = (n <= model.len()).then(|| model.drain(..n).collect::<Vec<_>>());
                assert_eq!(buf.take(n).map(Vec::from), expected);
            }
            4 => {
                let expected = (model.len() >= 4).then(|| model.drain(..4).collect::<Vec<_>>());
                assert_eq!(buf.take_array::<4>().map(Vec::from), expected);
            }
            5 => {
                let n = usize::from(input.byte());
                buf.skip(n);
                model.drain(..n.min(model.len()));
            }
            _ => {
                let max = usize::from(input.byte());
                let prefix = buf.peek_uvarint();
                let message = buf.take_delimited(max);
                match prefix {
                    Err(error) => assert_eq!(message, Err(error)),
                    Ok(None) => assert_eq!(message, Ok(None)),
                    Ok(Some((len, _))) if len > max as u64 => assert!(message.is_err()),
                    Ok(Some((len, prefix))) => {
                        let end = prefix + len as usize;
                        let whole = (end <= model.len()).then(|| model.drain(..end).skip(prefix).collect());
                        assert_eq!(message.map(|message| message.map(Vec::from)), Ok(whole));
                    }
                }
            }
        }
        assert_eq!((buf.len(), buf.is_empty()), (model.len(), model.is_empty()));
    }
    let rest = buf.len();
    assert_eq!(buf.take(rest).as_deref(), Some(&model[..]));
}

fn write(mut input: Input<'_>) {
    let (mut to, mut model) = (FrameWriter::default(), Vec::new());
    let mut left = 1 << 20;
    while !input.is_empty() {
        match input.byte() % 8 {
            0 => {
                let len = usize::from(input.byte());
                let bytes = input.take(len);
                to.put_slice(bytes);
                model.extend_from_slice(bytes);
            }
            1 | 2 => {
                let len = usize::from(input.u16() & 0xfff).min(left);
                left -= len;
                let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
                model.extend_from_slice(&bytes);
                to.put_bytes(bytes.into());
            }
            3 => {
                let value = u64::from(input.u32()) << (input.byte() % 33);
                to.put_uvarint(value);
                peerage_core::proto::Sink::put_uvarint(&mut model, value);
            }
            4 => {
                let n = usize::from(input.u16()).min(model.len());
                to.advance(n);
                model.drain(..n);
            }
            5 | 6 => {
                let n = usize::from(input.u16() & 0x1fff).min(model.len());
                assert_eq!(to.copy_to_bytes(n), model.drain(..n).collect::<Vec<_>>());
            }
            _ if input.byte() == 0 => {
                to.clear();
                model.clear();
            }
            _ => assert!(model.starts_with(to.chunk()) && to.chunk().is_empty() == model.is_empty()),
        }
        assert_eq!((to.len(), to.remaining(), to.is_empty()), (model.len(), model.len(), model.is_empty()));
    }
    assert_eq!(to.copy_to_bytes(model.len()), model);
}
