//! stdin and stdout as they are. Each is a thread of its own, because neither can be interrupted; full channels hold both back.
use peerage::{bytes::Bytes, core::Bound};
use std::{
    io::{self, Read, Write},
    thread,
};
use tokio::sync::{mpsc, oneshot};

/// Read at once.
const PIECE: usize = 64 << 10;
/// Less than this is copied: it would keep a whole piece's memory in use.
const SMALL: usize = 16 << 10;

pub(crate) const AHEAD: Bound = Bound {
    name: "pipe.ahead",
    default: 4,
    unit: "pieces of 64 KiB that were read, in each direction",
    policy: "wait: nothing more is read",
};

/// What comes from stdin.
pub(super) struct Input(mpsc::Receiver<io::Result<Bytes>>);
impl Input {
    pub(super) fn start() -> io::Result<Self> {
        let (to, from) = mpsc::channel(AHEAD.get());
        thread::Builder::new().name("stdin".into()).spawn(move || {
            let mut stdin = io::stdin().lock();
            let mut room = vec![0; PIECE];
            loop {
                let piece = match stdin.read(&mut room) {
                    Ok(0) => return,
                    Ok(n) if n < SMALL => Ok(Bytes::copy_from_slice(room.get(..n).unwrap_or_default())),
                    Ok(n) => {
                        let mut piece = std::mem::replace(&mut room, vec![0; PIECE]);
                        piece.truncate(n);
                        Ok(Bytes::from(piece))
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let over = piece.is_err();
                if to.blocking_send(piece).is_err() || over {
                    return;
                }
            }
        })?;
        Ok(Self(from))
    }
    /// `None` at its end.
    pub(super) async fn next(&mut self) -> Option<io::Result<Bytes>> {
        self.0.recv().await
    }
}

/// What goes to stdout.
pub(super) struct Sink {
    to: Option<mpsc::Sender<Bytes>>,
    written: oneshot::Receiver<io::Result<()>>,
}
impl Sink {
    pub(super) fn start() -> io::Result<Self> {
        let (to, mut from) = mpsc::channel::<Bytes>(AHEAD.get());
        let (all, written) = oneshot::channel();
        thread::Builder::new().name("stdout".into()).spawn(move || {
            let mut write = || {
                let mut stdout = io::stdout().lock();
                while let Some(piece) = from.blocking_recv() {
                    stdout.write_all(&piece)?;
                    stdout.flush()?;
                }
                close_stdout()
            };
            let _ = all.send(write());
        })?;
        Ok(Self { to: Some(to), written })
    }
    pub(super) async fn write(&mut self, piece: Bytes) -> io::Result<()> {
        if let Some(to) = &self.to
            && to.send(piece).await.is_ok()
        {
            return Ok(());
        }
        self.end().await.and(Err(io::ErrorKind::BrokenPipe.into()))
    }
    /// There is no more; all of it is written.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        self.to = None;
        (&mut self.written).await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
    }
}

/// Whoever reads our output sees its end, although we may have input for a long time to come.
fn close_stdout() -> io::Result<()> {
    #[cfg(unix)]
    {
        let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&nowhere)?;
    }
    Ok(())
}
