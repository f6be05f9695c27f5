//! Where the view goes: to the terminal until somebody leaves, or as text to standard output.

use std::{sync::mpsc::RecvTimeoutError, time::Duration};

use anyhow::{Context, bail};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyModifiers},
    prelude::*,
};

use super::{NUM_POLLS, Polls, Recent};

/// Shows the view until a key ends it. The terminal is as it was then, after errors and panics too.
pub(crate) fn show(recent: &mut Recent, polls: &Polls) -> anyhow::Result<()> {
    let mut terminal = ratatui::try_init().context("the terminal cannot be taken over")?;
    let ended = follow(&mut terminal, recent, polls);
    ratatui::restore();
    ended
}

fn follow(terminal: &mut DefaultTerminal, recent: &mut Recent, polls: &Polls) -> anyhow::Result<()> {
    loop {
        match polls.recv_timeout(Duration::from_millis(50)) {
            Ok(poll) => recent.push(poll),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("nobody looks at the server any more"),
        }
        terminal.draw(|frame| {
            frame.render_widget(&*recent, frame.area());
            let last_row = frame.area().rows().next_back().unwrap_or_default();
            frame.render_widget(Line::from("q leaves").dim().right_aligned(), last_row);
        })?;
        while event::poll(Duration::ZERO)? {
            if leaves(&event::read()?) {
                return Ok(());
            }
        }
    }
}

fn leaves(event: &Event) -> bool {
    let Some(key) = event.as_key_press_event() else { return false };
    let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

/// Prints one view, once as much time has passed as it tells of.
pub(crate) fn print(recent: &mut Recent, polls: &Polls) -> anyhow::Result<()> {
    for _ in 0..=NUM_POLLS {
        recent.push(polls.recv()?);
        if let Some(trouble) = &recent.trouble {
            bail!("no answer from {}: {trouble}", recent.url);
        }
    }
    print!("{}", recent.to_text(80, 20));
    Ok(())
}
