//! The command line of `peerage sim`, and what is refused before anything runs.
use super::words;
use crate::failure::Failure;
use clap::{Args, Subcommand};
use peerage::{
    floodsub::{self, Flood, PublishError},
    identity::Keypair,
};
use peerage_sim::SimError;
use std::{
    fs::{File, OpenOptions},
    io::{Seek, Write},
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

/// As many addresses as the simulated network has.
const PEERS_MAX: usize = (1 << 24) - 2;
/// What messages are published on.
pub(super) const TOPIC: &str = "news";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Publish messages in a network, and see how they spread
    Floodsub(Floodsub),
    /// Run a random scenario per seed, with everything that can go wrong, and check every invariant
    Sweep(Sweep),
    /// Measure how fast and how big simulations are, against their targets
    Figures(Figures),
}

/// The same seed gives the same run, event for event, on every machine.
#[derive(Clone, Debug, Args)]
pub(crate) struct Floodsub {
    /// How many peers
    #[arg(long, env = "PEERAGE_PEERS", value_name = "N", default_value_t = 100)]
    pub(super) peers: usize,
    /// To how many others each is connected, at random [default: 6, or all if there are fewer]
    #[arg(long, env = "PEERAGE_DEGREE", value_name = "N")]
    pub(super) degree: Option<usize>,
    /// What everything is drawn from
    #[arg(long, env = "PEERAGE_SEED", value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// How many messages are published, one every 50 ms or so, each by a peer that is drawn
    #[arg(long, env = "PEERAGE_MESSAGES", value_name = "N", default_value_t = 100)]
    pub(super) messages: u64,
    /// The bytes of each
    #[arg(long, env = "PEERAGE_SIZE", value_name = "BYTES", default_value = "256", value_parser = words::bytes, allow_hyphen_values = true)]
    pub(super) size: u64,
    /// How long a byte is under way on a link, drawn for each
    #[arg(long, env = "PEERAGE_LATENCY", value_name = "FROM..TO", default_value = "5ms..80ms", value_parser = words::latency, allow_hyphen_values = true)]
    pub(super) latency: Range<Duration>,
    /// How many links fail every second, such as 0.1%/s; who dialed dials again a second later [default: none]
    #[arg(long, env = "PEERAGE_LOSS_OF_LINK", value_name = "SHARE", value_parser = words::loss, allow_hyphen_values = true)]
    pub(super) loss_of_link: Option<u32>,
    /// Ends the run after so much virtual time, even if something is left to deliver
    #[arg(long = "for", env = "PEERAGE_FOR", value_name = "TIME", default_value = "60s", value_parser = words::duration, allow_hyphen_values = true)]
    pub(super) within: Duration,
    /// Stops the run when it takes more memory [default: three quarters of the machine's]
    #[arg(long, env = "PEERAGE_MEMORY", value_name = "BYTES", value_parser = words::bytes)]
    pub(super) memory: Option<u64>,
    /// Writes a page that shows the network and its figures; any browser opens it, offline
    #[arg(long, env = "PEERAGE_HTML", value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Sweep {
    /// How many seeds
    #[arg(long, env = "PEERAGE_SEEDS", value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) seeds: u64,
    /// The first of them
    #[arg(long, env = "PEERAGE_FROM", value_name = "SEED", default_value_t = 1)]
    pub(super) from: u64,
    /// For how long things go wrong, in virtual time; then they must come right again
    #[arg(long = "for", env = "PEERAGE_FOR", value_name = "TIME", default_value = "60s", value_parser = words::duration, allow_hyphen_values = true)]
    pub(super) within: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Figures {
    /// Measures this alone
    #[arg(long, env = "PEERAGE_ONLY", value_name = "NAME")]
    pub(super) only: Option<String>,
}

impl Floodsub {
    pub(super) fn degree(&self) -> usize {
        self.degree.unwrap_or(self.peers.saturating_sub(1).min(6))
    }
    /// Refuses what cannot be, with the reason.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let (peers, degree) = (self.peers, self.degree());
        let reason = match () {
            () if peers == 0 => SimError::NoPeers,
            () if peers > PEERS_MAX => SimError::TooManyPeers { asked: peers, most: PEERS_MAX },
            // One alone has no links, and needs none.
            () if peers == 1 && degree == 0 => return self.check_rest(),
            () if degree >= peers => SimError::Degree { degree, peers },
            () if degree == 0 || (degree == 1 && peers > 2) => SimError::NotConnected { degree, peers },
            () if peers.saturating_mul(degree) % 2 == 1 => SimError::OddEnds { degree, peers },
            () => return self.check_rest(),
        };
        Err(Failure::usage(reason.to_string()))
    }
    fn check_rest(&self) -> Result<(), Failure> {
        if self.within.is_zero() {
            return Err(Failure::usage("--for 0s: in no time nothing happens"));
        }
        let limit = floodsub::BOUNDS.iter().find(|bound| bound.name == "floodsub.rpc");
        let limit = limit.map_or(u64::MAX, |bound| bound.default);
        if self.size > limit {
            return Err(Failure::usage(format!(
                "messages of {} bytes: floodsub carries at most {limit} at once",
                self.size
            )));
        }
        let mut flood = Flood::signed(&Keypair::generate_ed25519());
        match flood.publish(TOPIC, vec![0; usize::try_from(self.size).unwrap_or(usize::MAX)]) {
            Err(error @ PublishError::TooLarge { .. }) => Err(Failure::usage(error.to_string())),
            _ => Ok(()),
        }
    }

    /// The command that repeats this run.
    pub(super) fn repeat(&self) -> String {
        let mut text = format!(
            "peerage sim floodsub --peers {} --degree {} --seed {} --messages {} --size {} --latency {}..{}",
            self.peers,
            self.degree(),
            self.seed,
            self.messages,
            self.size,
            words::time(self.latency.start),
            words::time(self.latency.end)
        );
        if let Some(loss) = self.loss_of_link {
            text += &format!(" --loss-of-link {}", words::share(loss));
        }
        text + &format!(" --for {}", words::time(self.within))
    }
    pub(super) fn memory_limit(&self) -> u64 {
        self.memory.or_else(|| super::process::machine().map(|all| all / 4 * 3)).unwrap_or(u64::MAX)
    }
}

/// A file that can be written, and is not touched before there is something to write.
#[derive(Debug)]
pub(super) struct Page {
    file: File,
    path: PathBuf,
    is_new: bool,
}
impl Page {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let is_new = !path.exists();
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file =
            opened.map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
        Ok(Self { file, path: path.to_owned(), is_new })
    }
    pub(super) fn write(mut self, text: &str) -> Result<(), Failure> {
        let mut write = || {
            self.file.set_len(0)?;
            self.file.rewind()?;
            self.file.write_all(text.as_bytes())
        };
        write().map_err(|error| {
            Failure::new("sim.page", format!("cannot write {}: {error}", self.path.display()))
        })
    }
    /// The run failed: an empty file would say nothing.
    pub(super) fn give_up(self) {
        if self.is_new {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
