// SPDX-License-Identifier: GPL-2.0

//! An AF_XDP socket with its rings and its UMEM, as something safe.
//!
//! The UMEM is cut into chunks. A chunk is in exactly one place: in a ring, where it is
//! the kernel's, on one of the two stacks of a [`Port`], or in the hands of a
//! closure, which cannot keep it. Nothing else can touch one that is the kernel's.

use std::io;
use std::iter;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use memmap2::{MmapMut, MmapRaw};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use xdpilone::xdp::{XdpDesc, XdpStatisticsV2};
use xdpilone::{DeviceQueue, IfInfo, RingRx, RingTx, Socket, SocketConfig, Umem, UmemConfig};

use crate::device::Device;

/// A page: the largest chunk that every kernel takes, and what allows the largest MTU.
const CHUNK: u32 = 4096;

/// The kernel keeps that much of each chunk that it writes to.
const HEADROOM: u32 = 256;

/// The longest frame that has room in a chunk.
pub const MAX_SIZE: u32 = CHUNK - HEADROOM;

/// How many chunks wait for packets to come, and how many can be on their way out.
pub const CHUNKS: u32 = 2048;

/// Twice as much as is ever in it: the kernel may be late in saying what it took.
const FILL_RING: u32 = 2 * CHUNKS;

/// How long a device may be down.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copying {
    /// Zero-copy if the driver has it.
    Kernel,
    Copy,
    ZeroCopy,
}

#[derive(Clone, Copy, Debug)]
pub struct BusyPoll {
    pub microseconds: u32,
    pub budget: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub copying: Copying,
    pub need_wakeup: bool,
    pub busy_poll: Option<BusyPoll>,
}

/// System calls that told the kernel to go on.
#[derive(Clone, Copy, Default)]
pub struct Wakeups {
    pub tx: u64,
    pub rx: u64,
}

/// A socket on one queue of a device, with a UMEM of its own.
pub struct Port {
    device: Device,
    options: Options,
    zero_copy: bool,
    rx: RingRx,
    tx: RingTx,
    /// The fill and the completion ring.
    queue: DeviceQueue,
    memory: MmapRaw,
    /// Chunks to send, in no ring.
    spare: Vec<u64>,
    /// Chunks to receive into, in no ring.
    idle: Vec<u64>,
    /// Chunks that the kernel has to send.
    in_flight: u32,
    /// Since when the kernel says that the device is down.
    down: Option<Instant>,
    pub wakeups: Wakeups,
}

impl Port {
    /// Opens a socket on a queue; nothing is received before it is in an XSKMAP.
    pub fn open(device: &Device, options: Options) -> Result<Self> {
        let errno = |error: xdpilone::Errno| Errno::from_raw_os_error(error.get_raw());
        let failed = |error| device.explain_socket(errno(error));

        let size = 2 * CHUNKS as usize * CHUNK as usize;
        let memory = MmapRaw::from(MmapMut::map_anon(size)?);
        let area = NonNull::slice_from_raw_parts(
            NonNull::new(memory.as_mut_ptr()).expect("a mapping has an address"),
            size,
        );
        let config = UmemConfig {
            fill_size: FILL_RING,
            complete_size: CHUNKS,
            frame_size: CHUNK,
            headroom: 0,
            flags: 0,
        };
        // SAFETY: A mapping begins with a page, and this one is dropped after all rings. Its
        // pages stay the kernel's as long as the kernel needs them.
        let umem = unsafe { Umem::new(config, area) }.map_err(failed)?;

        let mut info = IfInfo::invalid();
        info.from_ifindex(device.index()).map_err(failed)?;
        info.set_queue(device.queue());
        let socket = Socket::with_shared(&info, &umem).map_err(failed)?;
        let queue = umem.fq_cq(&socket).map_err(failed)?;

        let mut bind_flags = match options.copying {
            Copying::Kernel => 0,
            Copying::Copy => SocketConfig::XDP_BIND_COPY,
            Copying::ZeroCopy => SocketConfig::XDP_BIND_ZEROCOPY,
        };
        if options.need_wakeup {
            bind_flags |= SocketConfig::XDP_BIND_NEED_WAKEUP;
        }
        let config = SocketConfig {
            rx_size: NonZeroU32::new(CHUNKS),
            tx_size: NonZeroU32::new(CHUNKS),
            bind_flags,
        };
        let user = umem.rx_tx(&socket, &config).map_err(failed)?;
        let (rx, tx) = (
            user.map_rx().map_err(failed)?,
            user.map_tx().map_err(failed)?,
        );

        let mut port = Self {
            device: device.clone(),
            options,
            zero_copy: false,
            rx,
            tx,
            queue,
            memory,
            spare: chunks(CHUNKS..2 * CHUNKS),
            idle: chunks(0..CHUNKS),
            in_flight: 0,
            down: None,
            wakeups: Wakeups::default(),
        };
        if let Some(busy) = options.busy_poll {
            for (name, value) in [
                (libc::SO_PREFER_BUSY_POLL, 1),
                (libc::SO_BUSY_POLL, busy.microseconds),
                (libc::SO_BUSY_POLL_BUDGET, busy.budget),
            ] {
                set_option(port.as_fd(), libc::SOL_SOCKET, name, &value)
                    .map_err(|error| device.explain_busy_poll(&error))?;
            }
        }
        // Before the device knows of the socket, so that no packet finds the ring empty.
        port.refill();
        umem.bind(&user)
            .map_err(|error| device.explain_bind(errno(error), options.copying))?;
        let mut kernel_options = 0u32;
        get_option(
            port.as_fd(),
            libc::SOL_XDP,
            libc::XDP_OPTIONS,
            &mut kernel_options,
        )?;
        port.zero_copy = kernel_options & libc::XDP_OPTIONS_ZEROCOPY != 0;
        Ok(port)
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    pub fn zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// Frames that were sent and that the kernel has not given back.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub fn statistics(&self) -> Result<XdpStatisticsV2> {
        self.queue
            .statistics_v2()
            .map_err(|error| anyhow!("cannot read the statistics of {}: {error}", self.device))
    }

    /// The bytes of a chunk, or of a part of it.
    ///
    /// # Safety
    ///
    /// The chunk is in no ring, or was just read from one that it is released to later, and
    /// nothing else has its bytes.
    #[inline]
    #[expect(
        clippy::mut_from_ref,
        reason = "it is the chunk that is borrowed, not the mapping"
    )]
    unsafe fn bytes(memory: &MmapRaw, address: u64, len: u32) -> &mut [u8] {
        let (at, len) = (address as usize, len as usize);
        if len > memory.len() || at > memory.len() - len {
            not_in_umem(address, len);
        }
        // SAFETY: They are in the mapping, and nobody else's, as the caller says.
        unsafe { std::slice::from_raw_parts_mut(memory.as_mut_ptr().add(at), len) }
    }

    /// Prepares what is sent with [`Self::send`]; it keeps what it does not write each time.
    pub fn prepare(&mut self, size: u32, mut write: impl FnMut(&mut [u8])) {
        for &address in &self.spare {
            // SAFETY: The chunk is in no ring, and `write` has it alone.
            write(unsafe { Self::bytes(&self.memory, address, size) });
        }
    }

    /// Queues up to `most` frames of `size` bytes, which `write` fills; says how many.
    ///
    /// The kernel may have to be told to send them, see [`Self::kick_tx`].
    #[inline]
    pub fn send(&mut self, most: u32, size: u32, mut write: impl FnMut(&mut [u8])) -> u32 {
        let most = most.min(self.spare.len() as u32);
        let mut slots = self.tx.transmit(most);
        let count = slots.capacity();
        let kept = self.spare.len() - count as usize;
        // An iterator, of as many as there are slots, becomes part of the loop in here.
        slots.insert(self.spare[kept..].iter().rev().map(|&addr| {
            // SAFETY: The chunk is not in a ring yet, and `write` has it alone.
            write(unsafe { Self::bytes(&self.memory, addr, size) });
            XdpDesc {
                addr,
                len: size,
                options: 0,
            }
        }));
        slots.commit();
        self.spare.truncate(kept);
        self.in_flight += count;
        count
    }

    /// Takes back what was sent; says how many.
    #[inline]
    pub fn reclaim(&mut self) -> u32 {
        Self::reclaim_to(&mut self.queue, &mut self.in_flight, &mut self.spare)
    }

    #[inline]
    fn reclaim_to(queue: &mut DeviceQueue, in_flight: &mut u32, chunks: &mut Vec<u64>) -> u32 {
        if *in_flight == 0 {
            return 0;
        }
        let mut done = queue.complete(*in_flight);
        let count = done.capacity();
        while let Some(address) = done.read() {
            chunks.push(chunk(address));
        }
        done.release();
        *in_flight -= count;
        count
    }

    /// Shows up to `most` packets that came to `see`; says how many.
    #[inline]
    pub fn receive(&mut self, most: u32, mut see: impl FnMut(&[u8])) -> u32 {
        self.refill();
        let mut packets = self.rx.receive(most);
        let count = packets.capacity();
        if count == 0 {
            return 0;
        }
        let mut slots = self.queue.fill(count);
        let mut see = |packet: XdpDesc| {
            // SAFETY: The chunk was read from a ring, goes into one that is committed later or to
            // `idle`, and `see` has it alone.
            see(unsafe { Self::bytes(&self.memory, packet.addr, packet.len) });
            chunk(packet.addr)
        };
        // Not the iterator that `packets` is: its functions are not inlined, `read` is.
        let room = slots.capacity() as usize;
        slots.insert(iter::from_fn(|| packets.read()).take(room).map(&mut see));
        self.idle.extend(iter::from_fn(|| packets.read()).map(see));
        packets.release();
        slots.commit();
        count
    }

    /// Sends those packets that came back for which `turn` says so; says how many came and how
    /// many went.
    #[inline]
    pub fn reflect(&mut self, most: u32, mut turn: impl FnMut(&mut [u8]) -> bool) -> (u32, u32) {
        Self::reclaim_to(&mut self.queue, &mut self.in_flight, &mut self.idle);
        self.refill();
        // No more than can be sent: what is received has to go somewhere.
        let mut slots = self.tx.transmit(most);
        let mut packets = self.rx.receive(slots.capacity());
        let (count, mut turned) = (packets.capacity(), 0);
        while let Some(packet) = packets.read() {
            // SAFETY: The chunk was read from a ring, goes into one that is committed later or
            // to `idle`, and `turn` has it alone.
            if turn(unsafe { Self::bytes(&self.memory, packet.addr, packet.len) }) {
                slots.insert_once(XdpDesc {
                    options: 0,
                    ..packet
                });
                turned += 1;
            } else {
                self.idle.push(chunk(packet.addr));
            }
        }
        packets.release();
        slots.commit();
        self.in_flight += turned;
        (count, turned)
    }

    /// Gives the kernel chunks to receive into.
    #[inline]
    fn refill(&mut self) {
        if self.idle.is_empty() {
            return;
        }
        let mut slots = self.queue.fill(self.idle.len() as u32);
        let kept = self.idle.len() - slots.capacity() as usize;
        slots.insert(self.idle[kept..].iter().copied());
        slots.commit();
        self.idle.truncate(kept);
    }

    /// Tells the kernel to send what is queued, if it has to be told.
    #[inline]
    pub fn kick_tx(&mut self) -> Result<()> {
        let Options {
            need_wakeup,
            busy_poll,
            ..
        } = self.options;
        if self.in_flight == 0 || (need_wakeup && busy_poll.is_none() && !self.tx.needs_wakeup()) {
            return Ok(());
        }
        self.wakeups.tx += 1;
        let result = rustix::net::send(self.as_fd(), &[], SendFlags::DONTWAIT);
        self.woken(result.map(drop))
    }

    /// Tells the kernel that it can receive again, if it has to be told.
    #[inline]
    pub fn kick_rx(&mut self) -> Result<()> {
        if self.options.busy_poll.is_none() && !self.queue.needs_wakeup() {
            return Ok(());
        }
        self.wakeups.rx += 1;
        let result = rustix::net::recv(self.as_fd(), &mut [0u8; 0][..], RecvFlags::DONTWAIT);
        self.woken(result.map(drop))
    }

    /// Does both. A busy poll for one is one for the other.
    #[inline]
    pub fn kick(&mut self) -> Result<()> {
        self.kick_tx()?;
        if self.options.busy_poll.is_some() && self.in_flight > 0 {
            Ok(())
        } else {
            self.kick_rx()
        }
    }

    fn woken(&mut self, result: Result<(), Errno>) -> Result<()> {
        match result {
            Ok(()) => self.down = None,
            // There is more to do than one call does (AGAIN), another one is at it (BUSY), or
            // what is under way has to arrive first (NOBUFS): it is asked again.
            Err(Errno::AGAIN | Errno::BUSY | Errno::NOBUFS | Errno::INTR) => self.down = None,
            // Devices are down for a moment when their XDP program or their queues change.
            Err(Errno::NETDOWN)
                if self.down.get_or_insert_with(Instant::now).elapsed() < PATIENCE =>
            {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(self.device.explain_wakeup(error)),
        }
        Ok(())
    }

    /// Waits for packets.
    pub fn wait_rx(&mut self, timeout: Duration) -> Result<()> {
        self.wait(PollFlags::IN, timeout)
    }

    /// Waits for room to send.
    pub fn wait_tx(&mut self, timeout: Duration) -> Result<()> {
        self.wait(PollFlags::OUT, timeout)
    }

    fn wait(&mut self, events: PollFlags, timeout: Duration) -> Result<()> {
        let mut fds = [PollFd::from_borrowed_fd(self.as_fd(), events)];
        let timeout = Timespec::try_from(timeout).expect("timeouts are short");
        match poll(&mut fds, Some(&timeout)) {
            // A socket whose device is gone waits for ever, and says so only when asked.
            Ok(0) => {
                let result =
                    rustix::net::recv(self.as_fd(), &mut [0u8; 0][..], RecvFlags::DONTWAIT);
                self.woken(result.map(drop))
            }
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(self.device.explain_wakeup(error)),
        }
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: The rings, and `self` with them, keep the socket open.
        unsafe { BorrowedFd::borrow_raw(self.rx.as_raw_fd()) }
    }
}

#[cold]
fn not_in_umem(address: u64, len: usize) -> ! {
    panic!("the kernel gave back {len} bytes at {address}, which are not in the UMEM")
}

fn chunks(indices: std::ops::Range<u32>) -> Vec<u64> {
    indices
        .map(|index| u64::from(index) * u64::from(CHUNK))
        .collect()
}

/// The chunk that an address is in.
#[inline]
fn chunk(address: u64) -> u64 {
    address & !u64::from(CHUNK - 1)
}

/// The cookie of the network namespace that this process is in.
pub fn namespace() -> Result<u64> {
    let socket = std::os::unix::net::UnixDatagram::unbound()?;
    let mut cookie = 0u64;
    get_option(
        socket.as_fd(),
        libc::SOL_SOCKET,
        libc::SO_NETNS_COOKIE,
        &mut cookie,
    )?;
    Ok(cookie)
}

/// A value of a socket option: any bits are one.
trait Value: Default {}
impl Value for u32 {}
impl Value for u64 {}

fn set_option<T: Value>(fd: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: The kernel reads `len` bytes at `value`.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            len,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn get_option<T: Value>(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &mut T,
) -> io::Result<()> {
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: The kernel writes at most `len` bytes at `value`, which may be any.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            std::ptr::from_mut(value).cast(),
            &mut len,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> MmapRaw {
        MmapRaw::from(MmapMut::map_anon(CHUNK as usize).expect("a page"))
    }

    #[test]
    fn bytes_are_in_the_umem() {
        let memory = memory();
        let len = |address, len| {
            // SAFETY: There is no ring, and nothing keeps the bytes.
            std::panic::catch_unwind(|| unsafe { Port::bytes(&memory, address, len) }.len())
        };
        assert_eq!(len(0, CHUNK).ok(), Some(CHUNK as usize));
        assert_eq!(len(4032, 64).ok(), Some(64));
        for (address, bytes) in [(4033, 64), (4096, 1), (u64::MAX, 64), (0, u32::MAX)] {
            assert!(len(address, bytes).is_err(), "{bytes} bytes at {address}");
        }
    }

    #[test]
    fn an_address_belongs_to_a_chunk() {
        assert_eq!(chunk(0), 0);
        assert_eq!(chunk(4095), 0);
        assert_eq!(chunk(3 * 4096 + 256), 3 * 4096);
    }

    #[test]
    fn options_are_read_and_written() {
        let socket = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
        let fd = socket.as_fd();
        set_option(fd, libc::SOL_SOCKET, libc::SO_PASSCRED, &1u32).expect("it can be set");
        let mut value = 0u32;
        get_option(fd, libc::SOL_SOCKET, libc::SO_PASSCRED, &mut value).expect("it can be read");
        assert_eq!(value, 1);
        assert!(set_option(fd, libc::SOL_SOCKET, -1, &1u32).is_err());
        assert!(get_option(fd, libc::SOL_SOCKET, -1, &mut value).is_err());
    }
}
