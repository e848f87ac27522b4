//! A step between this process and a permission, and its result. Knows neither where the result comes from nor how it
//! is shown.

use std::time::Duration;

use crate::exit::{Class, Code};

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Nothing is wrong.
    Good,
    /// It prevents what comes after it, now or soon.
    Broken,
    /// Not needed, not tried, or optional.
    Open,
}

/// What to do about a broken step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// A sentence; empty if the command needs none.
    pub text: String,
    /// A line for a shell.
    pub command: Option<String>,
}

impl Advice {
    /// A sentence, and what to type.
    pub fn with(text: impl Into<String>, command: impl Into<String>) -> Advice {
        Advice { text: text.into(), command: Some(command.into()) }
    }

    /// A line for a shell that needs no words.
    pub fn command(command: impl Into<String>) -> Advice {
        Advice::with("", command)
    }

    /// On one line.
    pub fn line(&self) -> String {
        match &self.command {
            None => self.text.clone(),
            Some(command) if self.text.is_empty() => command.clone(),
            Some(command) => format!("{}: {command}", self.text),
        }
    }
}

impl<T: Into<String>> From<T> for Advice {
    fn from(text: T) -> Advice {
        Advice { text: text.into(), command: None }
    }
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name, in one word.
    pub name: &'static str,
    /// The permission it is about, where there are several steps of its name.
    pub subject: Option<String>,
    /// The result.
    pub mark: Mark,
    /// The lines that say what was found.
    pub found: Vec<String>,
    /// How long it took, where it took time.
    pub elapsed: Option<Duration>,
    /// What to do about it; nothing where it is good.
    pub advice: Vec<Advice>,
    /// The outcome.
    pub code: Code,
}

impl Step {
    fn new(name: &'static str, mark: Mark, found: impl Into<String>) -> Step {
        let found = vec![found.into()];
        Step { name, subject: None, mark, found, elapsed: None, advice: Vec::new(), code: Code::Ok }
    }

    /// A good step.
    pub fn good(name: &'static str, found: impl Into<String>) -> Step {
        Step::new(name, Mark::Good, found)
    }

    /// One that is left open.
    pub fn open(name: &'static str, found: impl Into<String>) -> Step {
        Step::new(name, Mark::Open, found)
    }

    /// A broken one.
    pub fn broken(name: &'static str, code: Code, found: impl Into<String>) -> Step {
        Step { code, ..Step::new(name, Mark::Broken, found) }
    }

    /// The same, about this permission.
    pub fn about(self, subject: &str) -> Step {
        Step { subject: Some(subject.to_owned()), ..self }
    }

    /// The same, with more that was found.
    pub fn and(mut self, found: impl IntoIterator<Item = String>) -> Step {
        self.found.extend(found);
        self
    }

    /// The same, with the time it took.
    pub fn took(self, elapsed: Duration) -> Step {
        Step { elapsed: Some(elapsed), ..self }
    }

    /// The same, with what to do.
    pub fn advise(mut self, advice: impl IntoIterator<Item = impl Into<Advice>>) -> Step {
        self.advice.extend(advice.into_iter().map(Into::into));
        self
    }
}

/// The first step that is broken.
pub fn first_broken(steps: &[Step]) -> Option<&Step> {
    steps.iter().find(|step| step.mark == Mark::Broken && step.code.class() != Class::Fine)
}
