//! ARCHITECTURE.md says what the simulator does.
use std::fmt::Write;

#[test]
fn the_table_of_bounds_is_true() {
    let mut expected = String::from("| bound | default | unit | policy |\n|---|---|---|---|\n");
    for bound in peerage_sim::BOUNDS {
        let digits = bound.default.to_string();
        let number: String = digits.char_indices().fold(String::new(), |mut out, (at, digit)| {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
            out
        });
        writeln!(expected, "| `{}` | {number} | {} | {} |", bound.name, bound.unit, bound.policy).unwrap();
    }
    let text = include_str!("../../../../ARCHITECTURE.md");
    let (_, table) = text.split_once("<!-- bounds of sim -->").unwrap();
    let table = table.split("\n\n").next().unwrap();
    assert_eq!(table.trim(), expected.trim(), "put this behind the marker in ARCHITECTURE.md:\n{expected}");
}
