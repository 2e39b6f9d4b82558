// SPDX-License-Identifier: GPL-2.0

//! A queue of a network device, and what to do when the kernel refuses it.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use rustix::io::Errno;

use crate::xsk::Copying;

/// The largest MTU whose frames have room in a chunk on any device, with the kernel's own data
/// around them and, which veth allows for, a VLAN tag.
const ZERO_COPY_MTU: u32 = 3498;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    name: String,
    index: u32,
    queue: u32,
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "queue {} of {}", self.queue, self.name)
    }
}

impl Device {
    pub fn find(name: &str, queue: u32) -> Result<Self> {
        let socket = std::os::unix::net::UnixDatagram::unbound()?;
        let index = rustix::net::netdevice::name_to_index(socket, name).map_err(|_| {
            anyhow!("there is no network device {name} here: 'ip link' lists those there are")
        })?;
        Ok(Self {
            name: name.into(),
            index,
            queue,
        })
    }

    /// Another queue of the same device.
    pub fn with_queue(&self, queue: u32) -> Self {
        Self {
            queue,
            ..self.clone()
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn index(&self) -> u32 {
        self.index
    }

    pub fn queue(&self) -> u32 {
        self.queue
    }

    /// Why an AF_XDP socket or its rings could not be made.
    pub fn explain_socket(&self, error: Errno) -> anyhow::Error {
        match error {
            Errno::PERM | Errno::ACCESS => anyhow!(
                "no permission to open an AF_XDP socket on {self}: run it as root, or with \
                 CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_IPC_LOCK"
            ),
            Errno::AFNOSUPPORT => anyhow!(
                "this kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS), so {self} cannot have one"
            ),
            Errno::NOBUFS | Errno::NOMEM => {
                anyhow!("no memory can be locked for {self}: run it as root, or raise 'ulimit -l'")
            }
            _ => anyhow!("cannot make an AF_XDP socket for {self}: {error}"),
        }
    }

    pub fn explain_busy_poll(&self, error: &io::Error) -> anyhow::Error {
        anyhow!("busy polling is not possible on {self}: {error}; leave out --busy-poll")
    }

    /// Why a socket could not be bound.
    pub fn explain_bind(&self, error: Errno, copying: Copying) -> anyhow::Error {
        let sysfs = self.sysfs();
        let queues = sysfs.as_ref().and_then(|path| {
            let names = fs::read_dir(path.join("queues")).ok()?.flatten();
            Some(
                names
                    .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"rx-"))
                    .count(),
            )
        });
        let mtu = sysfs
            .and_then(|path| fs::read_to_string(path.join("mtu")).ok())
            .and_then(|text| text.trim().parse().ok());
        self.explain_bind_with(error, copying, queues, mtu)
    }

    /// [`Self::explain_bind`], knowing how many queues the device has, and its MTU.
    fn explain_bind_with(
        &self,
        error: Errno,
        copying: Copying,
        queues: Option<usize>,
        mtu: Option<u32>,
    ) -> anyhow::Error {
        let Self { name, queue, .. } = self;
        match (error, queues, mtu) {
            (Errno::BUSY, ..) => anyhow!(
                "{self} is taken by another AF_XDP socket: 'ss --xdp -p' shows whose it is; end \
                 that program, or choose another --queue"
            ),
            (Errno::NETDOWN, ..) => anyhow!("{name} is down: run 'ip link set {name} up'"),
            (Errno::NODEV, ..) => anyhow!("{name} was removed while {self} was bound"),
            (Errno::INVAL, Some(queues), _) if *queue as usize >= queues => anyhow!(
                "there is no {self}: it has {queues}, from 0 on; 'ethtool -L {name} combined {}' \
                 gives it more, if it was made with as many",
                queue + 1
            ),
            (Errno::INVAL, _, Some(mtu)) if mtu > ZERO_COPY_MTU && copying == Copying::ZeroCopy => {
                anyhow!(
                    "the MTU of {name}, {mtu}, is too large for zero-copy on {self}: run 'ip link \
                     set {name} mtu {ZERO_COPY_MTU}', or use --copy"
                )
            }
            (Errno::OPNOTSUPP, ..) if copying == Copying::ZeroCopy => {
                anyhow!("{name} has no zero-copy, so {self} cannot have it: use --copy")
            }
            (Errno::PERM | Errno::ACCESS, ..) => self.explain_socket(error),
            (Errno::INVAL, ..) => anyhow!(
                "the socket could not be bound to {self}: {error}; 'ethtool -l {name}' shows \
                 whether there is this queue, and zero-copy wants an MTU of at most {ZERO_COPY_MTU}"
            ),
            _ => anyhow!("the socket could not be bound to {self}: {error}"),
        }
    }

    /// Why the kernel would not go on with a bound socket.
    pub fn explain_wakeup(&self, error: Errno) -> anyhow::Error {
        let name = &self.name;
        match error {
            Errno::NETDOWN => anyhow!(
                "{name} is down or gone, and {self} with it: run 'ip link set {name} up' and start \
                 again"
            ),
            Errno::NXIO => anyhow!(
                "{self} is no longer bound: {name} was removed, or has fewer queues now; start \
                 again"
            ),
            _ => anyhow!("the kernel does not go on with {self}: {error}"),
        }
    }

    /// The device's folder in sysfs, unless that is of another network namespace.
    fn sysfs(&self) -> Option<PathBuf> {
        let path = PathBuf::from("/sys/class/net").join(&self.name);
        let index = fs::read_to_string(path.join("ifindex")).ok()?;
        (index.trim().parse() == Ok(self.index)).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        Device {
            name: "rlo0".into(),
            index: 7,
            queue: 3,
        }
    }

    #[track_caller]
    fn assert_says(error: anyhow::Error, parts: &[&str]) {
        let text = error.to_string();
        for part in parts {
            assert!(text.contains(part), "'{text}' does not say '{part}'");
        }
    }

    fn bind(error: Errno, queues: Option<usize>, mtu: Option<u32>) -> anyhow::Error {
        device().explain_bind_with(error, Copying::ZeroCopy, queues, mtu)
    }

    #[test]
    fn refusals_say_what_to_do() {
        assert_says(
            bind(Errno::BUSY, None, None),
            &["queue 3 of rlo0", "--queue"],
        );
        assert_says(bind(Errno::NETDOWN, None, None), &["ip link set rlo0 up"]);
        assert_says(
            bind(Errno::INVAL, Some(2), Some(65536)),
            &["queue 3 of rlo0", "it has 2", "ethtool -L rlo0 combined 4"],
        );
        assert_says(
            bind(Errno::INVAL, Some(4), Some(65536)),
            &["65536", "ip link set rlo0 mtu 3498", "--copy"],
        );
        assert_says(
            bind(Errno::OPNOTSUPP, None, None),
            &["no zero-copy", "--copy"],
        );
        assert_says(bind(Errno::PERM, None, None), &["queue 3 of rlo0", "root"]);
        assert_says(device().explain_wakeup(Errno::NETDOWN), &["rlo0", "up"]);
        assert_says(
            device().explain_wakeup(Errno::NXIO),
            &["queue 3 of rlo0", "removed"],
        );
    }

    #[test]
    fn other_causes_are_not_guessed() {
        for (queues, mtu) in [(Some(4), Some(1500)), (None, None)] {
            let text = bind(Errno::INVAL, queues, mtu).to_string();
            assert!(
                text.contains("could not be bound to queue 3 of rlo0"),
                "'{text}'"
            );
        }
    }

    #[test]
    fn a_device_that_is_not_there() {
        assert_says(
            Device::find("no-such-device", 0).unwrap_err(),
            &["no-such-device", "ip link"],
        );
        let lo = Device::find("lo", 0).expect("every namespace has one");
        assert_eq!(lo.with_queue(2).to_string(), "queue 2 of lo");
    }
}
