//! Asks the permissions of one round, one at a time or over several connections if that pays off, and decides the
//! outcome of each.

use std::mem;
use std::rc::Rc;
use std::time::Duration;

use super::crew::{self, Job, Made};
use super::finding::{Asked, Finding, Round, Spec, State};
use super::knocking::knock;
use super::several::Several;
use super::spread::{further, too_late};
use crate::api::access::Kept;
use crate::api::discovery::{self, Resource, Unresolved, Wanted};
use crate::api::status::Answer;
use crate::exit::Code;
use crate::failure::Fault;
use crate::identity::{Bearer, Both};
use crate::knock::{Knock, Question, needs_review};
use crate::permission::{Namespace, Permission, Target};
use crate::time::date::now;
use crate::token::Claims;
use crate::trace::Tracing;
use crate::verdict;
use crate::visit::Visit;

/// Asks all permissions of the spec within `patience`. `known`: what each name meant in an earlier round; the same list
/// for this round is returned. `kept`: what one round passes to the next.
pub fn round(
    spec: &Spec,
    known: &[Named],
    kept: Option<&mut Kept>,
    patience: Duration,
    anonymous_too: bool,
    tracing: Tracing,
) -> Result<(Round, Vec<Named>), Fault> {
    let own_namespace = OwnNamespace::of(spec);
    let visit = Visit::prepare(&spec.cluster, patience, tracing, kept)?;
    let own_namespace = own_namespace?;
    let bearer = visit.bearer;
    let mut findings: Vec<Finding> = spec.permissions.iter().map(unasked).collect();
    if let Some((code, state)) = barred(spec, bearer, visit.claims.as_ref()) {
        for (finding, permission) in findings.iter_mut().zip(&spec.permissions) {
            (finding.code, finding.state) = (code, state.clone());
            finding.phrase = permission.to_string();
        }
        return Ok((Round { findings, bearer, claims: visit.claims, timed_out: false }, Vec::new()));
    }
    let anonymous = !spec.token_only && (anonymous_too || spec.forbid_anonymous || bearer != Bearer::Token);
    let (names, further) = resources(&spec.permissions, known, &visit);
    let mut asker = Asker { spec, visit, further, own_namespace, anonymous };
    let (timed_out, broken) = match asker.ask_all(&names, &mut findings) {
        Ok(()) => (false, None),
        Err(End::Broken(index)) => (false, Some(index)),
        Err(End::TooLate) => (true, None),
        Err(End::Fault(fault)) => return Err(fault),
    };
    conclude(spec, &mut findings, bearer, timed_out, broken);
    Ok((Round { findings, bearer, claims: asker.visit.claims, timed_out }, names))
}

/// The outcome of a round that must not ask anything because of its token: the token is missing, or ends too soon.
fn barred(spec: &Spec, bearer: Bearer, claims: Option<&Claims>) -> Option<(Code, State)> {
    if spec.token_only && bearer == Bearer::None {
        return Some((Code::Anonymous, State::NoToken));
    }
    // Claims are in whole seconds, so the required life is rounded up.
    let least = i64::try_from(spec.min_token_life?.as_millis().div_ceil(1000)).ok()?;
    let left = claims?.ends_within(least, now())?;
    Some((Code::Unauthenticated, State::TokenEnds { left, least }))
}

/// A permission that is not asked yet. Its phrase is set together with the question, or at the end of the round.
fn unasked(permission: &Permission) -> Finding {
    Finding {
        phrase: String::new(),
        expected: permission.expected,
        code: Code::Timeout,
        state: State::NotAsked,
    }
}

/// Records what was asked. A round may have thousands of permissions, so the request, which is not needed again, and
/// the second copy of the phrase are dropped.
fn note(finding: &mut Finding, mut asked: Box<Asked>) {
    finding.phrase = mem::take(&mut asked.question.phrase);
    asked.question.request = None;
    finding.state = State::Asked(asked);
}

/// Sets the code of each finding. The truth table decides for permissions that were asked. All others get the code of
/// what ended the round: the deadline, or a connection that failed under the permission at index `broken`.
fn conclude(spec: &Spec, findings: &mut [Finding], bearer: Bearer, timed_out: bool, broken: Option<usize>) {
    let mut ended_by = None;
    for index in schedule(&spec.permissions) {
        let (Some(finding), Some(permission)) = (findings.get_mut(index), spec.permissions.get(index)) else {
            continue;
        };
        if finding.phrase.is_empty() {
            finding.phrase = permission.to_string();
        }
        if finding.is_own() {
            finding.code = code(finding, bearer, spec.forbid_anonymous);
            if broken.is_none_or(|broken| broken == index) {
                ended_by = Some(finding.code);
            }
        } else if timed_out {
            // The first permission without an answer was being asked when the deadline passed.
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
            verdict::deciding_code(&Ok(Answer::clone(answer)), bearer)
        }
        State::Unresolved(Unresolved::Unknown { silent, .. }) if !silent.is_empty() => Code::Unavailable,
        State::Unresolved(Unresolved::Unknown { .. } | Unresolved::NoSubresource { .. }) => Code::Unserved,
        State::NotAsked | State::NoToken | State::TokenEnds { .. } | State::Late => finding.code,
    }
}

/// The order in which to ask: watches last, because an allowed watch uses up the connection.
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

/// Resolves the name in each permission. Also returns the connections that were opened for this. `known`: the names
/// that an earlier round resolved.
pub fn resources(permissions: &[Permission], known: &[Named], visit: &Visit) -> (Vec<Named>, Vec<Visit>) {
    // Permissions on the same resource mostly follow each other, so sharing with the previous one saves most of the
    // memory.
    let mut latest = None;
    let mut share = |resolved: Result<Resource, Unresolved>| {
        let same = latest.take().filter(|known: &Rc<_>| **known == resolved);
        Rc::clone(latest.insert(same.unwrap_or_else(|| Rc::new(resolved))))
    };
    let mut names = Vec::with_capacity(permissions.len());
    let (mut places, mut to_ask) = (Vec::new(), Vec::new());
    for (at, permission) in permissions.iter().enumerate() {
        let wanted = wanted(permission);
        let known = known.get(at).and_then(Clone::clone);
        let known =
            known.or_else(|| wanted.as_ref().and_then(discovery::known).map(|known| share(Ok(known))));
        if let (Some(wanted), None) = (wanted, &known) {
            places.push(at);
            to_ask.push(wanted);
        }
        names.push(known);
    }
    if to_ask.is_empty() {
        return (names, Vec::new());
    }
    let mut several = Several::new(visit, visit.bearer.deciding());
    let asked = discovery::resolve(&to_ask, &mut |requests| several.send(requests));
    for (at, resolved) in places.into_iter().zip(asked) {
        if let Some(name) = names.get_mut(at) {
            *name = Some(share(resolved));
        }
    }
    (names, several.further)
}

/// The pod's own namespace, which a phrase may need.
enum OwnNamespace {
    /// Every phrase names its namespace.
    Unused,
    Known(String),
    /// The namespace is not known. This becomes a fault only if discovery shows that a phrase needs it.
    Unknown(Fault),
}

impl OwnNamespace {
    /// Fails at once if the namespace is not known and a phrase needs it whose resource is known without discovery.
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
    visit: Visit,
    /// The connections that were opened to resolve names.
    further: Vec<Visit>,
    own_namespace: OwnNamespace,
    anonymous: bool,
}

/// Why the round ends early.
enum End {
    /// The connection failed under the permission at this index: any further request would fail in the same way.
    Broken(usize),
    /// The deadline has passed.
    TooLate,
    Fault(Fault),
}

/// The resource that a permission names, or why it cannot be resolved. `None` for a path.
pub type Named = Option<Rc<Result<Resource, Unresolved>>>;

impl Asker<'_> {
    fn ask_all(&mut self, resources: &[Named], findings: &mut [Finding]) -> Result<(), End> {
        let order = schedule(&self.spec.permissions);
        let mut begun = Vec::new();
        let mut requests = 0;
        for (at, &index) in order.iter().enumerate() {
            let (Some(finding), Some(named)) = (findings.get_mut(index), resources.get(index)) else {
                continue;
            };
            if finding.is_own() {
                continue;
            }
            let knocks = begun.iter_mut().find(|job: &&mut Job| job.index == index);
            let knocks = knocks.map(|job| mem::take(&mut job.asked.knocks)).unwrap_or_default();
            self.ask(index, named, finding, knocks)?;
            let left = order.get(at + 1..).unwrap_or_default();
            // Decide only once, and not by the first request, whose time includes opening the connection.
            if left.is_empty() || requests > 1 {
                continue;
            }
            let Some(Asked { knocks, .. }) = finding.asked() else { continue };
            let made = knocks.iter().count();
            requests += made;
            if requests > 1
                && let Some(Knock { result: Ok(answer), elapsed }) = knocks.iter().last()
                && answer.status != crew::TOO_MANY_REQUESTS
            {
                let (further, round_trip) = (further(*elapsed, left.len(), made), *elapsed);
                if further > 0 {
                    begun = self.ask_side_by_side(further, round_trip, left, resources, findings)?;
                }
            }
        }
        Ok(())
    }

    /// Asks the permissions in `left` over this connection and `further` others. Returns those that are still to be
    /// asked, with the knocks that are already made.
    fn ask_side_by_side(
        &mut self,
        further: usize,
        round_trip: Duration,
        left: &[usize],
        resources: &[Named],
        findings: &mut [Finding],
    ) -> Result<Vec<Job>, End> {
        let spare = self.visit.another();
        let deadline = spare.deadline();
        let late = too_late(round_trip, deadline.left().unwrap_or(Duration::MAX));
        let mut visits = mem::take(&mut self.further);
        visits.resize_with(further, || spare.another());
        visits.push(mem::replace(&mut self.visit, spare));
        // A name whose lookup broke the connection ends the round when its turn comes, so nothing after it is asked.
        let ends = |index: &usize| match resources.get(*index).and_then(Option::as_deref) {
            Some(Err(Unresolved::Failed(failure))) => failure.is_connection(),
            Some(_) | None => false,
        };
        let end = left.iter().position(ends).unwrap_or(left.len());
        let left = left.get(..end).unwrap_or_default();
        let job = |&index: &usize| {
            let asked = self.prepare(index, resources.get(index)?).ok()?;
            Some(Job { index, asked })
        };
        let Made { done, begun, mut visits } = crew::ask(visits, left, &job, self.anonymous, deadline, late);
        for Job { index, asked } in done {
            if let Some(finding) = findings.get_mut(index) {
                note(finding, asked);
            }
        }
        if let Some(visit) = visits.pop() {
            self.visit = visit;
        }
        self.in_time().map(|()| begun)
    }

    /// Asks one permission. `knocks`: those that are already made.
    fn ask(
        &self,
        index: usize,
        named: &Named,
        finding: &mut Finding,
        knocks: Both<Knock>,
    ) -> Result<(), End> {
        self.in_time()?;
        if let Some(Err(why)) = named.as_deref() {
            finding.state = State::Unresolved(why.clone());
            let broken = matches!(why, Unresolved::Failed(failure) if failure.is_connection());
            return if broken { Err(End::Broken(index)) } else { Ok(()) };
        }
        let mut asked = self.prepare(index, named)?;
        asked.knocks = knocks;
        let broken = knock(&self.visit, self.anonymous, &asked.question, &mut asked.knocks);
        note(finding, asked);
        if broken { self.in_time().and(Err(End::Broken(index))) } else { Ok(()) }
    }

    /// Prepares the question for a permission whose name is resolved.
    fn prepare(&self, index: usize, named: &Named) -> Result<Box<Asked>, End> {
        let permission = self.spec.permissions.get(index).ok_or(End::Broken(index))?;
        let resource = named.as_deref().and_then(|resolved| resolved.as_ref().ok());
        let question = match (&permission.target, resource) {
            (Target::Path(path), _) => Question::path(permission, path, self.spec.review),
            (Target::Objects(_), None) => return Err(End::Broken(index)),
            (Target::Objects(objects), Some(resource)) => {
                let own = || self.own_namespace.get();
                Question::objects(permission, objects, resource, &own, self.spec.review)
                    .map_err(End::Fault)?
            }
        };
        Ok(Box::new(Asked { question, knocks: Both::default() }))
    }

    fn in_time(&self) -> Result<(), End> {
        if self.visit.is_over() { Err(End::TooLate) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Cluster, ServiceVariables, Where};

    /// The columns: the token, `--token-only`, `--min-token-life` in seconds, how long the token claims to live, and
    /// the code if nothing is asked.
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
