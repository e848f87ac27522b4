//! Where the service account mount is, in a container that has none of its own.
//!
//! An ephemeral container (`kubectl debug`) gets no mount. With `--target` it shares the process namespace of that
//! container, whose files are then below `/proc/PID/root`, for the same user. Knows processes and where their mounts
//! are; reads no token and prints nothing.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process;

/// Where the kubelet mounts a pod's service account (kubernetes.io/docs, "Accessing the API from a Pod").
pub const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The same place in images where `/var/run` is a link to `/run`, because an absolute link does not work from outside
/// its root.
const BEHIND_LINK: &str = "/run/secrets/kubernetes.io/serviceaccount";

/// The most processes to look at. A pod has fewer; on a node the search ends here.
const MOST_PROCESSES: usize = 4096;

/// Where the mount is, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The folder that an option names, or the kubelet's default, whether it exists or not.
    Own,
    /// Another process of this PID namespace has it: its PID, and the mount below its root.
    Process(u32, PathBuf),
    /// Another process may have a mount, which this process may not read.
    Denied(Owner),
    /// The other processes are not shown (`/proc` is mounted with `hidepid`).
    Hidden,
    /// This is PID 1: there is no other container's process to look at.
    Alone,
}

/// The process whose files this one may not read, and its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its PID.
    pub pid: u32,
    /// Its user and group.
    pub user: Ids,
    /// Those of this process.
    pub own: Ids,
}

/// Effective user and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// UID.
    pub user: u32,
    /// GID.
    pub group: u32,
}

impl Source {
    /// Looks for the mount where no option says where it is. `in_pod`: the kubelet's variables are set; without them
    /// a process that cannot be looked at says nothing about a mount.
    pub fn find(in_pod: bool) -> Source {
        if !matches!(fs::metadata(MOUNT), Err(error) if error.kind() == ErrorKind::NotFound) {
            return Source::Own;
        }
        let me = process::id();
        let others = if me == 1 { Vec::new() } else { other_processes(me) };
        decide(me, own_ids(), in_pod, others.iter().map(|&pid| (pid, look_at(pid))))
    }

    /// The mount.
    pub fn path(&self) -> &Path {
        match self {
            Source::Process(_, path) => path,
            Source::Own | Source::Denied(_) | Source::Hidden | Source::Alone => Path::new(MOUNT),
        }
    }

    /// The process whose mount is used, if it is not this container's own.
    pub fn lender(&self) -> Option<String> {
        match self {
            Source::Process(pid, _) => Some(format!("the mount of process {pid}")),
            Source::Own | Source::Denied(_) | Source::Hidden | Source::Alone => None,
        }
    }

    /// Why there is no mount in a container of `kubectl debug`, and what to type instead.
    pub fn remedy(&self) -> Option<(String, String)> {
        match self {
            Source::Own | Source::Process(..) => None,
            Source::Denied(owner) => Some(owner.remedy()),
            Source::Hidden => Some((
                "the processes of other users are hidden (hidepid): debug as the user of the container".into(),
                "kubectl knock POD".into(),
            )),
            Source::Alone => Some((
                "the pod or its service account sets automountServiceAccountToken: false, or this is a container of \
                 kubectl debug, which needs a target"
                    .into(),
                debug("restricted", ""),
            )),
        }
    }

    /// The same on one line.
    pub fn advice(&self) -> Option<String> {
        self.remedy().map(|(why, command)| format!("{why}: {command}"))
    }
}

impl Owner {
    fn remedy(&self) -> (String, String) {
        const ONLY: &str = "and only that user can read its mount: debug as that user";
        let Owner { pid, user: Ids { user, group }, own } = *self;
        let whose = format!("process {pid} belongs to user {user}, group {group}");
        let (why, user, group, profile) = match user {
            _ if self.user == own && user != 0 => {
                ("and has capabilities that this process lacks: debug as root", 0, 0, "sysadmin")
            }
            // Root's own capabilities are needed, and the restricted profile drops them.
            0 => (ONLY, user, group, "baseline"),
            _ => (ONLY, user, group, "restricted"),
        };
        let custom = format!("{{\"securityContext\":{{\"runAsUser\":{user},\"runAsGroup\":{group}}}}}");
        (format!("{whose}, {why}"), format!("echo '{custom}' | {}", debug(profile, " --custom=/dev/stdin")))
    }
}

/// The line that starts an ephemeral container beside CONTAINER.
pub fn debug(profile: &str, options: &str) -> String {
    format!(
        "kubectl debug POD --image=kubeknock:{} --target=CONTAINER --profile={profile}{options} -- /kubeknock doctor",
        env!("CARGO_PKG_VERSION")
    )
}

/// What can be seen of another process's mount.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    /// It has one, which can be read.
    Mount(PathBuf),
    /// It belongs to this user, and its root cannot be looked into.
    Denied(Ids),
    /// It has none, or has ended.
    Nothing,
}

/// The first process that has a mount lends it. `others` begins with the lowest PID, and is looked at only as far
/// as needed.
fn decide(me: u32, own: Option<Ids>, in_pod: bool, others: impl Iterator<Item = (u32, Look)>) -> Source {
    if me == 1 {
        return if in_pod { Source::Alone } else { Source::Own };
    }
    let Some(own) = own else { return Source::Own };
    let (mut denied, mut first) = (None, None);
    for (pid, look) in others {
        first = first.or(Some(pid));
        match look {
            Look::Mount(path) => return Source::Process(pid, path),
            Look::Denied(user) => denied = denied.or(Some(Owner { pid, user, own })),
            Look::Nothing => {}
        }
    }
    match denied {
        _ if !in_pod => Source::Own,
        Some(owner) => Source::Denied(owner),
        // A PID namespace has a PID 1 as long as it has any process.
        None if first != Some(1) => Source::Hidden,
        None => Source::Own,
    }
}

/// The processes that `/proc` shows, but for this one; the lowest PID first. Where there is no `/proc`, none.
fn other_processes(me: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut pids: Vec<u32> = pids.filter(|&pid| pid != me).collect();
    pids.sort_unstable();
    pids.truncate(MOST_PROCESSES);
    pids
}

fn look_at(pid: u32) -> Look {
    let Some(ids) = fs::read_to_string(format!("/proc/{pid}/status")).ok().and_then(|status| ids(&status))
    else {
        return Look::Nothing;
    };
    for mount in [MOUNT, BEHIND_LINK] {
        let path = PathBuf::from(format!("/proc/{pid}/root{mount}"));
        match fs::metadata(&path).and_then(|_| fs::read_dir(&path)) {
            Ok(_) => return Look::Mount(path),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Look::Denied(ids),
            Err(_) => {}
        }
    }
    Look::Nothing
}

/// This process's own; `None` where there is no `/proc`, or that of another PID namespace.
fn own_ids() -> Option<Ids> {
    ids(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Effective user and group of `/proc/PID/status`. `None` for a process of a PID namespace below this one, which is
/// another container's, as a node sees it.
fn ids(status: &str) -> Option<Ids> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.split_whitespace().collect::<Vec<_>>())
    };
    let effective = |name: &str| field(name)?.get(1)?.parse().ok();
    // Kernels without PID namespaces have no such line.
    let here = field("NSpid").is_none_or(|pids| pids.len() == 1);
    here.then_some(Ids { user: effective("Uid")?, group: effective("Gid")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Ids = Ids { user: 65532, group: 65532 };
    const OTHER: Ids = Ids { user: 1000, group: 2000 };

    fn mount(pid: u32) -> Look {
        Look::Mount(format!("/proc/{pid}/root{MOUNT}").into())
    }

    fn lent(pid: u32) -> Source {
        Source::Process(pid, format!("/proc/{pid}/root{MOUNT}").into())
    }

    fn denied(pid: u32) -> Source {
        Source::Denied(Owner { pid, user: OTHER, own: OWN })
    }

    #[test]
    fn whose_mount_is_used() {
        let none = Look::Nothing;
        let no = Look::Denied(OTHER);
        for (me, in_pod, others, expected) in [
            (1, true, vec![], Source::Alone),
            (1, false, vec![], Source::Own),
            // The target's process is PID 1.
            (7, true, vec![(1, mount(1)), (3, mount(3))], lent(1)),
            (7, false, vec![(1, mount(1))], lent(1)),
            (7, true, vec![(1, no.clone()), (3, none.clone())], denied(1)),
            // With shareProcessNamespace, PID 1 is the pause container.
            (7, true, vec![(1, none.clone()), (3, mount(3)), (4, mount(4))], lent(3)),
            (7, true, vec![(1, no.clone()), (3, mount(3))], lent(3)),
            (7, true, vec![(1, none.clone()), (3, no.clone()), (9, no.clone())], denied(3)),
            // No mount anywhere: automountServiceAccountToken: false.
            (7, true, vec![(1, none.clone()), (3, none.clone())], Source::Own),
            // hidepid shows the processes of this user only.
            (7, true, vec![], Source::Hidden),
            (7, true, vec![(3, none.clone())], Source::Hidden),
            (7, true, vec![(3, mount(3))], lent(3)),
            // On a machine that is no pod, most processes are of other users.
            (700, false, vec![(1, no.clone()), (2, none.clone())], Source::Own),
            (700, false, vec![], Source::Own),
        ] {
            let found = decide(me, Some(OWN), in_pod, others.clone().into_iter());
            assert_eq!(found, expected, "PID {me}, in a pod: {in_pod}, {others:?}");
        }
        for look in [no, mount(1)] {
            assert_eq!(
                decide(7, None, true, [(1, look)].into_iter()),
                Source::Own,
                "without a /proc of its own"
            );
        }
    }

    #[test]
    fn nothing_is_looked_at_without_need() {
        let mut looked = Vec::new();
        let others = [1, 3, 4].into_iter().map(|pid| {
            looked.push(pid);
            (pid, if pid == 3 { mount(3) } else { Look::Nothing })
        });
        assert_eq!(decide(7, Some(OWN), true, others), lent(3));
        assert_eq!(looked, [1, 3]);
    }

    #[test]
    fn what_to_type() {
        let version = env!("CARGO_PKG_VERSION");
        let line = |profile: &str, custom: &str| {
            format!(
                "kubectl debug POD --image=kubeknock:{version} --target=CONTAINER --profile={profile}{custom} -- /kubeknock doctor"
            )
        };
        let of = |user: u32, group: u32| {
            Source::Denied(Owner { pid: 1, user: Ids { user, group }, own: OWN }).advice().unwrap()
        };
        let as_user = |user: u32, group: u32, profile: &str| {
            format!(
                "echo '{{\"securityContext\":{{\"runAsUser\":{user},\"runAsGroup\":{group}}}}}' | {}",
                line(profile, " --custom=/dev/stdin")
            )
        };
        assert_eq!(
            of(1000, 2000),
            format!(
                "process 1 belongs to user 1000, group 2000, and only that user can read its mount: debug as that user: {}",
                as_user(1000, 2000, "restricted")
            )
        );
        assert!(of(65532, 0).ends_with(&as_user(65532, 0, "restricted")), "{}", of(65532, 0));
        assert!(of(0, 0).ends_with(&as_user(0, 0, "baseline")), "{}", of(0, 0));
        let same = of(65532, 65532);
        assert!(same.contains("capabilities") && same.ends_with(&as_user(0, 0, "sysadmin")), "{same}");
        assert!(Source::Alone.advice().unwrap().ends_with(&line("restricted", "")));
        assert!(Source::Hidden.advice().unwrap().ends_with("kubectl knock POD"));
        assert_eq!((Source::Own.advice(), lent(1).advice()), (None, None));
    }

    #[test]
    fn whose_process_it_is() {
        let status = |uid: &str, nspid: &str| {
            format!("Name:\tapp\nPid:\t7\nUid:\t{uid}\nGid:\t2000\t2000\t2000\t2000\n{nspid}Threads:\t1\n")
        };
        for (status, expected) in [
            (status("1000\t1000\t1000\t1000", "NSpid:\t7\n"), Some(OTHER)),
            (status("0\t1000\t0\t0", "NSpid:\t7\n"), Some(OTHER)),
            (status("1000\t1000\t1000\t1000", ""), Some(OTHER)),
            (status("1000\t1000\t1000\t1000", "NSpid:\t7\t1\n"), None),
            (String::new(), None),
            ("Uid:\t1\nGid:\t1\t1\n".to_owned(), None),
            ("Uid:\t1\t99999999999\t1\t1\nGid:\t1\t1\t1\t1\n".to_owned(), None),
        ] {
            assert_eq!(ids(&status), expected, "{status}");
        }
    }
}
