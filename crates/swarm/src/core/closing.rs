//! Connections ending, one or all.
use super::*;

impl<B: NetworkBehaviour> Core<B> {
    pub(super) fn close(&mut self, id: ConnectionId, why: Closing) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.closing.is_some() {
            return;
        }
        connection.closing = Some(why);
        self.idle.cancel(id);
        let code = match why {
            Closing::Wanted(code) => code,
            Closing::Idle => Code::GARBAGE_COLLECTED,
        };
        self.outputs.push_back(Output::ToLink(id, ToLink::Command(LinkCommand::Close(code))));
    }

    pub(crate) fn disconnect(&mut self, peer: &PeerId, code: Code) -> bool {
        let ids = self.connections.of(peer).to_vec();
        ids.iter().for_each(|id| self.close(*id, Closing::Wanted(code)));
        !ids.is_empty()
    }
    pub(crate) fn close_connection(&mut self, id: ConnectionId, code: Code) -> bool {
        let known = self.connections.get(id).is_some();
        self.close(id, Closing::Wanted(code));
        known
    }

    pub(super) fn on_closed(&mut self, id: ConnectionId, how: Result<Code, io::Error>) {
        let Some(connection) = self.connections.remove(id) else { return };
        self.idle.cancel(id);
        let cause = match (connection.closing, how) {
            (Some(Closing::Wanted(_)), _) => None,
            (Some(Closing::Idle), _) => Some(ConnectionError::KeepAliveTimeout),
            (None, Ok(code)) => Some(ConnectionError::IO(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                ClosedByPeer(code),
            ))),
            (None, Err(error)) => Some(ConnectionError::IO(error)),
        };
        let error = match connection.closing {
            Some(Closing::Wanted(code)) => StreamError::Cancelled(code),
            Some(Closing::Idle) => StreamError::Cancelled(Code::GARBAGE_COLLECTED),
            None => StreamError::ConnectionLost,
        };
        for stream in connection.streams() {
            self.fail_stream(*stream, error);
        }
        for job in &connection.jobs {
            self.deliveries.push_back(Delivery::Job(*job, None));
        }
        let left = self.connections.count(&connection.peer);
        self.deliveries.push_back(Delivery::Closed { id, connection, cause, left });
    }

    /// Says goodbye: behaviours first, then no more accepts, then every connection.
    pub(crate) fn shut_down(&mut self, deadline: Instant, now: Instant) {
        if !self.shutting_down {
            self.deliveries.push_back(Delivery::ShuttingDown(deadline));
            self.settle(now);
            self.shutting_down = true;
            let listeners: Vec<_> = self.addresses.listeners().collect();
            self.outputs.extend(listeners.into_iter().map(Output::Unlisten));
            let dials: Vec<_> = self.dials.keys().copied().collect();
            dials.into_iter().for_each(|id| self.fail_dial(id, Some(DialError::Aborted)));
            let ids: Vec<_> = self.connections.ids().collect();
            ids.into_iter().for_each(|id| self.close(id, Closing::Wanted(Code::SHUTDOWN)));
            while let Some(id) = self.pending_order.pop_front() {
                if let Some(pending) = self.pending.remove(&id) {
                    self.outputs.push_back(Output::Discard(id, Attempt(0)));
                    self.fail_incoming(id, None, pending, ListenError::Aborted);
                }
            }
        }
        self.settle(now);
    }
    pub(crate) fn is_shut_down(&self) -> bool {
        self.shutting_down && self.connections.len() == 0
    }
}
