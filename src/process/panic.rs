//! A panic is a bug, and ends the whole process: half a relay would hold lanes and not serve them.
//!
//! Owns the hook. What a panic says is shown only where it is a literal of the program: a text put
//! together at run time may hold data of an event.

use std::any::Any;
use std::fmt::Display;
use std::io::Write;
use std::panic::{PanicHookInfo, set_hook};

use super::end_at_once;

/// The exit code of a bug.
pub const EXIT_CODE: u8 = 70;

/// Makes every panic, in whatever thread or task, end the process.
pub fn install() {
    set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        tell(&describe(panic.payload(), panic.location()));
        end_at_once(EXIT_CODE.into())
    }));
}

/// What is told of a panic.
fn describe(payload: &(dyn Any + Send), location: Option<&impl Display>) -> String {
    let place = location.map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    match payload.downcast_ref::<&'static str>() {
        Some(literal) => format!("a bug at {place}: {literal}"),
        None => format!("a bug at {place}; its text may hold data and is not shown"),
    }
}

/// Logs it, or prints it where logs are not set up yet.
fn tell(text: &str) {
    if tracing::dispatcher::has_been_set() {
        tracing::error!("{text}");
    } else {
        // Without stderr the exit code says it.
        let _told = writeln!(std::io::stderr(), "{text}");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::process::child;

    #[test]
    fn a_text_made_at_run_time_is_not_shown() {
        let made: Box<dyn Any + Send> = Box::new("canary".to_owned());
        let text = describe(made.as_ref(), Some(&"relay.rs:7:1"));
        assert_eq!(
            text,
            "a bug at relay.rs:7:1; its text may hold data and is not shown"
        );
        let literal: Box<dyn Any + Send> = Box::new("a lane without an owner");
        let text = describe(literal.as_ref(), None::<&String>);
        assert_eq!(text, "a bug at an unknown place: a lane without an owner");
    }

    #[test]
    fn in_a_child_a_thread_panics() {
        if !child::is_child() {
            return;
        }
        install();
        let data = "canary".to_owned();
        let ended = std::thread::spawn(move || panic!("{data}")).join();
        child::say(&format!("lives on after {}", ended.is_err()));
    }

    #[test]
    fn a_panic_in_a_thread_ends_the_process_without_its_text() {
        let (mut process, mut stderr) =
            child::start("process::panic::tests::in_a_child_a_thread_panics");
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(process.wait().unwrap().code(), Some(70), "{said}");
        assert!(said.contains("a bug at src/process/panic.rs"), "{said}");
        assert!(
            !said.contains("canary") && !said.contains("lives on"),
            "{said}"
        );
    }
}
