//! `emulated-parity`: compares the emulated Metal device with the reference, as `cargo xtask parity` does with a
//! device of this machine. `--device metal` chooses it.

use std::process::ExitCode;

use llama_parity::Hooks;

fn main() -> ExitCode {
    llama_parity::main(&Hooks { label: Some("Metal, emulated"), seed_order: metal_emulator::set_seed })
}
