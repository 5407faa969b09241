//! From connected bytes to secure streams: security, then a muxer, each agreed on by multistream-select.
use crate::{
    Stage,
    error::AttemptError,
    task::{self, Io},
};
use bytes::{Buf, BytesMut};
use peerage_core::{
    Bound, Muxer, PeerId, Records, Role, Scope, Secured, Security, SecurityError, Socket, StreamProtocol,
    multistream::{Dialing, Listening},
};
use std::{future::poll_fn, io, sync::Arc, task::ready};

/// What a handshake may leave unread: two Noise messages of the largest size.
pub(crate) const INPUT: Bound = Bound {
    name: "swarm.upgrade.input",
    default: 128 << 10,
    unit: "bytes",
    policy: "refuse: the connection is closed",
};

/// What this node speaks on connected bytes, best first.
#[derive(Clone, Default)]
pub struct Upgrades {
    /// Noise, TLS.
    pub security: Vec<Arc<dyn Security>>,
    /// Yamux.
    pub muxers: Vec<Arc<dyn Muxer>>,
}
impl std::fmt::Debug for Upgrades {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let security = self.security.iter().map(|s| s.protocol());
        let muxers = self.muxers.iter().map(|m| m.protocol());
        f.debug_list().entries(security).entries(muxers).finish()
    }
}

/// A connection with secure streams.
pub(crate) struct Upgraded {
    pub(crate) peer: PeerId,
    pub(crate) io: Io,
    /// Plain bytes that have arrived already.
    pub(crate) plain: BytesMut,
}

/// Why it did not come about.
#[derive(Debug)]
pub(crate) enum UpgradeError {
    WrongPeer(PeerId),
    Failed(Stage, String),
}
impl UpgradeError {
    pub(crate) fn attempt(self, took: std::time::Duration) -> Result<AttemptError, PeerId> {
        match self {
            Self::WrongPeer(obtained) => Err(obtained),
            Self::Failed(stage, cause) => Ok(AttemptError { stage, cause, took }),
        }
    }
}

/// The one function: a socket, whatever it is made of, becomes secure streams.
///
/// The pair is our role in the handshakes, and the peer we dialed.
pub(crate) async fn secure(
    socket: Box<dyn Socket>,
    (role, expected): (Role, Option<PeerId>),
    upgrades: &Upgrades,
    scope: &Scope,
) -> Result<Upgraded, UpgradeError> {
    let mut pipe = Pipe { socket, input: BytesMut::new(), output: BytesMut::new() };
    let Secured { peer, muxer, records, .. } = pipe.handshake(role, expected, upgrades).await?;
    let mut sealed = Sealed { pipe, records, plain: BytesMut::new() };
    let muxer = match muxer {
        Some(name) => upgrades.muxers.iter().find(|muxer| *muxer.protocol() == name),
        None => sealed.choose(role, &upgrades.muxers).await?,
    };
    let muxer = muxer.ok_or_else(|| UpgradeError::Failed(Stage::Muxer, "no muxer in common".into()))?;
    let session = muxer.session(role, scope);
    let Sealed { pipe, records, plain } = sealed;
    let io = task::Sealed::new(pipe.socket, records, session, pipe.input, pipe.output);
    Ok(Upgraded { peer, io: Io::Sealed(io), plain })
}

/// Bytes in the clear.
struct Pipe {
    socket: Box<dyn Socket>,
    input: BytesMut,
    output: BytesMut,
}

impl Pipe {
    async fn handshake(
        &mut self,
        role: Role,
        expected: Option<PeerId>,
        upgrades: &Upgrades,
    ) -> Result<Secured, UpgradeError> {
        let failed = |cause: String| UpgradeError::Failed(Stage::Security, cause);
        let muxers: Vec<StreamProtocol> =
            upgrades.muxers.iter().map(|muxer| muxer.protocol().clone()).collect();
        let names: Vec<StreamProtocol> =
            upgrades.security.iter().map(|security| security.protocol().clone()).collect();
        let lazy = role == Role::Dialer && names.len() == 1;
        let mut pending = None;
        let security = if role == Role::Dialer {
            let mut machine = Dialing::new(names, &mut self.output);
            if lazy {
                // The first message of the handshake travels with the offer.
                pending = Some(machine);
                0
            } else {
                loop {
                    match machine.on_bytes(&mut self.input, &mut self.output) {
                        Ok(Some(agreed)) => break agreed,
                        Ok(None) => self.exchange(Stage::Security).await?,
                        Err(error) => return Err(failed(error.to_string())),
                    }
                }
            }
        } else {
            self.listen(Stage::Security, &names).await?
        };
        let security =
            upgrades.security.get(security).ok_or_else(|| failed("no security protocol".into()))?;
        let mut handshake = security.handshake(role, expected, &muxers);
        loop {
            if let Some(machine) = &mut pending {
                match machine.on_bytes(&mut self.input, &mut self.output) {
                    Ok(Some(_)) => pending = None,
                    Ok(None) => {}
                    Err(error) => return Err(failed(error.to_string())),
                }
            }
            let mut nothing = BytesMut::new();
            let input = if pending.is_some() { &mut nothing } else { &mut self.input };
            match handshake.step(input, &mut self.output) {
                Ok(Some(secured)) => return Ok(secured),
                Ok(None) => self.exchange(Stage::Security).await?,
                Err(error) => {
                    let _ = self.flush().await; // An alert says why.
                    return Err(match error {
                        SecurityError::WrongPeer { obtained, .. } => UpgradeError::WrongPeer(obtained),
                        error => failed(error.to_string()),
                    });
                }
            }
        }
    }

    async fn listen(&mut self, stage: Stage, names: &[StreamProtocol]) -> Result<usize, UpgradeError> {
        let mut machine = Listening::new();
        loop {
            let accept = |name: &str| names.iter().position(|ours| *ours == *name);
            match machine.on_bytes(&mut self.input, &mut self.output, accept) {
                Ok(Some(agreed)) => return Ok(agreed),
                Ok(None) => self.exchange(stage).await?,
                Err(error) => return Err(UpgradeError::Failed(stage, error.to_string())),
            }
        }
    }

    /// Sends what is to be sent, then reads something.
    async fn exchange(&mut self, stage: Stage) -> Result<(), UpgradeError> {
        let failed = |error: io::Error| UpgradeError::Failed(stage, error.to_string());
        self.flush().await.map_err(failed)?;
        if self.input.len() >= INPUT.get() {
            return Err(UpgradeError::Failed(
                stage,
                "the peer sent too much before the handshake was over".into(),
            ));
        }
        let read = poll_fn(|cx| {
            self.input.reserve(4 << 10);
            self.socket.poll_read(cx, &mut self.input)
        });
        match read.await.map_err(failed)? {
            0 => Err(UpgradeError::Failed(stage, "the peer closed the connection".into())),
            _ => Ok(()),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            while !self.output.is_empty() {
                let n = ready!(self.socket.poll_write(cx, &[io::IoSlice::new(&self.output)]))?;
                if n == 0 {
                    return std::task::Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.output.advance(n);
            }
            std::task::Poll::Ready(Ok(()))
        })
        .await
    }
}

/// Bytes in records.
struct Sealed {
    pipe: Pipe,
    records: Box<dyn Records>,
    plain: BytesMut,
}

impl Sealed {
    /// Agrees on a muxer inside the records: the peer does not negotiate it in the handshake.
    async fn choose<'a>(
        &mut self,
        role: Role,
        muxers: &'a [Arc<dyn Muxer>],
    ) -> Result<Option<&'a Arc<dyn Muxer>>, UpgradeError> {
        let failed = |cause: String| UpgradeError::Failed(Stage::Muxer, cause);
        let names: Vec<StreamProtocol> = muxers.iter().map(|muxer| muxer.protocol().clone()).collect();
        let mut output = BytesMut::new();
        let mut dialing = (role == Role::Dialer).then(|| Dialing::new(names.clone(), &mut output));
        let mut listening = Listening::new();
        loop {
            self.open()?;
            let agreed = match &mut dialing {
                Some(machine) => machine.on_bytes(&mut self.plain, &mut output),
                None => {
                    let accept = |name: &str| names.iter().position(|ours| *ours == *name);
                    listening.on_bytes(&mut self.plain, &mut output, accept)
                }
            };
            let agreed = agreed.map_err(|error| failed(error.to_string()))?;
            self.seal(&mut output)?;
            if let Some(agreed) = agreed {
                return Ok(muxers.get(agreed));
            }
            self.pipe.exchange(Stage::Muxer).await?;
        }
    }

    fn open(&mut self) -> Result<(), UpgradeError> {
        loop {
            match self.records.open(&mut self.pipe.input, &mut self.pipe.output) {
                Ok(Some(plain)) => self.plain.unsplit(plain),
                Ok(None) => return Ok(()),
                Err(error) => return Err(UpgradeError::Failed(Stage::Muxer, error.to_string())),
            }
        }
    }

    fn seal(&mut self, plain: &mut BytesMut) -> Result<(), UpgradeError> {
        if plain.is_empty() {
            return Ok(());
        }
        let (before, _, _) = self.records.layout();
        let output = &mut self.pipe.output;
        let from = output.len();
        output.resize(from + before, 0);
        output.extend_from_slice(&plain.split());
        self.records.seal(output, from).map_err(|error| UpgradeError::Failed(Stage::Muxer, error.to_string()))
    }
}
