//! Sends a capture's packets on a packet socket, at a rate: the load of `python -m bench.live`.
//!
//! ```text
//! replay CAPTURE RATE SECONDS [PART OF]    # its standard input is the socket, bound to an interface
//! ```
//!
//! RATE 0 is as fast as possible. Each packet is sent once, in the capture's order, so that connections are as correct as
//! they are there; PART, from 0, OF so many takes the connections that fall to it by their ports, so that two processes
//! send more than one can. Prints
//! `{"sent": packets, "bytes": …, "seconds": …}`.
#![forbid(unsafe_code)]

use pcapwatch_engine::capture::{Batch, CaptureSet};
use pcapwatch_engine::settings::Settings;
use std::error::Error;
#[cfg(target_os = "linux")]
use std::io::Write;
use std::path::PathBuf;

/// Packets handed to the kernel at a time.
const GROUP: usize = 64;

/// A capture in memory.
#[derive(Default)]
struct Frames {
    data: Vec<u8>,
    ends: Vec<usize>,
}

impl Frames {
    fn read(path: PathBuf, part: usize, of: usize) -> Result<Frames, Box<dyn Error>> {
        let mut set = CaptureSet::open(&[path], &Settings::default())?;
        let (mut frames, mut batch) = (Frames::default(), Batch::default());
        while set.next_batch(&mut batch, 4096)? {
            for packet in batch.packets.iter().filter(|packet| ports(batch.bytes(packet)) / 2 % of == part) {
                frames.data.extend_from_slice(batch.bytes(packet));
                frames.ends.push(frames.data.len());
            }
        }
        Ok(frames)
    }

    fn get(&self, number: usize) -> Option<&[u8]> {
        let start = number.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.data.get(start..*self.ends.get(number)?)
    }
}

/// The sum of both ports, the same for both directions, of TCP over IPv4 without options over Ethernet; 0 for others.
fn ports(frame: &[u8]) -> usize {
    let port = |at: usize| frame.get(at..)?.first_chunk().map(|two| usize::from(u16::from_be_bytes(*two)));
    port(34).zip(port(36)).map_or(0, |(from, to)| from + to)
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(path), Some(rate), Some(seconds)) = (words.next(), words.next(), words.next()) else {
        return Err("CAPTURE RATE SECONDS [PART OF]".into());
    };
    let (part, of) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let frames = Frames::read(path.into(), part.parse().unwrap_or(0), of.parse().unwrap_or(1))?;
    // The other parts are ready by then, too.
    println!("ready");
    std::io::stdout().flush()?;
    let (sent, bytes, took_s) = linux::send(&frames, rate.parse()?, seconds.parse()?)?;
    println!("{{\"sent\": {sent}, \"bytes\": {bytes}, \"seconds\": {took_s:.3}}}");
    Ok(())
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{Frames, GROUP};
    use nix::errno::Errno;
    use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
    use std::io::IoSlice;
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant};

    /// Sends until the time is over, or the capture; (packets, bytes, seconds).
    pub fn send(frames: &Frames, rate: f64, seconds: f64) -> nix::Result<(usize, usize, f64)> {
        let began = Instant::now();
        let (mut sent, mut bytes) = (0, 0);
        loop {
            let now_s = began.elapsed().as_secs_f64();
            let due = if rate > 0.0 { (rate * now_s) as usize } else { usize::MAX };
            if now_s >= seconds || frames.get(sent).is_none() {
                return Ok((sent, bytes, now_s));
            }
            if due < sent + GROUP {
                std::thread::sleep(Duration::from_micros(50));
                continue;
            }
            let group: Vec<&[u8]> = (sent..sent + GROUP).map_while(|number| frames.get(number)).collect();
            let taken = send_group(&group)?;
            sent += taken;
            bytes += group.iter().take(taken).map(|frame| frame.len()).sum::<usize>();
        }
    }

    fn send_group(group: &[&[u8]]) -> nix::Result<usize> {
        let slices: Vec<[IoSlice<'_>; 1]> = group.iter().map(|frame| [IoSlice::new(frame)]).collect();
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(slices.len(), None);
        let none = vec![None; slices.len()];
        let socket = std::io::stdin().as_raw_fd();
        match sendmmsg(socket, &mut headers, &slices, &none, [], MsgFlags::empty()) {
            Ok(results) => Ok(results.count()),
            Err(Errno::ENOBUFS | Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(error) => Err(error),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> Result<(), Box<dyn Error>> {
    let _ = (GROUP, Frames::read(PathBuf::new(), 0, 1)?.get(0));
    Err("packet sockets are Linux's".into())
}
