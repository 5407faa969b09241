//! `peerage sim`: networks of peers as they are shipped, simulated: [`peerage_sim`] with the protocols of the program.
//!
//! | part | what it holds |
//! |---|---|
//! | `args` | the command line, and what is refused before anything runs |
//! | `floodsub` | messages through a network of thousands |
//! | `tally` | what became of each message |
//! | `report` | the figures: words, JSON |
//! | `page` | the page that shows a flood |
//! | `sweep` | a random scenario per seed, everything that can go wrong, every invariant |
//! | `figures` | how fast and how big, against targets |
//! | `path` | one stream over a long fat path |
//! | `process` | memory and wall time of this process |
//! | `words` | numbers with units, read and written |
//! | `scenarios` | tests: every behaviour with faults |
mod args;
mod dice;
mod figures;
mod floodsub;
mod page;
mod path;
mod process;
mod report;
#[cfg(test)]
mod scenarios;
mod sweep;
mod tally;
mod words;

pub(crate) use args::Command;

use crate::{
    failure::{Exit, Failure},
    output::Output,
};
use peerage_sim::SimError;

/// `events`: every event of the network goes to stderr.
pub(crate) fn sim(command: Command, events: bool, output: Output) -> Result<Exit, Failure> {
    match command {
        Command::Floodsub(args) => floodsub::command(&args, events, output),
        Command::Sweep(args) => sweep::command(&args, events, output),
        Command::Figures(args) => figures::command(&args, output),
    }
}

/// A run that was stopped, in words.
fn stopped(error: &SimError) -> Failure {
    match error {
        SimError::Memory { .. } => {
            Failure::new("sim.memory", error.to_string()).hint("simulate less, or allow more with --memory")
        }
        SimError::Contract { .. } | SimError::Panicked { .. } | SimError::StandsStill { .. } => {
            Failure::new("sim.behaviour", error.to_string())
                .hint("the same command with --log prints every event")
        }
        _ => Failure::new("sim", error.to_string()),
    }
}
