use bench_kit::{Node, Setup, failed};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Mutex,
};

/// Sockets, with `TCP_NODELAY`.
#[derive(Clone)]
pub(crate) struct Tcp {
    address: Arc<str>,
}

/// The first stream is the connection's socket, each further one a socket of its own.
#[derive(Clone)]
pub(crate) struct Connection {
    to: SocketAddr,
    first: Arc<Mutex<Option<TcpStream>>>,
}

impl Node for Tcp {
    type Connection = Connection;
    type Stream = TcpStream;

    async fn start(setup: Setup) -> io::Result<Self> {
        let Some(service) = setup.serves else { return Ok(Self { address: "".into() }) };
        let listener = listen()?;
        let address = listener.local_addr()?.to_string();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let _ = socket.set_nodelay(true);
                tokio::spawn(bench_kit::serve(service, socket));
            }
        });
        Ok(Self { address: address.into() })
    }
    fn address(&self) -> String {
        self.address.to_string()
    }

    async fn dial(&self, address: &str) -> io::Result<Connection> {
        let to = address.parse().map_err(failed)?;
        let first = Arc::new(Mutex::new(Some(connect(to).await?)));
        Ok(Connection { to, first })
    }
    async fn open(&self, on: &Connection) -> io::Result<TcpStream> {
        match on.first.lock().await.take() {
            Some(first) => Ok(first),
            None => connect(on.to).await,
        }
    }
    async fn close(&self, _: Connection) -> io::Result<()> {
        Ok(())
    }
}

/// On loopback, with room for many at once.
pub(crate) fn listen() -> io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(1024)
}
pub(crate) async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(to).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
