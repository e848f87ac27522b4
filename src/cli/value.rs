//! The values of options: what each accepts, and the message for what it does not.
//!
//! argh itself never rejects a value, because it would use its own words. A value that cannot be read is kept in
//! [`Value`] until the name of its option is known.

use std::net::SocketAddr;
use std::time::Duration;

use crate::failure::Fault;
use crate::report::{Format, termination};
use crate::text::escape;
use crate::time::duration::parse_duration;

/// The value of an option, or what was typed and why it is not valid.
#[derive(Debug)]
pub struct Value<T>(Result<T, (String, String)>);

impl<T> Value<T> {
    /// Reads what was typed. Always `Ok`, because argh would word an error itself.
    #[expect(clippy::unnecessary_wraps, reason = "argh's signature")]
    fn read(typed: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Value<T>, String> {
        Ok(Value(read(typed).map_err(|why| (typed.to_owned(), why))))
    }

    /// A default value.
    pub const fn is(value: T) -> Value<T> {
        Value(Ok(value))
    }

    /// Returns the value. The fault names the option.
    pub fn of(self, option: &str) -> Result<T, Fault> {
        self.0.map_err(|(typed, why)| Fault::Usage(format!("{option} \"{}\": {why}", escape(&typed))))
    }

    /// Returns the value, or `other` if what was typed is not valid.
    pub fn or(self, other: T) -> T {
        self.0.unwrap_or(other)
    }
}

/// A default in seconds.
pub const fn seconds(seconds: u64) -> Value<Duration> {
    Value::is(Duration::from_secs(seconds))
}

/// The default of `--output`.
pub const fn text() -> Value<Format> {
    Value::is(Format::Text)
}

/// `--output`.
pub fn output(typed: &str) -> Result<Value<Format>, String> {
    Value::read(typed, |typed| match typed {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err("it must be text or json".into()),
    })
}

/// `--termination-log`.
pub fn termination_log(typed: &str) -> Result<Value<termination::Target>, String> {
    Value::read(typed, |typed| match typed {
        "" => Err("it must be a file, or none".into()),
        "none" => Ok(termination::Target::None),
        path => Ok(termination::Target::File(path.into())),
    })
}

/// A duration of 0 or more.
pub fn duration(typed: &str) -> Result<Value<Duration>, String> {
    Value::read(typed, parse_duration)
}

/// A duration of more than 0.
pub fn positive_duration(typed: &str) -> Result<Value<Duration>, String> {
    Value::read(typed, |typed| match parse_duration(typed)? {
        Duration::ZERO => Err("the duration must be more than 0".into()),
        duration => Ok(duration),
    })
}

/// The value of `--listen`.
pub type Address = Value<SocketAddr>;

/// `ADDR:PORT`, or `:PORT` for all addresses, as servers in Go accept it.
pub fn listen(typed: &str) -> Result<Address, String> {
    Value::read(typed, |typed| {
        let full = if typed.starts_with(':') { format!("[::]{typed}") } else { typed.to_owned() };
        full.parse()
            .map_err(|_| "it must be ADDR:PORT, such as :8086, 127.0.0.1:8086 or [::1]:8086".to_owned())
    })
}

/// `--stable`.
pub fn count(typed: &str) -> Result<Value<u32>, String> {
    Value::read(typed, |typed| match typed.parse() {
        Ok(0) | Err(_) => Err(format!("the number of rounds must be between 1 and {}", u32::MAX)),
        Ok(count) => Ok(count),
    })
}
