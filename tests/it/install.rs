//! `install`: copies the binary completely or not at all.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use testbed::{Program, program};

use crate::Kubeknock;

fn install(dest: &Path) -> (Option<i32>, String, String) {
    let output = Kubeknock::command(["install".as_ref(), dest.as_os_str()]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn to_a_folder_and_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for (dest, at) in [(folder.path().to_owned(), "kubeknock"), (folder.path().join("kk"), "kk")] {
        let at = folder.path().join(at);
        assert_eq!(install(&dest), (Some(0), format!("installed {}\n", at.display()), String::new()));
        assert_eq!(fs::metadata(&at).unwrap().permissions().mode() & 0o7777, 0o755);
        assert!(fs::read(&at).unwrap() == fs::read(Kubeknock::file()).unwrap());
        assert!(program(&at).arg("--version").output().unwrap().status.success());
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside");
}

#[test]
fn an_identical_file_is_left_alone_and_another_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("kubeknock");
    install(folder.path());
    let before = fs::metadata(&at).unwrap();
    assert_eq!(install(folder.path()).1, format!("already installed {}\n", at.display()));
    let after = fs::metadata(&at).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    for content in [&b"old"[..], &vec![0; usize::try_from(before.len()).unwrap()]] {
        fs::write(&at, content).unwrap();
        assert_eq!(install(folder.path()).0, Some(0));
        assert!(fs::read(&at).unwrap() == fs::read(Kubeknock::file()).unwrap());
    }
    fs::set_permissions(&at, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(install(folder.path()).0, Some(0));
    assert_eq!(fs::metadata(&at).unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn where_it_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    for dest in ["missing/kubeknock", "file/kubeknock"] {
        let (code, stdout, stderr) = install(&folder.path().join(dest));
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(31), "", 1), "{stderr}");
        let said_once = format!("kubeknock: cannot install to {}: ", folder.path().join(dest).display());
        assert!(stderr.starts_with(&said_once) && stderr.matches(dest).count() == 1, "{stderr}");
    }
    let usage = Kubeknock::command(["install"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(30));
}

/// An emptyDir belongs to root, and is writable for all users or for the fsGroup.
#[test]
fn as_another_user_on_an_empty_dir() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Kubeknock::command(["install".as_ref(), folder.path().as_os_str()]);
    // Only root can become another user; other users are not root already.
    if chown(folder.path(), Some(65532), Some(65532)).is_ok() {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let copy = folder.path().join("source");
        fs::copy(Kubeknock::file(), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        command = program(&copy);
        command.arg("install").arg(folder.path()).env_clear().uid(65532).gid(65532);
    }
    assert!(command.output().unwrap().status.success());
    assert!(program(folder.path().join("kubeknock")).arg("--version").output().unwrap().status.success());
}

#[test]
fn killed_at_any_point_it_leaves_no_half_binary() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("kubeknock");
    let start = Instant::now();
    install(folder.path());
    let whole_run = start.elapsed();
    let whole = fs::read(Kubeknock::file()).unwrap();
    let (mut there, mut beside) = (0, 0);
    for point in 0..50 {
        for left in fs::read_dir(folder.path()).unwrap() {
            fs::remove_file(left.unwrap().path()).unwrap();
        }
        let mut command = Kubeknock::command(["install".as_ref(), folder.path().as_os_str()]);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        // Points spread over a whole run and beyond; the machine adds noise.
        thread::sleep(whole_run.mul_f64(f64::from(point) / 45.0).min(Duration::from_millis(200)));
        child.kill().unwrap();
        child.wait().unwrap();
        match fs::read(&at) {
            Err(_) => beside += fs::read_dir(folder.path()).unwrap().count(),
            Ok(found) => {
                there += 1;
                assert!(found == whole, "half a binary: {} of {} bytes", found.len(), whole.len());
            }
        }
        assert_eq!(install(folder.path()).0, Some(0), "what is left does not hinder the next run");
    }
    println!("killed 50 times: {there} complete, {beside} cut short beside");
}
