//! Rights that are given up once the capture is open, so that whatever hostile packets do, they do it without them.
//!
//! What is left is what the caller has: under sudo (or in a program that is setuid) its user and groups, no capability,
//! and no way to get one by running another program.
//!
//! Root that nobody called by sudo stays user 0 unless a user is named: the files that it was told to write lie where root
//! may write, and root without capabilities still owns root's files. Whoever minds that names a user.

use super::SourceError;
use caps::{CapSet, Capability};
use nix::sys::prctl::set_no_new_privs;
use nix::unistd::{Gid, Uid, User, getegid, geteuid, getuid, initgroups, setgroups, setresgid, setresuid};
use serde::Serialize;
use std::ffi::CString;
use std::fs;

/// What is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rights {
    /// The user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Whether that is another than before.
    pub changed_user: bool,
    /// Threads that still have a capability: those that ran before and are of the same user. None, if this is called
    /// before any thread is started.
    pub privileged_threads: usize,
}

/// Gives up everything that reading an open socket and writing files of the caller does not need. To be called with the
/// sockets open, before threads are started and before files are made: those belong to the caller then, or to `user`.
///
/// # Errors
/// [`SourceError`] if the system refuses, or there is no such user; the process should end then.
pub fn drop_privileges(user: Option<&str>) -> Result<Rights, SourceError> {
    let refused = |what: &str, why: &dyn std::fmt::Display| SourceError::new("privileges", format!("{what}: {why}"));
    let wanted = user.map(named).transpose()?;
    set_no_new_privs().map_err(|error| refused("new ones cannot be ruled out", &error))?;
    // As long as there is the right to do so; afterwards no program can bring them back.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        caps::clear(None, CapSet::Bounding).map_err(|error| refused("capabilities cannot be ruled out", &error))?;
    }
    let caller = wanted.or_else(caller);
    if let Some((uid, gid)) = caller {
        become_user(uid, gid).map_err(|error| refused("the user cannot be taken on", &error))?;
    }
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).map_err(|error| refused("capabilities cannot be given up", &error))?;
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    Ok(Rights { uid, gid, changed_user: caller.is_some(), privileged_threads: privileged_threads() })
}

/// A user of the system by name. Only root may become another.
fn named(name: &str) -> Result<(Uid, Gid), SourceError> {
    let user = User::from_name(name).ok().flatten();
    let user = user.ok_or_else(|| SourceError::new("--user", format!("there is no user {name:?} here")))?;
    let is_another = user.uid != geteuid();
    if is_another && !geteuid().is_root() {
        let why = format!("only root can become {name:?}: run it by sudo, or leave the option out");
        return Err(SourceError::new("--user", why));
    }
    Ok((user.uid, user.gid))
}

/// Who stands behind root: sudo's caller, or that of a setuid program.
fn caller() -> Option<(Uid, Gid)> {
    if !geteuid().is_root() {
        return None;
    }
    if !getuid().is_root() {
        return Some((getuid(), nix::unistd::getgid()));
    }
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let (uid, gid) = (number("SUDO_UID")?, number("SUDO_GID")?);
    (uid != 0).then(|| (Uid::from_raw(uid), Gid::from_raw(gid)))
}

/// All three ids of each, so that there is no way back; glibc does so for every thread.
fn become_user(uid: Uid, gid: Gid) -> nix::Result<()> {
    let name = User::from_uid(uid).ok().flatten().and_then(|user| CString::new(user.name).ok());
    match name {
        Some(name) => initgroups(&name, gid)?,
        None => setgroups(&[gid])?,
    }
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

fn privileged_threads() -> usize {
    let has_rights = |status: String| {
        let mut sets = status.lines().filter_map(|line| line.strip_prefix("CapPrm:").or(line.strip_prefix("CapEff:")));
        sets.any(|set| set.trim().chars().any(|digit| digit != '0'))
    };
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok())
        .filter(|s| has_rights(s.clone()))
        .count()
}
