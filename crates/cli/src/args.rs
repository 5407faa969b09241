//! The command line. Every flag has a `PEERAGE_…` variable; the flag wins.
use crate::{failure::Failure, sanitize};
use clap::{
    ArgAction, Args, Parser, Subcommand, ValueEnum,
    builder::FalseyValueParser,
    error::{ContextKind, ContextValue, ErrorKind},
};
use peerage::{Multiaddr, PeerId};
use std::{net::SocketAddr, path::PathBuf};

const AFTER_HELP: &str = "\
Exit codes:
    0  done                            5  timed out
    1  failed                          7  refused by the peer, or by us
    2  the command line is wrong       9  the data directory is in use
                                     130  interrupted

Files (PEERAGE_HOME replaces the directory):
    $XDG_DATA_HOME/peerage/identity.key    who you are; keep it, and show it to nobody";

/// Peers of one LAN find each other and talk, with no server and no configuration.
#[derive(Debug, Parser)]
#[command(name = "peerage", version, after_long_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Print JSON on stdout, one object per line; where stdout carries data, on stderr
    #[arg(long, global = true, env = "PEERAGE_JSON", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
    /// When to use colours; NO_COLOR and CLICOLOR_FORCE are heeded
    #[arg(long, global = true, env = "PEERAGE_COLOR", value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// What to log on stderr, such as `debug` (without a word) or `peerage_swarm=trace,info`; of a simulation without a
    /// word: every event of the network
    #[arg(long, global = true, env = "PEERAGE_LOG", value_name = "FILTER", num_args = 0..=1)]
    #[allow(clippy::option_option, reason = "a flag whose value may be left out")]
    pub(crate) log: Option<Option<tracing_subscriber::filter::Targets>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Join a room and talk to everybody in it
    Chat(Chat),
    /// Print who you are
    Id(Id),
    /// Measure how far away a peer is
    Ping(Ping),
    /// Join the input and output of two machines, over one stream
    #[command(subcommand)]
    Pipe(Pipe),
    /// Carry TCP connections to a port of another machine
    #[command(subcommand)]
    Forward(Forward),
    /// Send files, folders or text to whoever has the ticket that this prints
    Send(Send),
    /// Receive what somebody sends
    Recv(Recv),
    /// Simulate networks of thousands of peers, the same every time
    #[command(subcommand)]
    Sim(crate::sim::Command),
    /// Make, show, read and write keys
    #[command(subcommand)]
    Key(Key),
    /// Take addresses apart
    #[command(subcommand)]
    Addr(Addr),
    /// Print completions for a shell
    Completions {
        /// Which
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct Chat {
    /// The room: everybody who chose the same word is in it
    #[arg(value_parser = topic)]
    pub(crate) topic: String,
    /// What others call you [default: your user name]
    #[arg(long, env = "PEERAGE_NICK", value_parser = nick)]
    pub(crate) nick: Option<String>,
    /// Dial this address as well; may be given more than once
    #[arg(long, env = "PEERAGE_PEER", value_name = "MULTIADDR", value_delimiter = ',', value_parser = address)]
    pub(crate) peer: Vec<Multiaddr>,
    /// Listen here; may be given more than once [default: every interface, a port the system chooses]
    #[arg(long, env = "PEERAGE_LISTEN", value_name = "MULTIADDR", value_delimiter = ',', value_parser = address)]
    pub(crate) listen: Vec<Multiaddr>,
    /// Neither look for peers on this LAN, nor be found there
    #[arg(long, env = "PEERAGE_NO_MDNS", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) no_mdns: bool,
    /// Stay when the input ends
    #[arg(long, env = "PEERAGE_STAY", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) stay: bool,
    #[command(flatten)]
    pub(crate) identity: Identity,
    /// Be somebody new, for this run alone
    #[arg(long, env = "PEERAGE_EPHEMERAL", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) ephemeral: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Identity {
    /// Your key: libp2p's protobuf or PEM PKCS#8 [default: identity.key in the data directory]
    #[arg(long, env = "PEERAGE_IDENTITY", value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Pipe {
    /// Wait for the other end; the addresses to connect to go to stderr
    Listen {
        /// Listen here; may be given more than once [default: every interface, a port the system chooses]
        #[arg(long, env = "PEERAGE_LISTEN", value_name = "MULTIADDR", value_delimiter = ',', value_parser = address)]
        listen: Vec<Multiaddr>,
        #[command(flatten)]
        who: Who,
    },
    /// Join the end that listens at this address
    Connect {
        /// As `pipe listen` prints it; with `/p2p/ID` at its end nobody else may answer
        #[arg(value_parser = address)]
        addr: Multiaddr,
        #[command(flatten)]
        who: Who,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Forward {
    /// Listen on a TCP port here, and carry each connection to a port that a peer offers
    Tcp {
        /// Where to listen: `127.0.0.1:8080`, `[::1]:8080`, or `8080` for 127.0.0.1; port 0 is any
        #[arg(value_parser = local)]
        local: SocketAddr,
        /// An address as `forward serve` prints it, or a peer id with --addr; then `:` and the port it offers
        #[arg(value_name = "PEER:PORT")]
        to: Remote,
        /// Where the peer listens; may be given more than once
        #[arg(long, env = "PEERAGE_ADDR", value_name = "MULTIADDR", value_delimiter = ',', value_parser = address)]
        addr: Vec<Multiaddr>,
        #[command(flatten)]
        who: Who,
    },
    /// Offer one TCP port of this machine to peers, and nothing else
    Serve {
        /// The port that peers ask for
        #[arg(value_parser = clap::value_parser!(u16).range(1..))]
        port: u16,
        /// Where connections go [default: the same port of 127.0.0.1]
        #[arg(long, env = "PEERAGE_TO", value_name = "HOST:PORT", value_parser = target)]
        to: Option<String>,
        /// Listen here; may be given more than once [default: every interface, a port the system chooses]
        #[arg(long, env = "PEERAGE_LISTEN", value_name = "MULTIADDR", value_delimiter = ',', value_parser = address)]
        listen: Vec<Multiaddr>,
        #[command(flatten)]
        who: Who,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// Files and folders; `-` is stdin, which is read to its end first
    #[arg(value_name = "PATH", required_unless_present = "text")]
    pub(crate) paths: Vec<PathBuf>,
    /// A text, which the other side prints
    #[arg(long, env = "PEERAGE_TEXT")]
    pub(crate) text: Option<String>,
    /// End when somebody has everything
    #[arg(long, env = "PEERAGE_ONCE", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) once: bool,
    /// Send what symbolic links lead to; otherwise they are left out, and named
    #[arg(long, env = "PEERAGE_FOLLOW_LINKS", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) follow_links: bool,
    /// Listen here; may be given more than once [default: every interface, a port the system chooses]
    #[arg(long, env = "PEERAGE_LISTEN", value_name = "MULTIADDR", value_delimiter = ',', value_parser = address)]
    pub(crate) listen: Vec<Multiaddr>,
    /// Neither look for peers on this LAN, nor be found there
    #[arg(long, env = "PEERAGE_NO_MDNS", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) no_mdns: bool,
    /// Your key: libp2p's protobuf or PEM PKCS#8 [default: files/identity.key in the data directory]
    #[arg(long, env = "PEERAGE_IDENTITY", value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// Be somebody new, for this run alone: the ticket is worth nothing after it
    #[arg(long, env = "PEERAGE_EPHEMERAL", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) ephemeral: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Recv {
    /// What `send` printed; others on this machine see arguments, but not PEERAGE_TICKET
    #[arg(env = "PEERAGE_TICKET", hide_env_values = true)]
    pub(crate) ticket: String,
    /// The folder it goes into; `-` is stdout, for one file or one text
    #[arg(short = 'o', long = "out", env = "PEERAGE_OUT", value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    /// Replace files that are there and have another content; otherwise they stay
    #[arg(long, env = "PEERAGE_OVERWRITE", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) overwrite: bool,
    /// Give up when nothing came for so long
    #[arg(long, env = "PEERAGE_GIVE_UP_AFTER", value_name = "SECS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) give_up_after: u64,
    /// Look for the sender only at the addresses in the ticket, not on this LAN
    #[arg(long, env = "PEERAGE_NO_MDNS", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) no_mdns: bool,
}

/// Who we are, and with whom we speak.
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// Nobody but this peer; may be given more than once [default: everybody]
    #[arg(long, env = "PEERAGE_ALLOW", value_name = "PEER_ID", value_delimiter = ',')]
    pub(crate) allow: Vec<PeerId>,
    #[command(flatten)]
    pub(crate) identity: Identity,
    /// Be somebody new, for this run alone
    #[arg(long, env = "PEERAGE_EPHEMERAL", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) ephemeral: bool,
}

/// A peer, perhaps with an address, and a port it offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) peer: PeerId,
    pub(crate) addr: Option<Multiaddr>,
    pub(crate) port: u16,
}
impl std::str::FromStr for Remote {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (peer, port) = text.rsplit_once(':').ok_or("it ends with `:` and a port")?;
        let port = port.parse().ok().filter(|port| *port > 0);
        let port = port.ok_or("behind the last `:` stands a port, 1 to 65535")?;
        if !peer.starts_with('/') {
            let peer = peer.parse().map_err(|error| format!("no peer id: {error}"))?;
            return Ok(Self { peer, addr: None, port });
        }
        let addr: Multiaddr = peer.parse().map_err(|error| format!("{error}"))?;
        let peer = addr.peer_id().ok_or("the address must end with /p2p/ and the peer's id")?;
        Ok(Self { peer, addr: Some(addr), port })
    }
}

/// A multiaddr may have no parts at all, but then nobody is there.
fn address(text: &str) -> Result<Multiaddr, String> {
    match text.parse() {
        Ok(address) if address == Multiaddr::empty() => {
            Err("it is empty; an address is like /ip4/192.0.2.1/tcp/4001".into())
        }
        address => address.map_err(|error: peerage::multiaddr::Error| error.to_string()),
    }
}
fn local(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    match port.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::from(([127, 0, 0, 1], port))),
        Err(_) => text.parse().map_err(|_| "an IP address and a port, such as 127.0.0.1:8080".into()),
    }
}
fn target(text: &str) -> Result<String, String> {
    let port =
        text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(1..)) => Ok(text.to_owned()),
        _ => Err("a host and a port, such as 192.168.1.7:22".into()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct Id {
    #[command(flatten)]
    pub(crate) identity: Identity,
}

#[derive(Debug, Args)]
pub(crate) struct Ping {
    /// Where the peer listens; with `/p2p/ID` at its end nobody else may answer
    #[arg(value_parser = address)]
    pub(crate) addr: Multiaddr,
    /// Stop after so many pings [default: at Ctrl-C]
    #[arg(short, long, env = "PEERAGE_COUNT", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a new key
    New {
        /// Which type
        #[arg(long = "type", env = "PEERAGE_KEY_TYPE", value_name = "TYPE", default_value = "ed25519")]
        key_type: KeyType,
        #[command(flatten)]
        out: Out,
    },
    /// Print what is in a key file, but not its secret
    Show {
        /// Protobuf or PEM [default: identity.key in the data directory]
        file: Option<PathBuf>,
    },
    /// Read a key in any format, and keep it as libp2p's protobuf
    Import {
        /// Protobuf or PEM; `-` is stdin
        file: PathBuf,
        #[command(flatten)]
        out: Out,
    },
    /// Write a key in another format
    Export {
        /// Protobuf or PEM [default: identity.key in the data directory]
        file: Option<PathBuf>,
        /// Which format
        #[arg(long, env = "PEERAGE_FORMAT", default_value = "pem")]
        format: Format,
        /// Where to; a file that exists is never overwritten [default: stdout]
        #[arg(long, env = "PEERAGE_OUT", value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Out {
    /// Where to; a file that exists is never overwritten [default: identity.key in the data directory]
    #[arg(long, env = "PEERAGE_OUT", value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyType {
    Ed25519,
    Secp256k1,
    Ecdsa,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// PEM around PKCS#8, as OpenSSL keeps keys
    Pem,
    /// libp2p's protobuf, as go, js and kubo keep keys
    Protobuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Addr {
    /// Print the parts of an address
    Parse {
        /// A multiaddr, such as /ip4/192.0.2.1/tcp/4001
        addr: Multiaddr,
    },
}

/// A topic is a word of the network: not empty, and no longer than what floodsub carries.
fn topic(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("a room has a name".into()),
        1..=TOPIC_MAX => Ok(text.to_owned()),
        n => Err(format!("{n} bytes are too many: the name of a room has at most {TOPIC_MAX}")),
    }
}
const TOPIC_MAX: usize = 1024;

fn nick(text: &str) -> Result<String, String> {
    sanitize::nick(text).ok_or_else(|| "nothing in it can be shown".into())
}

/// What clap says about a wrong command line, in one line: what, where, and what would be right.
pub(crate) fn explain(error: &clap::Error) -> Failure {
    let get = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let value = (get(ContextKind::InvalidArg), get(ContextKind::InvalidValue));
    if let (ErrorKind::ValueValidation, (Some(arg), Some(value)), Some(reason)) =
        (error.kind(), value, std::error::Error::source(error))
    {
        return Failure::usage(format!("invalid value '{value}' for '{arg}': {reason}"));
    }
    let text = error.render().to_string();
    let mut line = String::new();
    for part in text.lines().map(str::trim).take_while(|part| !part.starts_with("For more information")) {
        let part = part.strip_prefix("error: ").unwrap_or(part);
        let glue = match () {
            () if part.is_empty() || line.is_empty() => "",
            () if line.ends_with(':') => " ",
            () => "; ",
        };
        line.push_str(glue);
        line.push_str(part);
    }
    Failure::usage(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn explained(args: &[&str]) -> String {
        let args = [&["peerage"], args].concat();
        explain(&Cli::try_parse_from(args).unwrap_err()).to_string()
    }

    #[test]
    fn the_command_line_makes_sense() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_a_variable() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
                let id = arg.get_id().as_str();
                let env = arg.get_env().and_then(|env| env.to_str());
                let fits = env.is_some_and(|env| env.starts_with("PEERAGE_"));
                assert!(fits || ["help", "version"].contains(&id), "{} --{id}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn a_port_of_a_peer_is_read_with_and_without_an_address() {
        let id = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";
        let remote: Remote = format!("{id}:22").parse().unwrap();
        assert_eq!((remote.peer.to_string(), remote.addr, remote.port), (id.to_owned(), None, 22));
        let addr = format!("/ip6/::1/udp/4001/quic-v1/p2p/{id}");
        let remote: Remote = format!("{addr}:8080").parse().unwrap();
        assert_eq!((remote.addr, remote.port), (Some(addr.parse().unwrap()), 8080));
        assert_eq!(local("8080").unwrap(), "127.0.0.1:8080".parse().unwrap());
        assert_eq!(local("[::1]:0").unwrap(), "[::1]:0".parse().unwrap());
    }

    #[test]
    fn what_is_wrong_fits_one_line() {
        let cases: &[(&[&str], &str)] = &[
            (&["chat"], "the following required arguments were not provided: <TOPIC>"),
            (&["chat", ""], "invalid value '' for '<TOPIC>': a room has a name"),
            (&["chat", "x", "--nick", "\u{1b}"], "nothing in it can be shown"),
            (&["chat", "x", "--peer", "/ip4/1.2.3.4/tpc/1"], "at position 13; did you mean \"tcp\"?"),
            (&["chat", "x", "--listen", "here"], "for '--listen <MULTIADDR>'"),
            (&["chat", "x", "--colour", "red"], "--color"),
            (&["chat", "x", "--color", "red"], "possible values: auto, always, never"),
            (&["ping", "/ip4/1.2.3.4/tcp/1", "-c", "0"], "0 is not in"),
            (&["pipe", "connect", "/ip4/1.2.3.4/tcp"], "for '<ADDR>'"),
            (&["pipe", "listen", "--allow", "me"], "for '--allow <PEER_ID>'"),
            (&["forward", "serve", "0"], "0 is not in 1..=65535"),
            (&["forward", "serve", "22", "--to", "here"], "a host and a port, such as 192.168.1.7:22"),
            (&["forward", "tcp", "here", "x:1"], "an IP address and a port"),
            (&["forward", "tcp", "80", "/ip4/1.2.3.4/tcp/1:22"], "must end with /p2p/"),
            (&["forward", "tcp", "80", "/ip4/1.2.3.4/tcp/1"], "it ends with `:` and a port"),
            (&["send"], "the following required arguments were not provided"),
            (&["recv", "x", "--give-up-after", "0"], "0 is not in"),
            (&["addr", "parse", "/ip4/1.2.3/tcp/1"], "at position 5"),
        ];
        for (args, expected) in cases {
            let line = explained(args);
            assert!(line.contains(expected), "{args:?}: {line}");
            assert_eq!(line.lines().count(), 1, "{args:?}: {line}");
            assert!(line.starts_with("error: "), "{args:?}: {line}");
            assert!(!line.contains(sanitize::is_harmful), "{args:?}: {line}");
        }
    }
}
