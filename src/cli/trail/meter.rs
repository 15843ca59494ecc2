//! How far long work has come, for whoever waits before a terminal.

use std::io::Write;
use std::time::{Duration, Instant};

/// Shorter work says nothing, and longer work something this often.
const EVERY: Duration = Duration::from_millis(500);

/// A line that changes, and goes at the end.
pub(super) struct Meter<W: Write> {
    out: W,
    is_watched: bool,
    is_shown: bool,
    due: Instant,
}

impl<W: Write> Meter<W> {
    /// `is_watched`: somebody reads `out` as it is written.
    pub(super) fn new(out: W, is_watched: bool) -> Self {
        Meter { out, is_watched, is_shown: false, due: Instant::now() + EVERY }
    }

    pub(super) fn tell(&mut self, records: u64, now: Instant) {
        // Most calls end here without asking more.
        if !self.is_watched || now < self.due {
            return;
        }
        self.due = now + EVERY;
        self.is_shown = true;
        // Nobody is worse off without it.
        _ = write!(self.out, "\r{records} records");
        _ = self.out.flush();
    }
}

impl<W: Write> Drop for Meter<W> {
    fn drop(&mut self) {
        if self.is_shown {
            // To the beginning of the line, and erase it (ECMA-48, EL).
            _ = write!(self.out, "\r\x1b[K");
            _ = self.out.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(is_watched: bool, at_seconds: &[u64]) -> String {
        let mut out = Vec::new();
        let start = Instant::now();
        let mut meter = Meter::new(&mut out, is_watched);
        for (count, at) in at_seconds.iter().enumerate() {
            meter.tell(count as u64 * 1000, start + Duration::from_secs(*at));
        }
        drop(meter);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn long_work_is_told_now_and_then_and_only_to_who_watches() {
        assert_eq!(shown(true, &[0, 0, 0]), "", "it was done at once");
        assert_eq!(shown(true, &[0, 9, 9, 12]), "\r1000 records\r3000 records\r\x1b[K");
        assert_eq!(shown(false, &[0, 9, 12]), "");
    }
}
