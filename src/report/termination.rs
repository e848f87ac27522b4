//! The termination message: the verdict, where `kubectl describe pod` shows it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Report;
use crate::exit::Code;
use crate::text::escape;

/// Where the kubelet mounts it (kubernetes.io, "Customizing the termination message").
const DEFAULT: &str = "/dev/termination-log";

/// The message stays under this, in bytes.
const LIMIT: usize = 1023;

/// Where the message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// No option: to the default, if this is PID 1 of a container.
    Automatic,
    /// `--termination-log FILE`.
    File(PathBuf),
    /// `--termination-log none`.
    None,
}

impl Target {
    /// Writes the message of a run that ends with this exit code, unless that is 0. Failing to write changes nothing.
    pub fn write(&self, code: Code, message: &str) {
        let path = match self {
            _ if code == Code::Ok => return,
            Target::Automatic if std::process::id() == 1 => Path::new(DEFAULT),
            Target::File(path) => path,
            Target::Automatic | Target::None => return,
        };
        // In place: it is a mount point, so it can neither be created nor replaced.
        if let Ok(mut file) = OpenOptions::new().write(true).truncate(true).open(path) {
            let _ = file.write_all(cut(message).as_bytes());
        }
    }
}

/// The verdict first, then each finding that is not as required with its explanation, as far as there is room.
pub fn message(report: &Report<'_>) -> String {
    let mut text = report.summary() + "\n";
    for (finding, explanation) in report.explained() {
        // What more there is would be cut off.
        if text.len() > LIMIT {
            break;
        }
        if finding.code != Code::Ok && finding.is_own() {
            text.push_str(&format!("{}: {}\n", escape(&finding.phrase), finding.code.name()));
            for line in explanation.lines() {
                text.push_str(&format!("  {}\n", escape(&line)));
            }
        }
    }
    text
}

fn cut(message: &str) -> &str {
    let mut end = message.len().min(LIMIT);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_in_place_and_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let target = Target::File(path.clone());
        target.write(Code::Forbidden, "not created");
        assert!(!path.exists());
        std::fs::write(&path, "old").unwrap();
        target.write(Code::Ok, "never on success");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        target.write(Code::Forbidden, &"ü".repeat(1000));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ü".repeat(511));
    }
}
