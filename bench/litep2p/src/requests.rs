use bench_kit::{
    failed,
    node::{BODY_MAX, REQUESTS},
};
use futures::StreamExt;
use litep2p::{
    PeerId,
    protocol::request_response::{
        Config, ConfigBuilder, DialOptions, RequestResponseEvent, RequestResponseHandle,
    },
    types::RequestId,
};
use std::{collections::HashMap, io, time::Duration};
use tokio::sync::{mpsc, oneshot};

pub(crate) struct Request {
    pub(crate) to: PeerId,
    pub(crate) body: Vec<u8>,
    pub(crate) reply: oneshot::Sender<io::Result<usize>>,
}

pub(crate) fn protocol() -> (Config, RequestResponseHandle) {
    ConfigBuilder::new(REQUESTS.into()).with_max_size(BODY_MAX).with_timeout(Duration::from_secs(60)).build()
}

/// Sends what handles ask for, and answers others with what they sent.
pub(crate) async fn drive(mut handle: RequestResponseHandle, mut wanted: mpsc::Receiver<Request>) {
    let mut waiting: HashMap<RequestId, oneshot::Sender<io::Result<usize>>> = HashMap::new();
    loop {
        tokio::select! {
            event = handle.next() => match event {
                Some(RequestResponseEvent::RequestReceived { request_id, request, .. }) => {
                    handle.send_response(request_id, request);
                }
                Some(RequestResponseEvent::ResponseReceived { request_id, response, .. }) => {
                    if let Some(reply) = waiting.remove(&request_id) {
                        let _ = reply.send(Ok(response.len()));
                    }
                }
                Some(RequestResponseEvent::RequestFailed { request_id, error, .. }) => {
                    if let Some(reply) = waiting.remove(&request_id) {
                        let _ = reply.send(Err(failed(format!("{error:?}"))));
                    }
                }
                None => return,
            },
            Some(Request { to, body, reply }) = wanted.recv() => {
                match handle.send_request(to, body, DialOptions::Reject).await {
                    Ok(id) => drop(waiting.insert(id, reply)),
                    Err(error) => drop(reply.send(Err(failed(error)))),
                }
            }
        }
    }
}
