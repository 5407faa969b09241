//! `peerage id` and `peerage key …`.
use crate::{
    args::{Format, Identity, Key, KeyType, Out},
    failure::{Exit, Failure},
    identity_file::{self, Accept},
    output::Output,
};
use peerage::{identity::Keypair, runtime::Home};
use serde_json::json;
use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
};

/// Who we are; made up the first time.
pub(crate) fn id(identity: &Identity, output: &Output) -> Result<(), Failure> {
    let keypair = match &identity.identity {
        Some(path) => identity_file::load(path, Accept::Any)?,
        None => own(output)?,
    };
    let peer = keypair.public().to_peer_id();
    output.result(&json!({ "v": 1, "peer": peer.to_string() }), &peer.to_string())
}

pub(crate) fn key(command: Key, output: &Output) -> Result<(), Failure> {
    match command {
        Key::New { key_type, out } => keep(&generate(key_type), out, output),
        Key::Import { file, out } => keep(&identity_file::import(&file)?, out, output),
        Key::Show { file } => show(&of(file)?, output),
        Key::Export { file, format, out } => export(&of(file)?, format, out, output),
    }
}

/// The identity in the data directory, made if there is none.
fn own(output: &Output) -> Result<Keypair, Failure> {
    let home = Home::find()?;
    home.create()?;
    let path = home.identity();
    let (keypair, new) = identity_file::load_or_create(&path)?;
    if new {
        output.note(&format!(
            "created a new identity, {}: keep a copy, losing it changes your peer id",
            path.display()
        ));
    } else if identity_file::is_exposed(&path) {
        output.note(&exposed(&path));
    }
    Ok(keypair)
}

pub(crate) fn exposed(path: &std::path::Path) -> String {
    format!("others can read {0}: chmod 600 {0}", identity_file::quoted(path))
}

fn of(file: Option<PathBuf>) -> Result<Keypair, Failure> {
    match file {
        Some(path) => identity_file::import(&path),
        None => identity_file::load(&Home::find()?.identity(), Accept::Protobuf),
    }
}

fn generate(key_type: KeyType) -> Keypair {
    match key_type {
        KeyType::Ed25519 => Keypair::generate_ed25519(),
        KeyType::Secp256k1 => Keypair::generate_secp256k1(),
        KeyType::Ecdsa => Keypair::generate_ecdsa(),
    }
}

/// Writes a key where nothing is yet, and says whose it is.
fn keep(keypair: &Keypair, out: Out, output: &Output) -> Result<(), Failure> {
    let bytes = identity_file::protobuf(keypair)?;
    let (path, _lock) = match out.out {
        Some(path) => (path, None),
        None => {
            let home = Home::find()?;
            let Some(lock) = home.lock()? else {
                return Err(Failure::new("home.locked", "another process uses the data directory")
                    .hint("end it first, or write to another file with --out")
                    .exit(Exit::Locked));
            };
            (home.identity(), Some(lock))
        }
    };
    identity_file::save(&path, &bytes)?;
    output.note(&format!("wrote {}: keep it, and show it to nobody", path.display()));
    let peer = keypair.public().to_peer_id();
    let record = json!({ "v": 1, "peer": peer.to_string(), "file": path.display().to_string() });
    output.result(&record, &peer.to_string())
}

fn show(keypair: &Keypair, output: &Output) -> Result<(), Failure> {
    let public = keypair.public();
    let (peer, key_type) = (public.to_peer_id(), keypair.key_type());
    let hex: String = public.encode_protobuf().iter().map(|byte| format!("{byte:02x}")).collect();
    let record = json!({
        "v": 1, "peer": peer.to_string(), "type": key_type.to_string().to_lowercase(), "public_key": hex,
    });
    output.result(&record, &format!("peer        {peer}\ntype        {key_type}\npublic key  {hex}"))
}

fn export(keypair: &Keypair, format: Format, out: Option<PathBuf>, output: &Output) -> Result<(), Failure> {
    let bytes = match format {
        Format::Pem => keypair.to_pem().into_bytes(),
        Format::Protobuf => identity_file::protobuf(keypair)?,
    };
    if let Some(path) = out {
        identity_file::save(&path, &bytes)?;
        output.note(&format!("wrote {}: keep it, and show it to nobody", path.display()));
        return Ok(());
    }
    let mut stdout = std::io::stdout();
    if format == Format::Protobuf && stdout.is_terminal() {
        return Err(Failure::usage("a protobuf is not for a terminal: write it to a file with --out"));
    }
    let written = stdout.write_all(&bytes).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::new("output", format!("cannot write: {error}")))
}
