//! Logs: one line a fact, on stderr, for people or as JSON.
//!
//! Owns their form and their level. Does not know what is logged; those who log keep payloads,
//! keys, header values and passwords out of it.
//!
//! Invariants:
//! - results go to stdout, and no log line ever does;
//! - whether anyone reads the log makes no difference to the rest of the process.

use std::io::{IsTerminal, stderr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::Dispatch;
use tracing::dispatcher::set_global_default;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::scribe::Scribe;
use super::settings::{Log, LogFormat};

/// The end of the process waits for its last lines this long at most.
const FLUSH_WITHIN: Duration = Duration::from_millis(500);

/// Who writes the log of this process down.
static SCRIBE: OnceLock<Arc<Scribe>> = OnceLock::new();

/// Sets up logs for the whole process; where that was done before, it stays.
pub fn init(log: &Log) {
    let is_terminal = stderr().is_terminal();
    let scribe = SCRIBE.get_or_init(|| Scribe::start(stderr()));
    if set_global_default(to(Arc::clone(scribe), log, is_terminal)).is_err() {
        tracing::debug!("logs were set up before");
    }
}

/// Waits until all that was logged is written, though not for long: to be done before the process
/// ends.
pub fn flush() {
    if let Some(scribe) = SCRIBE.get() {
        scribe.flush(FLUSH_WITHIN);
    }
}

/// Logs that are written to `writer`.
fn to<W>(writer: W, log: &Log, is_terminal: bool) -> Dispatch
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse_lossy(&log.level);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    let is_human = match log.format {
        LogFormat::Auto => is_terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    if !is_human {
        Dispatch::new(lines.json().flatten_event(true).finish())
    } else if is_terminal {
        Dispatch::new(lines.finish())
    } else {
        Dispatch::new(lines.with_ansi(false).finish())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Result, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    /// What two facts, one at `info` and one at `debug`, look like.
    fn logged(format: LogFormat, level: &str, is_terminal: bool) -> String {
        let lines = Lines::default();
        let written = lines.clone();
        let log = Log {
            format,
            level: level.to_owned(),
        };
        tracing::dispatcher::with_default(&to(move || lines.clone(), &log, is_terminal), || {
            tracing::info!(event.id = "7", lane = 3, "published");
            tracing::debug!("a detail");
        });
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_has_one_object_a_line_with_its_fields_at_the_top() {
        let text = logged(LogFormat::Json, "debug", true);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["message"], "published");
        assert_eq!(lines[0]["event.id"], "7");
        assert_eq!(lines[0]["lane"], 3);
    }

    #[test]
    fn auto_is_human_on_a_terminal_and_json_elsewhere() {
        assert!(logged(LogFormat::Auto, "info", false).starts_with('{'));
        assert!(!logged(LogFormat::Auto, "info", true).starts_with('{'));
    }

    #[test]
    fn human_lines_in_a_file_have_no_colours() {
        let text = logged(LogFormat::Human, "info", false);
        assert!(
            text.contains("published") && !text.contains('\u{1b}'),
            "{text}"
        );
    }

    #[test]
    fn the_level_decides_what_is_logged() {
        assert_eq!(logged(LogFormat::Human, "info", false).lines().count(), 1);
        assert_eq!(logged(LogFormat::Human, "debug", false).lines().count(), 2);
        assert_eq!(
            logged(LogFormat::Human, "warn,outbox_relay=debug", false)
                .lines()
                .count(),
            2
        );
        assert_eq!(logged(LogFormat::Human, "warn", false), "");
    }
}
