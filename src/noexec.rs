//! Finds the mount of a file, and whether programs can run from it, in `/proc/self/mountinfo`.
//!
//! Pure but for [`mount_of`], which reads that file and resolves links.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The mount point that this file or folder is below, if it is mounted `noexec`. `None` also where there is no `/proc`.
pub fn mount_of(path: &Path) -> Option<PathBuf> {
    let path = fs::canonicalize(path).ok()?;
    find(&fs::read("/proc/self/mountinfo").ok()?, &path)
}

/// The same for a path without links, from the content of `mountinfo` (see proc(5)): the fifth field is the mount
/// point, the sixth has the mount's own options.
fn find(mountinfo: &[u8], path: &Path) -> Option<PathBuf> {
    let mut innermost: Option<(PathBuf, bool)> = None;
    for line in mountinfo.split(|&byte| byte == b'\n') {
        let mut fields = line.split(|&byte| byte == b' ');
        let (Some(point), Some(options)) = (fields.nth(4), fields.next()) else { continue };
        let point = PathBuf::from(unescape(point));
        // Of two mounts on one point, the later one is seen.
        let is_inner = innermost.as_ref().is_none_or(|(outer, _)| point.starts_with(outer));
        if path.starts_with(&point) && is_inner {
            innermost = Some((point, options.split(|&byte| byte == b',').any(|option| option == b"noexec")));
        }
    }
    innermost.and_then(|(point, noexec)| noexec.then_some(point))
}

/// The kernel writes space, tab, line feed and backslash as three octal digits, such as `\040`.
fn unescape(field: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal =
            after.get(..3).and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(escaped) if byte == b'\\' => {
                plain.push(escaped);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_decides() {
        let mountinfo = br"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /opt rw,nosuid,noexec,relatime shared:5 - tmpfs tmpfs rw,size=100k
31 30 0:27 / /opt/bin rw,relatime - tmpfs tmpfs rw,noexec_is_no_option_here
32 22 0:28 / /with\040space rw,noexec - tmpfs tmpfs rw
33 22 0:29 / /twice rw,noexec - tmpfs tmpfs rw
34 22 0:30 / /twice rw - tmpfs tmpfs rw
35 22 0:31 / /over rw - tmpfs tmpfs rw
36 22 0:32 / /over ro,noexec master:2 propagate_from:1 - tmpfs tmpfs rw
short line
";
        for (path, expected) in [
            ("/usr/bin/kubeknock", None),
            ("/opt/kubeknock", Some("/opt")),
            ("/opt", Some("/opt")),
            ("/opt2/kubeknock", None),
            ("/opt/bin/kubeknock", None),
            ("/with space/kubeknock", Some("/with space")),
            ("/twice/kubeknock", None),
            ("/over/kubeknock", Some("/over")),
        ] {
            assert_eq!(find(mountinfo, Path::new(path)), expected.map(PathBuf::from), "{path}");
        }
        assert_eq!(find(b"", Path::new("/opt")), None);
    }

    #[test]
    fn escapes_of_the_kernel() {
        for (field, plain) in [
            (r"/a\040b\011c\012d\134e", "/a b\tc\nd\\e"),
            (r"/plain", "/plain"),
            (r"/cut\04", r"/cut\04"),
            (r"/no\999digits", r"/no\999digits"),
            (r"/too\777large", r"/too\777large"),
        ] {
            assert_eq!(unescape(field.as_bytes()), OsString::from(plain));
        }
    }

    #[test]
    fn here_proc_is_read() {
        assert_eq!(mount_of(Path::new("/no-such-folder")), None);
        let mountinfo = fs::read("/proc/self/mountinfo").unwrap();
        let own = std::env::current_exe().unwrap();
        assert_eq!(mount_of(&own), find(&mountinfo, &own), "what runs");
        assert_eq!(mount_of(&own), None, "what runs is on no noexec mount");
    }
}
