//! Tests of what ends a process need one to end: a test starts its own program again, to run one
//! other test in it, and only there that test does what it is for.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStderr, Command, Stdio};

/// Skips no test: its presence tells a process that it is a child.
const MARK: &str = "--skip=no test has this name, the process is a child";

/// Whether this process is a child.
pub(crate) fn is_child() -> bool {
    std::env::args().any(|argument| argument == MARK)
}

/// Says a line to the parent.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap();
}

/// Starts a child that runs the test of this path alone.
pub(crate) fn start(test: &str) -> (Child, BufReader<ChildStderr>) {
    start_by(&[], test)
}

/// Starts a child by another program, which is told to run it.
pub(crate) fn start_by(starter: &[&str], test: &str) -> (Child, BufReader<ChildStderr>) {
    let own = std::env::current_exe().unwrap();
    let mut words: Vec<&OsStr> = starter.iter().map(OsStr::new).collect();
    words.push(own.as_os_str());
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .args([test, "--exact", "--nocapture", MARK])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    (child, stderr)
}

/// Reads lines until one contains `text`; panics if the child ends before.
pub(crate) fn wait_for(text: &str, stderr: &mut BufReader<ChildStderr>) {
    let mut said = String::new();
    while !said.contains(text) {
        let length = stderr.read_line(&mut said).unwrap();
        assert!(length > 0, "the child ended after {said:?}");
    }
}
