// SPDX-License-Identifier: GPL-2.0

//! What a receiver finds out about the frames that come.

use hdrhistogram::Histogram;

use crate::args::Level;
use crate::clock;
use crate::frame::{self, Expected, Fault, Header, Kind};
use crate::report::{self, Found};
use crate::sequence::Tracker;

/// Checks the frames of one sender after another.
pub struct Checker {
    level: Level,
    /// Frames of the stream that is coming.
    expected: Expected,
    /// This stream, and whether its frames have content.
    stream: Option<(u32, bool)>,
    tracker: Tracker,
    /// The faults of single frames, and of the streams before.
    found: Found,
    /// The frames with data that came, good or bad.
    pub received: u64,
    /// The stream has ended.
    pub ended: bool,
    pub latency: Option<Histogram<u64>>,
}

impl Checker {
    pub fn new(level: Level, latency: bool) -> Self {
        Self {
            level,
            expected: Expected::new(false, 0),
            stream: None,
            tracker: Tracker::default(),
            found: Found::default(),
            received: 0,
            ended: false,
            latency: latency.then(report::histogram),
        }
    }

    /// Expects the frames of one stream, from its first one on.
    pub fn of_stream(level: Level, checked: bool, stream: u32) -> Self {
        let mut checker = Self::new(level, false);
        checker.begin(checked, stream);
        checker.tracker.begin();
        checker
    }

    fn begin(&mut self, checked: bool, stream: u32) {
        self.found = self.found();
        self.tracker = Tracker::default();
        self.stream = Some((stream, checked));
        self.expected = Expected::new(checked, stream);
        self.ended = false;
    }

    /// Looks at a frame that came.
    #[inline]
    pub fn see(&mut self, frame: &[u8]) {
        match self.expected.sequence(frame) {
            Some(_) if self.level == Level::None => self.received += 1,
            Some(sequence) if self.level == Level::Sequence => {
                self.received += 1;
                self.tracker.see(sequence);
            }
            _ => self.see_closely(frame),
        }
    }

    /// A frame that is to be checked, or not one of the stream that is coming.
    ///
    /// Apart, so that [`Self::see`] is short enough to be part of a loop.
    #[inline(never)]
    fn see_closely(&mut self, frame: &[u8]) {
        let header = match frame::parse(frame) {
            Ok(header) => header,
            Err(Fault::Foreign) => {
                self.found.foreign += 1;
                return;
            }
            Err(Fault::Corrupt) => {
                self.received += 1;
                self.found.corrupt += 1;
                return;
            }
        };
        let Header {
            kind,
            checked,
            stream,
            sequence,
            sent,
        } = header;
        if !matches!(kind, Kind::Data | Kind::End) {
            self.found.foreign += 1;
            return;
        }
        self.received += u64::from(kind == Kind::Data);
        if self.level == Level::Full && checked && !frame::content_is_good(frame, sequence) {
            self.found.corrupt += 1;
            return;
        }
        if self.stream != Some((stream, checked)) {
            self.begin(checked, stream);
        }
        if kind == Kind::End {
            self.end(sequence);
            self.ended = true;
            return;
        }
        if self.level == Level::Full && !checked {
            self.found.unchecked += 1;
        }
        if self.level != Level::None {
            self.tracker.see(sequence);
        }
        if let Some(latency) = self.latency.as_mut().filter(|_| checked) {
            latency.saturating_record(clock::now().saturating_sub(sent));
        }
    }

    /// No more comes: frames up to `total` that did not come are lost.
    pub fn end(&mut self, total: u64) {
        if self.level != Level::None {
            self.tracker.end(total);
        }
    }

    pub fn found(&self) -> Found {
        let Found {
            first,
            lost,
            duplicated,
            reordered,
            ..
        } = self.found;
        Found {
            first: first.or(self.tracker.first()),
            lost: lost + self.tracker.lost(),
            duplicated: duplicated + self.tracker.duplicated,
            reordered: reordered + self.tracker.reordered,
            ..self.found
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Writer;

    fn data(writer: Writer, sequence: u64) -> Vec<u8> {
        let mut frame = vec![0; 64];
        writer.prepare(&mut frame);
        writer.data(&mut frame, sequence, clock::now());
        frame
    }

    fn end(writer: Writer, total: u64) -> Vec<u8> {
        let mut frame = vec![0; 64];
        writer.special(&mut frame, Kind::End, total, 0);
        frame
    }

    const FIRST: Writer = Writer {
        stream: 1,
        checked: true,
    };
    const SECOND: Writer = Writer {
        stream: 2,
        checked: true,
    };
    const BARE: Writer = Writer {
        stream: 3,
        checked: false,
    };

    #[test]
    fn a_good_stream_at_each_level() {
        for level in [Level::None, Level::Sequence, Level::Full] {
            let mut checker = Checker::new(level, false);
            for sequence in 0..100 {
                checker.see(&data(FIRST, sequence));
            }
            assert!(!checker.ended);
            checker.see(&end(FIRST, 100));
            assert!(checker.ended);
            assert_eq!(checker.received, 100);
            assert!(checker.found().ok(), "{level:?}: {:?}", checker.found());
        }
    }

    #[test]
    fn faults() {
        let mut checker = Checker::new(Level::Full, false);
        checker.see(&data(FIRST, 0));
        let mut bad = data(FIRST, 1);
        bad[50] ^= 1;
        checker.see(&bad);
        checker.see(&data(FIRST, 3));
        checker.see(&data(FIRST, 3));
        checker.see(&data(FIRST, 2));
        checker.see(&[0; 64]);
        checker.see(&end(FIRST, 6));
        let expected = Found {
            first: Some(0),
            lost: 3, // 1, which came damaged, 4 and 5
            duplicated: 1,
            reordered: 1,
            corrupt: 1,
            foreign: 1,
            ..Found::default()
        };
        assert_eq!(checker.found(), expected);
        assert_eq!(checker.received, 5);
    }

    #[test]
    fn damage_does_not_begin_a_stream() {
        let mut checker = Checker::new(Level::Full, false);
        checker.see(&data(FIRST, 0));
        let mut bad = data(FIRST, 1);
        bad[20] ^= 0xff;
        checker.see(&bad);
        checker.see(&data(FIRST, 1));
        assert_eq!(
            checker.found(),
            Found {
                first: Some(0),
                corrupt: 1,
                ..Found::default()
            }
        );
    }

    #[test]
    fn one_stream_after_another() {
        let mut checker = Checker::new(Level::Full, false);
        checker.see(&data(FIRST, 5));
        checker.see(&data(FIRST, 7));
        checker.see(&end(FIRST, 8));
        assert!(checker.ended);
        checker.see(&data(SECOND, 0));
        assert!(!checker.ended);
        checker.see(&data(SECOND, 2));
        checker.see(&end(SECOND, 3));
        checker.see(&end(SECOND, 3));
        assert_eq!(
            checker.found(),
            Found {
                first: Some(5),
                lost: 2,
                ..Found::default()
            }
        );
    }

    #[test]
    fn a_stream_of_which_nothing_came() {
        let mut checker = Checker::new(Level::Full, false);
        checker.see(&end(FIRST, 10));
        assert_eq!(checker.found().lost, 10);
        let mut checker = Checker::of_stream(Level::Sequence, false, 3);
        checker.see(&data(BARE, 4));
        checker.end(6);
        assert_eq!(
            checker.found(),
            Found {
                first: Some(0),
                lost: 5,
                ..Found::default()
            }
        );
    }

    #[test]
    fn content_that_is_not_there() {
        let mut checker = Checker::new(Level::Full, false);
        checker.see(&data(BARE, 0));
        checker.see(&data(BARE, 1));
        assert_eq!(checker.found().unchecked, 2);
        assert!(!checker.found().ok());
        let mut checker = Checker::new(Level::Sequence, false);
        checker.see(&data(BARE, 0));
        assert!(checker.found().ok());
    }

    #[test]
    fn latencies_are_recorded() {
        let mut checker = Checker::new(Level::Full, true);
        checker.see(&data(FIRST, 0));
        checker.see(&data(FIRST, 1));
        assert_eq!(checker.latency.map(|histogram| histogram.len()), Some(2));
    }
}
