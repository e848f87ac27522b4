//! `install`: copy this binary to where images without it can use it.
//!
//! The copy is written under another name, synced and renamed, so the final name never has half a binary.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::could_not_ask;
use crate::exit::Code;
use crate::failure::Fault;
use crate::noexec;
use crate::report::{complain, print, termination};

/// This process's own binary. It needs `/proc`.
const OWN_BINARY: &str = "/proc/self/exe";

/// How the name of an unfinished copy begins; a number follows. One that was killed stays, and the next run takes the
/// next number.
const BESIDE: &str = ".kubeknock.";

/// The mode of the copy: any user may run it.
const MODE: u32 = 0o755;

/// Copies to `dest`, a file or an existing folder.
#[inline(never)]
pub fn run(dest: &Path) -> Code {
    let dest = if dest.is_dir() { dest.join("kubeknock") } else { dest.to_owned() };
    match install(&dest) {
        Ok(done) => {
            print(&format!("{done} {}\n", dest.display()));
            if let Some(point) = noexec::mount_of(&dest) {
                complain(&format!(
                    "warning: {} is mounted noexec, and {} cannot be run from there: install to a volume without it",
                    point.display(),
                    dest.display()
                ));
            }
            Code::Ok
        }
        Err((at, error)) => {
            let place = if at == dest { String::new() } else { format!("{}: ", at.display()) };
            let why = format!("cannot install to {}: {place}{error}", dest.display());
            could_not_ask(&Fault::Setup(why), &termination::Target::Automatic)
        }
    }
}

/// What was done, in one word; or where it failed, and why.
fn install(dest: &Path) -> Result<&'static str, (PathBuf, io::Error)> {
    let own = Path::new(OWN_BINARY);
    let mut source = File::open(own).map_err(|error| (own.to_owned(), error))?;
    if is_same(&mut source, dest).map_err(|error| (own.to_owned(), error))? {
        return Ok("already installed");
    }
    let folder = match dest.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let (beside, target) = create_beside(folder).map_err(|error| (dest.to_owned(), error))?;
    let copied = copy(target).and_then(|()| fs::rename(&beside, dest));
    if let Err(error) = copied {
        // Removes what is left of a failed copy.
        let _ = fs::remove_file(&beside);
        return Err((dest.to_owned(), error));
    }
    // The name itself must survive a power cut, too.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| (folder.to_owned(), error))?;
    Ok("installed")
}

/// A new file, which no other process writes: the file system gives each name to one of them only.
fn create_beside(folder: &Path) -> io::Result<(PathBuf, File)> {
    let create = |number: u32| {
        let path = folder.join(format!("{BESIDE}{number}"));
        match OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
            opened => Some(opened.map(|file| (path, file))),
        }
    };
    (0..=u32::MAX).find_map(create).unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
}

fn copy(mut target: File) -> io::Result<()> {
    let mut source = File::open(OWN_BINARY)?;
    io::copy(&mut source, &mut target)?;
    // The umask may have taken bits away.
    target.set_permissions(Permissions::from_mode(MODE))?;
    target.sync_all()
}

/// True if `dest` is already what it would become.
fn is_same(source: &mut File, dest: &Path) -> io::Result<bool> {
    let Ok(mut there) = File::open(dest) else { return Ok(false) };
    let metadata = there.metadata()?;
    let size = source.metadata()?.len();
    if !metadata.is_file() || metadata.len() != size || metadata.permissions().mode() & 0o777 != MODE {
        return Ok(false);
    }
    let (mut ours, mut theirs) = ([0; 16 * 1024], [0; 16 * 1024]);
    loop {
        let count = source.read(&mut ours)?;
        let (ours, theirs) =
            (ours.get(..count).unwrap_or_default(), theirs.get_mut(..count).unwrap_or_default());
        if count == 0 {
            return Ok(true);
        }
        if there.read_exact(theirs).is_err() || ours != theirs {
            return Ok(false);
        }
    }
}
