/// One row of the table of bounds in `ARCHITECTURE.md`; each crate lists its own in `const BOUNDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// What is bounded, as `crate.thing`.
    pub name: &'static str,
    /// The default value, in `unit`.
    pub default: u64,
    /// Bytes, seconds, streams, ...
    pub unit: &'static str,
    /// What happens at the bound: drop, reset, refuse or wait.
    pub policy: &'static str,
}
impl Bound {
    /// The value as a count or a size.
    pub const fn get(&self) -> usize {
        self.default as usize
    }
}
