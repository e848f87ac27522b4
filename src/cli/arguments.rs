//! Arguments as kubectl's users type them, put into the one order that argh reads.
//!
//! argh alone takes neither `--option=value` nor `-nNS`, nor options of the program behind the
//! command, and lets an option be given twice. What each option is called and whether it takes a
//! value is argh's own description of the structs in `super`, so that it stands in one place.

use std::ffi::OsString;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind};

use super::Program;
use crate::text::escape;

/// Arguments, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// `-h` or `--help` anywhere, or the command `help`.
    pub help: bool,
    /// `--version` anywhere.
    pub version: bool,
    /// The command, if there is one.
    pub command: Option<String>,
    /// For argh: program options, the command, its options, `--`, positional arguments.
    pub words: Vec<String>,
    /// What follows the first `--`, untouched.
    pub behind: Option<Vec<OsString>>,
}

/// Sorts the arguments (without the program's name). The error is one line.
pub fn sort(arguments: Vec<OsString>) -> Result<Sorted, String> {
    let program = Program::get_args_info();
    let (arguments, behind) = split(arguments)?;
    let command = find_command(&program, &arguments);
    let Some((command_at, command)) = command else {
        // Without a command only help and version make sense; anything else is told apart by `check`.
        let mut sorted = Sorted { behind, ..Sorted::default() };
        take(&program, None, &arguments, None, &mut sorted)?;
        return Ok(sorted);
    };
    let mut sorted = Sorted { behind, command: Some(command.clone()), ..Sorted::default() };
    if command == "help" {
        sorted.help = true;
        sorted.command = arguments.get(command_at + 1).cloned();
        return Ok(sorted);
    }
    let Some(info) = program.commands.iter().find(|known| known.name == command) else {
        let names: Vec<&str> = program.commands.iter().map(|known| known.name).collect();
        return Err(format!("{:?} is no command; there are {}", escape(&command), names.join(", ")));
    };
    take(&program, Some(&info.command), &arguments, Some(command_at), &mut sorted)?;
    Ok(sorted)
}

type Split = (Vec<String>, Option<Vec<OsString>>);

fn split(arguments: Vec<OsString>) -> Result<Split, String> {
    let mut words = Vec::new();
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            return Ok((words, Some(rest.collect())));
        }
        match argument.into_string() {
            Ok(word) => words.push(word),
            Err(bytes) => return Err(format!("the argument {:?} is not UTF-8", bytes.to_string_lossy())),
        }
    }
    Ok((words, None))
}

/// One word, read as options.
enum Word<'a> {
    /// `--name` or `--name=value`.
    Long(&'a str, Option<&'a str>),
    /// `-abc`: letters, of which the first with a value takes the rest.
    Short(&'a str),
    /// Anything else; also a lone `-`.
    Positional,
}

fn read(word: &str) -> Word<'_> {
    if let Some(long) = word.strip_prefix("--") {
        return match long.split_once('=') {
            Some((name, value)) => Word::Long(name, Some(value)),
            None => Word::Long(long, None),
        };
    }
    match word.strip_prefix('-') {
        Some(letters) if !letters.is_empty() => Word::Short(letters),
        _ => Word::Positional,
    }
}

fn takes_value(flag: &FlagInfo<'_>) -> bool {
    matches!(flag.kind, FlagInfoKind::Option { .. })
}

fn all_flags(program: &CommandInfoWithArgs) -> impl Iterator<Item = &FlagInfo<'_>> {
    program.flags.iter().chain(program.commands.iter().flat_map(|command| command.command.flags))
}

/// The first word that is no option and no option's value. An option has the same shape in every
/// command that has it, so that the command need not be known yet.
fn find_command(program: &CommandInfoWithArgs, words: &[String]) -> Option<(usize, String)> {
    let mut skip = false;
    for (at, word) in words.iter().enumerate() {
        if std::mem::take(&mut skip) {
            continue;
        }
        match read(word) {
            Word::Positional => return Some((at, word.clone())),
            Word::Long(name, value) => {
                skip = value.is_none()
                    && all_flags(program).any(|flag| is_long(flag, name) && takes_value(flag));
            }
            Word::Short(letters) => {
                let valued =
                    |c: char| all_flags(program).any(|flag| flag.short == Some(c) && takes_value(flag));
                skip = letters
                    .char_indices()
                    .find(|(_, c)| valued(*c))
                    .is_some_and(|(at, c)| at + c.len_utf8() == letters.len());
            }
        }
    }
    None
}

fn is_long(flag: &FlagInfo<'_>, name: &str) -> bool {
    flag.long.strip_prefix("--").unwrap_or(flag.long) == name
}

/// Takes the words apart by what the program and the command know.
fn take(
    program: &CommandInfoWithArgs,
    command: Option<&CommandInfoWithArgs>,
    words: &[String],
    command_at: Option<usize>,
    sorted: &mut Sorted,
) -> Result<(), String> {
    let mut taken = Taken::default();
    let mut words = words.iter().enumerate().filter(|(at, _)| Some(*at) != command_at).map(|(_, word)| word);
    while let Some(word) = words.next() {
        match read(word) {
            Word::Positional => taken.positional.push(word.clone()),
            Word::Long("help", None) => sorted.help = true,
            Word::Long(name, value) => {
                let (flag, of_program) =
                    find(program, command, |flag| is_long(flag, name), &format!("--{name}"))?;
                taken.option(flag, of_program, value.map(str::to_owned), || words.next().cloned())?;
            }
            Word::Short(letters) => {
                for (at, c) in letters.char_indices() {
                    if c == 'h' {
                        sorted.help = true;
                        continue;
                    }
                    let (flag, of_program) =
                        find(program, command, |flag| flag.short == Some(c), &format!("-{c}"))?;
                    if takes_value(flag) {
                        let behind = letters.get(at + c.len_utf8()..).unwrap_or_default();
                        let value = (!behind.is_empty())
                            .then(|| behind.strip_prefix('=').unwrap_or(behind).to_owned());
                        taken.option(flag, of_program, value, || words.next().cloned())?;
                        break;
                    }
                    // `-q=false`, which only a switch's last letter can have.
                    if let Some(value) =
                        letters.get(at + c.len_utf8()..).and_then(|rest| rest.strip_prefix('='))
                    {
                        taken.option(flag, of_program, Some(value.to_owned()), || None)?;
                        break;
                    }
                    taken.option(flag, of_program, None, || None)?;
                }
            }
        }
    }
    sorted.version = taken.seen.iter().any(|name| name == "version");
    sorted.words = taken.program;
    sorted.words.extend(sorted.command.clone());
    sorted.words.extend(taken.command);
    sorted.words.push("--".into());
    sorted.words.extend(taken.positional);
    Ok(())
}

/// True the first time.
fn is_new(seen: &mut Vec<String>, name: &str) -> bool {
    let new = !seen.iter().any(|seen| seen == name);
    seen.push(name.to_owned());
    new
}

#[derive(Default)]
struct Taken {
    seen: Vec<String>,
    program: Vec<String>,
    command: Vec<String>,
    positional: Vec<String>,
}

impl Taken {
    fn option(
        &mut self,
        flag: &FlagInfo<'_>,
        of_program: bool,
        inline: Option<String>,
        next: impl FnOnce() -> Option<String>,
    ) -> Result<(), String> {
        let name = flag.long.strip_prefix("--").unwrap_or(flag.long);
        let list = if of_program { &mut self.program } else { &mut self.command };
        if !takes_value(flag) {
            let wanted = match inline.as_deref() {
                None | Some("true") => true,
                Some("false") => false,
                Some(other) => {
                    return Err(format!(
                        "--{name} is on or off: {:?} is neither true nor false",
                        escape(other)
                    ));
                }
            };
            if wanted && is_new(&mut self.seen, name) {
                list.push(format!("--{name}"));
            }
            return Ok(());
        }
        let value = inline.or_else(next).ok_or_else(|| format!("--{name} needs a value"))?;
        if !is_new(&mut self.seen, name) {
            return Err(format!("--{name} is given twice"));
        }
        list.push(format!("--{name}"));
        list.push(value);
        Ok(())
    }
}

/// The option, and whether it is the program's.
fn find<'i>(
    program: &'i CommandInfoWithArgs,
    command: Option<&'i CommandInfoWithArgs>,
    is: impl Fn(&FlagInfo<'_>) -> bool,
    typed: &str,
) -> Result<(&'i FlagInfo<'i>, bool), String> {
    if let Some(flag) = program.flags.iter().find(|flag| is(flag)) {
        return Ok((flag, true));
    }
    if let Some(flag) = command.and_then(|command| command.flags.iter().find(|flag| is(flag))) {
        return Ok((flag, false));
    }
    let typed = escape(typed);
    let owners: Vec<&str> = program
        .commands
        .iter()
        .filter(|other| other.command.flags.iter().any(&is))
        .map(|other| other.name)
        .collect();
    Err(match (command, owners.as_slice()) {
        (None, [_, ..]) => format!("a command is missing: {typed} belongs to {}", owners.join(", ")),
        (Some(command), [_, ..]) => {
            format!("{} has no option {typed}; it belongs to {}", command.name, owners.join(", "))
        }
        _ => format!("there is no option {typed}; see kubeknock --help"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn sorted(line: &str) -> Result<Sorted, String> {
        sort(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn every_way_to_type_an_option() {
        for (line, words) in [
            ("check list pods", "check -- list pods"),
            ("check list pods -n default", "check --namespace default -- list pods"),
            ("check -ndefault list pods", "check --namespace default -- list pods"),
            ("check -n=default list pods", "check --namespace default -- list pods"),
            ("-n default check list pods", "check --namespace default -- list pods"),
            ("check list --namespace=default pods", "check --namespace default -- list pods"),
            ("check --server https://h list pods", "--server https://h check -- list pods"),
            ("--server https://h check -v list pods", "--server https://h --verbose check -- list pods"),
            ("check -Aqojson list pods", "check --all-namespaces --quiet --output json -- list pods"),
            ("check -q -q --quiet list pods", "check --quiet -- list pods"),
            ("check --quiet=true --review=false list pods", "check --quiet -- list pods"),
            ("check -q=true -A=false list pods", "check --quiet -- list pods"),
            ("check -vq=false list pods", "--verbose check -- list pods"),
            ("check --server=https://h?a=b list pods", "--server https://h?a=b check -- list pods"),
            ("check -n check list pods", "check --namespace check -- list pods"),
            ("get - /x", "get -- - /x"),
        ] {
            assert_eq!(sorted(line).unwrap().words.join(" "), words, "{line}");
        }
    }

    #[test]
    fn help_and_version_anywhere() {
        for line in ["-h", "--help", "check -h", "check list pods --help", "help", "help check", "-qh check"]
        {
            assert!(sorted(line).unwrap().help, "{line}");
        }
        assert_eq!(sorted("help check").unwrap().command.as_deref(), Some("check"));
        assert!(sorted("--version").unwrap().version);
        assert!(sorted("check list pods --version").unwrap().version);
    }

    #[test]
    fn what_stands_behind_the_dashes_is_untouched() {
        let bytes = OsString::from_vec(vec![0xff, b'x']);
        let mut arguments: Vec<OsString> =
            ["check", "list", "pods", "--", "--help", "--"].map(OsString::from).into();
        arguments.push(bytes.clone());
        let sorted = sort(arguments).unwrap();
        assert!(!sorted.help);
        assert_eq!(sorted.behind.unwrap(), ["--help".into(), "--".into(), bytes]);
    }

    #[test]
    fn what_cannot_be_taken() {
        for (line, reason) in [
            ("chek list pods", "\"chek\" is no command"),
            ("check --nope list pods", "there is no option --nope"),
            ("check -x list pods", "there is no option -x"),
            ("check --include list pods", "it belongs to get"),
            ("check -n", "--namespace needs a value"),
            ("check -n a -n b list pods", "--namespace is given twice"),
            ("check -n a --namespace=a list pods", "--namespace is given twice"),
            ("check --quiet=maybe list pods", "neither true nor false"),
            ("-n default", "a command is missing"),
        ] {
            let why = sorted(line).unwrap_err();
            assert!(why.contains(reason), "{line}: {why}");
        }
        assert!(sort(vec![OsString::from_vec(vec![0xff])]).unwrap_err().contains("UTF-8"));
    }

    /// `find_command` reads options before it knows the command.
    #[test]
    fn an_option_has_the_same_shape_in_every_command() {
        let program = Program::get_args_info();
        let flags: Vec<_> = all_flags(&program).collect();
        for flag in &flags {
            for other in &flags {
                let same = (flag.short.is_some() && flag.short == other.short) || flag.long == other.long;
                assert!(!same || takes_value(flag) == takes_value(other), "{} and {}", flag.long, other.long);
            }
        }
    }
}
