//! Steps as text, on one screen of 100 columns, and as JSON.

use serde_json::{Map, Value, json};

use super::step::{Advice, Mark, Step, first_broken};
use crate::cluster::Server;
use crate::exit::Code;
use crate::report::json;
use crate::report::text::paint;
use crate::text::{escape, wrap};

const WIDTH: usize = 100;

/// Mark, name and milliseconds are before what was found.
const INDENT: usize = 22;

const GOOD: &str = "nothing is broken on the way to the API server";

/// For people.
pub fn text(server: &Server, steps: &[Step], color: bool) -> String {
    let broken = first_broken(steps);
    let mut lines = vec![format!("from this process to {server}")];
    for step in steps {
        let sign = match step.mark {
            Mark::Good => paint("✓", Code::Ok, color),
            Mark::Broken => paint("✗", Code::Forbidden, color),
            Mark::Open => "–".to_owned(),
        };
        let elapsed = step.elapsed.map(|elapsed| format!("{} ms", elapsed.as_millis())).unwrap_or_default();
        let mut head = format!("{sign} {:11}{elapsed:>7}  ", step.name);
        for found in step.found.iter().flat_map(|found| wrap(&escape(found), WIDTH - INDENT)) {
            lines.push(head + &found);
            head = " ".repeat(INDENT);
        }
        if broken.is_some_and(|broken| std::ptr::eq(broken, step)) {
            lines.extend(step.advice.iter().flat_map(advice));
        }
    }
    let code = broken.map_or(Code::Ok, |step| step.code);
    let summary = format!("{} ({}): {}", code.name(), code.number(), message(broken));
    lines.push(paint(&summary, code, color));
    lines.join("\n") + "\n"
}

/// What to do, under an arrow. A command is on a line of its own where it does not fit, and can be pasted.
fn advice(advice: &Advice) -> Vec<String> {
    const ARROW: &str = "    → ";
    const BELOW: &str = "      ";
    let room = WIDTH - BELOW.len();
    let line = escape(&advice.line());
    let lines = match &advice.command {
        Some(_) if line.chars().count() <= room => vec![line],
        Some(command) if advice.text.is_empty() => continued(&escape(command), room),
        Some(command) => {
            let mut lines = wrap(&format!("{}:", escape(&advice.text)), room);
            lines.extend(continued(&escape(command), room));
            lines
        }
        None => wrap(&line, room),
    };
    let begin = std::iter::once(ARROW).chain(std::iter::repeat(BELOW));
    begin.zip(lines).map(|(begin, line)| format!("{begin}{line}")).collect()
}

/// Breaks a command where a shell can: between words, with a backslash.
fn continued(command: &str, width: usize) -> Vec<String> {
    let mut quoted = false;
    let words = command.split(|c| {
        quoted ^= c == '\'';
        c == ' ' && !quoted
    });
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            // The backslash and its space need room too.
            Some(line) if line.chars().count() + 1 + word.chars().count() + 2 <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(line) => {
                line.push_str(" \\");
                lines.push(format!("  {word}"));
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

fn message(broken: Option<&Step>) -> String {
    match broken {
        None => GOOD.to_owned(),
        Some(Step { subject: Some(subject), .. }) => {
            format!("the first broken step is \"{}\"", escape(subject))
        }
        Some(step) => format!("the first broken step is {}", step.name),
    }
}

/// For programs.
pub fn json(server: &Server, version: Option<&str>, steps: &[Step]) -> String {
    let broken = first_broken(steps);
    let mut object = json::object(broken.map_or(Code::Ok, |step| step.code));
    object.insert("message".into(), message(broken).into());
    object.insert("server".into(), server.to_string().into());
    object.insert("serverVersion".into(), version.map_or(Value::Null, Value::from));
    object.insert("broken".into(), broken.map_or(Value::Null, |step| step.name.into()));
    object.insert("steps".into(), steps.iter().map(step_json).collect());
    json::line(object)
}

fn step_json(step: &Step) -> Value {
    let mark = match step.mark {
        Mark::Good => "good",
        Mark::Broken => "broken",
        Mark::Open => "open",
    };
    let milliseconds = step.elapsed.map(|elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    let advice: Vec<String> = step.advice.iter().map(Advice::line).collect();
    let object: Map<String, Value> = [
        ("name", json!(step.name)),
        ("subject", json!(step.subject)),
        ("mark", json!(mark)),
        ("outcome", json!(step.code.name())),
        ("found", json!(step.found)),
        ("milliseconds", json!(milliseconds)),
        ("advice", json!(advice)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_broken_where_a_shell_goes_on() {
        for (command, width, lines) in [
            ("kubectl get pods", 40, &["kubectl get pods"][..]),
            ("kubectl get pods -n ns-1", 16, &["kubectl get \\", "  pods -n ns-1"]),
            ("grep -E 'a b c d e f' x", 12, &["grep -E \\", "  'a b c d e f' \\", "  x"]),
        ] {
            assert_eq!(continued(command, width), lines, "{command}");
        }
    }

    #[test]
    fn advice_fits_the_screen() {
        let long = "word ".repeat(40);
        for (given, first, count) in [
            (Advice::from("do it"), "    → do it", 1),
            (Advice::with("look", "kubectl get pods"), "    → look: kubectl get pods", 1),
            (Advice::command("kubectl get pods"), "    → kubectl get pods", 1),
            (Advice::with("look", long.trim()), "    → look:", 4),
            (Advice::from(long.trim()), "    → word word", 3),
        ] {
            let lines = advice(&given);
            assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
            assert!(lines[0].starts_with(first) && lines.len() == count, "{lines:?}");
        }
    }
}
