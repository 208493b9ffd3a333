//! Network namespaces for tests: two hosts with a cable between them, gone when dropped. They need root and `ip`.

use super::options::enter;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Two namespaces, joined by a veth pair named `v0` in each; 10.99.0.1 and 10.99.0.2.
pub struct Pair {
    /// Names of the namespaces.
    pub names: [String; 2],
}

/// Runs a command, which must succeed.
pub fn run(command: &str) {
    let mut words = command.split_whitespace();
    let done = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
}

impl Pair {
    /// `None`, and a line that says why, where this is not permitted.
    pub fn new() -> Option<Pair> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() || Command::new("ip").arg("-V").output().is_err() {
            eprintln!("passed over: needs root and ip (iproute2)");
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let names = ["a", "b"].map(|side| format!("ring-{}-{number}{side}", std::process::id()));
        let [a, b] = &names;
        let pair = Pair { names: names.clone() };
        for command in [
            format!("ip netns add {a}"),
            format!("ip netns add {b}"),
            format!("ip -n {a} link add v0 type veth peer name v0 netns {b}"),
        ] {
            run(&command);
        }
        for (name, address) in names.iter().zip(["10.99.0.1/24", "10.99.0.2/24"]) {
            // Without IPv6 no neighbour discovery mixes with what a test sends.
            within(name, || std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap());
            run(&format!("ip -n {name} link set lo up"));
            run(&format!("ip -n {name} addr add {address} dev v0"));
            run(&format!("ip -n {name} link set v0 up"));
        }
        Some(pair)
    }
}

/// Runs something in a namespace, on a thread of its own; sockets made there stay there.
pub fn within<T: Send>(name: &str, what: impl FnOnce() -> T + Send) -> T {
    let path = format!("/run/netns/{name}");
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                enter(&path).unwrap();
                what()
            })
            .join()
            .unwrap()
    })
}

impl Drop for Pair {
    fn drop(&mut self) {
        for name in &self.names {
            drop(Command::new("ip").args(["netns", "del", name]).output());
        }
    }
}
