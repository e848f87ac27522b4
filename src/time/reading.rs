//! Files read within a deadline. Knows nothing of what is in them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;

use super::deadline::Deadline;

/// What reading a file gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// All of it.
    Whole(Vec<u8>),
    /// More than the limit, of which no more than a byte is read, whatever its size is said to be.
    TooLarge,
    /// A pipe whose writer has nothing more to say.
    EmptyPipe,
}

impl Content {
    /// For messages about [`Content::EmptyPipe`].
    pub const READ_ONCE: &str =
        "an empty pipe: a pipe can be read only once, and files are read again for each attempt; name a file";
}

/// Why a file was not read.
#[derive(Debug)]
pub enum Unread {
    /// The operating system says so.
    Broken(io::Error),
    /// The deadline came first.
    TooLate,
}

impl Unread {
    /// For messages about [`Unread::TooLate`].
    pub const WHY: &str = "not read in time: it is a pipe or a device that nothing writes to; name a file";
}

/// Reads a whole file of at most `limit` bytes. What is not a regular file (a pipe, a terminal) may block for as
/// long as nothing writes to it, and such a read cannot be given up: it gets a thread of its own.
pub fn read(path: &Path, limit: usize, deadline: Deadline) -> Result<Content, Unread> {
    let kind = fs::metadata(path).map_err(Unread::Broken)?.file_type();
    let content = if kind.is_file() || kind.is_dir() {
        read_now(Some(path), limit).map_err(Unread::Broken)?
    } else {
        read_in_time(Some(path.to_owned()), limit, deadline)?
    };
    Ok(match content.len() {
        length if length > limit => Content::TooLarge,
        0 if kind.is_fifo() => Content::EmptyPipe,
        _ => Content::Whole(content),
    })
}

/// Reads stdin to its end in the same way, and leaves nothing of it to another program.
pub fn read_stdin(limit: usize, deadline: Deadline) -> Result<Content, Unread> {
    let content = read_in_time(None, limit, deadline)?;
    Ok(if content.len() > limit { Content::TooLarge } else { Content::Whole(content) })
}

fn read_in_time(path: Option<PathBuf>, limit: usize, deadline: Deadline) -> Result<Vec<u8>, Unread> {
    let (sender, reads) = channel();
    let read = move || drop(sender.send(read_now(path.as_deref(), limit)));
    thread::Builder::new().spawn(read).map_err(Unread::Broken)?;
    deadline.receive(&reads).ok_or(Unread::TooLate)?.map_err(Unread::Broken)
}

/// `None`: stdin.
fn read_now(path: Option<&Path>, limit: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(2048);
    let most = u64::try_from(limit.saturating_add(1)).unwrap_or(u64::MAX);
    let file = match path {
        Some(path) => File::open(path)?,
        None => io::stdin().as_fd().try_clone_to_owned()?.into(),
    };
    file.take(most).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn files_and_limits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5, Deadline::NEVER).unwrap(), Content::Whole(b"12345".to_vec()));
        assert_eq!(read(&path, 4, Deadline::NEVER).unwrap(), Content::TooLarge);
        assert_eq!(read(Path::new("/dev/null"), 4, Deadline::NEVER).unwrap(), Content::Whole(Vec::new()));
        assert_eq!(read(Path::new("/dev/zero"), 4, Deadline::NEVER).unwrap(), Content::TooLarge);
        for missing in [folder.path().join("missing"), folder.path().to_owned()] {
            assert!(matches!(read(&missing, 4, Deadline::NEVER), Err(Unread::Broken(_))));
        }
    }

    #[test]
    fn a_pipe_is_read_until_its_writer_is_done_or_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            path
        };
        let path = pipe("silent");
        let start = Instant::now();
        let silent = read(&path, 5, Deadline::after(Duration::from_millis(50)));
        assert!(matches!(silent, Err(Unread::TooLate)));
        assert!(start.elapsed() >= Duration::from_millis(50));
        // Ends the read that still waits.
        fs::write(&path, "gone").unwrap();
        for (text, content) in [("abc", Content::Whole(b"abc".to_vec())), ("", Content::EmptyPipe)] {
            let path = pipe(&format!("pipe{text}"));
            let writer = path.clone();
            let writer = thread::spawn(move || fs::write(writer, text).unwrap());
            assert_eq!(read(&path, 5, Deadline::after(Duration::from_secs(30))).unwrap(), content);
            writer.join().unwrap();
        }
    }
}
