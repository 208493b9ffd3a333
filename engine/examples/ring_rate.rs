//! Takes packets from a ring and does nothing with them, or writes them: what capturing costs alone, for
//! `python -m bench.live`.
//!
//! ```text
//! ring_rate OPTIONS_JSON [FOLDER]    # the options of a ring; until its standard input is closed
//! ```
//!
//! Prints `ready` once packets are taken, and at the end the ring's counters as JSON.
#![forbid(unsafe_code)]

use std::error::Error;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn Error>> {
    use pcapwatch_engine::capture::Batch;
    use pcapwatch_engine::capture::privilege::drop_privileges;
    use pcapwatch_engine::capture::ring::{Ring, RingOptions};
    use pcapwatch_engine::capture::tap::Tap;
    use pcapwatch_engine::capture::write::{WriteOptions, Writer};
    use std::io::Read;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    static OVER: AtomicBool = AtomicBool::new(false);
    let mut words = std::env::args().skip(1);
    let options: RingOptions = serde_json::from_str(&words.next().ok_or("OPTIONS_JSON [FOLDER]")?)?;
    let mut ring = Ring::open(&options)?;
    drop_privileges(None, &[])?;
    let write = |folder: String| WriteOptions {
        folder: folder.into(),
        rotate_bytes: 100_000_000,
        keep: 2,
        ..WriteOptions::default()
    };
    let mut writer = words.next().map(|folder| Writer::create(write(folder), ring.interfaces())).transpose()?;
    std::thread::spawn(|| {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        OVER.store(true, Ordering::Relaxed);
    });
    println!("ready");
    let (mut batch, mut stopped) = (Batch::default(), false);
    loop {
        if !stopped && OVER.load(Ordering::Relaxed) {
            ring.stop()?;
            stopped = true;
        }
        if ring.next_batch(&mut batch, Duration::from_millis(100))? == 0 && stopped {
            break;
        }
        if let Some(writer) = &mut writer {
            let statistics = ring.statistics();
            writer.write(&mut batch, ring.interfaces(), statistics);
        }
    }
    println!("{}", serde_json::to_string(&ring.counters()?)?);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() -> Result<(), Box<dyn Error>> {
    Err("rings are Linux's".into())
}
