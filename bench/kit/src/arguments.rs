use std::{env, io, str::FromStr, time::Duration};

/// What is connected over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    TcpNoise,
    TcpTls,
    Quic,
}
impl FromStr for Transport {
    type Err = io::Error;

    fn from_str(name: &str) -> io::Result<Self> {
        Ok(match name {
            "tcp-noise" => Self::TcpNoise,
            "tcp-tls" => Self::TcpTls,
            "quic" => Self::Quic,
            _ => return Err(io::Error::other(format!("no such transport: {name}"))),
        })
    }
}

const BY_HANDLE: &str = "peer-";

/// What the runner says: a role, then `--name value` pairs.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// `server`, `client`, or what else a program of its own does.
    pub role: String,
    words: Vec<String>,
}
impl Arguments {
    pub fn of_process() -> io::Result<Self> {
        let mut words = env::args().skip(1);
        let role = words.next().ok_or_else(|| io::Error::other("which role?"))?;
        Ok(Self { role, words: words.collect() })
    }
    pub fn get<T: FromStr>(&self, name: &str) -> io::Result<Option<T>> {
        let mut pairs = self.words.chunks(2).filter(|pair| pair.first().is_some_and(|key| key == name));
        let Some(pair) = pairs.next() else { return Ok(None) };
        let value = pair.get(1).and_then(|value| value.parse().ok());
        value.map(Some).ok_or_else(|| io::Error::other(format!("{name}: no value, or not such a value")))
    }
    pub fn need<T: FromStr>(&self, name: &str) -> io::Result<T> {
        self.get(name)?.ok_or_else(|| io::Error::other(format!("{name} is missing")))
    }
    /// `peer-` in front of it is what [`is_by_handle`](Self::is_by_handle) is about.
    pub fn scenario(&self) -> io::Result<String> {
        let name: String = self.need("--scenario")?;
        Ok(name.strip_prefix(BY_HANDLE).map(str::to_owned).unwrap_or(name))
    }
    /// Whether the scenario goes through the handle a stack gives to applications.
    pub fn is_by_handle(&self) -> io::Result<bool> {
        Ok(self.need::<String>("--scenario")?.starts_with(BY_HANDLE))
    }
    pub fn transport(&self) -> io::Result<Transport> {
        self.need("--transport")
    }
    /// How long the timed part lasts; bulk ends earlier if [`bytes`](Self::bytes) are through.
    pub fn time(&self) -> io::Result<Duration> {
        Ok(Duration::from_secs_f64(self.get("--seconds")?.unwrap_or(2.0)))
    }
    /// How much is sent by a bulk scenario. Default: what fits into the time.
    pub fn bytes(&self) -> io::Result<u64> {
        Ok(self.get("--bytes")?.unwrap_or(u64::MAX))
    }
}
