//! The peerage program.
fn main() {}
