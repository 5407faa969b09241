//! What a chat prints: JSON, or words for people.
use super::{
    clock::Clock,
    event::{Event, Missed, Why, full_name},
};
use crate::{output::json_line, sanitize::harmless};
use peerage::{Multiaddr, core::multiaddr::Protocol};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::IpAddr,
    time::Duration,
};

/// Who reads.
pub(crate) enum Voice {
    /// A program: every event is a line of JSON.
    Json(Box<dyn Write>),
    /// A person.
    Human(Box<Human>),
}

impl Voice {
    /// Says it. An error means that nobody reads any more.
    pub(crate) fn tell(&mut self, event: &Event) -> io::Result<()> {
        match self {
            Self::Json(_) if matches!(event, Event::Settled { .. }) => Ok(()),
            Self::Json(out) => {
                out.write_all(json_line(&Line { v: 1, event }).as_bytes())?;
                out.flush()
            }
            Self::Human(human) => human.tell(event),
        }
    }
    /// A word to a person alone, such as the answer to `/help`.
    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Json(_) => Ok(()),
            Self::Human(human) => text.lines().try_for_each(|line| human.aside(line)),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    #[serde(flatten)]
    event: &'a Event,
}

/// Words for people.
pub(crate) struct Human {
    /// Lines that others typed.
    pub(crate) messages: Box<dyn Write>,
    /// Everything else.
    pub(crate) asides: Box<dyn Write>,
    pub(crate) colored_messages: bool,
    pub(crate) colored_asides: bool,
    /// Whether somebody types at a terminal: then messages carry the time.
    pub(crate) clock: Option<Clock>,
    pub(crate) topic: String,
    pub(crate) mdns: bool,
    pub(crate) interfaces: BTreeMap<IpAddr, String>,
    /// Who we are, until it was said.
    pub(crate) me: Option<String>,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

impl Human {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Ready { peer, nick } => {
                self.me = Some(format!("you are {} ({})", nick, peer.short()));
                Ok(())
            }
            Event::Settled { addrs } => self.settled(addrs),
            // Said together, or not worth a word.
            Event::Listening { .. } | Event::Discovered { .. } => Ok(()),
            Event::Joined { peer, nick, addr, transport, rtt, agent } => {
                let mut about = vec![host(addr), transport.clone(), millis(*rtt)];
                about.extend(agent.clone());
                let who = full_name(peer, nick.as_deref());
                self.marked(GREEN, "+", &format!("{who} joined   {}", about.join(" · ")))
            }
            Event::Left { peer, nick, why, .. } => {
                let how = match why {
                    Why::Goodbye => "left",
                    Why::Lost => "was lost: the connection broke",
                };
                self.marked(YELLOW, "-", &format!("{} {how}", full_name(peer, nick.as_deref())))
            }
            Event::Message { text, verified, shown, .. } => self.message(shown, text, *verified),
            Event::Queued { because: Some(because), .. } => self.aside(&format!("  {because}")),
            Event::Queued { id, because: None } => self.aside(&format!("  message {id} is kept as well")),
            Event::Delivered { to, of, missed, .. } => self.delivered(*to, *of, missed),
            Event::Alone(alone) => alone.lines().iter().try_for_each(|line| self.aside(line)),
            Event::Error { message, hint, .. } => {
                self.marked(RED, "!", message)?;
                hint.iter().try_for_each(|hint| self.aside(&format!("  {hint}")))
            }
        }
    }

    fn settled(&mut self, addrs: &[Multiaddr]) -> io::Result<()> {
        let listening = self.listening(addrs);
        let Some(me) = self.me.take() else {
            return listening
                .map_or(Ok(()), |listening| self.aside(&format!("· listening too: {listening}")));
        };
        let listening = listening.unwrap_or_else(|| "listening nowhere".into());
        self.marked(GREEN, "✓", &format!("{me} · {listening}"))?;
        let place = if self.mdns { "looking on this LAN for" } else { "waiting in" };
        let help = if self.clock.is_some() { ", /help" } else { "" };
        self.aside(&format!("  {place} \"{}\" … (Ctrl-C to leave{help})", self.topic))
    }
    /// `tcp on 192.168.1.7 (wlan0), 10.0.0.4 (eth0)`: loopback only if there is nothing else, link-local never.
    fn listening(&self, addrs: &[Multiaddr]) -> Option<String> {
        let ips: Vec<(IpAddr, String)> =
            addrs.iter().filter_map(|addr| Some((ip(addr)?, super::room::transport_of(addr)))).collect();
        let far = |ip: &IpAddr| !ip.is_loopback() && !is_link_local(ip);
        let mut shown: Vec<_> = ips.iter().filter(|(ip, _)| far(ip)).collect();
        if shown.is_empty() {
            shown = ips.iter().filter(|(ip, _)| !is_link_local(ip)).collect();
        }
        let mut transports: Vec<&str> = shown.iter().map(|(_, transport)| transport.as_str()).collect();
        transports.sort_unstable();
        transports.dedup();
        let mut places: Vec<String> = Vec::new();
        for (ip, _) in &shown {
            let place = match self.interfaces.get(ip) {
                Some(name) => format!("{ip} ({name})"),
                None => ip.to_string(),
            };
            if !places.contains(&place) {
                places.push(place);
            }
        }
        (!places.is_empty()).then(|| format!("{} on {}", transports.join("+"), places.join(", ")))
    }

    fn delivered(&mut self, to: usize, of: usize, missed: &[Missed]) -> io::Result<()> {
        self.aside(&format!("  delivered to {to} of {of}"))?;
        for Missed { peer, nick, why } in missed {
            self.marked(RED, " ", &format!("not to {}: {why}", full_name(peer, nick.as_deref())))?;
        }
        Ok(())
    }

    fn message(&mut self, from: &str, text: &str, verified: bool) -> io::Result<()> {
        let time =
            self.clock.as_ref().map(|clock| format!("[{}] ", clock.hours_and_minutes())).unwrap_or_default();
        let doubt = if verified { "" } else { " (unverified)" };
        let (dim, name) = (self.colored_messages, harmless(from));
        let line = format!(
            "{}{}{}: {}\n",
            paint(dim, DIM, &time),
            paint(dim, CYAN, &name),
            paint(dim, YELLOW, doubt),
            harmless(text)
        );
        self.messages.write_all(line.as_bytes())?;
        self.messages.flush()
    }
    fn marked(&mut self, color: &str, mark: &str, text: &str) -> io::Result<()> {
        let colored = self.colored_asides;
        let style = if mark == "✓" { BOLD } else { "" };
        let line = format!("{} {}\n", paint(colored, color, mark), paint(colored, style, &harmless(text)));
        self.asides.write_all(line.as_bytes())?;
        self.asides.flush()
    }
    fn aside(&mut self, text: &str) -> io::Result<()> {
        let line = paint(self.colored_asides, DIM, &harmless(text)) + "\n";
        self.asides.write_all(line.as_bytes())?;
        self.asides.flush()
    }
}

fn paint(colored: bool, style: &str, text: &str) -> String {
    if colored && !style.is_empty() && !text.is_empty() {
        format!("\u{1b}[{style}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

fn ip(addr: &Multiaddr) -> Option<IpAddr> {
    addr.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    })
}
fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}
/// The host of an address, as people say it.
pub(crate) fn host(addr: &Multiaddr) -> String {
    ip(addr).map_or_else(|| addr.to_string(), |ip| ip.to_string())
}
/// `0.9 ms`, `120 ms`.
pub(crate) fn millis(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    if millis < 100.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::alone::Alone;
    use peerage::PeerId;
    use std::{cell::RefCell, rc::Rc};

    #[derive(Clone, Default)]
    struct Paper(Rc<RefCell<Vec<u8>>>);
    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Paper {
        fn read(&self) -> String {
            String::from_utf8(self.0.take()).unwrap()
        }
    }

    const BEN: &str = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";
    fn ben() -> PeerId {
        BEN.parse().unwrap()
    }
    fn addr() -> Multiaddr {
        "/ip4/192.168.1.23/tcp/4001".parse().unwrap()
    }

    fn human(colored: bool) -> (Voice, Paper, Paper) {
        let (messages, asides) = (Paper::default(), Paper::default());
        let human = Human {
            messages: Box::new(messages.clone()),
            asides: Box::new(asides.clone()),
            colored_messages: colored,
            colored_asides: colored,
            clock: None,
            topic: "kitchen".into(),
            mdns: true,
            interfaces: [("192.168.1.7".parse().unwrap(), "wlan0".to_owned())].into(),
            me: None,
        };
        (Voice::Human(Box::new(human)), messages, asides)
    }
    fn everything() -> Vec<Event> {
        let nick = Some("ben-laptop".to_owned());
        let because = Some("nobody is in \"kitchen\" yet: kept for 30 s".to_owned());
        let why = "it reads at most 2048 bytes at a time".to_owned();
        let missed = vec![Missed { peer: ben(), nick: nick.clone(), why }];
        let listen = |text: &str| text.parse::<Multiaddr>().unwrap();
        let addrs = [
            "/ip4/127.0.0.1/tcp/4001",
            "/ip4/192.168.1.7/tcp/4001",
            "/ip6/fd00::7/tcp/4001",
            "/ip6zone/wlan0/ip6/fe80::7/tcp/4001",
        ];
        vec![
            Event::Ready { peer: ben(), nick: "ana".into() },
            Event::Listening { addr: addr() },
            Event::Settled { addrs: addrs.map(listen).to_vec() },
            Event::Settled { addrs: vec![listen("/ip4/10.0.0.4/tcp/4001")] },
            Event::Discovered { peer: ben(), nick: None, addr: addr() },
            Event::Queued { id: 1, because },
            Event::Queued { id: 2, because: None },
            Event::Joined {
                peer: ben(),
                nick: nick.clone(),
                addr: addr(),
                transport: "tcp".into(),
                rtt: Duration::from_micros(900),
                agent: Some("peerage/0.1.0".into()),
            },
            Event::Message {
                from: ben(),
                nick: nick.clone(),
                text: "hi!\u{1b}[2J".into(),
                verified: true,
                shown: "ben-laptop".into(),
            },
            Event::Message {
                from: ben(),
                nick: None,
                text: "psst".into(),
                verified: false,
                shown: "…dKH9fh".into(),
            },
            Event::Delivered { id: 1, to: 2, of: 2, missed: Vec::new() },
            Event::Delivered { id: 2, to: 1, of: 2, missed },
            Event::Left { peer: ben(), nick: nick.clone(), addr: addr(), why: Why::Goodbye },
            Event::Left { peer: ben(), nick: None, addr: addr(), why: Why::Lost },
            Event::Error {
                code: "listen.failed",
                message: "cannot listen on /ip4/0.0.0.0/tcp/80".into(),
                hint: Some("use another port".into()),
                id: None,
            },
            Event::Alone(Alone {
                message: "nobody yet.".into(),
                command: "peerage chat kitchen".into(),
                command_with_address: None,
                interfaces: Vec::new(),
                findable: true,
                only_here: false,
            }),
        ]
    }

    #[test]
    fn people_read_this() {
        let (mut voice, messages, asides) = human(false);
        everything().iter().for_each(|event| voice.tell(event).unwrap());
        let expected = "\
✓ you are ana (…dKH9fh) · tcp on 192.168.1.7 (wlan0), fd00::7
  looking on this LAN for \"kitchen\" … (Ctrl-C to leave)
· listening too: tcp on 10.0.0.4
  nobody is in \"kitchen\" yet: kept for 30 s
  message 2 is kept as well
+ ben-laptop …dKH9fh joined   192.168.1.23 · tcp · 0.9 ms · peerage/0.1.0
  delivered to 2 of 2
  delivered to 1 of 2
  not to ben-laptop …dKH9fh: it reads at most 2048 bytes at a time
- ben-laptop …dKH9fh left
- …dKH9fh was lost: the connection broke
! cannot listen on /ip4/0.0.0.0/tcp/80
  use another port
· nobody yet.
  On the other machine run:  peerage chat kitchen
";
        assert_eq!(asides.read(), expected);
        assert_eq!(messages.read(), "ben-laptop: hi!␛[2J\n…dKH9fh (unverified): psst\n");
    }

    #[test]
    fn programs_read_that() {
        let paper = Paper::default();
        let mut voice = Voice::Json(Box::new(paper.clone()));
        everything().iter().for_each(|event| voice.tell(event).unwrap());
        let expected = r#"{"v":1,"event":"ready","peer":"BEN","nick":"ana"}
{"v":1,"event":"listening","addr":"/ip4/192.168.1.23/tcp/4001"}
{"v":1,"event":"discovered","peer":"BEN","nick":null,"addr":"/ip4/192.168.1.23/tcp/4001"}
{"v":1,"event":"queued","id":1}
{"v":1,"event":"queued","id":2}
{"v":1,"event":"joined","peer":"BEN","nick":"ben-laptop","addr":"/ip4/192.168.1.23/tcp/4001","transport":"tcp","rtt_ms":0.9,"agent":"peerage/0.1.0"}
{"v":1,"event":"message","from":"BEN","nick":"ben-laptop","text":"hi!\u001b[2J","verified":true}
{"v":1,"event":"message","from":"BEN","nick":null,"text":"psst","verified":false}
{"v":1,"event":"delivered","id":1,"to":2,"of":2}
{"v":1,"event":"delivered","id":2,"to":1,"of":2,"missed":[{"peer":"BEN","nick":"ben-laptop","why":"it reads at most 2048 bytes at a time"}]}
{"v":1,"event":"left","peer":"BEN","nick":"ben-laptop","addr":"/ip4/192.168.1.23/tcp/4001","why":"goodbye"}
{"v":1,"event":"left","peer":"BEN","nick":null,"addr":"/ip4/192.168.1.23/tcp/4001","why":"lost"}
{"v":1,"event":"error","code":"listen.failed","message":"cannot listen on /ip4/0.0.0.0/tcp/80","hint":"use another port"}
{"v":1,"event":"alone","message":"nobody yet.","command":"peerage chat kitchen","command_with_address":null,"interfaces":[]}
"#;
        assert_eq!(paper.read(), expected.replace("BEN", BEN));
    }

    #[test]
    fn colours_are_around_what_is_harmless_already() {
        let (mut voice, messages, asides) = human(true);
        everything().iter().for_each(|event| voice.tell(event).unwrap());
        assert!(asides.read().contains("\u{1b}[32m+\u{1b}[0m ben-laptop …dKH9fh joined"));
        assert!(messages.read().starts_with("\u{1b}[36mben-laptop\u{1b}[0m: hi!␛[2J\n"));
    }
}
