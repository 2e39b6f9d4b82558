// SPDX-License-Identifier: GPL-2.0

//! Which frames of a stream arrived: lost, twice, out of order.

use std::collections::VecDeque;
use std::ops::Range;

/// How many gaps are remembered. A late frame of a forgotten gap counts as a duplicate.
const GAPS: usize = 4096;

/// No frame has this number.
const NONE: u64 = u64::MAX;

/// Follows the sequence numbers of a stream.
///
/// The next number costs one comparison: nothing is kept of what came in order.
pub struct Tracker {
    /// The first number that arrived.
    first: Option<u64>,
    /// The number that is due; [`NONE`] before the first.
    next: u64,
    /// What is missing below `next`, ascending.
    gaps: VecDeque<Range<u64>>,
    missing: u64,
    pub duplicated: u64,
    pub reordered: u64,
}

impl Default for Tracker {
    fn default() -> Self {
        Self {
            first: None,
            next: NONE,
            gaps: VecDeque::new(),
            missing: 0,
            duplicated: 0,
            reordered: 0,
        }
    }
}

impl Tracker {
    /// The stream begins with 0, even if that does not arrive.
    pub fn begin(&mut self) {
        (self.first, self.next) = (Some(0), 0);
    }

    /// Takes the number of a frame that arrived.
    #[inline]
    pub fn see(&mut self, sequence: u64) {
        if sequence == self.next {
            self.next = sequence.wrapping_add(1);
        } else {
            self.see_other(sequence);
        }
    }

    #[cold]
    fn see_other(&mut self, sequence: u64) {
        if self.first.is_none() {
            (self.first, self.next) = (Some(sequence), sequence + 1);
        } else if sequence > self.next {
            self.lose(self.next..sequence);
            self.next = sequence + 1;
        } else if self.find(sequence) {
            self.reordered += 1;
        } else {
            self.duplicated += 1;
        }
    }

    fn lose(&mut self, range: Range<u64>) {
        self.missing += range.end - range.start;
        if self.gaps.len() == GAPS {
            self.gaps.pop_front();
        }
        self.gaps.push_back(range);
    }

    /// Takes a number out of the gap that it is in.
    fn find(&mut self, sequence: u64) -> bool {
        let at = self.gaps.partition_point(|gap| gap.end <= sequence);
        let Some(gap) = self.gaps.get_mut(at).filter(|gap| gap.contains(&sequence)) else {
            return false;
        };
        let after = sequence + 1..gap.end;
        gap.end = sequence;
        if gap.is_empty() {
            self.gaps.remove(at);
            if !after.is_empty() {
                self.gaps.insert(at, after);
            }
        } else if !after.is_empty() {
            self.gaps.insert(at + 1, after);
        }
        self.missing -= 1;
        true
    }

    /// The stream had the numbers below `total`: what did not arrive is lost.
    pub fn end(&mut self, total: u64) {
        if self.first.is_none() {
            self.begin();
        }
        if total > self.next {
            self.lose(self.next..total);
            self.next = total;
        }
    }

    pub fn first(&self) -> Option<u64> {
        self.first
    }

    pub fn lost(&self) -> u64 {
        self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (lost, duplicated, reordered) after `numbers`.
    fn seen(numbers: &[u64], total: Option<u64>) -> (u64, u64, u64) {
        let mut tracker = Tracker::default();
        for &number in numbers {
            tracker.see(number);
        }
        if let Some(total) = total {
            tracker.end(total);
        }
        (tracker.lost(), tracker.duplicated, tracker.reordered)
    }

    #[test]
    fn in_order() {
        assert_eq!(seen(&[], None), (0, 0, 0));
        assert_eq!(seen(&[0, 1, 2, 3], Some(4)), (0, 0, 0));
        // A receiver that comes late does not miss what was before it.
        assert_eq!(seen(&[100, 101], None), (0, 0, 0));
    }

    #[test]
    fn lost() {
        assert_eq!(seen(&[0, 2], None), (1, 0, 0));
        assert_eq!(seen(&[0, 10, 20], None), (18, 0, 0));
        assert_eq!(seen(&[0, 1], Some(5)), (3, 0, 0));
        assert_eq!(seen(&[], Some(5)), (5, 0, 0));
    }

    #[test]
    fn twice() {
        assert_eq!(seen(&[0, 0], None), (0, 1, 0));
        assert_eq!(seen(&[0, 1, 2, 1], None), (0, 1, 0));
        assert_eq!(seen(&[0, 2, 1, 1], None), (0, 1, 1));
        // Before the first one is not distinguishable from late; it counts.
        assert_eq!(seen(&[5, 4], None), (0, 1, 0));
    }

    #[test]
    fn out_of_order() {
        assert_eq!(seen(&[0, 2, 1, 3], Some(4)), (0, 0, 1));
        assert_eq!(seen(&[0, 5, 3, 2, 4, 1], Some(6)), (0, 0, 4));
        assert_eq!(seen(&[0, 5, 3], Some(6)), (3, 0, 1));
    }

    #[test]
    fn gaps_are_bounded() {
        let mut tracker = Tracker::default();
        for number in 0..3 * GAPS as u64 {
            tracker.see(2 * number);
        }
        assert_eq!(tracker.gaps.len(), GAPS);
        assert_eq!(tracker.lost(), 3 * GAPS as u64 - 1);
        // One that is forgotten stays lost, and one that is not arrives.
        tracker.see(1);
        assert_eq!((tracker.duplicated, tracker.reordered), (1, 0));
        tracker.see(6 * GAPS as u64 - 3);
        assert_eq!((tracker.duplicated, tracker.reordered), (1, 1));
        assert_eq!(tracker.lost(), 3 * GAPS as u64 - 2);
    }

    #[test]
    fn any_permutation_is_complete() {
        // A full-period generator modulo 2^10.
        let mut tracker = Tracker::default();
        let mut number = 0u64;
        tracker.see(number);
        for _ in 1..1024 {
            number = (number * 5 + 3) % 1024;
            tracker.see(number);
        }
        tracker.end(1024);
        assert_eq!((tracker.lost(), tracker.duplicated), (0, 0));
    }
}
