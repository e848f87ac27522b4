//! Reads permission files (`-f`) as permissions. Sends nothing.

mod role;

use std::path::Path;
use std::time::Duration;

use crate::failure::Fault;
use crate::permission::{self, Defaults, MOST, Permission};
use crate::text::escape;
use crate::time::deadline::Deadline;
use crate::time::reading::{Content, Unread, read, read_stdin};

/// The largest size of all files of a run together, in bytes.
const LARGEST: usize = 1024 * 1024;

/// Adds the permissions of these files, in order, to those of the arguments; `-` is stdin. Subtracts the time of
/// reading from `patience`.
///
/// The content of a file is part of the command line, so an error in it is a usage fault. A file that cannot be read,
/// such as a key of a ConfigMap that is not mounted, is a setup fault.
pub fn add(
    permissions: &mut Vec<Permission>,
    names: &[String],
    defaults: &Defaults,
    patience: &mut Duration,
) -> Result<(), Fault> {
    if names.is_empty() {
        return Ok(());
    }
    if names.iter().filter(|name| *name == "-").count() > 1 {
        return Err(Fault::Usage("--filename - is given twice: stdin can be read only once".into()));
    }
    let deadline = Deadline::after(*patience);
    let mut room = LARGEST;
    for name in names {
        let place = format!("--filename \"{}\"", escape(name));
        let content =
            if name == "-" { read_stdin(room, deadline) } else { read(Path::new(name), room, deadline) };
        let content = match content {
            Ok(Content::Whole(content)) => content,
            Ok(Content::EmptyPipe) => Vec::new(),
            Ok(Content::TooLarge) => {
                return Err(Fault::Usage(format!(
                    "{place}: larger than 1 MiB, the limit of all files together"
                )));
            }
            Err(Unread::Broken(error)) => {
                return Err(Fault::Setup(format!(
                    "{place}: {error}; name a file that is there, such as a key of a mounted ConfigMap"
                )));
            }
            Err(Unread::TooLate) => return Err(Fault::Timeout(format!("{place}: {}", Unread::WHY))),
        };
        room -= content.len();
        parse(&content, defaults, permissions).map_err(|why| Fault::Usage(format!("{place}{why}")))?;
    }
    *patience = deadline.left().unwrap_or(*patience);
    Ok(())
}

/// Adds the permissions in the content of a file. The error continues a message that begins with the name of the file,
/// as in `, line 3: …`.
pub fn parse(content: &[u8], defaults: &Defaults, permissions: &mut Vec<Permission>) -> Result<(), String> {
    let before = permissions.len();
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err(": the text is UTF-16: save it as UTF-8".into());
    }
    let text = std::str::from_utf8(content).map_err(|error| {
        let good = content.get(..error.valid_up_to()).unwrap_or_default();
        let line = good.split(|byte| *byte == b'\n').count();
        format!(", line {line}: the text is not valid UTF-8")
    })?;
    // Editors on Windows write a byte order mark at the start of UTF-8.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_json = text.trim_start().starts_with(['{', '[']);
    if is_json {
        role::read(text, defaults, permissions)?;
    } else {
        phrases(text, defaults, permissions)?;
    }
    if permissions.len() == before {
        let more = if is_json { "" } else { "; write phrases such as \"list pods\", one a line" };
        return Err(format!(": it holds no permission{more}"));
    }
    Ok(())
}

/// Adds the permissions of a text with one phrase on each line.
fn phrases(text: &str, defaults: &Defaults, permissions: &mut Vec<Permission>) -> Result<(), String> {
    for (at, line) in text.lines().enumerate() {
        let phrase = without_comment(line);
        if phrase.trim().is_empty() {
            continue;
        }
        let more = permission::parse(&[phrase.to_owned()], defaults);
        let more = more.map_err(|why| {
            let is_yaml = |line: &str| line.starts_with("apiVersion:") || line.starts_with("kind:");
            if text.lines().any(is_yaml) {
                return ": this is YAML; give it as JSON: kubectl create -f FILE --dry-run=client -o json"
                    .into();
            }
            format!(", line {}: {why}", at + 1)
        })?;
        permissions.extend(more);
        if permissions.len() > MOST {
            return Err(format!(", line {}: these are more than {MOST} permissions", at + 1));
        }
    }
    Ok(())
}

/// Removes a comment. It begins with a `#` at the start of the line or after a space, where no phrase can have one.
fn without_comment(line: &str) -> &str {
    let begins = |before: &str| before.is_empty() || before.ends_with(char::is_whitespace);
    let parts = line.match_indices('#').filter_map(|(at, _)| line.get(..at));
    parts.into_iter().find(|before| begins(before)).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::Namespace;

    fn parsed(content: &[u8]) -> Result<Vec<String>, String> {
        let defaults = Defaults { namespace: Namespace::Own, subresource: None };
        let mut permissions = Vec::new();
        parse(content, &defaults, &mut permissions)?;
        Ok(permissions.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn phrases_one_a_line() {
        for (text, expected) in [
            ("list pods", &["list pods"][..]),
            ("list pods\nget /metrics\n", &["list pods", "get /metrics"]),
            (
                "\u{feff}list pods\r\n\r\n# a comment\r\n\tget,list nodes \r\n",
                &["list pods", "get nodes", "list nodes"],
            ),
            ("list pods # of the app\n#get secrets\n  #\nlist nodes\t#", &["list pods", "list nodes"]),
            ("cannot list secrets in vault", &["cannot list secrets in vault"]),
            ("list pods\nlist pods", &["list pods", "list pods"]),
        ] {
            assert_eq!(parsed(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn faults_name_the_line() {
        const YAML: &str = ": this is YAML; give it as JSON: kubectl create -f FILE --dry-run=client -o json";
        for (text, why) in [
            (&b""[..], ": it holds no permission"),
            (b"\n \n# list pods\n", ": it holds no permission"),
            (b"\xef\xbb\xbf", ": it holds no permission"),
            (b"list pods\n\nlist pods on ns-1\n", ", line 3: only \"in NAMESPACE\" may follow"),
            (b"list pods#x", ", line 1: a resource is RESOURCE"),
            (b"\"list pods\"", ", line 1: a verb is"),
            (b"list pods\nlist p\xffds", ", line 2: the text is not valid UTF-8"),
            (b"\xff\xfel\0i\0s\0t\0", ": the text is UTF-16"),
            (b"list p\0ds", ", line 1: a phrase holds no control characters"),
            (b"# a role\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n", YAML),
            (b"---\nkind: Role\nrules:\n", YAML),
        ] {
            let fault = parsed(text).unwrap_err();
            assert!(fault.starts_with(why), "{:?}: {fault}", String::from_utf8_lossy(text));
        }
        assert_eq!(
            parsed(b"list pods\n  list pods on ns-1 # here\n")
                .unwrap_err()
                .lines()
                .skip(1)
                .collect::<Vec<_>>(),
            ["    list pods on ns-1 ", "              ^"]
        );
    }

    #[test]
    fn no_more_than_the_limit() {
        let lines = |count: usize| "get,list pods\n".repeat(count).into_bytes();
        assert_eq!(parsed(&lines(5000)).unwrap().len(), MOST);
        assert_eq!(parsed(&lines(5001)).unwrap_err(), ", line 5001: these are more than 10000 permissions");
    }
}
