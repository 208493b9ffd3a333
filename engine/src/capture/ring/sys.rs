//! The system calls of a capture ring, and its memory. The only `unsafe` of the engine is here, each block with its reason.
#![allow(unsafe_code, reason = "system calls that no safe crate wraps, and memory shared with the kernel")]

use libc::{c_int, c_void, ifreq, packet_mreq, sock_filter, sock_fprog, sockaddr_ll, socklen_t, tpacket_req3};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, socket, sockopt};
use std::ffi::c_ulong;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// `TP_STATUS_USER`: the block is ours until we give it back.
const OURS: u32 = 1;
/// `TP_STATUS_KERNEL`.
const THE_KERNELS: u32 = 0;
/// Where a block's status is (`tpacket_block_desc`, `tpacket_hdr_v1`).
const BLOCK_STATUS: usize = 8;

/// A packet socket (packet(7)).
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

/// What a wait for packets ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A block may be ready.
    Ready,
    /// The time is over, or a signal came.
    Idle,
    /// The socket has an error, which this took away.
    Error(Errno),
}

impl PacketSocket {
    /// A socket that gets no packet until [`PacketSocket::bind`]: its protocol is 0. `cooked` leaves link headers away.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`.
    pub fn open(cooked: bool) -> io::Result<PacketSocket> {
        let kind = if cooked { SockType::Datagram } else { SockType::Raw };
        let fd = socket(AddressFamily::Packet, kind, SockFlag::SOCK_CLOEXEC, None)?;
        Ok(PacketSocket { fd })
    }

    /// Makes the ring and maps it.
    ///
    /// # Errors
    /// `ENOMEM` if there is no memory for it, `EINVAL` for sizes that do not fit together.
    pub fn ring(&self, blocks: u32, block_bytes: u32, timeout_ms: u32) -> io::Result<Blocks> {
        const FRAME: u32 = 2048;
        self.set(libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as c_int))?;
        let request = tpacket_req3 {
            tp_block_size: block_bytes,
            tp_block_nr: blocks,
            tp_frame_size: FRAME,
            tp_frame_nr: block_bytes / FRAME * blocks,
            tp_retire_blk_tov: timeout_ms,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        self.set(libc::PACKET_RX_RING, &request)?;
        Blocks::map(&self.fd, blocks as usize, block_bytes as usize)
    }

    /// Replaces the filter that the kernel runs on each packet.
    ///
    /// # Errors
    /// `EINVAL` for a program that the kernel does not accept, `ENOMEM` for one above its limit.
    pub fn attach(&self, program: &[(u16, u8, u8, u32)]) -> io::Result<()> {
        let mut code: Vec<sock_filter> =
            program.iter().map(|&(code, jt, jf, k)| sock_filter { code, jt, jf, k }).collect();
        let length = u16::try_from(code.len()).map_err(|_| Errno::EINVAL)?;
        let program = sock_fprog { len: length, filter: code.as_mut_ptr() };
        self.set_at(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    /// Lets packets in: of one interface, or of all (0).
    ///
    /// # Errors
    /// `ENODEV` if the interface is gone. One that is down is no error.
    pub fn bind(&self, index: c_int) -> io::Result<()> {
        // SAFETY: a sockaddr_ll is plain integers, for which zeros are a value.
        let mut address: sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index;
        // SAFETY: the address lives over the call, and the length is its own.
        let done = unsafe {
            libc::bind(self.fd.as_raw_fd(), ptr::from_ref(&address).cast(), size_of::<sockaddr_ll>() as socklen_t)
        };
        Errno::result(done)?;
        Ok(())
    }

    /// Promiscuous until the socket is closed.
    ///
    /// # Errors
    /// The system's.
    pub fn promiscuous(&self, index: c_int) -> io::Result<()> {
        let kind = libc::PACKET_MR_PROMISC as u16;
        let request = packet_mreq { mr_ifindex: index, mr_type: kind, mr_alen: 0, mr_address: [0; 8] };
        self.set(libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    /// Shares the packets among the sockets of a group; the socket must be bound.
    ///
    /// # Errors
    /// `EINVAL` if the group exists with another mode.
    pub fn fanout(&self, group: u16, mode: u16) -> io::Result<()> {
        self.set(libc::PACKET_FANOUT, &(u32::from(mode) << 16 | u32::from(group)))
    }

    /// (packets that passed the filter, those of them that were dropped, freezes of the ring), since the last call.
    ///
    /// # Errors
    /// The system's.
    pub fn statistics(&self) -> io::Result<(u32, u32, u32)> {
        let mut counts = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        let mut length = size_of::<libc::tpacket_stats_v3>() as socklen_t;
        // SAFETY: the kernel writes at most `length` bytes into a struct of that many, all of them integers.
        let done = unsafe {
            let into = ptr::from_mut(&mut counts).cast();
            libc::getsockopt(self.fd.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, into, &raw mut length)
        };
        Errno::result(done)?;
        Ok((counts.tp_packets, counts.tp_drops, counts.tp_freeze_q_cnt))
    }

    /// Number of an interface in the socket's own network namespace.
    ///
    /// # Errors
    /// `ENODEV` if there is none of that name.
    pub fn index_of(&self, name: &str) -> io::Result<c_int> {
        let answer = self.ask(libc::SIOCGIFINDEX as c_ulong, &request_by_name(name)?)?;
        // SAFETY: SIOCGIFINDEX fills this member of the union, and any four bytes are an integer.
        Ok(unsafe { answer.ifr_ifru.ifru_ifindex })
    }

    /// Hardware type (`ARPHRD_…`) of an interface.
    ///
    /// # Errors
    /// `ENODEV` if there is none of that name.
    pub fn hardware_of(&self, name: &str) -> io::Result<u16> {
        let answer = self.ask(libc::SIOCGIFHWADDR as c_ulong, &request_by_name(name)?)?;
        // SAFETY: SIOCGIFHWADDR fills this member of the union, of which the first half is the type.
        Ok(unsafe { answer.ifr_ifru.ifru_hwaddr }.sa_family)
    }

    /// Name of an interface.
    ///
    /// # Errors
    /// `ENODEV` if it is gone.
    pub fn name_of(&self, index: c_int) -> io::Result<String> {
        let mut request = request_by_name("")?;
        request.ifr_ifru.ifru_ifindex = index;
        let answer = self.ask(libc::SIOCGIFNAME as c_ulong, &request)?;
        let name: Vec<u8> = answer.ifr_name.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    /// Waits until a block is ready.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&self, most: Duration) -> io::Result<Woken> {
        let mut polled = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout) {
            Ok(0) | Err(Errno::EINTR) => Ok(Woken::Idle),
            Ok(_) => self.woken(),
            Err(error) => Err(error.into()),
        }
    }

    /// To send whole frames with, once bound.
    #[cfg(test)]
    pub fn into_file(self) -> std::fs::File {
        self.fd.into()
    }

    fn woken(&self) -> io::Result<Woken> {
        match getsockopt(&self.fd, sockopt::SocketError)? {
            0 => Ok(Woken::Ready),
            error => Ok(Woken::Error(Errno::from_raw(error))),
        }
    }

    fn ask(&self, what: c_ulong, request: &ifreq) -> io::Result<ifreq> {
        let mut answer = *request;
        // SAFETY: each of the requests above reads and writes one ifreq, and this one lives over the call.
        let done = unsafe { libc::ioctl(self.fd.as_raw_fd(), what as _, &raw mut answer) };
        Errno::result(done)?;
        Ok(answer)
    }

    fn set<T>(&self, option: c_int, value: &T) -> io::Result<()> {
        self.set_at(libc::SOL_PACKET, option, value)
    }

    fn set_at<T>(&self, level: c_int, option: c_int, value: &T) -> io::Result<()> {
        let (from, length) = (ptr::from_ref(value).cast::<c_void>(), size_of::<T>() as socklen_t);
        // SAFETY: the kernel reads `length` bytes of a value that lives over the call; what a program of a filter points
        // to lives as long, in `attach`.
        let done = unsafe { libc::setsockopt(self.fd.as_raw_fd(), level, option, from, length) };
        Errno::result(done)?;
        Ok(())
    }
}

fn request_by_name(name: &str) -> io::Result<ifreq> {
    // SAFETY: an ifreq is a name and a union of integers, addresses and a pointer that none of our requests uses.
    let mut request: ifreq = unsafe { zeroed() };
    // One byte stays zero, which ends the name.
    if name.len() >= request.ifr_name.len() {
        return Err(Errno::ENODEV.into());
    }
    request.ifr_name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from as _);
    Ok(request)
}

/// The ring's memory, shared with the kernel: blocks, each of which belongs to one of the two at a time.
#[derive(Debug)]
pub struct Blocks {
    start: NonNull<u8>,
    count: usize,
    block_bytes: usize,
}

// SAFETY: the memory is this process's until it is unmapped by `drop`, from whichever thread; nothing of it is bound to one.
unsafe impl Send for Blocks {}

impl Blocks {
    fn map(fd: &OwnedFd, blocks: usize, block_bytes: usize) -> io::Result<Blocks> {
        let length = blocks.checked_mul(block_bytes).ok_or(Errno::EINVAL)?;
        // SAFETY: a new mapping at an address of the kernel's choice; it outlives the socket, whose ring the kernel keeps
        // for as long as it is mapped.
        let start = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(ptr::null_mut(), length, protection, libc::MAP_SHARED, fd.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(Errno::ENOMEM)?;
        Ok(Blocks { start, count: blocks, block_bytes })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// A block's bytes, if the kernel has handed it over; it goes back to the kernel when what this gives is dropped. As
    /// this borrows the ring for itself, a block cannot be taken twice.
    pub fn take(&mut self, number: usize) -> Option<Block<'_>> {
        if number >= self.count {
            return None;
        }
        // SAFETY: within the mapping, by the line above.
        let start = unsafe { self.start.as_ptr().add(number * self.block_bytes) };
        // SAFETY: within the block, aligned (blocks begin on pages), and written by the kernel as a word.
        let status = unsafe { AtomicU32::from_ptr(start.add(BLOCK_STATUS).cast()) };
        // Acquire: what the kernel wrote before it handed the block over is seen after this.
        if status.load(Ordering::Acquire) & OURS == 0 {
            return None;
        }
        // SAFETY: the block is ours, the kernel writes nothing to it until its status is set back, which `Block::drop` does
        // when this slice cannot be used any more.
        let bytes = unsafe { std::slice::from_raw_parts(start, self.block_bytes) };
        Some(Block { bytes, status })
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made, whole; no block of it is borrowed any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.count * self.block_bytes) };
    }
}

/// A block that is ours.
pub struct Block<'r> {
    /// All of it, its header included.
    pub bytes: &'r [u8],
    status: &'r AtomicU32,
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        // Release: our reads of the block are done before the kernel may write to it.
        self.status.store(THE_KERNELS, Ordering::Release);
    }
}
