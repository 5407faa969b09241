//! How far ahead a receiver asks: as far as the network needs, and not much further than the disk can follow. What was asked for and
//! is not yet written may be here already, in memory. Pure: no stream, no disk.
use crate::{
    ASKED, Manifest, TAKEN,
    wire::{Frame, Want},
};
use bytes::Bytes;
use std::collections::VecDeque;

/// Asks on one stream.
pub(crate) struct Asking {
    /// To be sent.
    pub(crate) frames: Bytes,
    /// Not yet asked for.
    wanted: VecDeque<Want>,
    /// In bytes, on this stream and before.
    asked: u64,
    /// As many bytes may be asked for and not yet written.
    most: u64,
}

/// As many while the disk is the slower one.
const LEAST: u64 = 8 << 20;

impl Asking {
    /// `written`: so many bytes before.
    pub(crate) fn new(manifest: &Manifest, wanted: &[Want], written: u64) -> Self {
        let wanted = wanted.iter().copied().collect();
        let mut asking = Self { frames: Bytes::new(), wanted, asked: written, most: LEAST };
        asking.ask(manifest, written);
        asking
    }
    /// So many bytes are written by now, and so many have come meanwhile and wait to be.
    pub(crate) fn on_written(&mut self, manifest: &Manifest, written: u64, waiting: usize) {
        if waiting >= TAKEN.get() {
            self.most = LEAST;
        } else if waiting == 0 {
            // The disk has nothing to do: it is the network that everything waits for.
            self.most = self.most.saturating_mul(2).min(ASKED.default);
        }
        self.ask(manifest, written);
    }
    /// Nothing can be asked any more.
    pub(crate) fn stop(&mut self) {
        self.frames.clear();
        self.wanted.clear();
    }

    fn ask(&mut self, manifest: &Manifest, written: u64) {
        let limit = written.saturating_add(self.most);
        // In steps: frames are few, and the sender never without work.
        if !self.frames.is_empty() || self.asked.saturating_add(self.most / 4) > limit {
            return;
        }
        let mut frames = Vec::new();
        while self.asked < limit
            && let Some(want) = self.wanted.front_mut()
        {
            let mut now = Want { first: want.first, count: 0 };
            while now.count < want.count && self.asked < limit {
                let chunk = manifest.chunk(now.first.saturating_add(now.count));
                self.asked = self.asked.saturating_add(chunk.map_or(0, |chunk| chunk.len() as u64));
                now.count = now.count.saturating_add(1);
            }
            Frame::Want(now).encode(&mut frames);
            want.first = want.first.saturating_add(now.count);
            want.count = want.count.saturating_sub(now.count);
            if want.count == 0 {
                self.wanted.pop_front();
            }
        }
        self.frames = frames.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Builder, Kind, NewEntry,
        wire::{Frames, From},
    };

    const MIB: u64 = 1 << 20;

    fn manifest(mib: usize) -> Manifest {
        let mut builder = Builder::default();
        let (size, hashes) = (mib as u64 * MIB, vec![[0; 32]; mib]);
        let new = NewEntry {
            kind: Kind::File,
            parent: None,
            name: "a",
            size,
            mode: 0o644,
            modified: (0, 0),
            hashes: &hashes,
        };
        builder.add(&new).expect("room");
        builder.finish().expect("a manifest")
    }
    /// What is sent now.
    fn sent(asking: &mut Asking) -> Vec<Want> {
        let (mut frames, mut input) = (Frames::new(From::Receiver), std::mem::take(&mut asking.frames));
        let frame = std::iter::from_fn(|| frames.next(&mut input).expect("frames"));
        frame.map(|frame| if let Frame::Want(want) = frame { want } else { panic!("{frame:?}") }).collect()
    }

    #[test]
    fn everything_is_asked_for_once_and_in_order() {
        let manifest = manifest(500);
        let wanted =
            [Want { first: 3, count: 1 }, Want { first: 7, count: 2 }, Want { first: 10, count: 490 }];
        let mut asking = Asking::new(&manifest, &wanted, 5 * MIB);
        let (mut asked, mut written) = (Vec::new(), 5 * MIB);
        for step in 0..500 {
            asked.extend(sent(&mut asking).iter().flat_map(|want| want.first..want.first + want.count));
            written += MIB;
            asking.on_written(&manifest, written, if step % 3 == 0 { 0 } else { TAKEN.get() });
        }
        let all: Vec<u32> = [3, 7, 8].into_iter().chain(10..500).collect();
        assert_eq!(asked, all);
    }

    #[test]
    fn a_slow_disk_is_asked_for_little_and_a_slow_network_for_much() {
        let manifest = manifest(1_000);
        let mut asking = Asking::new(&manifest, &[Want { first: 0, count: 1_000 }], 0);
        let count = |wants: Vec<Want>| wants.iter().map(|want| u64::from(want.count)).sum::<u64>();
        assert_eq!(count(sent(&mut asking)) * MIB, LEAST);
        let (mut ahead, mut written) = (LEAST, 0);
        let mut step = |asking: &mut Asking, waiting| {
            written += MIB;
            asking.on_written(&manifest, written, waiting);
            ahead = ahead + count(sent(asking)) * MIB - MIB;
            ahead
        };
        for _ in 0..50 {
            assert!(step(&mut asking, TAKEN.get()) <= LEAST);
        }
        let fast: Vec<u64> = (0..10).map(|_| step(&mut asking, 0)).collect();
        assert!(fast.contains(&ASKED.default) && fast.iter().all(|ahead| *ahead <= ASKED.default));
        let slow: Vec<u64> = (0..100).map(|_| step(&mut asking, TAKEN.get())).collect();
        assert!(slow.last().is_some_and(|ahead| *ahead <= LEAST), "{slow:?}");
        // Neither is the slower one: as it was.
        assert!(step(&mut asking, 1) <= LEAST);
    }
}
