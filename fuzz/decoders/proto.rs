//! Protocol buffers: fields are slices of the message, in order, and what is written of them reads back as the same.
use bytes::Bytes;
use peerage_core::proto::{self, Counter, Field, Reader};

/// How deep messages stand in messages here; nothing in the network goes deeper than three.
const DEPTH: usize = 4;

pub(crate) fn run(data: &[u8]) {
    fields(Reader::new(Bytes::copy_from_slice(data)), data, DEPTH);
}

fn fields(mut reader: Reader, mut rest: &[u8], depth: usize) {
    loop {
        match reader.field() {
            Ok(Some(field)) => {
                let tail = rest.strip_prefix(&field.raw()[..]);
                assert!(tail.is_some(), "a field is the next part of its message");
                rest = tail.unwrap_or_default();
                check(field, depth);
            }
            Ok(None) => return assert!(rest.is_empty()),
            Err(_) => return,
        }
    }
}

fn check(field: Field, depth: usize) {
    let number = field.number();
    let (mut out, mut count) = (Vec::new(), Counter::default());
    let again = |out: Vec<u8>| Reader::new(out.into()).field().ok().flatten();
    if let Ok(value) = field.uint() {
        proto::put_uint(&mut out, number, value);
        proto::put_uint(&mut count, number, value);
        assert_eq!((out.len(), count.0), (proto::uint_len(number, value), proto::uint_len(number, value)));
        assert!(out.len() <= field.raw().len(), "there is no shorter form");
        let again = again(out);
        assert_eq!(again.as_ref().map(Field::uint), Some(Ok(value)));
        assert_eq!(again.as_ref().map(Field::int32), Some(field.int32()));
        assert_eq!(again.as_ref().map(Field::uint32), Some(field.uint32()));
        assert_eq!(field.boolean(), Ok(value != 0));
    } else if let Ok(value) = field.fixed64() {
        proto::put_fixed64(&mut out, number, value);
        assert_eq!(out.len(), proto::fixed64_len(number));
        assert_eq!(again(out).map(|field| field.fixed64()), Some(Ok(value)));
    } else if let Ok(value) = field.fixed32() {
        proto::put_fixed32(&mut out, number, value);
        assert_eq!(out.len(), proto::fixed32_len(number));
        assert_eq!(again(out).map(|field| field.fixed32()), Some(Ok(value)));
    } else if let Ok(value) = field.clone().bytes(usize::MAX) {
        proto::put_slice(&mut out, number, &value);
        assert_eq!(out.len(), proto::bytes_len(number, value.len()));
        assert_eq!(again(out).map(|field| field.bytes(value.len())), Some(Ok(value.clone())));
        assert_eq!(field.text(usize::MAX).is_ok(), str::from_utf8(&value).is_ok());
        if !value.is_empty() {
            assert!(field.clone().bytes(value.len() - 1).is_err() && field.text(value.len() - 1).is_err());
        }
        if let (Ok(message), true) = (field.message(usize::MAX), depth > 0) {
            fields(message, &value, depth - 1);
        }
    } else {
        panic!("a field has one of four types");
    }
}
