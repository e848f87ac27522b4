//! Arguments as kubectl's users type them, put into the one order that argh reads.
//!
//! argh alone takes neither `--option=value` nor `-nNS`, nor options of the program after the
//! command, and lets an option be given twice. What each option is called and whether it takes a
//! value is argh's own description of the structs in [`options`](super::options), so that it stands
//! in one place.

use std::ffi::OsString;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};

use super::options::Program;
use crate::text::escape;

/// Arguments, sorted as far as they can be read.
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
    pub after: Option<Vec<OsString>>,
    /// The first thing that is wrong. What follows it is read all the same: it may say how to report.
    pub fault: Option<String>,
    /// Every option that was read, by its long name, with its value.
    seen: Vec<(String, Option<String>)>,
}

impl Sorted {
    /// The first value of an option.
    pub fn value(&self, long: &str) -> Option<&str> {
        self.seen.iter().find(|(name, _)| name == long)?.1.as_deref()
    }

    /// Whether a switch was given.
    pub fn has(&self, long: &str) -> bool {
        self.seen.iter().any(|(name, _)| name == long)
    }

    /// Notes what is wrong, unless something was wrong before.
    fn wrong(&mut self, why: String) {
        self.fault.get_or_insert(why);
    }
}

/// Sorts the arguments (without the program's name).
pub fn sort(arguments: Vec<OsString>) -> Sorted {
    let program = Program::get_args_info();
    let mut sorted = Sorted::default();
    let words = split(arguments, &mut sorted);
    let command = find_command(&program, &words);
    let Some((command_at, name)) = command else {
        // Without a command only help and version make sense; anything else is refused later.
        Reader::new(&program, None, &mut sorted).take(&words, None);
        return sorted;
    };
    sorted.command = Some(name.clone());
    if name == "help" {
        sorted.help = true;
        sorted.command = words.get(command_at + 1).cloned();
        return sorted;
    }
    let info = program.commands.iter().find(|known| known.name == name);
    if info.is_none() {
        let names: Vec<&str> = program.commands.iter().map(|known| known.name).collect();
        sorted.wrong(format!("\"{}\" is not a command: use one of {}", escape(&name), names.join(", ")));
    }
    Reader::new(&program, info.map(|info| &info.command), &mut sorted).take(&words, Some(command_at));
    sorted
}

/// Keeps what follows `--`, and gives the words before it.
fn split(arguments: Vec<OsString>, sorted: &mut Sorted) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            sorted.after = Some(rest.collect());
            break;
        }
        words.push(argument.into_string().unwrap_or_else(|bytes| {
            let shown = bytes.to_string_lossy().into_owned();
            sorted.wrong(format!("the argument \"{}\" is not valid UTF-8", escape(&shown)));
            shown
        }));
    }
    words
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

/// The first word that is neither an option nor an option's value. An option has the same shape in every
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

/// Whether this is the option's long name, without dashes.
pub fn is_long(flag: &FlagInfo<'_>, name: &str) -> bool {
    flag.long.strip_prefix("--").unwrap_or(flag.long) == name
}

/// Takes the words apart by what the program and the command know.
struct Reader<'r> {
    program: &'r CommandInfoWithArgs,
    command: Option<&'r CommandInfoWithArgs>,
    sorted: &'r mut Sorted,
    of_program: Vec<String>,
    of_command: Vec<String>,
    positional: Vec<String>,
}

impl<'r> Reader<'r> {
    fn new(
        program: &'r CommandInfoWithArgs,
        command: Option<&'r CommandInfoWithArgs>,
        sorted: &'r mut Sorted,
    ) -> Reader<'r> {
        Reader { program, command, sorted, of_program: vec![], of_command: vec![], positional: vec![] }
    }

    fn take(mut self, words: &[String], command_at: Option<usize>) {
        let words = words.iter().enumerate().filter(|(at, _)| Some(*at) != command_at);
        let mut words = words.map(|(_, word)| word);
        while let Some(word) = words.next() {
            match read(word) {
                Word::Positional => self.positional.push(word.clone()),
                Word::Long(name, value) => {
                    let value = value.map(str::to_owned);
                    self.option(&|flag| is_long(flag, name), &format!("--{name}"), value, || {
                        words.next().cloned()
                    });
                }
                Word::Short(letters) => {
                    for (at, c) in letters.char_indices() {
                        let rest = letters.get(at + c.len_utf8()..).unwrap_or_default();
                        let is = |flag: &FlagInfo<'_>| flag.short == Some(c);
                        let valued = all_flags(self.program).any(|flag| is(flag) && takes_value(flag));
                        // `-nNS` and `-n=NS`; of a switch `-q=false`, which only the last letter can have.
                        let inline = rest.strip_prefix('=').or((valued && !rest.is_empty()).then_some(rest));
                        let last = valued || inline.is_some();
                        let inline = inline.map(str::to_owned);
                        self.option(&is, &format!("-{c}"), inline, || words.next().cloned());
                        if last {
                            break;
                        }
                    }
                }
            }
        }
        if let (Some(command), Some(word)) = (self.command, self.positional.first())
            && command.positionals.is_empty()
        {
            let why = format!("{} takes no argument, found \"{}\"", command.name, escape(word));
            self.sorted.wrong(why);
        }
        self.sorted.help |= self.sorted.has("help");
        self.sorted.version = self.sorted.has("version");
        self.sorted.words = self.of_program;
        self.sorted.words.extend(self.sorted.command.clone());
        self.sorted.words.extend(self.of_command);
        self.sorted.words.push("--".into());
        self.sorted.words.extend(self.positional);
    }

    /// One option as `typed`, with the value that stands in the same word, or else in the next one.
    fn option(
        &mut self,
        is: &dyn Fn(&FlagInfo<'_>) -> bool,
        typed: &str,
        inline: Option<String>,
        next: impl FnOnce() -> Option<String>,
    ) {
        if is(&HELP) {
            self.sorted.seen.push(("help".into(), None));
            return;
        }
        let of_program = self.program.flags.iter().find(|flag| is(flag));
        let of_command = || self.command?.flags.iter().find(|flag| is(flag));
        // Where the command has no such option, another's has the same shape and may say how to report.
        let Some(flag) = of_program.or_else(of_command).or_else(|| {
            let why = self.foreign(is, typed);
            self.sorted.wrong(why);
            all_flags(self.program).find(|flag| is(flag))
        }) else {
            return;
        };
        let name = flag.long.strip_prefix("--").unwrap_or(flag.long);
        let list = if of_program.is_some() { &mut self.of_program } else { &mut self.of_command };
        if !takes_value(flag) {
            match inline.as_deref() {
                None | Some("true") if !self.sorted.has(name) => {
                    self.sorted.seen.push((name.into(), None));
                    list.push(format!("--{name}"));
                }
                None | Some("true" | "false") => {}
                Some(other) => {
                    self.sorted.wrong(format!("--{name} \"{}\": the value is true or false", escape(other)));
                }
            }
            return;
        }
        let Some(value) = inline.or_else(next) else {
            let FlagInfoKind::Option { arg_name } = flag.kind else { return };
            return self.sorted.wrong(format!("--{name} needs a value: --{name} {arg_name}"));
        };
        if self.sorted.has(name) && flag.optionality != Optionality::Repeating {
            return self.sorted.wrong(format!("--{name} is given twice: use it once"));
        }
        list.push(format!("--{name}"));
        list.push(value.clone());
        self.sorted.seen.push((name.into(), Some(value)));
    }

    /// What is wrong with an option that neither the program nor the command has.
    fn foreign(&self, is: &dyn Fn(&FlagInfo<'_>) -> bool, typed: &str) -> String {
        let typed = escape(typed);
        let commands = self.program.commands.iter();
        let owners: Vec<&str> =
            commands.filter(|other| other.command.flags.iter().any(is)).map(|other| other.name).collect();
        match (self.command, owners.as_slice()) {
            (None, [_, ..]) => format!("a command is missing: {typed} is an option of {}", owners.join(", ")),
            (Some(command), [_, ..]) => {
                format!("{} has no option {typed}: it is an option of {}", command.name, owners.join(", "))
            }
            (_, []) => format!("there is no option {typed}: see kubeknock --help"),
        }
    }
}

/// `--help`, which argh adds to each command and the program has everywhere.
pub const HELP: FlagInfo<'static> = FlagInfo {
    kind: FlagInfoKind::Switch,
    optionality: Optionality::Optional,
    long: "--help",
    short: Some('h'),
    description: "print this help",
    hidden: false,
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn sorted(line: &str) -> Sorted {
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
            (
                "check -f a -fb --filename=- list pods",
                "check --filename a --filename b --filename - -- list pods",
            ),
        ] {
            assert_eq!(sorted(line).words.join(" "), words, "{line}");
        }
    }

    #[test]
    fn help_and_version_anywhere() {
        for line in ["-h", "--help", "check -h", "check list pods --help", "help", "help check", "-qh check"]
        {
            assert!(sorted(line).help, "{line}");
        }
        assert_eq!(sorted("help check").command.as_deref(), Some("check"));
        assert!(sorted("--version").version);
        assert!(sorted("check list pods --version").version);
    }

    #[test]
    fn what_follows_the_dashes_is_untouched() {
        let bytes = OsString::from_vec(vec![0xff, b'x']);
        let mut arguments: Vec<OsString> =
            ["check", "list", "pods", "--", "--help", "--"].map(OsString::from).into();
        arguments.push(bytes.clone());
        let sorted = sort(arguments);
        assert!(!sorted.help);
        assert_eq!(sorted.after.unwrap(), ["--help".into(), "--".into(), bytes]);
    }

    #[test]
    fn what_cannot_be_taken() {
        for (line, reason) in [
            ("chek list pods", "\"chek\" is not a command"),
            ("check --nope list pods", "there is no option --nope"),
            ("check -x list pods", "there is no option -x"),
            ("check --include list pods", "it is an option of get"),
            ("check -n", "--namespace needs a value"),
            ("check -n a -n b list pods", "--namespace is given twice"),
            ("check -n a --namespace=a list pods", "--namespace is given twice"),
            ("check --quiet=maybe list pods", "true or false"),
            ("-n default", "a command is missing"),
            ("whoami now", "whoami takes no argument, found \"now\""),
        ] {
            let why = sorted(line).fault.unwrap();
            assert!(why.contains(reason), "{line}: {why}");
        }
        assert!(sort(vec![OsString::from_vec(vec![0xff])]).fault.unwrap().contains("UTF-8"));
    }

    /// How to report is heeded whatever else is wrong, in every way to type it.
    #[test]
    fn what_follows_a_fault_is_read() {
        for line in [
            "check --nope -vo json -q --termination-log=t x",
            "chek --quiet=true --output=json --termination-log t x",
            "check -n a -n b -qojson --termination-log t x",
            "get --quiet -ojson --termination-log t x",
            "--nope -qo json --termination-log t",
        ] {
            let sorted = sorted(line);
            assert!(sorted.fault.is_some() && sorted.has("quiet"), "{line}: {sorted:?}");
            assert_eq!(
                (sorted.value("output"), sorted.value("termination-log")),
                (Some("json"), Some("t")),
                "{line}"
            );
        }
        for line in ["check --quiet=false --nope x", "check --nope -- -q"] {
            assert!(!sorted(line).has("quiet"), "{line}");
        }
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
