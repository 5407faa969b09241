//! The 12 bytes in front of every frame.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
use bytes::BytesMut;
use peerage_core::Code;

/// Length of a header.
pub(crate) const HEADER: usize = 12;

/// Code of a GOAWAY in the words of the yamux specification; go, rust and js know no other for it.
const PROTOCOL_ERROR: u32 = 1;

/// The rule a peer broke, and the code its connection ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) code: Code,
    pub(crate) rule: &'static str,
}
impl Violation {
    pub(crate) const fn new(rule: &'static str) -> Self {
        Self { code: Code::PROTOCOL_VIOLATION, rule }
    }
    pub(crate) const fn flood(rule: &'static str) -> Self {
        Self { code: Code::RATE_LIMITED, rule }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Window,
    Ping,
    GoAway,
}

/// What a frame says besides its kind. Flags nobody knows are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u16);
impl Flags {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const SYN: Self = Self(1);
    pub(crate) const ACK: Self = Self(2);
    pub(crate) const FIN: Self = Self(4);
    pub(crate) const RST: Self = Self(8);

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) flags: Flags,
    pub(crate) stream: u32,
    /// Bytes of data, more window, the value of a ping, or a code.
    pub(crate) length: u32,
}

impl Header {
    pub(crate) const fn data(stream: u32, flags: Flags, length: u32) -> Self {
        Self { kind: Kind::Data, flags, stream, length }
    }
    pub(crate) const fn window(stream: u32, flags: Flags, delta: u32) -> Self {
        Self { kind: Kind::Window, flags, stream, length: delta }
    }
    /// The code rides where a window update has its delta, as in go.
    pub(crate) const fn reset(stream: u32, code: Code) -> Self {
        Self::window(stream, Flags::RST, code.0)
    }
    pub(crate) const fn ping(flags: Flags, value: u32) -> Self {
        Self { kind: Kind::Ping, flags, stream: 0, length: value }
    }
    pub(crate) const fn go_away(code: Code) -> Self {
        let length = if code.0 == Code::PROTOCOL_VIOLATION.0 { PROTOCOL_ERROR } else { code.0 };
        Self { kind: Kind::GoAway, flags: Flags::NONE, stream: 0, length }
    }

    pub(crate) fn parse(bytes: [u8; HEADER]) -> Result<Self, Violation> {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = bytes;
        if version != 0 {
            return Err(Violation::new("the version is 0"));
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Window,
            2 => Kind::Ping,
            3 => Kind::GoAway,
            _ => return Err(Violation::new("a frame is data, a window update, a ping or a go-away")),
        };
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        if stream == 0 && matches!(kind, Kind::Data | Kind::Window) {
            return Err(Violation::new("on stream id 0 there are only pings and go-aways"));
        }
        let flags = Flags(u16::from_be_bytes([f0, f1]));
        Ok(Self { kind, flags, stream, length: u32::from_be_bytes([l0, l1, l2, l3]) })
    }

    pub(crate) fn encode(self) -> [u8; HEADER] {
        let kind = match self.kind {
            Kind::Data => 0,
            Kind::Window => 1,
            Kind::Ping => 2,
            Kind::GoAway => 3,
        };
        let [f0, f1] = self.flags.0.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        [0, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3]
    }
}

/// One record on its way out: it takes whole frames until it is full.
pub(crate) struct Record<'a> {
    into: &'a mut BytesMut,
    left: usize,
    written: usize,
}
impl<'a> Record<'a> {
    pub(crate) fn new(into: &'a mut BytesMut, max: usize) -> Self {
        Self { into, left: max, written: 0 }
    }
    pub(crate) fn written(&self) -> usize {
        self.written
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.written == 0
    }
    /// How much data the next frame can carry, `None` if not even its header fits.
    pub(crate) fn room(&self) -> Option<usize> {
        self.left.checked_sub(HEADER)
    }
    /// Appends a frame without data, if it fits.
    #[must_use]
    pub(crate) fn frame(&mut self, header: Header) -> bool {
        let fits = self.left >= HEADER;
        if fits {
            self.put(&header.encode());
        }
        fits
    }
    /// Appends bytes that are known to fit.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.into.extend_from_slice(bytes);
        self.left = self.left.saturating_sub(bytes.len());
        self.written = self.written.saturating_add(bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_big_endian_and_read_back() {
        let header = Header::window(0x0102_0304, Flags::SYN.with(Flags::FIN), 0x0a0b_0c0d);
        assert_eq!(header.encode(), [0, 1, 0, 5, 1, 2, 3, 4, 10, 11, 12, 13]);
        for header in [
            header,
            Header::data(7, Flags::ACK, 65536),
            Header::ping(Flags::SYN, 9),
            Header::go_away(Code::SHUTDOWN),
            Header::reset(3, Code(u32::MAX)),
        ] {
            assert_eq!(Header::parse(header.encode()), Ok(header));
        }
    }

    #[test]
    fn a_protocol_error_is_said_in_yamuxs_own_word() {
        assert_eq!(Header::go_away(Code::PROTOCOL_VIOLATION).length, 1);
        assert_eq!(Header::go_away(Code::RATE_LIMITED).length, 0x1002);
    }

    #[test]
    fn other_versions_other_kinds_and_data_on_stream_0_are_refused() {
        let good = Header::data(1, Flags::NONE, 0).encode();
        for (at, value) in [(0, 1), (1, 4), (1, 255), (7, 0)] {
            let mut bad = good;
            *bad.get_mut(at).unwrap() = value;
            assert!(Header::parse(bad).is_err(), "{bad:?}");
        }
        let mut unknown_flags = good;
        *unknown_flags.get_mut(2).unwrap() = 0xff;
        assert!(Header::parse(unknown_flags).is_ok());
    }

    #[test]
    fn a_record_takes_whole_frames_only() {
        let mut bytes = BytesMut::from(&b"room"[..]);
        let mut record = Record::new(&mut bytes, 23);
        assert!(record.frame(Header::ping(Flags::SYN, 1)));
        assert!(!record.frame(Header::ping(Flags::SYN, 2)));
        assert_eq!((record.written(), record.room()), (12, None));
        assert_eq!(bytes.len(), 16);
    }
}
