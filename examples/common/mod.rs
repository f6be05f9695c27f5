//! What the examples share: finding and loading a model, and streaming an answer to the terminal.

#[allow(dead_code, reason = "most examples sample in one way")]
pub(crate) mod sampling;

use std::io::{self, Write};

use anyhow::Context;
use llama_hub::{TerminalProgress, resolve};
use llama_rs::prelude::*;

#[allow(dead_code, reason = "an example with options of its own loads by itself")]
/// Finds a model by name or path, downloads it if need be, and loads it.
pub(crate) async fn load(model: &str, device: Device) -> anyhow::Result<CandleEngine> {
    let path = resolve(model, &TerminalProgress::new())?;
    let options = EngineOptions { device, ..EngineOptions::default() };
    CandleEngine::load(&path, options).await.with_context(|| format!("loading {}", path.display()))
}

#[allow(dead_code, reason = "an example that only counts does not print")]
/// Prints an answer as it comes, then how fast it came. Returns its text.
pub(crate) async fn print_answer(
    engine: &impl LlamaEngine,
    request: GenerateRequest,
) -> anyhow::Result<String> {
    let mut stream = engine.generate(request).await?;
    let mut answer = String::new();
    let mut print = |text: &str| {
        answer.push_str(text);
        print!("{text}");
        io::stdout().flush()
    };
    while let Some(event) = stream.next_event().await? {
        match event {
            Event::Prompt(_) | Event::Citation(_) => {}
            Event::Token(token) => print(&token.text)?,
            Event::Finished(end) => {
                print(&end.text)?;
                println!();
                let (usage, timings) = (end.usage, end.timings);
                let speed = timings.decode_tokens_per_second(&usage).unwrap_or(0.0);
                eprintln!(
                    "\n[{} + {} tokens, {} cached; first token after {:.0} ms, then {speed:.1} tokens/s]",
                    usage.prompt_tokens,
                    usage.completion_tokens,
                    usage.cached_tokens,
                    timings.time_to_first_token.as_secs_f64() * 1e3,
                );
                let (accepted, drafted) =
                    (usage.speculation.accepted_tokens, usage.speculation.drafted_tokens);
                if drafted > 0 {
                    let saved_ms = usage.speculation.saved_us / 1000;
                    eprintln!("[{accepted} of {drafted} drafted tokens accepted; {saved_ms} ms saved]");
                }
            }
        }
    }
    Ok(answer)
}
