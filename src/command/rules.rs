//! `rules`: what the service account may do in a namespace, as `kubectl auth can-i --list` prints it.

use serde_json::{Value, json};

use super::{Common, end, visit_context};
use crate::api::review::Rule;
use crate::exit::Code;
use crate::explain;
use crate::failure::Fault;
use crate::report::{Format, complain, json, print, summary};
use crate::rules;
use crate::text::escape;
use crate::verdict;

/// The settings of `rules`.
#[derive(Debug)]
pub struct RulesOf {
    /// Which API server, and how to show its list.
    pub common: Common,
    /// Where; `None` is the pod's own namespace.
    pub namespace: Option<String>,
}

/// Runs it.
pub fn run(command: &RulesOf) -> Code {
    end(ask(command), command.common.output)
}

fn ask(command: &RulesOf) -> Result<Code, Fault> {
    let visit = command.common.visit()?;
    let namespace = match &command.namespace {
        Some(namespace) => namespace.clone(),
        None => command.common.cluster.namespace()?,
    };
    let (result, rules) = rules::list(&visit, &namespace);
    let code = verdict::deciding_code(&result, visit.bearer);
    let why = explain::request(code, &result, visit_context(&visit, &command.common.cluster));
    if command.common.output == Format::Json {
        let mut object = json::object(code);
        let message =
            if code == Code::Ok { "ok (0): the rules are listed".to_owned() } else { summary(code) };
        object.insert("message".into(), message.into());
        object.insert("server".into(), command.common.cluster.server.to_string().into());
        object.insert("serverVersion".into(), Value::Null);
        object.insert("namespace".into(), namespace.clone().into());
        object.insert("incomplete".into(), rules.incomplete.into());
        object.insert("evaluationError".into(), rules.error.clone().into());
        object.insert("rules".into(), rules.list.iter().map(rule_json).collect());
        object.insert("why".into(), why.clone().into());
        print(&json::line(object));
    } else if code == Code::Ok {
        print(&table(&rules.list));
    }
    if code != Code::Ok {
        complain(&summary(code));
        for line in why {
            complain(&escape(&line));
        }
    } else if let Some(warning) = rules::doubt(&rules) {
        complain(&format!("warning: {}", escape(&warning)));
    }
    Ok(code)
}

/// kubectl's table: columns as wide as their longest cell and three spaces.
fn table(rules: &[Rule]) -> String {
    let list = |items: &[String]| format!("[{}]", items.join(" "));
    let mut rows = vec![["Resources", "Non-Resource URLs", "Resource Names", "Verbs"].map(str::to_owned)];
    rows.extend(rules.iter().map(|rule| {
        let one = |item: &Option<String>| list(item.as_slice());
        [rule.full_resource(), one(&rule.url), one(&rule.name), list(&rule.verbs)].map(|cell| escape(&cell))
    }));
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0) + 3
    };
    let (first, second, third) = (width(0), width(1), width(2));
    rows.iter()
        .map(|[resource, urls, names, verbs]| {
            format!("{resource:first$}{urls:second$}{names:third$}{verbs}\n")
        })
        .collect()
}

fn rule_json(rule: &Rule) -> Value {
    json!({
        "group": rule.group,
        "resource": rule.resource,
        "nonResourceURLs": rule.url.as_slice(),
        "resourceNames": rule.name.as_slice(),
        "verbs": rule.verbs,
    })
}
