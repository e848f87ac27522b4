//! `whoami`: which user the API server names, without and with the token, and what the token claims.

use serde_json::{Map, Value, json};

use super::{Common, end, visit_context};
use crate::api::review::User;
use crate::cluster::Cluster;
use crate::exit::Code;
use crate::explain;
use crate::failure::Fault;
use crate::identity::{Bearer, Both};
use crate::recognition::{Recognition, recognize};
use crate::report::{Format, json, print, summary};
use crate::text::escape;
use crate::time::date::{now, time};
use crate::time::duration::span;
use crate::token::Claims;

/// The settings of `whoami`.
#[derive(Debug)]
pub struct Whoami {
    /// Which API server, and how to show what it names.
    pub common: Common,
}

/// What was found.
struct Found {
    bearer: Bearer,
    claims: Option<Claims>,
    recognized: Both<Recognition>,
    code: Code,
    why: Vec<String>,
}

/// Runs it.
#[inline(never)]
pub fn run(whoami: &Whoami) -> Code {
    let shown = find(whoami).map(|found| {
        print(&match whoami.common.output {
            Format::Text => text(&found, &whoami.common.cluster),
            Format::Json => json(&found, &whoami.common.cluster),
        });
        found.code
    });
    end(shown, whoami.common.output)
}

fn find(whoami: &Whoami) -> Result<Found, Fault> {
    let visit = whoami.common.visit()?;
    let mut recognized = Both::default();
    for identity in visit.identities() {
        let Recognition { user, result } = recognize(&mut |request| visit.send(request, identity));
        let result = visit.in_time(result);
        let found = Recognition { user: user.filter(|_| result.is_ok()), result };
        let broken = matches!(&found.result, Err(failure) if failure.is_connection());
        recognized.set(identity, found);
        if broken {
            break;
        }
    }
    let deciding = recognized.deciding(visit.bearer).cloned();
    let deciding = deciding.unwrap_or_else(|| Recognition { user: None, result: Err(visit.too_late()) });
    let code = deciding.code(visit.bearer);
    let context = visit_context(&visit, &whoami.common.cluster);
    let why = explain::request(code, &deciding.result, context);
    Ok(Found { bearer: visit.bearer, claims: visit.claims, recognized, code, why })
}

/// Aligned like `kubectl auth whoami` and `kubectl describe`.
fn text(found: &Found, cluster: &Cluster) -> String {
    let mut lines = Vec::new();
    if let Some(lender) = cluster.source().lender() {
        lines.push(format!("mount      {}: {lender}", escape(&cluster.mount().display().to_string())));
    }
    let without = if found.bearer == Bearer::Plain { "proxy" } else { "anonymous" };
    lines.extend(identity_lines(without, found.recognized.anonymous.as_ref(), found.claims.as_ref()));
    if found.bearer == Bearer::Token {
        lines.extend(identity_lines("token", found.recognized.token.as_ref(), found.claims.as_ref()));
    }
    if let Some(claims) = &found.claims {
        lines.push("claims     what the token says about itself, unverified".into());
        lines.extend(claim_rows(claims, now()).into_iter().map(|(name, value)| row(name, &value)));
    }
    lines.extend(found.why.iter().map(|why| escape(why)));
    lines.push(message(found.code));
    lines.join("\n") + "\n"
}

fn message(code: Code) -> String {
    match code {
        Code::Ok => "ok (0): the API server accepts the identity".into(),
        code => summary(code),
    }
}

fn row(name: &str, value: &str) -> String {
    format!("  {name:13} {}", escape(value))
}

fn identity_lines(who: &str, found: Option<&Recognition>, claims: Option<&Claims>) -> Vec<String> {
    let claimed = claims.and_then(|claims| claims.subject.as_deref()).filter(|_| who == "token");
    let name = found.and_then(Recognition::name);
    let head = match (name, found.map(|found| &found.result), claimed) {
        (Some(name), ..) => name.to_owned(),
        (None, Some(Ok(answer)), _) if answer.status == 401 => "rejected (401)".into(),
        (None, Some(Ok(answer)), Some(claimed)) if answer.status < 429 => {
            format!("{claimed} (claimed by the token, not confirmed by the API server)")
        }
        (None, Some(Ok(answer)), _) => format!("unknown (status {})", answer.status),
        (None, Some(Err(failure)), _) => format!("unknown ({})", failure.code().name()),
        (None, None, _) => "not asked".into(),
    };
    let mut lines = vec![format!("{who:10} {}", escape(&head))];
    if let Some(user) = found.and_then(|found| found.user.as_ref()) {
        lines.extend(user.uid.iter().map(|uid| row("uid", uid)));
        if !user.groups.is_empty() {
            lines.push(row("groups", &user.groups.join(", ")));
        }
        for (key, values) in &user.extra {
            let key = key.strip_prefix("authentication.kubernetes.io/").unwrap_or(key);
            lines.push(row(&escape(key), &values.join(", ")));
        }
    } else if name.is_some() && who != "anonymous" {
        lines.push(row("source", "a refusal: this API server does not answer SelfSubjectReview"));
    }
    lines
}

/// Names and values of all claims there are; `now` in seconds since 1970.
pub fn claim_rows(claims: &Claims, now: i64) -> Vec<(&'static str, String)> {
    let until = |at: i64| {
        if at > now {
            format!("in {}", span(at.saturating_sub(now)))
        } else {
            format!("{} ago", span(now.saturating_sub(at)))
        }
    };
    let when = |at: i64| format!("{} ({})", until(at), time(at));
    let rows = [
        ("issuer", claims.issuer.clone()),
        ("audiences", (!claims.audiences.is_empty()).then(|| claims.audiences.join(", "))),
        ("subject", claims.subject.clone()),
        ("pod", claims.pod.clone()),
        ("node", claims.node.clone()),
        ("issued", claims.issued.map(when)),
        ("expires", claims.expires.map(when)),
        ("warn after", claims.warn_after.map(when)),
    ];
    rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn json(found: &Found, cluster: &Cluster) -> String {
    let mut object = json::object(found.code);
    object.insert("message".into(), message(found.code).into());
    object.insert("server".into(), cluster.server.to_string().into());
    object.insert("serverVersion".into(), Value::Null);
    object.insert("mount".into(), cluster.mount().display().to_string().into());
    let confirmed = |found: &Recognition| found.name().map(|name| (name.to_owned(), "server"));
    let deciding = found.recognized.deciding(found.bearer);
    let sent = found.claims.as_ref().filter(|_| found.bearer == Bearer::Token);
    let claimed = || Some((sent?.subject.clone()?, "token"));
    let identity = deciding.and_then(confirmed).or_else(claimed);
    let identity = identity.map(|(user, source)| json!({ "user": user, "source": source }));
    object.insert("identity".into(), identity.unwrap_or(Value::Null));
    object.insert("anonymous".into(), recognition(found.recognized.anonymous.as_ref()));
    object.insert("token".into(), recognition(found.recognized.token.as_ref()));
    object.insert(
        "claims".into(),
        found.claims.as_ref().map_or(Value::Null, |claims| claims_json(claims, now())),
    );
    object.insert("why".into(), found.why.clone().into());
    json::line(object)
}

/// The claims as JSON; times in seconds since 1970, `expiresIn` in seconds.
pub fn claims_json(claims: &Claims, now: i64) -> Value {
    json!({
        "issuer": claims.issuer,
        "audiences": claims.audiences,
        "subject": claims.subject,
        "pod": claims.pod,
        "node": claims.node,
        "issued": claims.issued,
        "expires": claims.expires,
        "expiresIn": claims.expires.map(|expires| expires.saturating_sub(now)),
        "warnAfter": claims.warn_after,
    })
}

fn recognition(found: Option<&Recognition>) -> Value {
    let Some(found) = found else { return Value::Null };
    let (status, reason) = match &found.result {
        Ok(answer) => (Some(answer.status), answer.reason.to_string()),
        Err(failure) => (None, failure.text().to_owned()),
    };
    let source = match (&found.user, found.name()) {
        (Some(_), _) => Some("review"),
        (None, Some(_)) => Some("refusal"),
        (None, None) => None,
    };
    json!({
        "status": status,
        "user": found.name(),
        "confirmed": found.name().is_some(),
        "source": source,
        "uid": found.user.as_ref().and_then(|user| user.uid.clone()),
        "groups": found.user.as_ref().map(|user| user.groups.clone()),
        "extra": found.user.as_ref().map(extra),
        "reason": reason,
    })
}

fn extra(user: &User) -> Value {
    let extra: Map<String, Value> =
        user.extra.iter().map(|(key, values)| (key.clone(), values.clone().into())).collect();
    Value::Object(extra)
}
