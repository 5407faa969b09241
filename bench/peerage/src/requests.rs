//! Requests by `Requests`, bytes as they are, asked and answered in the swarm's task.
use bench_kit::node::REQUESTS;
use peerage::{
    PeerId, StreamProtocol, Swarm,
    bytes::Bytes,
    futures::{
        StreamExt,
        channel::{mpsc, oneshot},
    },
    request_response::{OutboundRequestId, Plain, ProtocolSupport, Requests, Service, Told},
    swarm::{NetworkBehaviour, SwarmEvent},
};
use std::{collections::BTreeMap, future::poll_fn, io, ops::ControlFlow, task::Poll};

/// One request of a handle, and who waits for the length of its answer.
pub(crate) struct Question {
    pub(crate) peer: PeerId,
    pub(crate) body: Bytes,
    pub(crate) reply: oneshot::Sender<io::Result<usize>>,
}

/// So many under way as a scenario likes.
pub(crate) fn requests(answers: bool) -> Requests<Bytes, Bytes> {
    let support = if answers { ProtocolSupport::Full } else { ProtocolSupport::Outbound };
    let service = Service::new(StreamProtocol::new(REQUESTS)).support(support);
    Requests::new(Plain, [service]).streams(4096)
}

/// Drives a swarm, asks what is asked, and sends every request back as its answer.
pub(crate) async fn drive<B>(
    mut swarm: Swarm<B>,
    mut questions: mpsc::Receiver<Question>,
    requests: fn(&mut B) -> &mut Requests<Bytes, Bytes>,
    told: fn(B::ToSwarm) -> Option<Told<Bytes, Bytes>>,
) where
    B: NetworkBehaviour,
{
    let mut waiting = BTreeMap::<OutboundRequestId, oneshot::Sender<io::Result<usize>>>::new();
    loop {
        let next = poll_fn(|cx| {
            while let Poll::Ready(Some(Question { peer, body, reply })) = questions.poll_next_unpin(cx) {
                match requests(swarm.behaviour_mut()).ask(peer, body) {
                    Ok(id) => drop(waiting.insert(id, reply)),
                    Err(error) => drop(reply.send(Err(io::Error::other(error.to_string())))),
                }
            }
            swarm.poll_next_unpin(cx).map(|event| event.map_or(ControlFlow::Break(()), ControlFlow::Continue))
        });
        let ControlFlow::Continue(event) = next.await else { return };
        let SwarmEvent::Behaviour(event) = event else { continue };
        let (id, answer) = match told(event) {
            Some(Told::Request { id, request, .. }) => {
                let _ = requests(swarm.behaviour_mut()).answer(id, request);
                continue;
            }
            Some(Told::Response { id, response, .. }) => (id, Ok(response.len())),
            Some(Told::Failed { id, error, .. }) => (id, Err(io::Error::other(error.to_string()))),
            _ => continue,
        };
        if let Some(reply) = waiting.remove(&id) {
            let _ = reply.send(answer);
        }
    }
}
