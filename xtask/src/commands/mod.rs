//! The list of commands.

mod check_apple;
mod check_cuda;
mod ci;
mod clients;
mod compare;
mod eval;
mod load;
mod memory;
mod model;
mod parity;
mod quantize;
mod test;
mod tidy;

use clap::{ArgMatches, Parser};

/// Every command of `cargo xtask`.
pub(crate) const COMMANDS: &[Command] = &[
    Command::of::<check_apple::CheckApple>(),
    Command::of::<check_cuda::CheckCuda>(),
    Command::of::<ci::Ci>(),
    Command::of::<clients::Clients>(),
    Command::of::<compare::Compare>(),
    Command::of::<eval::Eval>(),
    Command::of::<load::Load>(),
    Command::of::<memory::Memory>(),
    Command::of::<model::Model>(),
    Command::of::<parity::Parity>(),
    Command::of::<quantize::Quantize>(),
    Command::of::<test::Test>(),
    Command::of::<tidy::Tidy>(),
];

/// Something that `cargo xtask` can do; its fields are its arguments.
pub(crate) trait Task: Parser {
    /// Does it.
    fn run(self) -> anyhow::Result<()>;
}

/// A [`Task`] without its type.
pub(crate) struct Command {
    /// Its name, help and arguments, for the command line.
    pub(crate) define: fn() -> clap::Command,
    run: fn(&ArgMatches) -> anyhow::Result<()>,
}

impl Command {
    const fn of<T: Task>() -> Command {
        Command { define: T::command, run: |arguments| T::from_arg_matches(arguments)?.run() }
    }

    /// Parses the arguments and does it.
    pub(crate) fn run(&self, arguments: &ArgMatches) -> anyhow::Result<()> {
        (self.run)(arguments)
    }
}
