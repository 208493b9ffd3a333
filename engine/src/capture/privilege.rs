//! Rights that are given up once the capture is open, so that whatever hostile packets do, they do it without them.
//!
//! What is left is what the caller has: under sudo (or in a program that is setuid) its user and groups, no capability,
//! and no way to get one by running another program.
//!
//! Root that nobody called by sudo stays user 0 unless a user is named: the files that it was told to write lie where root
//! may write, and root without capabilities still owns root's files. Whoever minds that names a user.
//!
//! Files and folders that are followed are opened again and again. Where who is left may not read them, one right is kept:
//! that to read any file, without which the capture would end.

use super::SourceError;
use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::sys::prctl::{set_keepcaps, set_no_new_privs};
use nix::unistd::{
    AccessFlags, Gid, Uid, User, eaccess, getegid, geteuid, getuid, initgroups, setgroups, setresgid, setresuid,
};
use serde::Serialize;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What lets a process read any file, the least first: the first of these that there is is kept, if one must be.
const READING: [Capability; 2] = [Capability::CAP_DAC_READ_SEARCH, Capability::CAP_DAC_OVERRIDE];

/// What is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rights {
    /// The user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Whether that is another than before.
    pub changed_user: bool,
    /// Threads that still have another capability than what is kept: those that ran before and are of the same user.
    /// None, if this is called before any thread is started.
    pub privileged_threads: usize,
    /// The one capability that is kept, and what it is needed for.
    pub kept: Option<Kept>,
}

/// A capability that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its name.
    pub capability: String,
    /// What could not be read without it.
    pub path: String,
}

/// Gives up everything that reading an open socket, reading `sources` and writing files of the caller does not need. To be
/// called with the sockets open, before threads are started and before files are made: those belong to the caller then, or
/// to `user`.
///
/// # Errors
/// [`SourceError`] if the system refuses, or there is no such user; the process should end then.
pub fn drop_privileges(user: Option<&str>, sources: &[PathBuf]) -> Result<Rights, SourceError> {
    let wanted = user.map(named).transpose()?;
    set_no_new_privs().map_err(|error| refused("new ones cannot be ruled out", &error))?;
    // As long as there is the right to do so; afterwards no program can bring them back.
    if has(CapSet::Effective, Capability::CAP_SETPCAP) {
        caps::clear(None, CapSet::Bounding).map_err(|error| refused("capabilities cannot be ruled out", &error))?;
    }
    let reading = READING.into_iter().find(|right| !sources.is_empty() && has(CapSet::Permitted, *right));
    let caller = wanted.or_else(caller);
    if let Some((uid, gid)) = caller {
        let become_it = || set_keepcaps(reading.is_some()).and_then(|()| become_user(uid, gid));
        become_it().map_err(|error| refused("the user cannot be taken on", &error))?;
    }
    // Before Linux 4.3, and in some sandboxes, there is no ambient set that anything could be in.
    if caps::read(None, CapSet::Ambient).is_ok() {
        leave(CapSet::Ambient, None)?;
    }
    leave(CapSet::Inheritable, None)?;
    leave(CapSet::Effective, None)?;
    // Without any right in effect, and one that could be: what cannot be read now needs it.
    let needed = reading.and_then(|right| Some((right, sources.iter().find_map(|source| unreadable(source))?)));
    let right = needed.as_ref().map(|(right, _)| *right);
    leave(CapSet::Permitted, right)?;
    leave(CapSet::Effective, right)?;
    set_keepcaps(false).map_err(|error| refused("capabilities cannot be given up", &error))?;
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let kept =
        needed.map(|(right, path)| Kept { capability: right.to_string(), path: path.to_string_lossy().into_owned() });
    Ok(Rights { uid, gid, changed_user: caller.is_some(), privileged_threads: privileged_threads(right), kept })
}

fn refused(what: &str, why: &dyn std::fmt::Display) -> SourceError {
    SourceError::new("privileges", format!("{what}: {why}"))
}

fn has(set: CapSet, right: Capability) -> bool {
    caps::has_cap(None, set, right).unwrap_or(false)
}

/// Nothing but this, of a set.
fn leave(set: CapSet, right: Option<Capability>) -> Result<(), SourceError> {
    let wanted = right.into_iter().collect::<CapsHashSet>();
    let left = if wanted.is_empty() { caps::clear(None, set) } else { caps::set(None, set, &wanted) };
    left.map_err(|error| refused("capabilities cannot be given up", &error))
}

/// What of a source may not be read: itself, or a file of a folder. Of an empty folder of somebody else's nobody knows
/// whether its first file can be.
fn unreadable(source: &Path) -> Option<PathBuf> {
    let is_denied = |path: &Path, how| eaccess(path, how) == Err(Errno::EACCES);
    if source.as_os_str() == "-" {
        return None;
    }
    if !source.is_dir() {
        return is_denied(source, AccessFlags::R_OK).then(|| source.to_owned());
    }
    if is_denied(source, AccessFlags::R_OK | AccessFlags::X_OK) {
        return Some(source.to_owned());
    }
    let files: Vec<_> = fs::read_dir(source).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let is_anothers = || fs::metadata(source).is_ok_and(|folder| folder.uid() != geteuid().as_raw());
    let is_promising = !files.is_empty() || !is_anothers();
    let denied = files.into_iter().find(|file| is_denied(file, AccessFlags::R_OK));
    denied.or_else(|| (!is_promising).then(|| source.to_owned()))
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

/// Threads that have another capability than `kept`.
fn privileged_threads(kept: Option<Capability>) -> usize {
    let left = kept.map_or(0, |right| right.bitmask());
    let has_rights = |status: String| {
        let mut sets = status.lines().filter_map(|line| line.strip_prefix("CapPrm:").or(line.strip_prefix("CapEff:")));
        sets.any(|set| u64::from_str_radix(set.trim(), 16).is_ok_and(|set| set & !left != 0))
    };
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok())
        .filter(|s| has_rights(s.clone()))
        .count()
}
