//! The devices of this machine: what runs natively on each, what it holds, and whether it computes what it should.

use std::path::Path;

use candle_core::DType;
use llama_rs::{
    backend::{Backend, Device, capabilities, ops::Kernels},
    kv::PagedCache,
    models::{Batch, Checkpoint, Decoder, DecoderOptions, Output, Span},
};

fn main() -> anyhow::Result<()> {
    let model = Checkpoint::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/bard"))?;
    let cpu = Device::Cpu.backend()?;
    let expected = logits(&model, &*cpu, DType::F32, Kernels::Reference)?;
    let largest = expected.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    for device in Device::available() {
        let backend = device.backend()?;
        println!("{device}: {}", backend.name());
        capabilities(&*backend).iter().for_each(|(op, support)| println!("  {op:<16} {support}"));
        for &dtype in backend.compute_dtypes() {
            let found = logits(&model, &*backend, dtype, Kernels::Native)?;
            let differences = found.iter().zip(&expected).map(|(x, y)| (x - y).abs());
            let worst = differences.fold(0f32, |worst, x| if x > worst || x.is_nan() { x } else { worst });
            let roundoff = if dtype == DType::F32 { 2f32.powi(-23) } else { 2f32.powi(-8) };
            let verdict = if worst <= 20.0 * largest * roundoff { "ok" } else { "WRONG" };
            println!("  {}: {verdict}, logits differ by {worst:.1e} of {largest:.1}", dtype.as_str());
        }
        println!("  {:?}\n", backend.memory());
    }
    Ok(())
}

/// A prompt of 40 tokens, then one more, through all layers of bard.
fn logits(
    model: &Checkpoint,
    backend: &dyn Backend,
    dtype: DType,
    kernels: Kernels,
) -> anyhow::Result<Vec<f32>> {
    let options = DecoderOptions { dtype: Some(dtype), kernels, ..DecoderOptions::default() };
    let decoder = Decoder::new(model, backend, options)?;
    let mut cache = PagedCache::new(decoder.cache_config(3, 16), backend)?;
    let mut logits = Vec::new();
    for (first_position, len) in [(0, 40), (40, 1)] {
        let tokens = (first_position..first_position + len).map(|i| (i * 37 % 1024) as u32).collect();
        let blocks = vec![2, 0, 1];
        let batch = Batch::new(vec![Span { tokens, first_position, blocks, output: Output::AllLogits }], 16)?;
        for output in decoder.forward(&batch, &mut cache)?.iter().flatten() {
            logits.extend(output.flatten_all()?.to_vec1::<f32>()?);
        }
    }
    Ok(logits)
}
