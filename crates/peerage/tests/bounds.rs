//! ARCHITECTURE.md says what the code does: its table of bounds is the one the crates list.
#![allow(clippy::expect_used, reason = "a test may panic")]
use peerage::core::Bound;
use std::fmt::Write;

const TABLE: &str = include_str!("../../../ARCHITECTURE.md");

fn all() -> Vec<Bound> {
    let crates: [&[Bound]; 17] = [
        peerage::peer::BOUNDS,
        peerage_core::BOUNDS,
        peerage_files::BOUNDS,
        peerage_floodsub::BOUNDS,
        peerage_identify::BOUNDS,
        peerage_mdns::BOUNDS,
        peerage_noise::BOUNDS,
        peerage_perf::BOUNDS,
        peerage_ping::BOUNDS,
        peerage_quic::BOUNDS,
        peerage_request_response::BOUNDS,
        peerage_runtime::BOUNDS,
        peerage_stream::BOUNDS,
        peerage_swarm::BOUNDS,
        peerage_tcp::BOUNDS,
        peerage_tls::BOUNDS,
        peerage_yamux::BOUNDS,
    ];
    let mut all = crates.concat();
    all.sort_by_key(|bound| bound.name);
    all
}

fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[test]
fn the_table_of_bounds_is_true() {
    let mut expected = String::from("| bound | default | unit | policy |\n|---|---|---|---|\n");
    for Bound { name, default, unit, policy } in all() {
        writeln!(expected, "| `{name}` | {} | {unit} | {policy} |", number(default))
            .expect("a string takes everything");
    }
    let (_, table) = TABLE.split_once("<!-- bounds -->").expect("a marker");
    assert_eq!(table.trim(), expected.trim(), "put this behind the marker in ARCHITECTURE.md:\n{expected}");
}

#[test]
fn every_bound_has_a_name_of_its_own() {
    let all = all();
    assert!(all.windows(2).all(|two| matches!(two, [a, b] if a.name != b.name)));
}
