// SPDX-License-Identifier: GPL-2.0

//! Sends no faster than a given rate.

use std::time::Duration;

/// Waits that are shorter are spent in a loop: a timer is not that exact.
const TIMER: Duration = Duration::from_micros(100);

/// What is due at a constant rate.
///
/// What was missed because the peer was slow is made up for, up to 10 ms of it.
pub struct Pacer {
    rate: u64,
    /// When frame number 0 was due.
    start: Duration,
    sent: u64,
}

impl Pacer {
    /// `rate` frames a second from `now` on.
    pub fn new(rate: u64, now: Duration) -> Self {
        Self {
            rate,
            start: now,
            sent: 0,
        }
    }

    /// How many frames may be sent now.
    pub fn due(&mut self, now: Duration) -> u64 {
        let elapsed = now.saturating_sub(self.start).as_nanos();
        // The first one is due at once.
        let due = (elapsed * u128::from(self.rate) / 1_000_000_000) as u64 + 1;
        let most = (self.rate / 100).max(1);
        if due.saturating_sub(self.sent) > most {
            let excess = due - self.sent - most;
            self.start += self.time_of(excess);
            return most;
        }
        due.saturating_sub(self.sent)
    }

    pub fn sent(&mut self, count: u64) {
        self.sent += count;
    }

    /// How long to sleep until the next frame is due; zero if it is not worth it.
    pub fn pause(&self, now: Duration) -> Duration {
        let next = self.start + self.time_of(self.sent);
        let pause = next.saturating_sub(now);
        if pause < TIMER { Duration::ZERO } else { pause }
    }

    fn time_of(&self, count: u64) -> Duration {
        let nanos = u128::from(count) * 1_000_000_000 / u128::from(self.rate);
        Duration::from_nanos(nanos as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_rate_is_kept() {
        let mut pacer = Pacer::new(1_000_000, Duration::ZERO);
        let mut sent = 0;
        for step in 0..=1000 {
            let due = pacer.due(MS * step);
            pacer.sent(due);
            sent += due;
        }
        assert_eq!(sent, 1_000_001);
    }

    #[test]
    fn one_a_second() {
        let mut pacer = Pacer::new(1, Duration::ZERO);
        assert_eq!(pacer.due(Duration::ZERO), 1);
        pacer.sent(1);
        assert_eq!(pacer.due(MS * 999), 0);
        assert_eq!(pacer.pause(MS * 400), MS * 600);
        assert_eq!(pacer.due(MS * 1000), 1);
    }

    #[test]
    fn no_burst_after_a_stall() {
        let mut pacer = Pacer::new(1000, Duration::ZERO);
        assert_eq!(pacer.due(Duration::from_secs(60)), 10);
        pacer.sent(10);
        assert_eq!(pacer.due(Duration::from_secs(60)), 0);
        assert_eq!(pacer.due(Duration::from_secs(61)), 10);
    }

    #[test]
    fn short_pauses_are_not_slept() {
        let mut pacer = Pacer::new(1_000_000, Duration::ZERO);
        pacer.sent(50);
        assert_eq!(pacer.pause(Duration::ZERO), Duration::ZERO);
        pacer.sent(1950);
        assert_eq!(pacer.pause(Duration::ZERO), MS * 2);
    }

    #[test]
    fn a_large_rate_for_long() {
        let mut pacer = Pacer::new(100_000_000, Duration::ZERO);
        let day = Duration::from_secs(86400);
        assert_eq!(pacer.due(day), 1_000_000);
        assert!(pacer.start > day - MS * 11);
    }
}
