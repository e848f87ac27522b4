//! One run, with its peak memory.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use testbed::runner;

use crate::Pod;

/// A run that has ended.
pub struct Ran {
    pub code: Option<i32>,
    pub took: Duration,
    /// Peak resident memory in KiB.
    pub peak: u64,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Runs it to its end. Its first write to stdout blocks until its peak memory is read, because that cannot be
/// read after its end (`wait4` reports at least the memory of the parent).
pub fn run(pod: &Pod, arguments: &[&str]) -> Ran {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let full = [b'#'; 4096];
    let mut filled = 0;
    while let Ok(count) = (&theirs).write(&full) {
        filled += count;
    }
    theirs.set_nonblocking(false).unwrap();
    let mut command = pod.command(arguments);
    let start = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(OwnedFd::from(theirs)).stderr(Stdio::piped()).spawn().unwrap();
    // The command holds the other end of stdout, too.
    drop(command);
    let mut stderr = child.stderr.take().unwrap();
    let stderr = thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).map(|_| text).unwrap()
    });
    let mut peak = 0;
    let mut stdout = None;
    let status = loop {
        peak = peak.max(peak_memory(&child));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        // Stdout is read only after the memory: with room in the pipe the run may end first.
        if stdout.is_none() && peak > 0 && speaks(&child) {
            let mut ours = ours.try_clone().unwrap();
            stdout = Some(thread::spawn(move || read(&mut ours, filled)));
        }
        if start.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(2));
    };
    let took = start.elapsed();
    let stdout = stdout.map_or_else(|| read(&mut ours, filled), |reader| reader.join().unwrap());
    Ran { code: status.code(), took, peak, stdout, stderr: stderr.join().unwrap() }
}

/// The bytes after the filling, up to 1 MiB.
fn read(from: &mut UnixStream, filled: usize) -> Vec<u8> {
    let mut text = Vec::new();
    io::copy(&mut from.take(u64::try_from(filled).unwrap()), &mut io::sink()).unwrap();
    from.take(1024 * 1024).read_to_end(&mut text).unwrap();
    io::copy(from, &mut io::sink()).unwrap();
    text
}

/// `VmHWM` in KiB; 0 if it has ended.
fn peak_memory(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    // For a moment after the fork it still has the memory and the name of its parent.
    let runner = runner();
    let name = runner.as_ref().and_then(|path| Path::new(path).file_name()?.to_str()).unwrap_or("kubeknock");
    // The kernel keeps 15 bytes of the name.
    if !status.starts_with(&format!("Name:\t{}", &name[..name.len().min(15)])) {
        return 0;
    }
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Whether it is writing to stdout. Also true if that is not known.
fn speaks(child: &Child) -> bool {
    // The number of `write` on x86-64, and on aarch64.
    let writes = |call: &str| call.starts_with("1 0x1 ") || call.starts_with("64 0x1 ");
    fs::read_to_string(format!("/proc/{}/syscall", child.id())).map_or(true, |call| writes(&call))
}
