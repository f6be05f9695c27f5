//! `llama-parity`: compares a device of this machine with the reference.

use std::process::ExitCode;

fn main() -> ExitCode {
    llama_parity::main(&llama_parity::Hooks::default())
}
