//! The interfaces of this machine, for the user to choose from.

use super::SourceError;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use serde::Serialize;

/// An interface that can be captured from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InterfaceInfo {
    /// Its name.
    pub name: String,
    /// Switched on by its administrator.
    pub up: bool,
    /// Connected: there is a carrier.
    pub running: bool,
    /// Whether it leads to this machine itself.
    pub loopback: bool,
    /// The link type that its packets have in a capture; `null` where the system does not say.
    pub link_type: Option<u32>,
    /// Its IP addresses with their prefix lengths.
    pub addresses: Vec<String>,
    /// Its hardware address.
    pub hardware: Option<String>,
}

/// Every interface, in the system's order.
///
/// # Errors
/// [`SourceError`] if the system does not say.
pub fn list() -> Result<Vec<InterfaceInfo>, SourceError> {
    let all = getifaddrs().map_err(|error| SourceError::new("interfaces", format!("cannot be listed: {error}")))?;
    let mut found: Vec<InterfaceInfo> = Vec::new();
    for one in all {
        let at = found.iter().position(|known| known.name == one.interface_name).unwrap_or_else(|| {
            found.push(InterfaceInfo { name: one.interface_name.clone(), ..InterfaceInfo::default() });
            found.len() - 1
        });
        found.get_mut(at).into_iter().for_each(|info| note(&one, info));
    }
    Ok(found)
}

/// The same in a network namespace, by its name or its path.
///
/// # Errors
/// [`SourceError`] if there is no such namespace, or no right to enter it.
#[cfg(target_os = "linux")]
pub fn list_in(netns: &str) -> Result<Vec<InterfaceInfo>, SourceError> {
    super::ring::within(netns, list)
}

fn note(one: &InterfaceAddress, info: &mut InterfaceInfo) {
    info.up = one.flags.contains(InterfaceFlags::IFF_UP);
    info.running = one.flags.contains(InterfaceFlags::IFF_RUNNING);
    info.loopback = one.flags.contains(InterfaceFlags::IFF_LOOPBACK);
    let Some(address) = &one.address else { return };
    let mask = one.netmask.as_ref();
    if let Some(v4) = address.as_sockaddr_in() {
        let bits = mask.and_then(|mask| mask.as_sockaddr_in()).map_or(32, |mask| mask.ip().to_bits().count_ones());
        info.addresses.push(format!("{}/{bits}", v4.ip()));
    } else if let Some(v6) = address.as_sockaddr_in6() {
        let bits = mask.and_then(|mask| mask.as_sockaddr_in6()).map_or(128, |mask| mask.ip().to_bits().count_ones());
        info.addresses.push(format!("{}/{bits}", v6.ip()));
    } else {
        note_link(address, info);
    }
}

#[cfg(target_os = "linux")]
fn note_link(address: &nix::sys::socket::SockaddrStorage, info: &mut InterfaceInfo) {
    let Some(link) = address.as_link_addr() else { return };
    info.link_type = Some(super::ring::link_type_of(link.hatype()).0);
    let bytes = link.addr().filter(|bytes| bytes.iter().any(|&byte| byte != 0));
    info.hardware = bytes.map(|bytes| bytes.map(|byte| format!("{byte:02x}")).join(":"));
}

#[cfg(not(target_os = "linux"))]
fn note_link(_: &nix::sys::socket::SockaddrStorage, _: &mut InterfaceInfo) {}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::capture::ring::namespaces::Pair;

    #[test]
    fn loopback_is_told_with_its_addresses() {
        let lo = list().unwrap().into_iter().find(|info| info.name == "lo").unwrap();
        assert!(lo.loopback && lo.link_type == Some(1), "{lo:?}");
    }

    #[test]
    fn a_namespace_has_its_own() {
        let Some(pair) = Pair::new() else { return };
        let found = list_in(&pair.names[1]).unwrap();
        let names: Vec<_> = found.iter().map(|info| info.name.as_str()).collect();
        assert_eq!(names, ["lo", "v0"]);
        assert!(found[1].addresses.contains(&"10.99.0.2/24".to_owned()) && found[1].up, "{found:?}");
        assert_eq!(
            (found[0].addresses.as_slice(), found[0].hardware.as_ref()),
            (&["127.0.0.1/8".to_owned()][..], None)
        );
        assert_eq!(found[1].hardware.as_ref().map(String::len), Some(17));
    }
}
