//! `--help`: from argh's description of the arguments and from the table of exit codes.

use std::fmt::Write;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind};

use super::Program;
use crate::exit::Code;

/// The help of the program, or of one command.
pub fn render(command: Option<&str>) -> Result<String, String> {
    let program = Program::get_args_info();
    let Some(name) = command else { return Ok(of_program(&program)) };
    match program.commands.iter().find(|known| known.name == name) {
        Some(known) => Ok(of_command(&program, &known.command)),
        None => Err(format!("{:?} is no command; see kubeknock --help", crate::report::escape(name))),
    }
}

fn of_program(program: &CommandInfoWithArgs) -> String {
    let mut text =
        format!("{}\n\nUsage: kubeknock [where] COMMAND [what]\n\nCommands:\n", wrap(program.description));
    for command in &program.commands {
        let _ = writeln!(text, "  {:9} {}", command.name, command.command.description);
    }
    text.push_str("\nWhere (before or after the command):\n");
    text.push_str(&flags(program.flags));
    text.push_str("\nPhrases: [can|cannot] VERB[,VERB] RESOURCE[/NAME[/SUBRESOURCE]] [in NAMESPACE|in *], or VERB /PATH\n");
    text.push_str("  kubeknock check \"list pods\" \"get secrets/db in vault\" \"cannot create pods/*/exec\" \"get /metrics\"\n");
    text.push_str("\nkubeknock COMMAND --help tells what a command takes.\n\n");
    text.push_str(&codes());
    text
}

fn of_command(program: &CommandInfoWithArgs, command: &CommandInfoWithArgs) -> String {
    let positionals: String =
        command.positionals.iter().map(|positional| format!(" {}", positional.name)).collect();
    let many =
        if command.positionals.iter().any(|positional| positional.name == "PHRASE") { "…" } else { "" };
    let mut text = format!(
        "{}\n\nUsage: kubeknock {} [options]{positionals}{many}\n\n",
        command.description, command.name
    );
    for positional in command.positionals {
        let _ = writeln!(text, "  {:32} {}", positional.name, positional.description);
    }
    text.push_str("\nOptions:\n");
    text.push_str(&flags(command.flags));
    text.push_str("\nWhere:\n");
    text.push_str(&flags(program.flags));
    text.push('\n');
    text.push_str(&codes());
    text
}

fn flags(flags: &[FlagInfo<'_>]) -> String {
    let mut text = String::new();
    for flag in flags {
        // argh's own; everything else is ours.
        if flag.long == "--help" {
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
        let _ = writeln!(text, "  {:>2}  {:15} {}", code.number(), code.name(), code.sentence());
    }
    text
}

/// Breaks a sentence into lines of at most 100 columns.
fn wrap(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= 100 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}
