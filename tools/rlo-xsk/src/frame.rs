// SPDX-License-Identifier: GPL-2.0

//! The frames that the subcommands exchange.
//!
//! | bytes | content (little-endian but for the EtherType) |
//! |---|---|
//! | 0–13 | Ethernet header, EtherType 0x88B5 (IEEE 802, local experiments) |
//! | 14–15 | zero: what follows is aligned |
//! | 16–23 | magic, kind and flags of the frame, the stream it belongs to |
//! | 24–31 | sequence number in the stream |
//! | 32–39 | when it was sent, in nanoseconds |
//! | 40–… | a pattern computed from the sequence number |
//! | last 4 | CRC-32 of everything from byte 14 on |
//!
//! Without [`CHECKED`] a frame has neither pattern nor CRC.

/// IEEE 802 has it for local experiments.
pub const ETHER_TYPE: u16 = 0x88b5;

/// The shortest frame, which is the shortest that Ethernet has, without its FCS.
pub const MIN_SIZE: u32 = 60;

const MAGIC: u16 = 0x4c52;
const PATTERN: usize = 40;
const CRC: usize = 4;

/// The frame has a pattern and a CRC.
const CHECKED: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Data = 1,
    /// The last of a stream; its sequence number says how many there were before it.
    End = 2,
    Ping = 3,
    Pong = 4,
}

/// What bytes 16 to 23 hold, in one number: receivers compare it at once.
const fn word(kind: Kind, checked: bool, stream: u32) -> u64 {
    let flags = if checked { CHECKED } else { 0 };
    MAGIC as u64 | ((kind as u64) << 16) | ((flags as u64) << 24) | ((stream as u64) << 32)
}

fn u64_at(frame: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(frame[at..at + 8].try_into().expect("the range has 8 bytes"))
}

/// The 8 bytes of the pattern at `index`: a different word for each frame and place.
fn pattern(sequence: u64, index: u64) -> u64 {
    let mixed = (sequence ^ (index << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

fn crc(frame: &[u8]) -> u32 {
    crc32fast::hash(&frame[14..frame.len() - CRC])
}

/// Writes the frames of one stream.
#[derive(Clone, Copy)]
pub struct Writer {
    pub stream: u32,
    pub checked: bool,
}

impl Writer {
    /// Writes the parts that all frames of a stream have in common.
    pub fn prepare(&self, frame: &mut [u8]) {
        frame.fill(0);
        // Addresses with the bit for locally administered ones.
        frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        frame[12..14].copy_from_slice(&ETHER_TYPE.to_be_bytes());
        frame[16..24].copy_from_slice(&word(Kind::Data, self.checked, self.stream).to_le_bytes());
    }

    /// Numbers a prepared frame, and writes its content if frames are checked.
    #[inline]
    pub fn data(&self, frame: &mut [u8], sequence: u64, now: u64) {
        frame[24..32].copy_from_slice(&sequence.to_le_bytes());
        if self.checked {
            frame[32..40].copy_from_slice(&now.to_le_bytes());
            fill(frame, sequence);
        }
    }

    /// Makes any frame one of `kind`, whatever was in it.
    pub fn special(&self, frame: &mut [u8], kind: Kind, sequence: u64, now: u64) {
        self.prepare(frame);
        frame[16..24].copy_from_slice(&word(kind, self.checked, self.stream).to_le_bytes());
        frame[24..32].copy_from_slice(&sequence.to_le_bytes());
        frame[32..40].copy_from_slice(&now.to_le_bytes());
        if self.checked {
            fill(frame, sequence);
        }
    }
}

fn fill(frame: &mut [u8], sequence: u64) {
    let end = frame.len() - CRC;
    let mut chunks = frame[PATTERN..end].chunks_exact_mut(8);
    let mut index = 0;
    for chunk in &mut chunks {
        chunk.copy_from_slice(&pattern(sequence, index).to_le_bytes());
        index += 1;
    }
    let rest = chunks.into_remainder();
    rest.copy_from_slice(&pattern(sequence, index).to_le_bytes()[..rest.len()]);
    let crc = crc(frame);
    frame[end..].copy_from_slice(&crc.to_le_bytes());
}

/// Makes a ping a pong, on its way back; false if it is not a ping.
pub fn answer(frame: &mut [u8]) -> bool {
    let Ok(header) = parse(frame) else {
        return false;
    };
    if header.kind != Kind::Ping {
        return false;
    }
    let (destination, rest) = frame.split_at_mut(6);
    destination.swap_with_slice(&mut rest[..6]);
    frame[18] = Kind::Pong as u8;
    if header.checked {
        let end = frame.len() - CRC;
        let crc = crc(frame);
        frame[end..].copy_from_slice(&crc.to_le_bytes());
    }
    true
}

/// The header of a frame of ours.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub checked: bool,
    pub stream: u32,
    pub sequence: u64,
    pub sent: u64,
}

/// Why a frame is none of ours.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has another EtherType.
    Foreign,
    /// It has our EtherType and a header that was never sent.
    Corrupt,
}

/// Reads the header of a frame.
pub fn parse(frame: &[u8]) -> Result<Header, Fault> {
    if frame.len() < 14 || frame[12..14] != ETHER_TYPE.to_be_bytes() {
        return Err(Fault::Foreign);
    }
    if frame.len() < MIN_SIZE as usize {
        return Err(Fault::Corrupt);
    }
    let first = u64_at(frame, 16);
    let kind = match (first >> 16) as u8 {
        1 => Kind::Data,
        2 => Kind::End,
        3 => Kind::Ping,
        4 => Kind::Pong,
        _ => return Err(Fault::Corrupt),
    };
    let header = Header {
        kind,
        checked: (first >> 24) as u8 == CHECKED,
        stream: (first >> 32) as u32,
        sequence: u64_at(frame, 24),
        sent: u64_at(frame, 32),
    };
    // Says that no other bit is set.
    if first != word(header.kind, header.checked, header.stream) {
        return Err(Fault::Corrupt);
    }
    Ok(header)
}

/// Whether pattern and CRC of a checked frame are those that were sent.
pub fn content_is_good(frame: &[u8], sequence: u64) -> bool {
    let end = frame.len() - CRC;
    let mut chunks = frame[PATTERN..end].chunks_exact(8);
    let mut index = 0;
    for chunk in &mut chunks {
        if *chunk != pattern(sequence, index).to_le_bytes() {
            return false;
        }
        index += 1;
    }
    let rest = chunks.remainder();
    *rest == pattern(sequence, index).to_le_bytes()[..rest.len()]
        && frame[end..] == crc(frame).to_le_bytes()
}

/// Recognises the next frame of a stream with two loads and two comparisons.
#[derive(Clone, Copy)]
pub struct Expected(u64);

impl Expected {
    pub fn new(checked: bool, stream: u32) -> Self {
        Self(word(Kind::Data, checked, stream))
    }

    /// The frame's sequence number, if it is data of this stream.
    #[inline]
    pub fn sequence(self, frame: &[u8]) -> Option<u64> {
        (frame.len() >= MIN_SIZE as usize && u64_at(frame, 16) == self.0).then(|| u64_at(frame, 24))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITER: Writer = Writer {
        stream: 7,
        checked: true,
    };

    fn frame(size: usize, sequence: u64) -> Vec<u8> {
        let mut frame = vec![0xaa; size];
        WRITER.prepare(&mut frame);
        WRITER.data(&mut frame, sequence, 99);
        frame
    }

    #[test]
    fn what_is_written_is_read() {
        for size in [60, 61, 64, 67, 1500, 3512] {
            let frame = frame(size, u64::MAX - 1);
            let header = Header {
                kind: Kind::Data,
                checked: true,
                stream: 7,
                sequence: u64::MAX - 1,
                sent: 99,
            };
            assert_eq!(parse(&frame), Ok(header), "size {size}");
            assert!(content_is_good(&frame, u64::MAX - 1), "size {size}");
            assert_eq!(Expected::new(true, 7).sequence(&frame), Some(u64::MAX - 1));
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let good = frame(75, 12345);
        for bit in 14 * 8..75 * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let seen = match parse(&bad) {
                Ok(header) => !header.checked || !content_is_good(&bad, header.sequence),
                Err(fault) => fault == Fault::Corrupt,
            };
            assert!(seen, "bit {bit}");
        }
    }

    #[test]
    fn the_content_of_another_frame_is_seen() {
        // A valid CRC over the pattern of another sequence number.
        let mut mixed = frame(128, 1);
        mixed[24..32].copy_from_slice(&2u64.to_le_bytes());
        let end = mixed.len() - 4;
        let crc = crc(&mixed);
        mixed[end..].copy_from_slice(&crc.to_le_bytes());
        assert!(!content_is_good(&mixed, 2));
    }

    #[test]
    fn patterns_differ_between_frames_and_places() {
        assert_ne!(pattern(1, 0), pattern(2, 0));
        assert_ne!(pattern(1, 0), pattern(1, 1));
        assert_ne!(pattern(0, 0), pattern(0, 1));
    }

    #[test]
    fn other_frames_are_told_apart() {
        let mut foreign = frame(64, 0);
        foreign[12..14].copy_from_slice(&0x0800u16.to_be_bytes());
        assert_eq!(parse(&foreign), Err(Fault::Foreign));
        assert_eq!(parse(&[]), Err(Fault::Foreign));
        assert_eq!(parse(&frame(64, 0)[..20]), Err(Fault::Corrupt));
        assert_eq!(Expected::new(true, 7).sequence(&frame(64, 0)[..20]), None);
        assert_eq!(Expected::new(true, 8).sequence(&frame(64, 0)), None);
        assert_eq!(Expected::new(false, 7).sequence(&frame(64, 0)), None);
    }

    #[test]
    fn unchecked_frames_change_in_their_number_only() {
        let writer = Writer {
            stream: 1,
            checked: false,
        };
        let (mut first, mut second) = (vec![0; 64], vec![0; 64]);
        writer.prepare(&mut first);
        second.copy_from_slice(&first);
        writer.data(&mut second, 0x0102_0304_0506_0708, 5);
        assert_eq!(first[..24], second[..24]);
        assert_eq!(first[32..], second[32..]);
        assert_eq!(
            Expected::new(false, 1).sequence(&second),
            Some(0x0102_0304_0506_0708)
        );
    }

    #[test]
    fn a_ping_is_answered_once() {
        let mut frame = vec![0; 64];
        WRITER.special(&mut frame, Kind::Ping, 3, 4);
        let source = frame[6..12].to_vec();
        assert!(answer(&mut frame));
        assert_eq!(frame[..6], source);
        let header = parse(&frame).expect("still a frame of ours");
        assert_eq!(
            (header.kind, header.sequence, header.sent),
            (Kind::Pong, 3, 4)
        );
        assert!(content_is_good(&frame, 3));
        assert!(!answer(&mut frame));
        assert!(!answer(&mut [0; 64]));
    }

    #[test]
    fn an_end_frame_says_how_many() {
        let mut frame = vec![0x55; 60];
        WRITER.special(&mut frame, Kind::End, 1000, 0);
        let header = parse(&frame).expect("a frame of ours");
        assert_eq!((header.kind, header.sequence), (Kind::End, 1000));
    }
}
