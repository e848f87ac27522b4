//! Asks the permissions of one round, one after the other, and gives each its outcome.

use std::time::{Duration, Instant};

use super::finding::{Asked, Finding, Round, Spec, State};
use crate::api::access::Kept;
use crate::api::discovery::{self, Resource, Unresolved, Wanted};
use crate::api::refusal::Refusal;
use crate::api::review::is_of;
use crate::api::status::{ANONYMOUS, Answer, Meaning};
use crate::exit::Code;
use crate::failure::{Failure, Fault};
use crate::identity::{Bearer, Both, Identity};
use crate::knock::{Knock, Question, needs_review};
use crate::permission::{Namespace, Permission, Target};
use crate::time::date::now;
use crate::token::Claims;
use crate::trace::Tracing;
use crate::verdict;
use crate::visit::Visit;

/// Asks all of them, in at most `patience`. `known`: what an earlier round found each name to mean; `kept`: what a
/// round passes to the next.
pub fn round(
    spec: &Spec,
    known: &[Option<Resource>],
    kept: Option<&mut Kept>,
    patience: Duration,
    anonymous_too: bool,
    tracing: Tracing,
) -> Result<Round, Fault> {
    let own_namespace = OwnNamespace::of(spec);
    let visit = Visit::prepare(&spec.cluster, patience, tracing, kept)?;
    let own_namespace = own_namespace?;
    let bearer = visit.bearer;
    let mut findings: Vec<Finding> = spec.permissions.iter().map(unasked).collect();
    if let Some((code, state)) = barred(spec, bearer, visit.claims.as_ref()) {
        for finding in &mut findings {
            (finding.code, finding.state) = (code, state.clone());
        }
        return Ok(Round { findings, bearer, claims: visit.claims, timed_out: false });
    }
    let anonymous = !spec.token_only && (anonymous_too || spec.forbid_anonymous || bearer != Bearer::Token);
    let asker = Asker { spec, visit: &visit, known, own_namespace, anonymous };
    let timed_out = match asker.ask_all(&mut findings) {
        Ok(()) | Err(End::Broken) => false,
        Err(End::TooLate) => true,
        Err(End::Fault(fault)) => return Err(fault),
    };
    conclude(spec, &mut findings, bearer, timed_out);
    Ok(Round { findings, bearer, claims: visit.claims, timed_out })
}

/// Why nothing may be asked, if the token itself shows it.
fn barred(spec: &Spec, bearer: Bearer, claims: Option<&Claims>) -> Option<(Code, State)> {
    if spec.token_only && bearer == Bearer::None {
        return Some((Code::Anonymous, State::NoToken));
    }
    // Claims are in whole seconds.
    let least = i64::try_from(spec.min_token_life?.as_millis().div_ceil(1000)).ok()?;
    let left = claims?.ends_within(least, now())?;
    Some((Code::Unauthenticated, State::TokenEnds { left, least }))
}

fn unasked(permission: &Permission) -> Finding {
    Finding {
        phrase: permission.to_string(),
        expected: permission.expected,
        code: Code::Timeout,
        state: State::NotAsked,
    }
}

/// Gives each finding its code: those that were asked by the truth table, the others by what ended
/// the round.
fn conclude(spec: &Spec, findings: &mut [Finding], bearer: Bearer, timed_out: bool) {
    let mut ended_by = None;
    for index in schedule(&spec.permissions) {
        let Some(finding) = findings.get_mut(index) else { continue };
        if finding.is_own() {
            finding.code = code(finding, bearer, spec.forbid_anonymous);
            ended_by = Some(finding.code);
        } else if timed_out {
            // The first that is not done was being asked when the deadline came.
            if ended_by != Some(Code::Timeout) {
                finding.state = State::Late;
            }
            finding.code = Code::Timeout;
            ended_by = Some(Code::Timeout);
        } else {
            finding.code = ended_by.unwrap_or(Code::Unreachable);
        }
    }
}

fn code(finding: &Finding, bearer: Bearer, forbid_anonymous: bool) -> Code {
    match &finding.state {
        State::Asked(asked) => verdict::decide(finding.expected, &asked.knocks, bearer, forbid_anonymous),
        State::Unresolved(Unresolved::Failed(failure)) => failure.code(),
        State::Unresolved(Unresolved::Answered(answer)) => {
            verdict::deciding_code(&Ok(answer.clone()), bearer)
        }
        State::Unresolved(Unresolved::Unknown { silent, .. }) if !silent.is_empty() => Code::Unavailable,
        State::Unresolved(Unresolved::Unknown { .. } | Unresolved::NoSubresource { .. }) => Code::Unserved,
        State::NotAsked | State::NoToken | State::TokenEnds { .. } | State::Late => finding.code,
    }
}

/// The order to ask in: watches last, because an allowed one costs the connection.
fn schedule(permissions: &[Permission]) -> Vec<usize> {
    let watches = |permission: &Permission| permission.verb == "watch" && !needs_review(permission);
    let of_kind = |watch: bool| {
        permissions
            .iter()
            .enumerate()
            .filter(move |(_, permission)| watches(permission) == watch)
            .map(|(at, _)| at)
    };
    of_kind(false).chain(of_kind(true)).collect()
}

fn wanted(permission: &Permission) -> Option<Wanted> {
    match &permission.target {
        Target::Path(_) => None,
        Target::Objects(objects) => Some(Wanted {
            verb: permission.verb.clone(),
            resource: objects.resource.clone(),
            subresource: objects.subresource.clone(),
            exact: permission.exact,
        }),
    }
}

/// What each permission's name means; `None` for a path. `known`: what has been found before.
pub fn resources(
    permissions: &[Permission],
    known: &[Option<Resource>],
    visit: &Visit,
) -> Vec<Option<Result<Resource, Unresolved>>> {
    let wanted: Vec<Option<Wanted>> = permissions.iter().map(wanted).collect();
    let known = wanted.iter().enumerate().map(|(at, wanted)| {
        let known = known.get(at).cloned().flatten();
        known.or_else(|| wanted.as_ref().and_then(discovery::known))
    });
    let known: Vec<Option<Resource>> = known.collect();
    let to_ask: Vec<Wanted> = wanted
        .iter()
        .zip(&known)
        .filter(|(_, known)| known.is_none())
        .filter_map(|(wanted, _)| wanted.clone())
        .collect();
    let mut asked = if to_ask.is_empty() {
        Vec::new().into_iter()
    } else {
        let identity = visit.bearer.deciding();
        discovery::resolve(&to_ask, &mut |request| visit.send(request, identity)).into_iter()
    };
    let resolved = |(wanted, known): (Option<Wanted>, Option<Resource>)| match (wanted, known) {
        (None, _) => None,
        (Some(_), Some(known)) => Some(Ok(known)),
        (Some(_), None) => asked.next(),
    };
    wanted.into_iter().zip(known).map(resolved).collect()
}

/// The pod's own namespace, if a phrase may need it.
enum OwnNamespace {
    /// No phrase leaves its namespace out.
    Unused,
    Known(String),
    /// It is not known, which is a fault once discovery shows that a phrase needs it.
    Unknown(Fault),
}

impl OwnNamespace {
    /// A namespace that is not known is a fault at once where a resource that is known without asking needs it.
    fn of(spec: &Spec) -> Result<OwnNamespace, Fault> {
        let uses_own = |permission: &&Permission| matches!(&permission.target, Target::Objects(objects) if objects.namespace == Namespace::Own);
        let mut users = spec.permissions.iter().filter(uses_own).filter_map(wanted).peekable();
        if users.peek().is_none() {
            return Ok(OwnNamespace::Unused);
        }
        let needs_it = |wanted| discovery::known(&wanted).is_some_and(|resource| resource.namespaced);
        match spec.cluster.namespace() {
            Ok(namespace) => Ok(OwnNamespace::Known(namespace)),
            Err(fault) if users.any(needs_it) => Err(fault),
            Err(fault) => Ok(OwnNamespace::Unknown(fault)),
        }
    }

    fn get(&self) -> Result<String, Fault> {
        match self {
            OwnNamespace::Unused => Ok(String::new()),
            OwnNamespace::Known(namespace) => Ok(namespace.clone()),
            OwnNamespace::Unknown(fault) => Err(fault.clone()),
        }
    }
}

struct Asker<'r> {
    spec: &'r Spec,
    visit: &'r Visit,
    /// Names that an earlier round resolved.
    known: &'r [Option<Resource>],
    own_namespace: OwnNamespace,
    anonymous: bool,
}

/// Why the round ends early.
enum End {
    /// The connection itself failed: asking anything else would fail the same way.
    Broken,
    /// The deadline has come.
    TooLate,
    Fault(Fault),
}

impl Asker<'_> {
    fn ask_all(&self, findings: &mut [Finding]) -> Result<(), End> {
        let resources = resources(&self.spec.permissions, self.known, self.visit);
        for index in schedule(&self.spec.permissions) {
            if let (Some(permission), Some(finding), Some(resource)) =
                (self.spec.permissions.get(index), findings.get_mut(index), resources.get(index))
            {
                self.ask(permission, resource.as_ref(), finding)?;
            }
        }
        Ok(())
    }

    fn ask(
        &self,
        permission: &Permission,
        resource: Option<&Result<Resource, Unresolved>>,
        finding: &mut Finding,
    ) -> Result<(), End> {
        self.in_time()?;
        let question = match (&permission.target, resource) {
            (Target::Path(path), _) => Question::path(permission, path, self.spec.review),
            (Target::Objects(_), None) => return Err(End::Broken),
            (Target::Objects(_), Some(Err(why))) => {
                finding.state = State::Unresolved(why.clone());
                let broken = matches!(why, Unresolved::Failed(failure) if failure.is_connection());
                return if broken { Err(End::Broken) } else { Ok(()) };
            }
            (Target::Objects(objects), Some(Ok(resource))) => {
                let own = || self.own_namespace.get();
                Question::objects(permission, objects, resource, &own, self.spec.review)
                    .map_err(End::Fault)?
            }
        };
        finding.phrase.clone_from(&question.phrase);
        let resource = resource.and_then(|resource| resource.as_ref().ok()).cloned();
        let (knocks, broken) = self.knock(&question);
        finding.state = State::Asked(Box::new(Asked { question, resource, knocks }));
        if broken { self.in_time().and(Err(End::Broken)) } else { Ok(()) }
    }

    /// Makes both knocks, as far as they are required. True if the connection itself failed during one of them.
    fn knock(&self, question: &Question) -> (Both<Knock>, bool) {
        let identities = [
            self.anonymous.then_some(Identity::Anonymous),
            (self.visit.bearer == Bearer::Token).then_some(Identity::Token),
        ];
        let mut knocks = Both::default();
        for identity in identities.into_iter().flatten() {
            let start = Instant::now();
            let sent = self.visit.send(&question.request, identity);
            let mut knock = Knock::finish(sent, &question.shape, start);
            knock.result = self.visit.in_time(knock.result).map(|answer| self.concern(question, answer));
            let broken = knock.result.as_ref().is_err_and(Failure::is_connection);
            knocks.set(identity, knock);
            if broken {
                return (knocks, true);
            }
        }
        (knocks, false)
    }

    /// Marks a refusal that is not about this permission.
    fn concern(&self, question: &Question, answer: Answer) -> Answer {
        let subject = self.visit.claims.as_ref().and_then(|claims| claims.subject.as_deref());
        let is_about = |refusal: &Refusal| match answer.meaning {
            Meaning::Forbidden => question.attributes.is_refused_by(refusal, subject),
            Meaning::ReviewForbidden => refusal.is_of_review() && is_of(subject, refusal),
            Meaning::Granted
            | Meaning::Denied
            | Meaning::NotFound
            | Meaning::OtherForbidden
            | Meaning::Conditional
            | Meaning::Unauthenticated
            | Meaning::Unserved
            | Meaning::Unavailable
            | Meaning::Unintelligible => true,
        };
        let refusal = Refusal::parse(&answer.reason).filter(|refusal| refusal.user != ANONYMOUS);
        if refusal.is_some_and(|refusal| !is_about(&refusal)) {
            return Answer { meaning: Meaning::OtherForbidden, ..answer };
        }
        answer
    }

    fn in_time(&self) -> Result<(), End> {
        if self.visit.is_over() { Err(End::TooLate) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Cluster, ServiceVariables, Where};

    /// The token, `--token-only`, `--min-token-life` in seconds, how long the token claims to live, and the code
    /// if nothing is asked.
    #[test]
    fn what_the_token_itself_bars() {
        use Bearer::{None as NoToken, Token};
        for (bearer, token_only, least, life, code) in [
            (Token, false, None, Some(10), None),
            (Token, false, None, Some(-10), None),
            (Token, false, Some(60), Some(3600), None),
            (Token, false, Some(60), Some(10), Some(Code::Unauthenticated)),
            (Token, false, Some(60), Some(-10), Some(Code::Unauthenticated)),
            (Token, true, Some(60), Some(10), Some(Code::Unauthenticated)),
            (Token, true, Some(60), Some(3600), None),
            (Token, false, Some(60), None, None),
            (NoToken, false, Some(60), None, None),
            (NoToken, true, Some(60), None, Some(Code::Anonymous)),
            (NoToken, true, None, None, Some(Code::Anonymous)),
        ] {
            let cluster = Cluster::resolve(Where::default(), &ServiceVariables::default()).unwrap();
            let spec = Spec {
                cluster,
                permissions: Vec::new(),
                review: false,
                token_only,
                forbid_anonymous: false,
                min_token_life: least.map(Duration::from_secs),
            };
            let claims = life.map(|life| Claims { expires: Some(now() + life), ..Claims::default() });
            let found = barred(&spec, bearer, claims.as_ref()).map(|(code, _)| code);
            assert_eq!(found, code, "{bearer:?} {token_only} {least:?} {life:?}");
        }
    }
}
