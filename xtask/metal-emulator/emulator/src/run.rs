//! Runs what encoders have recorded.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use msl::Constants;

use crate::access::{Access, Kind, Watch};
use crate::buffer::Buffer;
use crate::command::{Argument, Command, Dispatch, Encoded, Part};
use crate::hazards::Hazards;
use crate::workspace::Workspace;
use crate::{counters, crash, lock, seed};

/// The workspace, and what the signal handler looks at, serve one command at a time.
static RUNNING: Mutex<()> = Mutex::new(());

/// Runs the commands of an encoder, those between two barriers in an order that the seed chooses.
///
/// # Errors
///
/// What went wrong first; nothing after it runs.
pub(crate) fn encoder(encoded: &Encoded) -> Result<(), String> {
    if let Some(fault) = &encoded.fault {
        return Err(fault.clone());
    }
    let mut hazards = Hazards::default();
    for unordered in encoded.commands.split(|command| matches!(command, Command::Barrier)) {
        let mut unordered: Vec<&Command> = unordered.iter().collect();
        if !encoded.is_serial {
            seed::shuffle(&mut unordered);
        }
        for command in unordered {
            let (name, accesses) = run(command)?;
            if !encoded.is_serial {
                hazards.note(&name, &accesses)?;
            }
        }
        hazards.barrier();
    }
    Ok(())
}

fn run(command: &Command) -> Result<(String, Vec<Access>), String> {
    let _running = lock(&RUNNING);
    match command {
        Command::Dispatch(command) => {
            let name = format!("kernel `{}`", command.pipeline.name());
            dispatch(command)
                .map(|accesses| (name.clone(), accesses))
                .map_err(|fault| format!("{name}, {fault}"))
        }
        Command::Barrier => Ok((String::new(), Vec::new())),
        Command::Copy(copy) => {
            let (source, target) = (part_start(&copy.source), part_start(&copy.target));
            // SAFETY: the encoder has checked that both parts lie within their buffers.
            unsafe { std::ptr::copy(source.cast_const(), target, copy.source.num_bytes) };
            let accesses = [(&copy.source, Kind::Read), (&copy.target, Kind::Write)];
            let accesses = accesses.map(|(part, kind)| Access { buffer: part.buffer.id(), kind });
            Ok(("a copy".to_owned(), accesses.to_vec()))
        }
        Command::Fill { target, value } => {
            // SAFETY: the encoder has checked that the part lies within its buffer.
            unsafe { std::ptr::write_bytes(part_start(target), *value, target.num_bytes) };
            Ok(("a fill".to_owned(), vec![Access { buffer: target.buffer.id(), kind: Kind::Write }]))
        }
    }
}

fn part_start(part: &Part) -> *mut u8 {
    part.buffer.start().wrapping_add(part.offset)
}

fn dispatch(command: &Dispatch) -> Result<Vec<Access>, String> {
    let pipeline = &command.pipeline;
    let constants = Constants {
        indices: pipeline.constant_indices.as_ptr(),
        values: pipeline.constant_values.as_ptr(),
        count: pipeline.constant_indices.len() as u64,
    };
    let workspace = Workspace::shared();
    let mut dispatch = msl::Dispatch::new(command.grid, constants, workspace.memory(), seed::next_random());
    dispatch.arguments.threadgroup_bytes = command.bindings.threadgroup_bytes;
    for (index, argument) in command.bindings.arguments.iter().enumerate() {
        let (start, num_bytes) = match argument {
            Argument::Nothing => continue,
            Argument::Buffer { buffer, offset } => {
                (buffer.start().wrapping_add(*offset), buffer.num_bytes() - offset)
            }
            Argument::Bytes(bytes) => (workspace.place_argument(index, bytes), bytes.len()),
        };
        dispatch.arguments.buffers[index] = start.cast();
        dispatch.arguments.buffer_bytes[index] = num_bytes as u64;
    }

    let watch = Watch::new(buffers(command));
    let crash = crash::Running::new(pipeline.kernel().name(), &dispatch.progress);
    let start = Instant::now();
    // SAFETY: the constants live in the pipeline, the memory in the workspace, and what is bound in buffers
    // that the command holds. What the kernel does with them is what is being tested.
    let ended = unsafe { pipeline.kernel().run(&mut dispatch) };
    counters::count_dispatch(start.elapsed());
    drop(crash);
    let accesses = watch.finish();
    let [x, y, z] = dispatch.progress.group;
    ended.map_err(|fault| format!("threadgroup ({x}, {y}, {z}): {fault}"))?;
    match buffers(command).find(|buffer| buffer.is_written_in_front()) {
        Some(buffer) => Err(format!("something was written in front of buffer {}", buffer.id())),
        None => Ok(accesses),
    }
}

fn buffers(command: &Dispatch) -> impl Iterator<Item = &Arc<Buffer>> {
    command.bindings.arguments.iter().filter_map(|argument| match argument {
        Argument::Buffer { buffer, .. } => Some(buffer),
        _ => None,
    })
}
