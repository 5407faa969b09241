//! DNS packets as others write them, and a second pair of eyes for ours: a reader that shares nothing with the crate's.
use std::collections::BTreeMap;

pub fn instance(label: &str) -> String {
    format!("{label}._p2p._udp.local")
}
pub fn host(label: &str) -> String {
    format!("{label}.local")
}

/// A packet being written.
#[derive(Clone)]
pub struct Packet {
    flags: u16,
    questions: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
    additional: Vec<Vec<u8>>,
}
impl Packet {
    pub fn query() -> Self {
        Self::query_for("_p2p._udp.local")
    }
    /// python asks first with the unicast bit.
    pub fn query_for(service: &str) -> Self {
        let question = [name(service), vec![0, 12, 0x80, 1]].concat();
        Self { flags: 0, questions: vec![question], answers: Vec::new(), additional: Vec::new() }
    }
    pub fn answer() -> Self {
        Self { flags: 0x8400, questions: Vec::new(), answers: Vec::new(), additional: Vec::new() }
    }
    pub fn ptr(self, target: &str, ttl: u32) -> Self {
        self.ptr_of("_p2p._udp.local", target, ttl)
    }
    pub fn ptr_of(mut self, owner: &str, target: &str, ttl: u32) -> Self {
        self.answers.push(record(owner, 12, ttl, &name(target)));
        self
    }
    pub fn txt(mut self, owner: &str, ttl: u32, texts: &[&str]) -> Self {
        self.additional.push(record(owner, 16, ttl, &strings(texts)));
        self
    }
    pub fn answer_txt(mut self, owner: &str, ttl: u32, texts: &[&str]) -> Self {
        self.answers.push(record(owner, 16, ttl, &strings(texts)));
        self
    }
    pub fn bytes(&self) -> Vec<u8> {
        let counts = [self.questions.len(), self.answers.len(), 0, self.additional.len()];
        let mut out = [[0, 0], self.flags.to_be_bytes()].concat();
        out.extend(counts.iter().flat_map(|n| (*n as u16).to_be_bytes()));
        out.extend([&self.questions[..], &self.answers, &self.additional].concat().concat());
        out
    }
}
fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([0]).collect()
}
fn strings(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| [&[text.len() as u8], text.as_bytes()].concat()).collect()
}
fn record(owner: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut out = name(owner);
    out.extend(kind.to_be_bytes());
    out.extend([0x80, 1]); // With the cache-flush bit, as many set it.
    out.extend(ttl.to_be_bytes());
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
    out
}

/// A packet that was read.
#[derive(Debug, Default)]
pub struct Seen {
    pub query: bool,
    pub answers: Vec<Record>,
    pub additional: Vec<Record>,
    pub texts: Vec<String>,
}
#[derive(Clone, Debug)]
pub struct Record {
    pub name: String,
    pub kind: u16,
    pub ttl: u32,
    pub target: Option<String>,
}
impl Seen {
    pub fn records(&self) -> Vec<Record> {
        [&self.answers[..], &self.additional].concat()
    }
    pub fn instance(&self) -> String {
        self.answers[0].target.clone().unwrap()
    }
    pub fn ttl(&self) -> u32 {
        self.answers[0].ttl
    }
}

pub fn read(packet: &[u8]) -> Seen {
    let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let mut seen = Seen { query: word(2) & 0x8000 == 0, ..Seen::default() };
    let mut at = 12;
    let mut names = BTreeMap::new();
    for _ in 0..word(4) {
        name_at(packet, &mut at, &mut names);
        at += 4;
    }
    for section in [6, 8, 10] {
        for _ in 0..word(section) {
            let name = name_at(packet, &mut at, &mut names);
            let (kind, ttl) = (word(at), u32::from(word(at + 4)) << 16 | u32::from(word(at + 6)));
            let len = usize::from(word(at + 8));
            at += 10;
            let end = at + len;
            let target = match kind {
                12 => Some(name_at(packet, &mut at, &mut names)),
                33 => Some(name_at(packet, &mut (at + 6), &mut names)),
                16 => {
                    while at < end {
                        let text = &packet[at + 1..at + 1 + usize::from(packet[at])];
                        seen.texts.push(String::from_utf8(text.to_vec()).unwrap());
                        at += 1 + text.len();
                    }
                    None
                }
                _ => None,
            };
            at = end;
            let record = Record { name, kind, ttl, target };
            if section == 6 { seen.answers.push(record) } else { seen.additional.push(record) }
        }
    }
    assert_eq!(at, packet.len(), "nothing stands behind the last record");
    seen
}
fn name_at(packet: &[u8], at: &mut usize, names: &mut BTreeMap<usize, String>) -> String {
    let start = *at;
    let mut labels = Vec::new();
    loop {
        match packet[*at] {
            0 => {
                *at += 1;
                break;
            }
            len if len & 0xc0 == 0xc0 => {
                let mut to = usize::from(len & 0x3f) << 8 | usize::from(packet[*at + 1]);
                labels.push(name_at(packet, &mut to, names));
                *at += 2;
                break;
            }
            len => {
                let end = *at + 1 + usize::from(len);
                labels.push(String::from_utf8(packet[*at + 1..end].to_vec()).unwrap());
                *at = end;
            }
        }
    }
    names.insert(start, labels.join("."));
    labels.join(".")
}
