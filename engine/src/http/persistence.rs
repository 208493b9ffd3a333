//! Whether a message lets its connection persist (RFC 9112 §9.3), and what its Connection header says.
//!
//! The rules, first match: a `close` option → no · HTTP/1.1 → yes · HTTP/1.0 with `keep-alive`, unless the message is
//! a request to a proxy → yes · otherwise no. `Proxy-Connection` never decides; `Keep-Alive` is a hint, not a rule.

use super::head::{decimal, list};
use crate::record::{ConnectionOption, Role};

/// The options of all Connection lines of a message that concern persistence (RFC 9110 §7.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `close` is named.
    pub close: bool,
    /// `keep-alive` is named.
    pub keep_alive: bool,
    /// `upgrade` is named.
    pub upgrade: bool,
}

impl Options {
    /// Takes in one Connection line: a comma list, case-insensitive.
    pub fn add(&mut self, value: &[u8]) {
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    /// The option that decides: close before keep-alive before upgrade.
    #[must_use]
    pub fn effective(self) -> ConnectionOption {
        match self {
            Options { close: true, .. } => ConnectionOption::Close,
            Options { keep_alive: true, .. } => ConnectionOption::KeepAlive,
            Options { upgrade: true, .. } => ConnectionOption::Upgrade,
            _ => ConnectionOption::None,
        }
    }
}

/// Whether a message of minor version `version` lets the connection persist; `to_proxy`: its recipient is a proxy.
#[must_use]
pub fn persists(sender: Role, version: u8, options: Options, to_proxy: bool) -> bool {
    match (options, version) {
        (Options { close: true, .. }, _) => false,
        (_, 1..) => true,
        (options, 0) => options.keep_alive && (sender == Role::Server || !to_proxy),
    }
}

/// Whether a request's target says that its recipient is a proxy: absolute-form or CONNECT (RFC 9112 §3.2.2, §3.2.3).
#[must_use]
pub fn is_to_proxy(method: &str, target: &[u8]) -> bool {
    if target.starts_with(b"/") && method != "CONNECT" {
        return false; // origin-form, what nearly every request has
    }
    let scheme = |s: &[u8]| !s.is_empty() && s.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b));
    let before = target.windows(3).position(|part| part == b"://").and_then(|at| target.get(..at));
    method == "CONNECT" || before.is_some_and(scheme)
}

/// `timeout` and `max` of a Keep-Alive header, seconds and requests; what is absent or no number is `None`.
#[must_use]
pub fn parse_keep_alive(value: &[u8]) -> (Option<u32>, Option<u32>) {
    let (mut timeout_s, mut max) = (None, None);
    for item in list(value) {
        let mut parts = item.splitn(2, |&b| b == b'=').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let number = parts.next().and_then(decimal).and_then(|n| u32::try_from(n).ok());
        if name.eq_ignore_ascii_case(b"timeout") {
            timeout_s = timeout_s.or(number);
        } else if name.eq_ignore_ascii_case(b"max") {
            max = max.or(number);
        }
    }
    (timeout_s, max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConnectionOption::{Close, KeepAlive, None as Absent, Upgrade};
    use Role::{Client, Server};

    /// Sender, minor version, Connection lines, to a proxy → option, persists.
    type Line = (Role, u8, &'static [&'static str], bool, ConnectionOption, bool);

    /// RFC 9112 §9.3 as a table.
    const TABLE: &[Line] = &[
        (Client, 1, &[], false, Absent, true),
        (Server, 1, &[], false, Absent, true),
        (Client, 0, &[], false, Absent, false),
        (Server, 0, &[], false, Absent, false),
        (Client, 1, &["close"], false, Close, false),
        (Server, 1, &["close"], false, Close, false),
        (Client, 0, &["close"], false, Close, false),
        (Client, 0, &["keep-alive"], false, KeepAlive, true),
        (Client, 0, &["keep-alive"], true, KeepAlive, false),
        (Server, 0, &["keep-alive"], false, KeepAlive, true),
        (Server, 0, &["keep-alive"], true, KeepAlive, true),
        (Client, 1, &["keep-alive"], true, KeepAlive, true),
        (Client, 1, &["Upgrade"], false, Upgrade, true),
        (Client, 0, &["Upgrade"], false, Upgrade, false),
        (Client, 1, &["Upgrade, close"], false, Close, false),
        (Client, 1, &["Upgrade, Keep-Alive"], false, KeepAlive, true),
        (Server, 1, &["keep-alive, close"], false, Close, false),
        (Server, 0, &["keep-alive", "close"], false, Close, false),
        (Server, 1, &["X-Hop", "CLOSE"], false, Close, false),
        (Server, 0, &[" ,, Keep-ALIVE ,"], false, KeepAlive, true),
        (Server, 1, &["closed", "not-close", "close;x"], false, Absent, true),
        (Server, 0, &["X-Hop"], false, Absent, false),
    ];

    #[test]
    fn persistence_follows_rfc_9112_9_3() {
        for &(sender, version, lines, to_proxy, option, persistent) in TABLE {
            let mut options = Options::default();
            lines.iter().for_each(|line| options.add(line.as_bytes()));
            let got = (options.effective(), persists(sender, version, options, to_proxy));
            assert_eq!(got, (option, persistent), "{sender:?} 1.{version} {lines:?} to_proxy={to_proxy}");
        }
    }

    #[test]
    fn a_proxy_is_told_by_the_form_of_the_target() {
        for (method, target, want) in [
            ("GET", "/", false),
            ("GET", "http://a/", true),
            ("CONNECT", "a:443", true),
            ("OPTIONS", "*", false),
            ("GET", "/?u=http://a/", false),
        ] {
            assert_eq!(is_to_proxy(method, target.as_bytes()), want, "{method} {target}");
        }
    }

    #[test]
    fn keep_alive_parameters_are_read_in_any_order_and_case() {
        assert_eq!(parse_keep_alive(b"timeout=5, max=100"), (Some(5), Some(100)));
        assert_eq!(parse_keep_alive(b"MAX = 7,Timeout=\t9"), (Some(9), Some(7)));
        assert_eq!(parse_keep_alive(b"timeout=\"5\", max=-1, x"), (None, None));
        assert_eq!(parse_keep_alive(b"timeout=99999999999"), (None, None));
    }
}
