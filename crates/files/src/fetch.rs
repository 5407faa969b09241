//! A transfer, from the receiver's side: found, asked, taken, and again where it was when the sender was lost.
use crate::{
    Control, FetchError, Manifest, SILENCE, TAKEN, Ticket, Trouble,
    asking::Asking,
    blocking::{self, Watch, pause},
    control::NO_SWARM,
    intake::{Intake, Taken, failed},
    offer::CancelOnDrop,
    store::{Placed, Store},
    talk::{Broken, Talk, close_within},
    wire::{Failure, Frame, Frames, From, Get},
};
use bytes::Bytes;
use futures::{FutureExt, channel::oneshot, future::BoxFuture};
use peerage_core::{Code, ConnectionId, Instant, Multiaddr, PeerId, Runtime, Stream, within};
use std::{
    any::Any,
    fmt,
    future::{IntoFuture, poll_fn},
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    task::Poll,
    time::Duration,
};

pub use crate::store::Outcome;

/// What happens while something is fetched.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FetchEvent {
    /// The sender was not reached, was lost, or has no time; it is tried again.
    Waiting {
        /// What happened.
        trouble: Trouble,
        /// How long is waited.
        again_in: Duration,
    },
    /// The sender has opened a stream.
    Connected {
        /// Over a connection to there.
        address: Option<Multiaddr>,
    },
    /// What is to come.
    Manifest(Arc<Manifest>),
    /// What is here already is read, to find out whether it is the same.
    Checking {
        /// Bytes so far.
        read: u64,
    },
    /// More is here, checked and written.
    Progress {
        /// Bytes that are here, those of earlier attempts and files that were there included.
        here: u64,
        /// Of so many.
        total: u64,
    },
    /// A file is whole, and has its name.
    File {
        /// Below the target folder, with `/`.
        path: String,
    },
    /// Something else is there already under this name, and stays.
    Conflict {
        /// Below the target folder, with `/`.
        path: String,
    },
}
type TellFetch = Arc<dyn Fn(FetchEvent) + Send + Sync>;

/// How something is to be fetched: `await` it, or choose first. Dropped, it stops; what has arrived is kept, and the next attempt goes on
/// from there.
#[must_use = "nothing is fetched until this is awaited"]
pub struct Fetch {
    control: Control,
    ticket: Ticket,
    folder: PathBuf,
    overwrite: bool,
    patience: Option<Duration>,
    tell: TellFetch,
    held: Option<Box<dyn Any + Send>>,
}

impl Fetch {
    pub(crate) fn new(control: Control, ticket: Ticket, folder: PathBuf) -> Self {
        Self { control, ticket, folder, overwrite: false, patience: None, tell: Arc::new(|_| {}), held: None }
    }
    /// Replaces files that are there and have another content. Default: they stay, and are [named](Outcome::conflicts).
    pub fn overwrite(self) -> Self {
        Self { overwrite: true, ..self }
    }
    /// Gives up when nothing has come for so long, however often the sender was tried. Default: never.
    pub fn give_up_after(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }
    /// Tells what happens. It is called where files are read and written: it must not take long.
    pub fn on_event(self, tell: impl Fn(FetchEvent) + Send + Sync + 'static) -> Self {
        Self { tell: Arc::new(tell), ..self }
    }

    /// Lives as long as the fetch.
    #[doc(hidden)]
    pub fn holding(self, what: impl Any + Send) -> Self {
        Self { held: Some(Box::new(what)), ..self }
    }

    async fn run(self) -> Result<Outcome, FetchError> {
        let _held = self.held;
        let runtime = self.control.shared().runtime.clone();
        if self.ticket.peer == self.control.shared().local {
            return Err(FetchError::Own);
        }
        let cancelled = CancelOnDrop(Arc::new(AtomicBool::new(false)));
        let now = runtime.now();
        let fetching = Fetching {
            control: self.control,
            ticket: self.ticket,
            folder: self.folder,
            overwrite: self.overwrite,
            patience: self.patience,
            tell: self.tell,
            flag: cancelled.0.clone(),
            runtime,
            progress: now,
            wait: FIRST_WAIT,
            store: None,
        };
        fetching.run().await
    }
}
impl IntoFuture for Fetch {
    type Output = Result<Outcome, FetchError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}
impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch")
            .field("ticket", &self.ticket)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

struct Fetching {
    control: Control,
    ticket: Ticket,
    folder: PathBuf,
    overwrite: bool,
    patience: Option<Duration>,
    tell: TellFetch,
    flag: Arc<AtomicBool>,
    runtime: Arc<dyn Runtime>,
    /// When something came last.
    progress: Instant,
    /// Before the next attempt.
    wait: Duration,
    /// Once the manifest is here.
    store: Option<Store>,
}

/// Why an attempt is over.
enum Over {
    /// The next one may do better.
    Lost(Trouble),
    Failed(FetchError),
}
impl std::convert::From<FetchError> for Over {
    fn from(error: FetchError) -> Self {
        Self::Failed(error)
    }
}

impl Fetching {
    async fn run(mut self) -> Result<Outcome, FetchError> {
        loop {
            let trouble = match self.attempt().await {
                Ok(outcome) => return Ok(outcome),
                Err(Over::Failed(error)) => return Err(error),
                Err(Over::Lost(trouble)) if trouble.code == NO_SWARM => return Err(FetchError::NoSwarm),
                Err(Over::Lost(trouble)) => trouble,
            };
            let quiet = self.runtime.now().since(self.progress);
            let again_in = match self.patience.map(|patience| patience.saturating_sub(quiet)) {
                Some(Duration::ZERO) => {
                    return Err(FetchError::GaveUp { peer: self.ticket.peer, after: quiet, last: trouble });
                }
                Some(left) => self.wait.min(left),
                None => self.wait,
            };
            (self.tell)(FetchEvent::Waiting { trouble, again_in });
            pause(&*self.runtime, again_in).await;
            self.wait = self.wait.saturating_mul(2).min(LONGEST_WAIT);
        }
    }
    fn got_on(&mut self) {
        self.progress = self.runtime.now();
        self.wait = FIRST_WAIT;
    }

    async fn attempt(&mut self) -> Result<Outcome, Over> {
        if let Some(store) = self.store.take_if(|store| store.is_whole()) {
            // All of it was here before, or its last word was lost.
            return self.finish(store, None).await;
        }
        let peer = self.ticket.peer;
        let opening = self.control.open(peer, self.ticket.addresses.clone());
        // A dial that hangs is not to outlast our patience.
        let longest =
            self.patience.unwrap_or(Duration::MAX).saturating_sub(self.runtime.now().since(self.progress));
        let opened = within(&*self.runtime, longest.max(FIRST_WAIT), opening).await;
        let opened =
            opened.unwrap_or_else(|| Err(Trouble::new("files.timeout", "the sender does not answer")));
        let opened = opened.map_err(Over::Lost)?;
        (self.tell)(FetchEvent::Connected { address: opened.address });
        let line = Line { control: self.control.clone(), peer, over: opened.connection };

        let mut talk = Talk::new(opened.stream, From::Sender, self.runtime.clone(), SILENT);
        let has_manifest = self.store.is_some();
        let get = Get { manifest: self.ticket.manifest, secret: self.ticket.secret, has_manifest };
        let sent = talk.send(Frame::Get(get).to_bytes()).await;
        sent.ok_or_else(|| line.silent())?.map_err(|error| lost(&error))?;
        if self.store.is_none() {
            let manifest = self.receive_manifest(&line, &mut talk).await?;
            self.survey(manifest).await?;
        }
        let Some(store) = self.store.take() else { return Err(Over::Failed(FetchError::NoSwarm)) };
        let (stream, frames, rest) = talk.into_rest();
        if store.is_whole() {
            return self.finish(store, Some(stream)).await;
        }
        self.receive(&line, store, stream, frames, rest).await
    }

    async fn receive_manifest(&mut self, line: &Line, talk: &mut Talk) -> Result<Arc<Manifest>, Over> {
        let peer = line.peer;
        // So many bytes a minute come over any line; and a sender that dribbles is not waited for.
        let frame = within(&*self.runtime, MANIFEST_TIME, talk.next()).await;
        let bytes = match frame.ok_or_else(|| line.silent())? {
            Ok(Some(Frame::Manifest(bytes))) => bytes,
            Ok(Some(Frame::Failure(Failure::Busy))) => return Err(busy()),
            Ok(Some(Frame::Failure(failure))) => {
                return Err(failed(peer, failure, |_| "a file".to_owned()).into());
            }
            Ok(Some(_)) => return Err(FetchError::Violation { peer, why: "its first word is none" }.into()),
            Ok(None) => return Err(lost(&"the sender has ended the stream")),
            Err(Broken::Lost(error)) => return Err(lost(&error)),
            Err(Broken::Invalid(error)) => return Err(FetchError::Violation { peer, why: error.0 }.into()),
        };
        let hash = self.ticket.manifest;
        let read = blocking::run(&*self.runtime, move || {
            (blake3::hash(&bytes) == blake3::Hash::from_bytes(hash)).then(|| Manifest::decode(bytes))
        });
        let read = read.await.ok_or(Over::Failed(FetchError::NoSwarm))?;
        let wrong = || FetchError::Wrong { peer, what: "the list of files the ticket stands for".to_owned() };
        let manifest = read.ok_or_else(wrong)?.map_err(|error| FetchError::Manifest { peer, error })?;
        self.got_on();
        let manifest = Arc::new(manifest);
        (self.tell)(FetchEvent::Manifest(manifest.clone()));
        Ok(manifest)
    }

    async fn survey(&mut self, manifest: Arc<Manifest>) -> Result<(), FetchError> {
        let (folder, overwrite, flag, tell) =
            (self.folder.clone(), self.overwrite, self.flag.clone(), self.tell.clone());
        let surveyed = blocking::run(&*self.runtime, move || {
            let mut store = Store::open(&folder, manifest, overwrite)?;
            store.survey(&|read| tell(FetchEvent::Checking { read }), &flag)?;
            Ok::<_, FetchError>(store)
        });
        let mut store = surveyed.await.ok_or(FetchError::NoSwarm)??;
        let placed = std::mem::take(&mut store.placed);
        self.tell_progress(&store, placed);
        self.store = Some(store);
        self.got_on();
        Ok(())
    }
    fn tell_progress(&self, store: &Store, placed: Vec<Placed>) {
        let path = |number| store.manifest.entry(number).map(|entry| entry.path()).unwrap_or_default();
        for placed in placed {
            (self.tell)(match placed {
                Placed::File(number) => FetchEvent::File { path: path(number) },
                Placed::Conflict(number) => FetchEvent::Conflict { path: path(number) },
            });
        }
        (self.tell)(FetchEvent::Progress { here: store.here, total: store.manifest.total() });
    }

    /// Asks for what is missing, and takes it: what has come is checked and written beside the tasks, while more comes.
    async fn receive(
        &mut self,
        line: &Line,
        store: Store,
        mut stream: Stream,
        frames: Frames,
        rest: Bytes,
    ) -> Result<Outcome, Over> {
        let wanted = store.wanted();
        let mut asking = Asking::new(&store.manifest, &wanted, store.bytes);
        let mut intake = Some(Intake::new(store, line.peer, frames, wanted));
        let mut working: Option<oneshot::Receiver<(Intake, Result<Taken, FetchError>)>> = None;
        let (mut waiting, mut bytes) = (vec![rest], 0_usize);
        let mut ended: Option<Trouble> = None;
        let mut watch = Watch::new(self.runtime.clone(), SILENT);
        loop {
            if let Some(mut idle) = intake.take_if(|_| !waiting.is_empty()) {
                let pieces = std::mem::take(&mut waiting);
                bytes = 0;
                working = Some(blocking::start(&*self.runtime, move || {
                    let taken = idle.take(pieces);
                    (idle, taken)
                }));
            }
            if let Some(idle) = intake.take_if(|_| ended.is_some())
                && let Some(trouble) = ended
            {
                let is_between = idle.is_between();
                self.store = Some(idle.store);
                let cut = || Trouble::new("files.lost", "the sender stopped in the middle");
                return Err(Over::Lost(if is_between { trouble } else { cut() }));
            }
            let step = poll_fn(|cx| {
                if let Some(work) = &mut working
                    && let Poll::Ready(done) = work.poll_unpin(cx)
                {
                    return Poll::Ready(Step::Taken(done.ok().map(Box::new)));
                }
                // What cannot be asked any more has its reason in what comes.
                if !asking.frames.is_empty()
                    && matches!(stream.poll_send_bytes(cx, &mut asking.frames), Poll::Ready(Err(_)))
                {
                    asking.stop();
                }
                if ended.is_none() && bytes < TAKEN.get() {
                    if let Poll::Ready(came) = stream.poll_next_bytes(cx) {
                        return Poll::Ready(Step::Came(came));
                    }
                    if watch.poll(cx).is_ready() {
                        return Poll::Ready(Step::Silent);
                    }
                }
                Poll::Pending
            });
            match step.await {
                Step::Came(Ok(Some(piece))) => {
                    watch.moves();
                    bytes = bytes.saturating_add(piece.len());
                    waiting.push(piece);
                }
                Step::Came(Ok(None)) => {
                    ended = Some(Trouble::new("files.lost", "the sender has ended the stream"))
                }
                Step::Came(Err(error)) => ended = Some(Trouble::new("files.lost", error)),
                Step::Silent => {
                    let Over::Lost(trouble) = line.silent() else { continue };
                    ended = Some(trouble);
                }
                Step::Taken(None) => return Err(FetchError::NoSwarm.into()),
                Step::Taken(Some(done)) => {
                    working = None;
                    let (mut idle, taken) = *done;
                    match taken {
                        Ok(taken) => {
                            self.tell_progress(&idle.store, taken.placed);
                            if taken.is_busy {
                                self.store = Some(idle.store);
                                return Err(busy());
                            }
                        }
                        Err(error) => {
                            let placed = std::mem::take(&mut idle.store.placed);
                            self.tell_progress(&idle.store, placed);
                            let code = match error {
                                FetchError::Wrong { .. } | FetchError::Violation { .. } => {
                                    Code::PROTOCOL_VIOLATION
                                }
                                _ => Code::NONE,
                            };
                            stream.reset(code);
                            return Err(error.into());
                        }
                    }
                    self.got_on();
                    if idle.store.is_whole() {
                        return self.finish(idle.store, Some(stream)).await;
                    }
                    asking.on_written(&idle.store.manifest, idle.store.bytes, bytes);
                    intake = Some(idle);
                    // Reading went on only as far as there was room.
                    watch.moves();
                }
            }
        }
    }

    async fn finish(&self, mut store: Store, stream: Option<Stream>) -> Result<Outcome, Over> {
        let finished = blocking::run(&*self.runtime, move || {
            let finished = store.finish();
            (store, finished)
        });
        let (mut store, outcome) = finished.await.ok_or(FetchError::NoSwarm)?;
        let placed = std::mem::take(&mut store.placed);
        self.tell_progress(&store, placed);
        let outcome = outcome?;
        if let Some(mut stream) = stream {
            // Politeness: everything is here, whether or not the sender hears it.
            if stream.send_bytes(Frame::Done.to_bytes()).await.is_ok() {
                let _ = close_within(&*self.runtime, &mut stream).await;
            }
        }
        Ok(outcome)
    }
}

enum Step {
    Came(std::io::Result<Option<Bytes>>),
    Taken(Option<Box<(Intake, Result<Taken, FetchError>)>>),
    Silent,
}

/// How long a sender may send nothing.
const SILENT: Duration = Duration::from_secs(SILENCE.default);
/// How long a manifest may take.
const MANIFEST_TIME: Duration = Duration::from_secs(300);

/// What a stream runs over.
struct Line {
    control: Control,
    peer: PeerId,
    over: Option<ConnectionId>,
}
impl Line {
    /// Nothing comes over it: the next attempt is to make another one, to where the sender may be now.
    fn silent(&self) -> Over {
        if let Some(connection) = self.over {
            self.control.distrust(self.peer, connection);
        }
        Over::Lost(Trouble::new("files.timeout", "nothing comes from the sender any more"))
    }
}

fn lost(why: &dyn fmt::Display) -> Over {
    Over::Lost(Trouble::new("files.lost", why))
}
fn busy() -> Over {
    Over::Lost(Trouble::new("files.busy", "the sender has too many receivers at the moment"))
}
