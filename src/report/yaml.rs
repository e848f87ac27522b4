//! Objects as YAML, as kubectl prints them: a list of texts takes one line.

use serde_json::Value;

/// A document, without the `---` before it.
pub fn render(object: &Value) -> String {
    let mut text = String::new();
    write(&mut text, object, 0);
    text
}

fn write(text: &mut String, value: &Value, indent: usize) {
    let Some(object) = value.as_object() else { return };
    for (number, (key, value)) in object.iter().enumerate() {
        // The first has its place already: after a dash, or below a key.
        if number > 0 {
            text.push_str(&" ".repeat(indent));
        }
        text.push_str(key);
        text.push(':');
        match value {
            Value::Object(_) => {
                text.push_str("\n  ");
                text.push_str(&" ".repeat(indent));
                write(text, value, indent + 2);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                text.push('\n');
                for item in items {
                    text.push_str(&" ".repeat(indent));
                    text.push_str("- ");
                    write(text, item, indent + 2);
                }
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(scalar).collect();
                text.push_str(&format!(" [{}]\n", items.join(", ")));
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {
                text.push_str(&format!(" {}\n", scalar(value)));
            }
        }
    }
}

/// Quoted as JSON quotes it, which YAML reads the same, unless no reader can take it for anything but a text.
fn scalar(value: &Value) -> String {
    // What YAML 1.1 takes for true, false and nothing (yaml.org/type/bool.html).
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let plain = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-./".contains(&byte))
            && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
    };
    value.as_str().filter(plain).map_or_else(|| value.to_string(), str::to_owned)
}
