//! A process from outside, as `/proc` of Linux tells it: memory, CPU time, children. A process that
//! is gone is an error of kind `NotFound`.

use std::fs;
use std::io;
use std::time::Duration;

/// Clock ticks a second in `/proc/PID/stat`. The kernel's user interface has fixed it at 100 on every
/// architecture that Weir runs on; asking for it needs libc.
const TICKS_PER_SECOND: u64 = 100;

/// Resident memory now, in bytes.
pub fn rss_bytes(pid: u32) -> io::Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The most resident memory there ever was, in bytes.
pub fn peak_rss_bytes(pid: u32) -> io::Result<u64> {
    status_bytes(pid, "VmHWM:")
}

/// User and system time of all threads so far, to 10 ms.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    cpu_ticks(pid).map(|ticks| Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// The same in clock ticks of 10 ms.
pub fn cpu_ticks(pid: u32) -> io::Result<u64> {
    let stat = Stat::read(pid)?;
    Ok(stat.field(14)? + stat.field(15)?)
}

/// When the process began, in ticks since the machine did: a process id that is used again has another.
pub fn started(pid: u32) -> io::Result<u64> {
    Stat::read(pid)?.field(22)
}

/// The direct children that are still running, as process id and name (15 characters at most).
pub fn children(pid: u32) -> io::Result<Vec<(u32, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(child) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may end while we look.
        let Ok(stat) = Stat::read(child) else { continue };
        if stat.state() != Some('Z') && stat.field(4).is_ok_and(|parent| parent == u64::from(pid)) {
            found.push((child, stat.name));
        }
    }
    Ok(found)
}

/// Whether the process runs; one that has ended and was not waited for does not.
pub fn runs(pid: u32) -> bool {
    Stat::read(pid).is_ok_and(|stat| stat.state() != Some('Z'))
}

fn status_bytes(pid: u32, key: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    let kilobytes = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    // A process that has ended and was not waited for has no memory, and no such line.
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// `/proc/PID/stat`, cut at the name, which may hold spaces and brackets.
struct Stat {
    name: String,
    rest: String,
}

// === impl Stat ===

impl Stat {
    fn read(pid: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let parts = text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
        let (name, rest) = parts.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { name: name.into(), rest: rest.into() })
    }

    fn state(&self) -> Option<char> {
        self.rest.trim_start().chars().next()
    }

    /// By its number in proc_pid_stat(5); the first after the name is 3.
    fn field(&self, number: usize) -> io::Result<u64> {
        let value = self.rest.split_whitespace().nth(number - 3).and_then(|value| value.parse().ok());
        value.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}
