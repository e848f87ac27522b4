//! Selects the program that a test runs, and the emulator that runs it, if any.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::Command;
use std::sync::Once;
use std::thread;
use std::time::Duration;

/// The kubeknock that the pods of a test crate run. [`kubeknock!`](crate::kubeknock) implements it.
pub trait Program {
    /// The path that cargo gave the binary. It is known only while a test crate is compiled.
    const BUILT: &'static str;

    /// The file to run. `KUBEKNOCK_BINARY` names another one, such as the static binary.
    fn file() -> OsString {
        let other = std::env::var_os("KUBEKNOCK_BINARY").filter(|path| !path.is_empty());
        other.unwrap_or_else(|| Self::BUILT.into())
    }

    /// False for an ELF file of 32 bits, as its fifth byte says. No released binary is one.
    fn has_64_bits() -> bool {
        let mut head = [0; 5];
        File::open(Self::file()).and_then(|mut file| file.read_exact(&mut head)).unwrap();
        head != *b"\x7fELF\x01"
    }

    /// `kubeknock ARGUMENTS` and nothing else: no environment, no server, no mount.
    fn command(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = program(Self::file());
        command.args(arguments).env_clear();
        command
    }
}

/// For the root of a test crate: `Kubeknock` is the binary that cargo built for it; `Pod` and `Scene` run that
/// binary.
#[macro_export]
macro_rules! kubeknock {
    () => {
        pub struct Kubeknock;
        impl $crate::Program for Kubeknock {
            const BUILT: &'static str = env!("CARGO_BIN_EXE_kubeknock");
        }
        pub type Pod = $crate::pod::Pod<Kubeknock>;
        pub type Scene = $crate::scene::Scene<Kubeknock>;
    };
}

/// A command that runs this file, directly or with the emulator that `KUBEKNOCK_RUNNER` names, such as
/// `/usr/bin/qemu-aarch64-static` for a binary of another architecture.
pub fn program(file: impl AsRef<OsStr>) -> Command {
    let Some(runner) = runner() else { return Command::new(file) };
    let mut command = Command::new(runner);
    command.arg(file);
    command
}

/// The emulator, if there is one.
pub fn runner() -> Option<OsString> {
    std::env::var_os("KUBEKNOCK_RUNNER").filter(|path| !path.is_empty())
}

/// How much later than promised a run may end because of the emulator, which translates the program again in
/// each run, before the program's clock starts and while it runs. Without an emulator: zero.
pub fn runner_delay() -> Duration {
    static SAID: Once = Once::new();
    let Some(runner) = runner() else { return Duration::ZERO };
    let delay = Duration::from_secs(1);
    SAID.call_once(|| note(&format!("all tests: {delay:?} later is in time, for {}", runner.display())));
    delay
}

/// Whether the released binary itself runs, without an emulator.
pub fn is_released() -> bool {
    std::env::var_os("KUBEKNOCK_BINARY").is_some() && runner().is_none()
}

/// Whether memory cannot be measured, because it is the emulator's. Prints a line if so.
pub fn memory_is_the_runners() -> bool {
    let Some(runner) = runner() else { return false };
    let test = thread::current().name().unwrap_or_default().to_owned();
    note(&format!("{test}: memory is not held to a limit, as it is that of {}", runner.display()));
    true
}

/// Writes past the test harness, which shows what a test prints only if the test fails.
fn note(exception: &str) {
    let _ = writeln!(io::stderr(), "{exception}");
}
