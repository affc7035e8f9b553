//! What processes have spent: CPU time and memory, as Linux tells (`proc(5)`).
//!
//! Owns the reading of `/proc`. Knows not whose the processes are.

use std::fs;

use crate::figures::f64_of;

/// The kernel counts CPU time for programs in hundredths of a second on every common machine.
const TICKS_PER_S: f64 = 100.0;
/// Where the fields of `/proc/<pid>/stat` stand behind the program's name.
const PARENT: usize = 1;
const OWN_TICKS: usize = 11;
const ENDED_CHILDREN_TICKS: usize = 13;

/// CPU seconds of a process so far, without its children's.
pub(crate) fn cpu_s(pid: i32) -> f64 {
    ticks(&stat(pid), OWN_TICKS) / TICKS_PER_S
}

/// CPU seconds of a process and of all its children, those that have ended too. One that ends while
/// it is looked at would be in neither sum: then it is looked at again.
pub(crate) fn family_cpu_s(pid: i32) -> f64 {
    let ended_ticks = || ticks(&stat(pid), ENDED_CHILDREN_TICKS);
    loop {
        let before = ended_ticks();
        let living_s: f64 = children(pid).into_iter().map(family_cpu_s).sum();
        let after = ended_ticks();
        if after <= before {
            return cpu_s(pid) + before / TICKS_PER_S + living_s;
        }
    }
}

/// The largest resident size of a process so far, in MiB.
pub(crate) fn peak_mib(pid: i32) -> f64 {
    memory_mib(pid, "VmHWM:")
}

/// The resident size of a process now, in MiB.
pub(crate) fn resident_mib(pid: i32) -> f64 {
    memory_mib(pid, "VmRSS:")
}

/// The living child of a process whose command line has this argument.
pub(crate) fn child_with(parent: i32, argument: &str) -> Option<i32> {
    children(parent).into_iter().find(|child| {
        let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0)
            .any(|held| held == argument.as_bytes())
    })
}

fn children(parent: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .filter(|&pid| field(&stat(pid), PARENT) == Some(i64::from(parent)))
        .collect()
}

/// The fields behind the name, which may hold blanks itself.
fn stat(pid: i32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().map(str::to_owned).collect()
}

fn field(stat: &[String], place: usize) -> Option<i64> {
    stat.get(place)?.parse().ok()
}

/// User and system time stand side by side.
fn ticks(stat: &[String], place: usize) -> f64 {
    let of = |place| field(stat, place).map_or(0.0, f64_of);
    of(place) + of(place + 1)
}

fn memory_mib(pid: i32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<i64>().ok())
        .map_or(0.0, |kib| f64_of(kib) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_spent_time_and_memory() {
        let own = i32::try_from(std::process::id()).expect("process ids are small");
        assert!(peak_mib(own) >= resident_mib(own) && resident_mib(own) > 0.5);
        assert!(family_cpu_s(own) >= cpu_s(own));
        assert_eq!(child_with(own, "no such argument"), None);
    }
}
