//! Child processes that die with the test process, and the folder they live in.
//!
//! Owns the nursery (the thread that starts every child), the work folder and the choice of ports.
//!
//! Invariants:
//! - a child is signalled by the kernel when the nursery thread ends, so when the test process
//!   ends in whatever way; the signal is bound to the *thread* that started the child (prctl(2),
//!   `PR_SET_PDEATHSIG`), and a test's own thread ends with its test;
//! - the work folder is removed by a process of its own, which notices our end by a closed pipe.

use std::fs::{self, File, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::eventually;

/// How long what a script fetches may take to arrive over a slow line.
const FETCHED_WITHIN: Duration = Duration::from_mins(15);

/// An order to the nursery.
struct Birth {
    command: Command,
    answer: mpsc::Sender<io::Result<Child>>,
}

/// Starts a child from the thread that lives as long as the test process.
fn spawn(command: Command) -> io::Result<Child> {
    static NURSERY: OnceLock<mpsc::Sender<Birth>> = OnceLock::new();
    let nursery = NURSERY.get_or_init(|| {
        let (orders, births) = mpsc::channel::<Birth>();
        thread::spawn(move || {
            for mut birth in births {
                let _unheard = birth.answer.send(birth.command.spawn());
            }
        });
        orders
    });
    let (answer, child) = mpsc::channel();
    nursery
        .send(Birth { command, answer })
        .expect("the nursery outlives every test");
    child.recv().expect("the nursery answers every order")
}

/// The user a child runs as: numeric user and group.
#[derive(Clone, Copy)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl User {
    /// A user by name, if this machine knows it.
    pub(super) fn named(name: &str) -> Option<Self> {
        let id = |what: &str| {
            let output = Command::new("id").args([what, name]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        Some(Self {
            uid: id("-u")?,
            gid: id("-g")?,
        })
    }
}

/// A command whose process gets `signal` when the test process ends, and runs as `user` if one is
/// given. It has a process group of its own: a Ctrl-C in the terminal reaches the tests alone.
pub(super) fn mortal(signal: &str, user: Option<User>, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.arg(format!("--pdeathsig={signal}"));
    if let Some(User { uid, gid }) = user {
        command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
        command.arg("--clear-groups");
    }
    command
        .arg("--")
        .arg(program)
        .stdin(Stdio::null())
        .process_group(0);
    command
}

/// The folder that a script of the repository prints, which fetches what is missing there.
pub(super) async fn printed_by(script: &str) -> PathBuf {
    let fetching = tokio::process::Command::new(super::repository().join(script))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(FETCHED_WITHIN, fetching)
        .await
        .unwrap_or_else(|_| panic!("{script} has not ended in time"))
        .unwrap_or_else(|error| panic!("{script} cannot be run: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {errors}");
    let printed = String::from_utf8(output.stdout).expect("the script prints a path");
    PathBuf::from(printed.trim_end())
}

/// A running child.
pub(super) struct Process {
    child: Child,
}

impl Process {
    /// Starts a command made by [`mortal`].
    pub(super) fn start(command: Command) -> Self {
        let shown = format!("{command:?}");
        let child = spawn(command).unwrap_or_else(|error| panic!("{shown}: {error}"));
        Self { child }
    }

    /// Starts a command whose output is appended to a log.
    pub(super) fn start_logged(mut command: Command, log: &Path) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("the work folder takes files");
        let too = file.try_clone().expect("a descriptor is left");
        command.stdout(file).stderr(too);
        Self::start(command)
    }

    /// The child's outputs, where they were piped.
    pub(super) fn outputs(
        &mut self,
    ) -> (
        Option<std::process::ChildStdout>,
        Option<std::process::ChildStderr>,
    ) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// The child's process id.
    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal; a child that has ended does not mind.
    pub(super) fn signal(&self, signal: Signal) {
        let _gone = kill_process(self.pid(), signal);
    }

    /// The exit code if the child has ended; 128 and the signal's number where a signal ended it,
    /// as a shell counts.
    pub(super) fn exit_code(&mut self) -> Option<i32> {
        let status = self
            .child
            .try_wait()
            .expect("the child is ours to wait for")?;
        Some(exit_code(status))
    }

    /// Waits for the child's end.
    pub(super) async fn ended(&mut self, what: &str, within: Duration) -> i32 {
        eventually(&format!("the end of {what}"), within, async || {
            self.exit_code()
        })
        .await
    }

    /// Sends a signal and blocks until the child has ended.
    pub(super) fn end_by(&mut self, signal: Signal) {
        self.signal(signal);
        self.signal(Signal::CONT);
        let _status = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end_by(Signal::KILL);
    }
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| {
        128 + status
            .signal()
            .expect("a process without exit code was ended by a signal")
    })
}

/// A new folder for a server, named after it, which everybody may enter.
pub(super) fn folder(name: &str) -> PathBuf {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = work_folder().join(format!("{name}-{number}"));
    fs::create_dir(&folder).expect("the work folder takes folders");
    folder
}

/// The path of a new file with this text, which everybody may read.
pub(crate) fn temporary_file(text: &str) -> String {
    let file = folder("file").join("text");
    fs::write(&file, text).expect("the work folder takes files");
    let path = file.to_str().expect("our paths are ASCII");
    path.to_owned()
}

/// The folder of this test process; it goes when the process goes.
fn work_folder() -> &'static Path {
    static WORK: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (folder, _sweeper) = WORK.get_or_init(|| {
        let folder = tempfile::Builder::new()
            .prefix("outbox-relay-test-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .expect("the folder for temporary files takes folders")
            .keep();
        let sweeper = sweep_after_our_end(&folder);
        (folder, sweeper)
    });
    folder
}

/// Removes the folder once our end of the pipe is closed, and the discs that are mounted in it.
/// Servers may still be writing their last, hence the tries.
fn sweep_after_our_end(folder: &Path) -> Child {
    Command::new("sh")
        .arg("-c")
        .arg(
            r#"cat; umount --lazy "$0"/disc-*
            for try in 1 2 3 4 5 6 7 8 9; do rm -rf "$0" && exit; sleep 1; done"#,
        )
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell is there")
}

/// The most memory that a process has ever had, in MiB (proc(5), `VmHWM`).
pub(crate) fn peak_memory_mib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak_kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    let peak_kib: u64 = peak_kib
        .and_then(|peak| peak.parse().ok())
        .expect("the kernel tells the peak in kB");
    peak_kib / 1_024
}

/// A port that nobody listens on. It lies below the range from which the kernel takes ports for
/// outgoing connections (32768 by default, ip(7)): a client that retries while the server on that
/// port is down could otherwise be given the port itself, and talk to itself.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 18_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % u32::from(COUNT)).expect("smaller than COUNT");
    (0..COUNT)
        .map(|_| {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            FIRST + (own.wrapping_mul(37).wrapping_add(step)) % COUNT
        })
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("one port of thousands is free")
}

/// The last lines of a log, for a panic's text.
pub(super) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
