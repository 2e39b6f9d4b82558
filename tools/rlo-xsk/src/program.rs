// SPDX-License-Identifier: GPL-2.0

//! The XDP program on a device, and the map that it finds the sockets in.
//!
//! All processes that use a device share one program. The first attaches it and pins its link
//! and its map in a folder of the BPF file system, the last takes them away. Two locks say
//! who is first and last, and are gone with a process, however it ends: one on the folder,
//! shared, as long as a process uses what is in it, and one on the folder above, while it
//! looks who else does.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use aya::maps::{Map, MapData, XskMap};
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, Xdp, XdpFlags};
use aya::{EbpfLoader, include_bytes_aligned};
use rustix::fs::{FlockOperation, flock, fstatfs};
use rustix::io::Errno;

use crate::device::Device;
use crate::frame::ETHER_TYPE;
use crate::xsk::{self, Port};

const OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/redirect.o"));

const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

#[derive(Clone, Debug)]
pub struct Options {
    /// Where the BPF file system is.
    pub bpffs: PathBuf,
    /// Generic XDP, which takes any device.
    pub skb_mode: bool,
    /// Redirects every packet of a queue, not only frames of ours.
    pub all_frames: bool,
}

/// The program on a device. When the last process drops it, the program goes.
pub struct Program {
    sockets: XskMap<MapData>,
    folder: PathBuf,
    /// Locked as long as this process uses what is in the folder.
    in_use: File,
    /// The folder above, to lock while others may come and go.
    above: File,
}

impl Program {
    /// Attaches the program to a device, or finds it there.
    pub fn attach(device: &Device, options: &Options) -> Result<Self> {
        let (path, above) = open_above(&options.bpffs)?;
        // A BPF file system takes no dots.
        let folder = path.join(device.name().replace('.', "_"));
        let turn = Turn::wait(&above)?;
        let (in_use, sockets) = enter(&folder, device, options).inspect_err(|_| {
            // Fails, as it should, if another process has pins in it.
            let _ = fs::remove_dir(&folder);
        })?;
        drop(turn);
        Ok(Self {
            sockets,
            folder,
            in_use,
            above,
        })
    }

    /// Lets the packets of a queue go to its socket, as long as the socket is there.
    pub fn redirect_to(&mut self, port: &Port) -> Result<()> {
        let device = port.device();
        self.sockets
            .set(device.queue(), port.as_fd(), 0)
            .with_context(|| format!("the socket of {device} could not be put into the XSKMAP"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A failure leaves pins behind, which the next process takes for what they are.
        if let Ok(_turn) = Turn::wait(&self.above) {
            if alone(&self.in_use).unwrap_or(false) {
                let _ = unpin(&self.folder).and_then(|()| fs::remove_dir(&self.folder));
            }
        }
    }
}

/// The lock that those who attach and those who leave take.
struct Turn(File);

impl Turn {
    fn wait(above: &File) -> Result<Self> {
        let file = above.try_clone()?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(Self(file))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Whether no other process has its lock on a folder. Keeps the lock if so.
fn alone(folder: &File) -> Result<bool> {
    match flock(folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn open_above(bpffs: &Path) -> Result<(PathBuf, File)> {
    let shown = bpffs.display();
    let is_bpffs = File::open(bpffs)
        .is_ok_and(|file| fstatfs(file).is_ok_and(|found| found.f_type == BPF_FS_MAGIC));
    if !is_bpffs {
        bail!(
            "{shown} is not a BPF file system: run 'mount -t bpf bpffs {shown}', or name one with \
             --bpffs ('ip netns exec' hides the one at /sys/fs/bpf)"
        );
    }
    let path = bpffs.join("rlo-xsk");
    make(&path)
        .and_then(|()| File::open(&path))
        .map(|file| (path.clone(), file))
        .map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                anyhow!("no permission to write to {shown}: run it as root")
            }
            _ => anyhow!("cannot use {}: {error}", path.display()),
        })
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Takes away what is pinned in a folder. With the link goes the program.
fn unpin(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// Locks a device's folder; the caller has its turn.
fn enter(folder: &Path, device: &Device, options: &Options) -> Result<(File, XskMap<MapData>)> {
    let failed = || {
        format!(
            "cannot use {} for {}: are you root?",
            folder.display(),
            device.name()
        )
    };
    make(folder).with_context(failed)?;
    let in_use = File::open(folder).with_context(failed)?;
    // There can be devices of this name in other namespaces, and have been others in this one.
    let mode = if options.skb_mode { "-skb" } else { "" };
    let number = format!("{}-{}{mode}", xsk::namespace()?, device.index());
    let link = folder.join(format!("link-{number}"));
    let map = folder.join(format!("sockets-{number}"));

    if alone(&in_use)? {
        // What a process left that was killed.
        unpin(folder).with_context(failed)?;
    }
    if !link.exists() {
        // What a process that was killed just then left beside others' pins.
        let _ = fs::remove_file(&map);
        load(device, options, &link, &map)?;
    }
    flock(&in_use, FlockOperation::LockShared).with_context(failed)?;
    let map = MapData::from_pin(&map).with_context(failed)?;
    Ok((in_use, XskMap::try_from(Map::XskMap(map))?))
}

fn load(device: &Device, options: &Options, link_path: &Path, map_path: &Path) -> Result<()> {
    let name = device.name();
    let ether_type = if options.all_frames { 0 } else { ETHER_TYPE };
    let mut object = EbpfLoader::new()
        .set_global("ether_type", &ether_type, true)
        .load(OBJECT)
        .with_context(|| format!("the kernel does not take the XDP program for {name}"))?;
    let program: &mut Xdp = object
        .program_mut("redirect")
        .context("the XDP program is not in its object")?
        .try_into()?;
    program.load().with_context(|| {
        format!("the XDP program for {name} could not be loaded: it needs root, or CAP_BPF")
    })?;
    let mode = if options.skb_mode {
        XdpFlags::SKB_MODE
    } else {
        XdpFlags::DRV_MODE
    };
    let id = program
        .attach_to_if_index(device.index(), mode)
        .map_err(|error| explain_attach(device, options.skb_mode, error))?;
    let link = FdLink::try_from(program.take_link(id)?)?;
    let map = object
        .map("sockets")
        .context("the map is not in the object")?;
    map.pin(map_path)
        .with_context(|| format!("cannot pin {}", map_path.display()))?;
    link.pin(link_path)
        .with_context(|| format!("cannot pin {}", link_path.display()))?;
    Ok(())
}

fn explain_attach(device: &Device, skb_mode: bool, error: ProgramError) -> anyhow::Error {
    let name = device.name();
    let ProgramError::SyscallError(syscall) = &error else {
        return anyhow!(error).context(format!("cannot attach the XDP program to {name}"));
    };
    match Errno::from_io_error(&syscall.io_error) {
        Some(Errno::OPNOTSUPP) if !skb_mode => anyhow!(
            "{name} has no native XDP: use --skb-mode (with --copy), which takes any device"
        ),
        Some(Errno::BUSY | Errno::EXIST) => anyhow!(
            "{name} has an XDP program already, of another program or of an rlo-xsk {} \
             --skb-mode: 'bpftool net show dev {name}' shows it",
            if skb_mode { "without" } else { "with" }
        ),
        Some(Errno::PERM) => {
            anyhow!("no permission to attach an XDP program to {name}: run it as root")
        }
        _ => anyhow!(
            "{name} refuses the XDP program: {}; 'dmesg' may tell more, and an MTU of at most 3498 \
             is always small enough ('ip link set {name} mtu 3498')",
            syscall.io_error
        ),
    }
}
