//! What a seed draws: the network and its weather.
use crate::sim::{dice::Dice, words};
use std::{collections::BTreeSet, fmt, time::Duration};

/// A network, and what goes wrong in it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) peers: usize,
    /// Who is to be connected to whom, whatever happens.
    pub(super) links: Vec<(usize, usize)>,
    pub(super) lans: Vec<Vec<usize>>,
    pub(super) latency: (Duration, Duration),
    pub(super) jitter: Duration,
    /// Bytes a second.
    pub(super) bandwidth: Option<u64>,
    /// Millionths.
    pub(super) datagram_loss: u32,
    /// Millionths every second, and whether they fall silent.
    pub(super) link_loss: (u32, bool),
    /// Offset in seconds and drift in millionths of each wall clock.
    pub(super) clocks: Vec<(i64, i64)>,
    /// For everything that is drawn later.
    pub(super) dice: Dice,
}

impl Plan {
    pub(super) fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let peers = dice.between(3, 24) as usize;
        let degree = dice.between(2, 6);
        let links = graph(peers, degree, &mut dice);
        let mut lans = Vec::new();
        for _ in 0..dice.below(3) {
            let mut all: Vec<usize> = (0..peers).collect();
            dice.shuffle(&mut all);
            all.truncate(dice.between(2, 8) as usize);
            lans.push(all);
        }
        let least = dice.between(1, 100);
        let most = least + dice.below(200);
        let ms = Duration::from_millis;
        let clock = |dice: &mut Dice| match dice.below(3) {
            0 => (0, 0),
            _ => (dice.below(172_800) as i64 - 86_400, dice.below(401) as i64 - 200),
        };
        Self {
            peers,
            links,
            lans,
            latency: (ms(least), ms(most)),
            jitter: ms(if dice.chance(50) { dice.below(30) } else { 0 }),
            bandwidth: dice.chance(40).then(|| dice.between(64 << 10, 4 << 20)),
            datagram_loss: if dice.chance(50) { dice.below(250_000) as u32 } else { 0 },
            link_loss: (if dice.chance(50) { dice.below(20_000) as u32 } else { 0 }, dice.chance(30)),
            clocks: (0..peers).map(|_| clock(&mut dice)).collect(),
            dice,
        }
    }
}

/// A ring, so that a path leads from each to each, and links that are drawn.
fn graph(peers: usize, degree: u64, dice: &mut Dice) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..peers).collect();
    dice.shuffle(&mut order);
    let next = order.iter().cycle().skip(1);
    let mut all: BTreeSet<_> = order.iter().zip(next).map(|(a, b)| (*a.min(b), *a.max(b))).collect();
    let wanted = (peers as u64 * degree / 2).min(peers as u64 * (peers as u64 - 1) / 2) as usize;
    while all.len() < wanted {
        let (a, b) = (dice.below(peers as u64) as usize, dice.below(peers as u64) as usize);
        if a != b {
            all.insert((a.min(b), a.max(b)));
        }
    }
    all.into_iter().collect()
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.latency;
        let (links, peers) = (self.links.len(), self.peers);
        write!(f, "{peers} peers, {links} links of {}..{}", words::time(least), words::time(most))?;
        if !self.jitter.is_zero() {
            write!(f, ", jitter {}", words::time(self.jitter))?;
        }
        if let Some(bandwidth) = self.bandwidth {
            write!(f, ", {} a second", words::size(bandwidth))?;
        }
        if self.link_loss.0 > 0 {
            let how = if self.link_loss.1 { "fall silent" } else { "are reset" };
            write!(f, ", {} {how}", words::share(self.link_loss.0))?;
        }
        if !self.lans.is_empty() {
            let lost = self.datagram_loss / 10_000;
            let sizes: Vec<String> = self.lans.iter().map(|lan| lan.len().to_string()).collect();
            write!(f, ", segments of {} that lose {lost} %", sizes.join(" and "))?;
        }
        Ok(())
    }
}
