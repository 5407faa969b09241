//! `peerage sim`: networks of peers as they are shipped, simulated: [`peerage_sim`] with the protocols of the program.
//!
//! | part | what it holds |
//! |---|---|
//! | `args` | the command line, and what is refused before anything runs |
//! | `floodsub` | messages through a network of thousands |
//! | `tally` | what became of each message |
//! | `report` | the figures: words, JSON |
//! | `page` | the page that shows a flood |
//! | `process` | memory and wall time of this process |
//! | `words` | numbers with units, read and written |
mod args;
mod dice;
mod floodsub;
mod page;
mod process;
mod report;
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
