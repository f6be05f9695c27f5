//! Watches energy counters, to compare what they say with another tool: the processor's, or with `--features nvml` a GPU's, by the address that
//! `nvidia-smi --query-gpu=pci.bus_id --format=csv` shows. Prints seconds, joules and the mean watts between two looks.

use std::{
    error::Error,
    thread,
    time::{Duration, Instant},
};

use llama_backend::power::{PowerSensor, Rapl};

const LOOKS: usize = 20;
const PAUSE: Duration = Duration::from_millis(500);

fn main() -> Result<(), Box<dyn Error>> {
    let mut sensor = match std::env::args().nth(1) {
        Some(address) => gpu(&address)?,
        None => Box::new(Rapl::open(Rapl::ROOT)?),
    };
    println!("{}", sensor.source());
    let start = Instant::now();
    let mut last = (0.0, sensor.joules()?);
    for _ in 0..LOOKS {
        thread::sleep(PAUSE);
        let now = (start.elapsed().as_secs_f64(), sensor.joules()?);
        println!("{:5.1} s {:9.1} J {:7.1} W", now.0, now.1, (now.1 - last.1) / (now.0 - last.0));
        last = now;
    }
    Ok(())
}

#[cfg(feature = "nvml")]
fn gpu(address: &str) -> Result<Box<dyn PowerSensor>, Box<dyn Error>> {
    use llama_backend::power::{Nvml, PciAddress};

    let wrong = || format!("{address:?} is no address such as 00000000:af:00.0");
    let parts: Option<Vec<u32>> =
        address.split([':', '.']).map(|part| u32::from_str_radix(part, 16).ok()).collect();
    let Some([domain, bus, device, _]) = parts.as_deref() else { return Err(wrong().into()) };
    Ok(Box::new(Nvml::open(PciAddress { domain: *domain, bus: *bus, device: *device })?))
}

#[cfg(not(feature = "nvml"))]
fn gpu(_: &str) -> Result<Box<dyn PowerSensor>, Box<dyn Error>> {
    Err("GPUs need --features nvml".into())
}
