//! `peerage addr …`.
use crate::{args::Addr, failure::Failure, output::Output, sanitize::harmless};
use peerage::Multiaddr;
use serde_json::{Value, json};

pub(crate) fn addr(command: Addr, output: &Output) -> Result<(), Failure> {
    let Addr::Parse { addr } = command;
    output.result(&record(&addr), &table(&addr))
}

/// The parts of an address: each protocol and its value.
fn parts(addr: &Multiaddr) -> Vec<(&'static str, Option<String>)> {
    addr.iter()
        .map(|part| {
            let (tag, text) = (part.tag(), part.to_string());
            let value = text.strip_prefix('/').and_then(|text| text.strip_prefix(tag)).unwrap_or_default();
            (tag, (!value.is_empty()).then(|| value.strip_prefix('/').unwrap_or(value).to_owned()))
        })
        .collect()
}

fn hex(addr: &Multiaddr) -> String {
    addr.to_vec().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn record(addr: &Multiaddr) -> Value {
    let parts =
        parts(addr).into_iter().map(|(protocol, value)| json!({ "protocol": protocol, "value": value }));
    json!({
        "v": 1,
        "addr": addr.to_string(),
        "bytes": hex(addr),
        "parts": parts.collect::<Vec<_>>(),
        "peer": addr.peer_id().map(|peer| peer.to_string()),
    })
}

fn table(addr: &Multiaddr) -> String {
    let parts = parts(addr);
    let width = parts.iter().map(|(tag, _)| tag.len()).chain([5]).max().unwrap_or(5);
    let mut table = format!("{}\n", harmless(&addr.to_string()));
    for (tag, value) in parts {
        let line = format!("  {tag:width$}  {}", value.as_deref().map(harmless).unwrap_or_default());
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table + &format!("  {:width$}  {}", "bytes", hex(addr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let addr: Multiaddr =
            "/ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh"
                .parse()
                .unwrap();
        let expected = "\
/ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh
  ip4      192.0.2.1
  udp      4001
  quic-v1
  p2p      12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh
";
        let table = table(&addr);
        let lines = expected;
        assert!(table.starts_with(lines), "{table}");
        assert!(
            table.lines().last().unwrap().starts_with("  bytes    04c000020191020fa1cd03a50326"),
            "{table}"
        );
        let record = record(&addr);
        assert_eq!(record["parts"][1], json!({ "protocol": "udp", "value": "4001" }));
        assert_eq!(record["parts"][2], json!({ "protocol": "quic-v1", "value": null }));
        assert_eq!(record["peer"], "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh");
    }
}
