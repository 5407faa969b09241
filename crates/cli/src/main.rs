//! The `peerage` program.
//!
//! | part | what it holds |
//! |---|---|
//! | `args` | the command line |
//! | `chat` | `peerage chat`: rooms on the network |
//! | `ping` | `peerage ping` |
//! | `tunnel` | what `pipe` and `forward` share: a peer that opens and accepts streams |
//! | `pipe` | `peerage pipe …`: stdin and stdout of two machines |
//! | `forward` | `peerage forward …`: TCP ports of other machines |
//! | `send`, `recv` | files, folders and text to another machine |
//! | `sharing` | what these two share: a peer, what they tell, temporary files |
//! | `sim` | `peerage sim …`: networks of thousands of peers, simulated |
//! | `key` | `peerage id`, `peerage key …` |
//! | `addr` | `peerage addr …` |
//! | `identity_file` | key files: read with care, never overwritten |
//! | `failure` | what goes wrong, in words |
//! | `output` | stdout and stderr, words and JSON |
//! | `sanitize` | text of strangers, made harmless |
#![forbid(unsafe_code)]

mod addr;
mod args;
mod chat;
mod failure;
mod forward;
mod identity_file;
mod key;
mod output;
mod ping;
mod pipe;
mod recv;
mod sanitize;
mod send;
mod sharing;
mod sim;
mod tunnel;

use args::{Cli, Command};
use clap::{CommandFactory, Parser, error::ErrorKind};
use failure::{Exit, Failure};
use output::Output;
use std::process::ExitCode;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong(&error).into(),
    };
    let output = Output { json: cli.global.json, color: cli.global.color };
    // A simulation that is asked for a log, and not for which, prints its own.
    let events = matches!((&cli.command, &cli.global.log), (Command::Sim(_), Some(None)));
    if let Some(filter) = cli.global.log.filter(|_| !events) {
        let filter = filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::DEBUG));
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(output.colored(&std::io::stderr()))
            .with_filter(filter);
        let _ = tracing_subscriber::registry().with(lines).try_init();
    }
    let done = |result: Result<(), Failure>| result.map(|()| Exit::Done);
    let result = match cli.command {
        Command::Chat(args) => chat::chat(args, output),
        Command::Id(args) => done(key::id(&args.identity, &output)),
        Command::Ping(args) => ping::ping(args, output),
        Command::Pipe(command) => pipe::pipe(command, output),
        Command::Forward(command) => forward::forward(command, output),
        Command::Send(args) => send::send(args, output),
        Command::Recv(args) => recv::recv(args, output),
        Command::Sim(command) => sim::sim(command, events, output),
        Command::Key(command) => done(key::key(command, &output)),
        Command::Addr(command) => done(addr::addr(command, &output)),
        Command::Completions { shell } => done(completions(shell)),
        Command::Man => done(man()),
    };
    let exit = result.unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit
    });
    exit.into()
}

/// Help and the version go to stdout; everything else that is no command line is one line on stderr.
fn wrong(error: &clap::Error) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            Exit::Done
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Exit::Usage
        }
        _ => {
            let json = std::env::args_os().any(|arg| arg == "--json");
            let failure = args::explain(error);
            Output { json, color: args::Color::Never }.failure(&failure);
            failure.exit
        }
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "peerage", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

/// One page for the program, then one for each command, and for each of its commands.
fn man() -> Result<(), Failure> {
    fn pages(command: &clap::Command, all: &mut Vec<u8>) -> std::io::Result<()> {
        clap_mangen::Man::new(command.clone()).render(all)?;
        let mut subs = command.get_subcommands().filter(|sub| sub.get_name() != "help");
        subs.try_for_each(|sub| pages(sub, all))
    }
    let mut all = Vec::new();
    let mut command = Cli::command();
    command.build();
    pages(&command, &mut all).map_err(|error| Failure::new("output", error.to_string()))?;
    output::print(&String::from_utf8_lossy(&all))
}
