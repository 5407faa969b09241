//! To a peer that reads one RPC per stream: rust-libp2p's floodsub.
use super::{Cx, Line, Neighbour, Parcel};
use crate::{Missed, PROTOCOL_NAME, bounds::SHOTS_MAX, wire::Traffic};
use peerage_swarm::{StreamError, StreamEvent, StreamId};

/// A stream with one RPC.
#[derive(Debug)]
pub(super) struct Shot {
    pub(super) parcel: Parcel,
    opened: bool,
}

impl Neighbour {
    /// One stream per RPC.
    pub(super) fn shoot(&mut self, cx: &mut Cx<'_>) {
        loop {
            match &self.line {
                Line::OneShot(shots) if shots.len() < SHOTS_MAX.get() => {}
                _ => return,
            }
            let Some(parcel) = self.take_waiting() else { return };
            let stream = cx.outbox.open(self.peer, PROTOCOL_NAME);
            cx.outbox.send_tracked(stream, Traffic::Rpc(parcel.rpc()));
            cx.outbox.finish(stream);
            if let Line::OneShot(shots) = &mut self.line {
                shots.insert(stream, Shot { parcel, opened: false });
            }
        }
    }
    pub(super) fn on_shot(&mut self, stream: StreamId, event: StreamEvent<Traffic>, cx: &mut Cx<'_>) {
        let Line::OneShot(shots) = &mut self.line else { return };
        let Some(shot) = shots.get_mut(&stream) else { return };
        match event {
            StreamEvent::Opened => return shot.opened = true,
            StreamEvent::Confirmed(_) | StreamEvent::Closed(_) => {}
            _ => return,
        }
        let Some(Shot { mut parcel, opened }) = shots.remove(&stream) else { return };
        let how = match event {
            StreamEvent::Closed(Ok(()) | Err(StreamError::Reset(_))) if !opened => Err(Missed::Lost),
            StreamEvent::Closed(Err(StreamError::Unsupported)) => {
                self.missed(&parcel, Missed::Lost, cx);
                let Line::OneShot(shots) = std::mem::replace(&mut self.line, Line::Deaf) else { return };
                shots.values().for_each(|shot| self.missed(&shot.parcel, Missed::Lost, cx));
                return self.give_up(cx);
            }
            StreamEvent::Closed(Err(StreamError::ConnectionLost | StreamError::NotConnected)) => {
                if parcel.again {
                    return self.missed(&parcel, Missed::Lost, cx);
                }
                parcel.again = true;
                self.waiting_bytes = self.waiting_bytes.saturating_add(parcel.len());
                return self.waiting.push_front(parcel); // Until `on_connection_lost`, or `on_lost`.
            }
            // That it ends the stream is how this peer says it has read.
            StreamEvent::Closed(Ok(()) | Err(StreamError::Reset(_))) | StreamEvent::Confirmed(_) => Ok(()),
            _ => Err(Missed::Lost),
        };
        match (how, parcel.of) {
            (Ok(()), Some(id)) => self.settle(id, Ok(()), cx),
            (Ok(()), None) => {}
            (Err(why), _) => self.missed(&parcel, why, cx),
        }
        self.shoot(cx);
    }
}
