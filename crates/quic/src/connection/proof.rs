//! What must be acknowledged before `Confirmed` may be said.
//!
//! Quinn keeps the number of bytes that were written and are not acknowledged, over all streams, and lets out one bit of it: with a
//! send window of `w` bytes a write is blocked as long as `w` bytes or more are not. Suppose a stream has a byte from before a
//! `confirm`: then everything written on it since is not acknowledged in full either (quinn forgets from the front). So if fewer
//! than 1 + *n* bytes are unacknowledged in all, where *n* is the least that was written since the `confirm` on any stream that
//! had unacknowledged bytes then, there is no such byte.
//!
//! ```text
//!                  ask                      fewer than `threshold` unacknowledged
//!   nothing asked ─────► a round: streams with old bytes ─────────────────────────► its tokens are settled
//!                  ask, meanwhile: the next round, which begins when this one is over
//! ```
use peerage_core::Instant;
use std::collections::BTreeMap;

/// Stands for streams that are not told apart any more.
const OTHERS: u64 = u64::MAX;

#[derive(Debug, Default)]
pub(super) struct Proof {
    /// Streams with bytes that may not have arrived.
    dirty: BTreeMap<u64, Dirty>,
    /// How many of them are in the round, and how many of those were not written to since it began.
    in_round: usize,
    idle: usize,
    round: Option<Round>,
    /// The last token that was asked for since the round began.
    next: Option<u64>,
}

#[derive(Debug, Default)]
struct Dirty {
    in_round: bool,
    /// Bytes written since the round began.
    since: u64,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    token: u64,
    began: Instant,
}

impl Proof {
    /// Bytes were written.
    pub(super) fn on_written(&mut self, stream: u64, bytes: usize) {
        let dirty = self.dirty.entry(stream).or_default();
        if dirty.in_round && dirty.since == 0 && bytes > 0 {
            self.idle -= 1;
        }
        dirty.since = dirty.since.saturating_add(bytes as u64);
    }
    /// All its bytes are acknowledged, or will never be: it was reset.
    pub(super) fn on_clean(&mut self, stream: u64) {
        if let Some(dirty) = self.dirty.remove(&stream) {
            self.left(&dirty);
        }
    }
    /// It cannot be asked any more.
    pub(super) fn on_forgotten(&mut self, stream: u64) {
        let Some(dirty) = self.dirty.remove(&stream) else { return };
        self.left(&dirty);
        let others = self.dirty.entry(OTHERS).or_default();
        // Nothing more is written on them.
        if dirty.in_round && !others.in_round {
            others.in_round = true;
            others.since = 0;
            self.in_round += 1;
            self.idle += 1;
        }
    }
    fn left(&mut self, dirty: &Dirty) {
        if dirty.in_round {
            self.in_round -= 1;
            self.idle -= usize::from(dirty.since == 0);
        }
    }

    /// Settles what was written so far: all of it, or `settled` says so later.
    pub(super) fn ask(&mut self, token: u64, now: Instant) {
        match self.round {
            Some(_) => self.next = Some(token),
            None => self.begin(token, now),
        }
    }
    fn begin(&mut self, token: u64, now: Instant) {
        for dirty in self.dirty.values_mut() {
            *dirty = Dirty { in_round: true, since: 0 };
        }
        self.in_round = self.dirty.len();
        self.idle = self.dirty.len();
        self.round = Some(Round { token, began: now });
    }
    /// Nothing may be unacknowledged.
    pub(super) fn is_clean(&self) -> bool {
        self.dirty.is_empty()
    }
    /// When the round under way began.
    pub(super) fn began(&self) -> Option<Instant> {
        self.round.map(|round| round.began)
    }
    /// Fewer unacknowledged bytes than this settle the round; `all`: the next one too.
    pub(super) fn threshold(&self, all: bool) -> u64 {
        if all || self.idle > 0 {
            return 1;
        }
        let least = self.dirty.values().filter(|dirty| dirty.in_round).map(|dirty| dirty.since).min();
        least.unwrap_or(0).saturating_add(1)
    }
    /// Fewer than `threshold` bytes are unacknowledged.
    pub(super) fn on_fewer(&mut self, threshold: u64) {
        if threshold <= 1 {
            self.dirty.clear();
        }
        self.dirty.values_mut().for_each(|dirty| dirty.in_round = false);
        (self.in_round, self.idle) = (0, 0);
    }
    /// The token of a round that is settled.
    pub(super) fn settled(&mut self, now: Instant) -> Option<u64> {
        let round = self.round.filter(|_| self.in_round == 0)?;
        self.round = None;
        match self.next.take() {
            Some(next) if self.dirty.is_empty() => Some(next),
            Some(next) => {
                self.begin(next, now);
                Some(round.token)
            }
            None => Some(round.token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerage_core::Rng;

    const NOW: Instant = Instant::START;

    #[test]
    fn nothing_written_is_settled_at_once() {
        let mut proof = Proof::default();
        proof.ask(1, NOW);
        assert_eq!(proof.settled(NOW), Some(1));
        assert_eq!(proof.settled(NOW), None);
    }

    #[test]
    fn a_stream_that_is_written_to_without_end_is_settled_by_what_came_since() {
        let mut proof = Proof::default();
        proof.on_written(0, 500);
        proof.ask(1, NOW);
        assert_eq!(proof.threshold(false), 1, "nothing was written since");
        proof.on_written(0, 800);
        assert_eq!(proof.threshold(false), 801);
        assert_eq!(proof.settled(NOW), None);
        proof.ask(2, NOW);
        proof.on_fewer(801);
        assert_eq!(proof.settled(NOW), Some(1));
        assert_eq!(proof.settled(NOW), None, "the second round has just begun");
        assert_eq!(proof.threshold(false), 1);
    }

    #[test]
    fn a_quiet_stream_needs_everything_to_be_acknowledged_unless_it_is_known_to_be() {
        let mut proof = Proof::default();
        proof.on_written(0, 10);
        proof.on_written(4, 10);
        proof.ask(1, NOW);
        proof.on_written(4, 1000);
        assert_eq!(proof.threshold(false), 1);
        proof.on_clean(0);
        assert_eq!(proof.threshold(false), 1001);
        proof.on_clean(4);
        assert_eq!(proof.settled(NOW), Some(1));
        assert!(proof.is_clean());
    }

    #[test]
    fn what_cannot_be_asked_any_more_still_counts() {
        let mut proof = Proof::default();
        proof.on_written(0, 10);
        proof.ask(1, NOW);
        proof.on_forgotten(0);
        assert_eq!((proof.settled(NOW), proof.threshold(false), proof.is_clean()), (None, 1, false));
        proof.on_forgotten(0);
        proof.on_fewer(1);
        assert_eq!(proof.settled(NOW), Some(1));
        assert!(proof.is_clean());
    }

    /// A model of quinn: streams whose bytes are acknowledged from the front, in any order between them.
    #[test]
    fn no_token_is_settled_before_its_last_byte_is_acknowledged() {
        let mut rng = Rng::new(peerage_core::Seed::new(7));
        for _ in 0..2_000 {
            let mut proof = Proof::default();
            let (mut written, mut acked) = ([0_u64; 4], [0_u64; 4]);
            let mut asked: Vec<(u64, [u64; 4])> = Vec::new();
            for step in 0..200_u64 {
                let stream = rng.below(4) as usize;
                match rng.below(6) {
                    0 | 1 => {
                        let bytes = 1 + rng.below(50);
                        written[stream] += bytes;
                        proof.on_written(stream as u64, bytes as usize);
                    }
                    2 | 3 => acked[stream] += rng.below(written[stream] - acked[stream] + 1),
                    4 => {
                        asked.push((step, written));
                        proof.ask(step, NOW);
                    }
                    _ => {
                        let threshold = proof.threshold(false);
                        let open: u64 = (0..4).map(|i| written[i] - acked[i]).sum();
                        if open < threshold {
                            proof.on_fewer(threshold);
                        }
                    }
                }
                while let Some(token) = proof.settled(NOW) {
                    for (_, then) in asked.extract_if(.., |(asked, _)| *asked <= token) {
                        assert!((0..4).all(|i| acked[i] >= then[i]), "{then:?} {acked:?}");
                    }
                }
            }
        }
    }
}
