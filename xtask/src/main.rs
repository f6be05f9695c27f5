//! The project's own commands, as `cargo xtask NAME`.
//!
//! Owns the list of commands and nothing else. A new command is one file in `commands/` and one
//! entry in [`commands::COMMANDS`]. This crate does not depend on Candle, so that it builds quickly.

mod cargo;
mod commands;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut app = clap::Command::new("xtask")
        .about("The project's own commands")
        .subcommand_required(true)
        .arg_required_else_help(true);
    for command in commands::COMMANDS {
        app = app.subcommand((command.define)());
    }
    let matches = app.get_matches();
    let Some((name, arguments)) = matches.subcommand() else {
        unreachable!("clap demands a subcommand");
    };
    let chosen = commands::COMMANDS.iter().find(|command| (command.define)().get_name() == name);
    let ended = chosen.expect("clap knows only our commands").run(arguments);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
