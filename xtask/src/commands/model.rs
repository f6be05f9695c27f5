//! `cargo xtask model`: which models there are, and getting them.

use llama_hub::{Cache, KNOWN_MODELS, KnownModel, Origin, TerminalProgress, resolve};

use super::Task;

/// List the known models, or fetch some of them into the cache
#[derive(clap::Parser)]
#[command(name = "model")]
pub(crate) struct Model {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Print name, size, state and description of every known model
    List,
    /// Download models into the cache, verify them, and print where they are
    Fetch {
        /// Names from the list
        #[arg(required = true)]
        names: Vec<String>,
    },
}

impl Task for Model {
    fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::List => list(),
            Action::Fetch { names } => names.iter().try_for_each(|name| fetch(name)),
        }
    }
}

fn list() -> anyhow::Result<()> {
    let cache = Cache::from_env()?;
    for model in KNOWN_MODELS {
        let (name, about, licence) = (model.name, model.about, model.licence);
        let megabytes = model.total_bytes() as f64 / 1e6;
        println!("{name:20} {megabytes:8.1} MB  {:10} {about} ({licence})", state(model, &cache));
    }
    println!("cache: {}", cache.root().display());
    Ok(())
}

fn fetch(name: &str) -> anyhow::Result<()> {
    let path = resolve(name, &TerminalProgress::new())?;
    println!("{}", path.display());
    Ok(())
}

fn state(model: &KnownModel, cache: &Cache) -> &'static str {
    match model.origin {
        Origin::Bundled => "bundled",
        Origin::Download { .. } if cache.find(model).is_some() => "cached",
        Origin::Download { .. } => "not cached",
    }
}
