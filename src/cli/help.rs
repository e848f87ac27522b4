//! `--help`: from argh's description of the arguments and from the table of exit codes.

use std::fmt::Write;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind};

use super::arguments::{HELP, is_long};
use super::options::Program;
use crate::exit::Code;
use crate::text::{escape, wrap};

/// The help of the program, or of one command.
pub fn render(command: Option<&str>) -> Result<String, String> {
    let program = Program::get_args_info();
    let Some(name) = command else { return Ok(of_program(&program)) };
    match program.commands.iter().find(|known| known.name == name) {
        Some(known) => Ok(of_command(&program, &known.command)),
        None => Err(format!("\"{}\" is not a command: see kubeknock --help", escape(name))),
    }
}

fn of_program(program: &CommandInfoWithArgs) -> String {
    let mut text = format!(
        "{}\n\nUsage: kubeknock [global options] COMMAND [options]\n\nCommands:\n",
        wrap(program.description, 100).join("\n")
    );
    for command in &program.commands {
        let _ = writeln!(text, "  {:9} {}", command.name, command.command.description);
    }
    text.push_str("\nGlobal options (before or after the command):\n");
    text.push_str(&flags(program.flags));
    text.push_str(&flags(&[HELP]));
    text.push_str("\nPhrases: [can|cannot] VERB[,VERB] RESOURCE[/NAME[/SUBRESOURCE]] [in NAMESPACE|in *], or VERB /PATH\n");
    text.push_str("  kubeknock check \"list pods\" \"get secrets/db in vault\" \"cannot create pods/*/exec\" \"get /metrics\"\n");
    text.push_str("\nkubeknock COMMAND --help lists the options of a command.\n\n");
    text.push_str(&codes());
    text
}

fn of_command(program: &CommandInfoWithArgs, command: &CommandInfoWithArgs) -> String {
    let mut usage = format!("Usage: kubeknock {}", command.name);
    if !command.flags.iter().all(is_argh_s_own) {
        usage.push_str(" [options]");
    }
    for positional in command.positionals {
        usage.push_str(&match (positional.name, command.name) {
            ("PHRASE", "doctor" | "rules") => " [PHRASE…]".to_owned(),
            ("PHRASE", "wait") => " PHRASE… [-- CMD ARG…]".to_owned(),
            ("PHRASE", _) => " PHRASE…".to_owned(),
            (name, _) => format!(" {name}"),
        });
    }
    let mut text = format!("{}\n\n{usage}\n", command.description);
    for positional in command.positionals {
        let _ = write!(text, "\n  {:32} {}\n", positional.name, positional.description);
    }
    if !command.flags.iter().all(is_argh_s_own) {
        text.push_str("\nOptions:\n");
        text.push_str(&flags(command.flags));
    }
    text.push_str("\nGlobal options:\n");
    text.push_str(&flags(program.flags));
    text.push_str(&flags(&[HELP]));
    text.push('\n');
    if command.name == "wait" {
        text.push_str("KUBEKNOCK_DISABLED=REASON in the environment: start at once, and ask nothing\n\n");
    }
    text.push_str(&codes());
    text
}

/// `--help`, which argh adds to each command; it is shown once, with the program's options and its short form.
fn is_argh_s_own(flag: &FlagInfo<'_>) -> bool {
    is_long(flag, "help") && flag.short != HELP.short
}

fn flags(flags: &[FlagInfo<'_>]) -> String {
    let mut text = String::new();
    for flag in flags {
        if is_argh_s_own(flag) {
            continue;
        }
        let short = flag.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let value = match flag.kind {
            FlagInfoKind::Switch => String::new(),
            FlagInfoKind::Option { arg_name } => format!(" {arg_name}"),
        };
        let _ = writeln!(text, "  {:32} {}", format!("{short}{}{value}", flag.long), flag.description);
    }
    text
}

fn codes() -> String {
    let mut text = String::from("Exit codes:\n");
    for code in Code::ALL {
        let _ = writeln!(text, "  {:>3}  {:15} {}", code.number(), code.name(), code.sentence());
    }
    text
}
