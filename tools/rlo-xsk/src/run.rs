// SPDX-License-Identifier: GPL-2.0

//! A run: ends it in time or at Ctrl-C, and shows how it goes.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{CpuSet, sched_setaffinity};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// How long the first packets may take, where a run begins with them.
const WARM_UP: Duration = Duration::from_secs(10);

/// What the threads of a run tell each other.
pub struct Run {
    stop: Arc<AtomicBool>,
    /// Packets so far, for the progress.
    pub packets: AtomicU64,
    /// What counts has begun.
    pub warm: AtomicBool,
}

impl Run {
    /// From now on SIGINT and SIGTERM end the run.
    pub fn new(warm: bool) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&stop))?;
        }
        Ok(Self {
            stop,
            packets: AtomicU64::new(0),
            warm: AtomicBool::new(warm),
        })
    }

    #[inline]
    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Does the work in a thread, ends it after `limit`, and shows its progress.
    pub fn supervise<T: Send>(
        &self,
        limit: Option<Duration>,
        quiet: bool,
        work: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        let (main, done) = (thread::current(), AtomicBool::new(false));
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let result = work();
                done.store(true, Relaxed);
                main.unpark();
                result
            });
            let start = Instant::now();
            let (mut began, mut shown, mut before) = (None, start, 0);
            while !done.load(Relaxed) {
                thread::park_timeout(Duration::from_millis(50));
                let now = Instant::now();
                let late = now - start > WARM_UP;
                if self.warm.load(Relaxed) || late {
                    let began = *began.get_or_insert(now);
                    if limit.is_some_and(|limit| now - began >= limit) {
                        self.stop();
                    }
                }
                // Nor will anything come later.
                if late && !self.warm.load(Relaxed) && self.packets.load(Relaxed) == 0 {
                    self.stop();
                }
                if !quiet && now - shown >= Duration::from_secs(1) {
                    let packets = self.packets.load(Relaxed);
                    let rate = (packets - before) as f64 / (now - shown).as_secs_f64();
                    let seconds = (now - start).as_secs();
                    // At once, as another process may write to the same terminal.
                    let line =
                        format!("{seconds:>4} s  {rate:>12.0} packets/s  {packets:>14} packets\n");
                    let _ = io::stderr().write_all(line.as_bytes());
                    (shown, before) = (now, packets);
                }
            }
            worker
                .join()
                .map_err(|_| anyhow!("a thread ended with a panic"))?
        })
    }
}

/// Keeps the calling thread on a CPU, if there is one for it.
pub fn pin(cpu: Option<&usize>) -> Result<()> {
    let Some(&cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    if cpu < CpuSet::MAX_CPU {
        set.set(cpu);
    }
    sched_setaffinity(None, &set)
        .with_context(|| format!("there is no CPU {cpu} to stay on: 'nproc' says how many"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_by_itself() {
        let run = Run::new(true).expect("signals can be caught");
        assert_eq!(run.supervise(None, true, || Ok(7)).expect("it works"), 7);
        assert!(!run.stopped());
        assert!(
            run.supervise(None, true, || Err::<(), _>(anyhow!("no")))
                .is_err()
        );
    }

    #[test]
    fn a_run_ends_in_time() {
        let run = Run::new(true).expect("signals can be caught");
        let start = Instant::now();
        let limit = Duration::from_millis(100);
        run.supervise(Some(limit), true, || {
            while !run.stopped() {
                thread::yield_now();
            }
            Ok(())
        })
        .expect("it works");
        assert!(start.elapsed() >= limit);
    }

    #[test]
    fn cpus() {
        assert!(pin(None).is_ok());
        let error = pin(Some(&1_000_000)).expect_err("there is no such CPU");
        assert!(format!("{error:#}").contains("CPU 1000000"), "{error:#}");
    }
}
