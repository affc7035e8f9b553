//! The scribe: writes the log down, so that nobody who logs waits for whoever reads it.
//!
//! Owns a thread, and the lines that wait for it. Does not know what a line says.
//!
//! Invariants:
//! - handing a line over waits for nothing: a line that finds no room is dropped and counted, and
//!   the count is logged as soon as there is room again;
//! - an output that fails fails nobody: its lines are lost.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// Lines that may wait.
const LINES_MAX: usize = 4_096;

/// What waits to be written.
#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    dropped: u64,
    /// Whether a line has been taken out and is not written yet.
    writes: bool,
}

impl Queue {
    fn is_done(&self) -> bool {
        self.lines.is_empty() && !self.writes
    }
}

/// Takes lines, each with one call of `write`.
#[derive(Debug, Default)]
pub(super) struct Scribe {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Scribe {
    /// Starts the thread that writes to this output. It ends with the process.
    pub(super) fn start(output: impl Write + Send + 'static) -> Arc<Self> {
        let scribe = Arc::new(Self::default());
        let of_thread = Arc::clone(&scribe);
        thread::spawn(move || of_thread.write_all_to(output));
        scribe
    }

    /// Waits until every line so far is written, but no longer than this.
    pub(super) fn flush(&self, within: Duration) {
        let waited = self
            .changed
            .wait_timeout_while(self.queue(), within, |queue| !queue.is_done());
        drop(waited.expect(NOBODY_PANICS));
    }

    fn write_all_to(&self, mut output: impl Write) {
        loop {
            let (line, dropped) = self.next();
            // A line that cannot be written has nowhere else to go.
            let _lost = output.write_all(&line).and_then(|()| output.flush());
            if dropped > 0 {
                tracing::warn!(dropped, "lines of the log were dropped: nobody read them");
            }
            self.queue().writes = false;
            self.changed.notify_all();
        }
    }

    /// Waits for a line; tells how many were dropped since the one before.
    fn next(&self) -> (Vec<u8>, u64) {
        let waited = self
            .changed
            .wait_while(self.queue(), |queue| queue.lines.is_empty());
        let mut queue = waited.expect(NOBODY_PANICS);
        queue.writes = true;
        let line = queue.lines.pop_front().expect("it was waited for");
        (line, std::mem::take(&mut queue.dropped))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect(NOBODY_PANICS)
    }
}

const NOBODY_PANICS: &str = "nobody panics while the queue is held";

impl Write for &Scribe {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut queue = self.queue();
        if queue.lines.len() < LINES_MAX {
            queue.lines.push_back(line.to_vec());
        } else {
            queue.dropped += 1;
        }
        drop(queue);
        self.changed.notify_all();
        Ok(line.len())
    }

    /// Waits for nothing, as `write` does.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// An output that takes a line only when it is read.
    struct Pipe {
        reads: Receiver<()>,
        lines: Sender<String>,
    }

    impl Write for Pipe {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.reads.recv().map_err(io::Error::other)?;
            let text = String::from_utf8_lossy(line).into_owned();
            self.lines.send(text).map_err(io::Error::other)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (Arc<Scribe>, Sender<()>, Receiver<String>) {
        let ((reader, reads), (lines, written)) = (channel(), channel());
        (Scribe::start(Pipe { reads, lines }), reader, written)
    }

    fn log(scribe: &Scribe, number: usize) {
        write!(&mut &*scribe, "{number}").unwrap();
    }

    #[test]
    fn lines_that_nobody_reads_hold_up_nobody_and_are_counted() {
        let (scribe, reader, written) = pipe();
        log(&scribe, 0);
        while !scribe.queue().writes {
            thread::yield_now();
        }
        for number in 1..=LINES_MAX + 1_000 {
            log(&scribe, number);
        }
        assert_eq!(scribe.queue().dropped, 1_000);
        for number in 0..=LINES_MAX {
            reader.send(()).unwrap();
            assert_eq!(written.recv_timeout(LONG).unwrap(), number.to_string());
        }
    }

    #[test]
    fn a_flush_waits_for_the_last_line_but_not_for_ever() {
        let (scribe, reader, written) = pipe();
        log(&scribe, 7);
        scribe.flush(Duration::from_millis(50));
        assert!(written.try_recv().is_err(), "nobody reads");
        reader.send(()).unwrap();
        scribe.flush(LONG);
        assert_eq!(written.try_recv().unwrap(), "7");
    }

    #[test]
    fn an_output_that_fails_fails_nobody() {
        let (scribe, reader, written) = pipe();
        drop(written);
        reader.send(()).unwrap();
        for number in 0..10 {
            log(&scribe, number);
            drop(reader.clone());
        }
        drop(reader);
        scribe.flush(LONG);
        assert!(scribe.queue().is_done());
    }
}
