//! `rules`: what the service account may do in a namespace, as `kubectl auth can-i --list` prints it.

use serde_json::{Value, json};

use super::{Common, end, visit_context};
use crate::api::discovery::Resource;
use crate::api::review::{Attributes, Rule, Rules};
use crate::exit::Code;
use crate::explain;
use crate::failure::Fault;
use crate::grant::place;
use crate::knock::Question;
use crate::permission::{Expected, Objects, Permission, Target};
use crate::report::{Format, complain, json, print, summary};
use crate::round::resources;
use crate::rules::{self, only};
use crate::text::escape;
use crate::verdict;
use crate::visit::Visit;

/// The settings of `rules`.
#[derive(Debug)]
pub struct RulesOf {
    /// Which API server to ask, and how to print the list.
    pub common: Common,
    /// The namespace; `None` means the pod's own.
    pub namespace: Option<String>,
    /// `--only`: the permissions that the account is allowed to have.
    pub only: Option<Vec<Permission>>,
}

/// The result of a run.
struct Found {
    code: Code,
    namespace: String,
    rules: Rules,
    /// With `--only`: the rights beyond the named permissions.
    excess: Option<Vec<String>>,
    why: Vec<String>,
}

/// Runs `rules`.
#[inline(never)]
pub fn run(command: &RulesOf) -> Code {
    let shown = find(command).map(|found| {
        if command.common.output == Format::Json {
            print(&json(&found, command));
        } else if let Some(excess) = found.excess.as_ref().filter(|_| is_judged(found.code)) {
            let mut text = String::new();
            for (indent, lines) in [("", excess), ("    ", &found.why), ("", &vec![message(&found)])] {
                for line in lines {
                    text.push_str(indent);
                    text.push_str(&escape(line));
                    text.push('\n');
                }
            }
            print(&text);
        } else if found.code == Code::Ok {
            print(&table(&found.rules.list));
        }
        if !is_judged(found.code) {
            complain(&summary(found.code));
            for line in &found.why {
                complain(&escape(line));
            }
        } else if let Some(warning) = rules::doubt(&found.rules) {
            complain(&format!("warning: {}", escape(&warning)));
        }
        found.code
    });
    end(shown, command.common.output)
}

/// Whether the run has a list to print.
fn is_judged(code: Code) -> bool {
    matches!(code, Code::Ok | Code::Excess)
}

fn find(command: &RulesOf) -> Result<Found, Fault> {
    let visit = command.common.visit()?;
    let namespace = match &command.namespace {
        Some(namespace) => namespace.clone(),
        None => command.common.cluster.namespace()?,
    };
    let named = command.only.as_ref().map(|only| named(only, &visit, &namespace)).transpose()?;
    let mut places = vec![namespace.as_str()];
    for named in named.iter().flatten() {
        if let Some(place) = place(named)
            && !places.contains(&place)
        {
            places.push(place);
        }
    }
    let context = visit_context(&visit, &command.common.cluster);
    let (mut code, mut why, mut shown) = (Code::Ok, Vec::new(), None);
    let (mut excess, mut doubt) = (Vec::new(), None);
    for place in places {
        let (result, rules) = rules::list(&visit, place);
        let got = verdict::deciding_code(&result, visit.bearer);
        if code == Code::Ok {
            (code, why) = (got, explain::request(got, &result, context));
        }
        if let Some(named) = &named {
            only::add_excess(&mut excess, &rules.list, named, place);
            doubt = doubt.or_else(|| rules::doubt(&rules));
        }
        shown.get_or_insert(rules);
    }
    // A listed right is certain even if the list is incomplete, so excess takes precedence.
    if !excess.is_empty() {
        (code, why) = (Code::Excess, explain::excess(context.subject));
    } else if let (Code::Ok, Some(doubt)) = (code, doubt) {
        (code, why) = (Code::Unavailable, vec![doubt]);
    }
    let excess = named.is_some().then_some(excess);
    Ok(Found { code, rules: shown.unwrap_or_default(), excess, why, namespace: namespace.clone() })
}

/// The attributes of the permissions that the phrases name. A resource that the API server does not serve is compared
/// as it is typed.
fn named(permissions: &[Permission], visit: &Visit, namespace: &str) -> Result<Vec<Attributes>, Fault> {
    let mut named = Vec::new();
    for (permission, resource) in permissions.iter().zip(resources(permissions, &[], visit).0) {
        let question = match (&permission.target, resource.as_deref()) {
            // A phrase with `cannot` allows nothing.
            _ if permission.expected == Expected::Cannot => continue,
            (Target::Path(path), _) => Question::path(permission, path, true),
            (Target::Objects(objects), resource) => {
                let resource = resource.and_then(|resource| resource.as_ref().ok()).cloned();
                let resource = resource.unwrap_or_else(|| {
                    complain(&format!(
                        "warning: the API server has no resource of the name in \"{}\": it is compared as it is typed",
                        escape(&permission.to_string())
                    ));
                    as_typed(objects)
                });
                let own = || Ok(namespace.to_owned());
                Question::objects(permission, objects, &resource, &own, true)?
            }
        };
        named.push(question.attributes);
    }
    Ok(named)
}

fn as_typed(objects: &Objects) -> Resource {
    Resource {
        group: objects.resource.qualifier.clone().unwrap_or_default(),
        plural: objects.resource.name.clone(),
        namespaced: true,
        ..Resource::default()
    }
}

fn message(found: &Found) -> String {
    match (&found.excess, found.code) {
        (None, Code::Ok) => "ok (0): the rules are listed".into(),
        (Some(_), Code::Ok) => "ok (0): nothing beyond what --only names".into(),
        (Some(_), Code::Excess) => "excess (13): more than --only names".into(),
        (_, code) => summary(code),
    }
}

fn json(found: &Found, command: &RulesOf) -> String {
    let mut object = json::object(found.code);
    object.insert("message".into(), message(found).into());
    object.insert("server".into(), command.common.cluster.server.to_string().into());
    object.insert("serverVersion".into(), Value::Null);
    object.insert("namespace".into(), found.namespace.clone().into());
    object.insert("incomplete".into(), found.rules.incomplete.into());
    object.insert("evaluationError".into(), found.rules.error.clone().into());
    object.insert("rules".into(), found.rules.list.iter().map(rule_json).collect());
    if let Some(excess) = &found.excess {
        object.insert("excess".into(), excess.clone().into());
    }
    object.insert("why".into(), found.why.clone().into());
    json::line(object)
}

/// The table as kubectl prints it: each column is three spaces wider than its longest cell.
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
