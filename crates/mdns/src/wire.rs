//! DNS messages, as far as discovery needs them: RFC 1035 section 4, RFC 6762 section 18.
//!
//! The only file that sees untrusted bytes.
use bytes::Bytes;
use peerage_core::Bound;
use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

pub(crate) const PACKET: Bound = Bound {
    name: "mdns.packet",
    default: 9_000, // RFC 6762, 17: "a Multicast DNS packet [...] MUST NOT exceed 9000 bytes"
    unit: "bytes read",
    policy: "drop: the packet is counted as malformed",
};
pub(crate) const RECORDS: Bound = Bound {
    name: "mdns.records",
    default: 512,
    unit: "questions and records per packet",
    policy: "drop: the packet is counted as malformed",
};
pub(crate) const ANSWER: Bound = Bound {
    name: "mdns.answer",
    default: 1_400, // One frame of Ethernet, with room for a tunnel: fragments of multicast are lost too often on Wi-Fi.
    unit: "bytes sent",
    policy: "drop: the addresses that others reach last are left out",
};
/// A string of a TXT record has one byte for its length; it is `dnsaddr=` and the address.
pub(crate) const TEXT_MAX: usize = 255;
pub(crate) const KEY: &str = "dnsaddr=";

const SERVICE: &[u8] = b"\x04_p2p\x04_udp\x05local";
const LOCAL: &[u8] = b"\x05local";
/// The longest name, without the zero at its end.
const NAME_MAX: usize = 254;
/// Pointers followed in one name; encoders need one or two. Without it a packet of 400 names that share a chain of 2,000
/// costs 20 ms to read.
const POINTERS_MAX: usize = 16;

const A: u16 = 1;
const PTR: u16 = 12;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const ANY: u16 = 255;
const IN: u16 = 1;

/// A name as it is on the wire, uncompressed, in lower case (upper and lower case are the same in DNS), without
/// the zero at its end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(Vec<u8>);
impl Name {
    /// `label.local`
    pub(crate) fn host(label: &str) -> Self {
        Self([&[label.len() as u8], label.as_bytes(), LOCAL].concat())
    }
    /// `label._p2p._udp.local`
    pub(crate) fn instance(label: &str) -> Self {
        Self([&[label.len() as u8], label.as_bytes(), SERVICE].concat())
    }
    pub(crate) fn is_service(&self) -> bool {
        self.0 == SERVICE
    }
    pub(crate) fn is_instance(&self) -> bool {
        self.0.len() > SERVICE.len() && self.0.ends_with(SERVICE)
    }
}
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// What of a message concerns us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) response: bool,
    pub(crate) questions: Vec<Question>,
    /// Of every section: js puts TXT records among the answers, the others among the additional ones.
    pub(crate) records: Vec<Record>,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: Name,
    kind: u16,
}
impl Question {
    /// Whether it asks for instances of our service.
    pub(crate) fn is_for_service(&self) -> bool {
        self.name.is_service() && matches!(self.kind, PTR | ANY)
    }
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: Name,
    /// In seconds. 0 is a goodbye.
    pub(crate) ttl: u32,
    pub(crate) data: Data,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Ptr(Name),
    /// What stands behind `dnsaddr=`; other strings are dropped.
    Txt(Vec<String>),
}

/// A packet that is no DNS message; says what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(&'static str);

pub(crate) fn read(packet: &[u8]) -> Result<Message, Malformed> {
    if packet.len() > PACKET.get() {
        return Err(Malformed("longer than 9,000 bytes"));
    }
    let mut from = Reader { packet, at: 0 };
    let (_id, flags) = (from.u16()?, from.u16()?);
    // "Multicast DNS messages received with non-zero Response Codes MUST be silently ignored", opcodes likewise.
    if flags & 0x780f != 0 {
        return Ok(Message::default());
    }
    let questions = usize::from(from.u16()?);
    let records = [from.u16()?, from.u16()?, from.u16()?].iter().map(|n| usize::from(*n)).sum::<usize>();
    if questions.saturating_add(records) > RECORDS.get() {
        return Err(Malformed("more than 512 records"));
    }
    let mut message = Message { response: flags & 0x8000 != 0, ..Message::default() };
    for _ in 0..questions {
        let (name, kind, _class) = (from.name()?, from.u16()?, from.u16()?);
        message.questions.push(Question { name, kind });
    }
    for _ in 0..records {
        message.records.extend(from.record()?);
    }
    Ok(message)
}

struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
}
impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.saturating_add(n);
        let bytes = self.packet.get(self.at..end).ok_or(Malformed("cut off"))?;
        self.at = end;
        Ok(bytes)
    }
    fn u8(&mut self) -> Result<u8, Malformed> {
        self.take(1)?.first().copied().ok_or(Malformed("cut off"))
    }
    fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }
    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes([self.u8()?, self.u8()?, self.u8()?, self.u8()?]))
    }
    /// A name, which may end in a pointer to an earlier one.
    fn name(&mut self) -> Result<Name, Malformed> {
        let mut name = Vec::new();
        let mut label = Reader { packet: self.packet, at: self.at };
        let mut end = None;
        // Every pointer leads to before the last one, so that there are no circles.
        let mut before = self.at;
        let mut pointers = 0..POINTERS_MAX;
        loop {
            let len = label.u8()?;
            match len & 0xc0 {
                0x00 if len == 0 => break,
                0x00 => {
                    name.push(len);
                    name.extend(label.take(usize::from(len))?.iter().map(u8::to_ascii_lowercase));
                    if name.len() > NAME_MAX {
                        return Err(Malformed("a name of more than 255 bytes"));
                    }
                }
                0xc0 => {
                    let to = usize::from(u16::from_be_bytes([len & 0x3f, label.u8()?]));
                    end.get_or_insert(label.at);
                    if pointers.next().is_none() {
                        return Err(Malformed("a name of more than 16 pointers"));
                    }
                    if to >= before {
                        return Err(Malformed("a name that does not point backwards"));
                    }
                    (before, label.at) = (to, to);
                }
                _ => return Err(Malformed("a label of no known kind")),
            }
        }
        self.at = end.unwrap_or(label.at);
        Ok(Name(name))
    }
    fn record(&mut self) -> Result<Option<Record>, Malformed> {
        let (name, kind, _class, ttl) = (self.name()?, self.u16()?, self.u16()?, self.u32()?);
        let len = usize::from(self.u16()?);
        let start = self.at;
        let data = self.take(len)?;
        let data = match kind {
            PTR => Data::Ptr(Reader { packet: self.packet, at: start }.name()?),
            TXT => Data::Txt(texts(data)?),
            _ => return Ok(None),
        };
        Ok(Some(Record { name, ttl, data }))
    }
}

fn texts(data: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut from = Reader { packet: data, at: 0 };
    let mut texts = Vec::new();
    while from.at < data.len() {
        let len = usize::from(from.u8()?);
        // "Case is ignored when interpreting a key" (RFC 6763, 6.4).
        if let Some((key, address)) = from.take(len)?.split_at_checked(KEY.len())
            && key.eq_ignore_ascii_case(KEY.as_bytes())
            && let Ok(address) = str::from_utf8(address)
        {
            texts.push(address.to_owned());
        }
    }
    Ok(texts)
}

/// The question for all instances of the service.
pub(crate) fn query() -> Bytes {
    let mut out = header(0, [1, 0, 0, 0]);
    out.extend_from_slice(SERVICE);
    out.push(0);
    out.extend_from_slice(&PTR.to_be_bytes());
    out.extend_from_slice(&IN.to_be_bytes());
    out.into()
}

/// What we say about ourselves on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// `dnsaddr=` and the address, each at most 255 bytes; the one that others can reach first comes first.
    pub(crate) texts: Vec<String>,
    pub(crate) port: u16,
    pub(crate) v4: Option<Ipv4Addr>,
    pub(crate) v6: Option<Ipv6Addr>,
}
impl Answer {
    /// The packet that go, js, python and rust all understand.
    ///
    /// go wants an SRV record, and an A or AAAA record of exactly its target; it and python keep the last TXT record
    /// of an instance, so all strings are in one; js takes the last PTR record of a packet, so there is one.
    pub(crate) fn packet(&self, label: &str, ttl: u32) -> Bytes {
        let addresses = u16::from(self.v4.is_some()).saturating_add(u16::from(self.v6.is_some()));
        // A response, authoritative. Identifier 0: "MUST be set to zero on transmission" but for legacy answers.
        let mut out = header(0x8400, [0, 1, 0, addresses.saturating_add(2)]);
        let label = [&[label.len() as u8], label.as_bytes()].concat();
        // Offset 12 is `_p2p._udp.local`, 22 is its `local`.
        let instance = [&label, &[0xc0, 12][..]].concat();
        let host = [&label, &[0xc0, 22][..]].concat();
        record(&mut out, &[SERVICE, &[0]].concat(), PTR, ttl, &instance);
        // Where the instance's name stands: the last thing written.
        let at = out.len().saturating_sub(instance.len()) as u16;
        let instance = (at | 0xc000).to_be_bytes();
        let texts = self.texts.iter().flat_map(|text| [&[text.len() as u8], text.as_bytes()].concat());
        record(&mut out, &instance, TXT, ttl, &texts.collect::<Vec<_>>());
        // RFC 2782: "name compression is not to be used for this field".
        let target = [&[0; 4], &self.port.to_be_bytes()[..], &label, LOCAL, &[0]].concat();
        record(&mut out, &instance, SRV, ttl, &target);
        if let Some(ip) = self.v4 {
            record(&mut out, &host, A, ttl, &ip.octets());
        }
        if let Some(ip) = self.v6 {
            record(&mut out, &host, AAAA, ttl, &ip.octets());
        }
        out.into()
    }
    /// Leaves out the last addresses until the packet fits.
    pub(crate) fn fit(&mut self, label_len: usize) {
        let label = "x".repeat(label_len);
        while self.packet(&label, 0).len() > ANSWER.get() && self.texts.pop().is_some() {}
    }
}

fn header(flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let mut out = vec![0, 0];
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend(counts.iter().flat_map(|n| n.to_be_bytes()));
    out
}
/// No cache-flush bit: the name changes whenever the data do.
fn record(out: &mut Vec<u8>, name: &[u8], kind: u16, ttl: u32, data: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&IN.to_be_bytes());
    out.extend_from_slice(&ttl.to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
}

#[cfg(test)]
mod tests;
