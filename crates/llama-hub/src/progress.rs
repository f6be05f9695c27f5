//! What a caller learns while a model is on its way, and how a terminal shows it.
//!
//! Nothing is reported when a model is bundled or cached already.

use std::fmt;
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::Chain;
use crate::{KnownModel, SourceError};

/// Something that happened while a model was fetched.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum FetchEvent<'a> {
    /// Another process is fetching the same model; this one waits for it.
    Waiting {
        /// The model.
        model: &'a KnownModel,
    },
    /// A source was asked for the model.
    Started {
        /// The model.
        model: &'a KnownModel,
        /// The source, as a reader knows it.
        source: &'a str,
    },
    /// This many bytes of the model have arrived, of [`KnownModel::total_bytes`]. Approximate while
    /// an archive is on its way.
    Received {
        /// The bytes.
        bytes: u64,
    },
    /// All bytes are there; their hashes are being checked.
    Verifying,
    /// The source failed; the next one follows, if there is one.
    SourceFailed {
        /// The source, as a reader knows it.
        source: &'a str,
        /// Why it failed.
        reason: &'a SourceError,
    },
    /// The model is in the cache.
    Done {
        /// The model.
        model: &'a KnownModel,
    },
}

/// Receives [`FetchEvent`]s, in order, on the caller's thread.
pub trait FetchProgress {
    /// Called several times a second while bytes arrive: return quickly.
    fn report(&self, event: FetchEvent<'_>);
}

impl<F: Fn(FetchEvent<'_>)> FetchProgress for F {
    fn report(&self, event: FetchEvent<'_>) {
        self(event);
    }
}

/// Says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl FetchProgress for NoProgress {
    fn report(&self, _: FetchEvent<'_>) {}
}

/// A progress bar on standard error; plain lines where that is no terminal.
pub struct TerminalProgress {
    bar: ProgressBar,
}

impl TerminalProgress {
    /// Draws nothing until the first event.
    pub fn new() -> TerminalProgress {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let template = "{msg} [{wide_bar}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
        let style = ProgressStyle::with_template(template).expect("the template above is valid");
        bar.set_style(style.progress_chars("=> "));
        TerminalProgress { bar }
    }

    fn print(&self, line: fmt::Arguments<'_>) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

impl Default for TerminalProgress {
    fn default() -> TerminalProgress {
        TerminalProgress::new()
    }
}

impl FetchProgress for TerminalProgress {
    fn report(&self, event: FetchEvent<'_>) {
        match event {
            FetchEvent::Waiting { model } => {
                self.print(format_args!("{}: waiting for another process that fetches it", model.name));
            }
            FetchEvent::Started { model, source } => {
                let total_bytes = model.total_bytes();
                let size = HumanBytes(total_bytes);
                self.print(format_args!("{}: fetching {size} from {source}", model.name));
                self.bar.reset();
                self.bar.set_length(total_bytes);
                self.bar.set_message(model.name);
                self.bar.enable_steady_tick(Duration::from_millis(200));
            }
            FetchEvent::Received { bytes } => self.bar.set_position(bytes),
            FetchEvent::Verifying => self.bar.set_message("verifying"),
            FetchEvent::SourceFailed { source, reason } => {
                self.print(format_args!("not from {source}: {}", Chain(reason)));
            }
            FetchEvent::Done { model } => {
                self.bar.finish_and_clear();
                eprintln!("{}: complete, SHA-256 verified", model.name);
            }
        }
    }
}

impl Drop for TerminalProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
