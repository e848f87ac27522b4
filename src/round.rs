//! One round: every permission asked, both knocks, over one connection, within a deadline.
//!
//! What has been learnt by the deadline is the round's result.

use std::time::{Duration, Instant, SystemTime};

use crate::api::discovery::{self, Resource, Unresolved, Wanted};
use crate::api::status::{Answer, Asked};
use crate::cluster::Cluster;
use crate::exit::Code;
use crate::failure::Fault;
use crate::knock::{Identity, Knock, Question, needs_review};
use crate::pace::retry_after;
use crate::permission::{Expected, Namespace, Permission, Target};
use crate::token::Claims;
use crate::verdict::{self, Bearer};
use crate::visit::{Tracing, Visit};

/// What to ask, and by which rules.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whom.
    pub cluster: Cluster,
    /// In the order given.
    pub permissions: Vec<Permission>,
    /// `--review`.
    pub review: bool,
    /// `--token-only`.
    pub token_only: bool,
    /// `--forbid-anonymous`.
    pub forbid_anonymous: bool,
}

/// What one permission came to.
#[derive(Clone, Debug)]
pub struct Finding {
    /// As asked; as typed where it was not resolved.
    pub phrase: String,
    /// Wanted or unwanted.
    pub expected: Expected,
    /// The outcome.
    pub code: Code,
    /// False: another one's failure stands for it.
    pub asked: bool,
    /// The question, once its names were resolved.
    pub question: Option<Question>,
    /// What its name means, once that is known.
    pub resource: Option<Resource>,
    /// The knock without the token.
    pub anonymous: Option<Knock>,
    /// The knock with it.
    pub token: Option<Knock>,
    /// Why its name has no resource.
    pub unresolved: Option<Unresolved>,
}

/// What a round came to.
#[derive(Clone, Debug)]
pub struct Round {
    /// One a permission, in the order given.
    pub findings: Vec<Finding>,
    /// Whether a token went with it.
    pub bearer: Bearer,
    /// What the token says of itself.
    pub claims: Option<Claims>,
    /// The round was not completed.
    pub timed_out: bool,
}

impl Round {
    /// The longest `Retry-After` of the deciding answers.
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let answers = self.findings.iter().filter_map(|finding| match &finding.unresolved {
            Some(Unresolved::Answered(answer)) => Some(answer),
            _ => deciding_answer(finding, self.bearer),
        });
        answers.filter_map(|answer| retry_after(answer.retry_after.as_deref()?, now)).max()
    }

    /// Who the API server takes the deciding knocks for, in its own words.
    pub fn user(&self) -> Option<&str> {
        self.findings.iter().find_map(|finding| {
            let deciding = if self.bearer == Bearer::Token { &finding.token } else { &finding.anonymous };
            deciding.as_ref()?.result.as_ref().ok()?.user.as_deref()
        })
    }

    /// Who to grant to: the server's word, else the token's.
    pub fn subject(&self) -> Option<&str> {
        self.user().or_else(|| self.claims.as_ref()?.subject.as_deref())
    }
}

/// Rounds of the same order. The first makes both knocks; later ones only those that decide, and look
/// up only the names that have no resource yet.
#[derive(Debug)]
pub struct Rounds {
    /// What is asked.
    pub order: Order,
    /// How many rounds there were.
    pub made: u32,
    resources: Vec<Option<Resource>>,
    anonymous: Vec<Option<Knock>>,
}

impl Rounds {
    /// None was made yet.
    pub fn new(order: Order) -> Rounds {
        let count = order.permissions.len();
        Rounds { made: 0, resources: vec![None; count], anonymous: vec![None; count], order }
    }

    /// Makes a round, in at most `patience`. Faults are found before anything is asked, but for a
    /// namespace that only discovery shows to be needed.
    pub fn next(&mut self, patience: Duration, tracing: Tracing) -> Result<Round, Fault> {
        let first = self.made == 0;
        // Warnings about the setup are told once.
        let tracing = Tracing { warnings: tracing.warnings && first, ..tracing };
        // The anonymous knock is repeated until it has been answered, unless that would take the token's time again.
        let open = |knock: &Option<Knock>| {
            knock
                .as_ref()
                .is_some_and(|knock| matches!(&knock.result, Err(failure) if failure.code() != Code::Timeout))
        };
        let anonymous_too = first || self.anonymous.iter().any(open);
        let mut round = run(&self.order, &self.resources, patience, anonymous_too, tracing)?;
        self.made = self.made.saturating_add(1);
        // Unserved: a resource may have gone, and come back elsewhere.
        let keep =
            |finding: &Finding| if finding.code == Code::Unserved { None } else { finding.resource.clone() };
        self.resources = round.findings.iter().map(keep).collect();
        for (finding, known) in round.findings.iter_mut().zip(&mut self.anonymous) {
            match &finding.anonymous {
                Some(_) => known.clone_from(&finding.anonymous),
                None => finding.anonymous.clone_from(known),
            }
        }
        Ok(round)
    }
}

fn run(
    order: &Order,
    resources: &[Option<Resource>],
    patience: Duration,
    anonymous_too: bool,
    tracing: Tracing,
) -> Result<Round, Fault> {
    let own_namespace = own_namespace(order);
    let visit = Visit::prepare(&order.cluster, patience, tracing)?;
    let own_namespace = own_namespace?;
    let bearer = visit.bearer;
    let mut findings: Vec<Finding> = order.permissions.iter().map(unasked).collect();
    if order.token_only && bearer == Bearer::None {
        for finding in &mut findings {
            finding.code = Code::Anonymous;
        }
        return Ok(Round { findings, bearer, claims: visit.claims, timed_out: false });
    }
    let anonymous = !order.token_only && (anonymous_too || order.forbid_anonymous || bearer != Bearer::Token);
    let asker = Asker { order, visit: &visit, known: resources, own_namespace, anonymous };
    let end = asker.ask_all(&mut findings);
    if let Err(End::Fault(fault)) = end {
        return Err(fault);
    }
    let timed_out = matches!(end, Err(End::TooLate));
    conclude(order, &mut findings, bearer, timed_out);
    Ok(Round { findings, bearer, claims: visit.claims, timed_out })
}

fn unasked(permission: &Permission) -> Finding {
    Finding {
        phrase: permission.to_string(),
        expected: permission.expected,
        code: Code::Timeout,
        asked: false,
        question: None,
        resource: None,
        anonymous: None,
        token: None,
        unresolved: None,
    }
}

/// Gives each finding its code: those that were asked by the truth table, the others by what ended
/// the round.
fn conclude(order: &Order, findings: &mut [Finding], bearer: Bearer, timed_out: bool) {
    let mut ended_by = None;
    for index in asking_order(&order.permissions) {
        let Some(finding) = findings.get_mut(index) else { continue };
        if finding.asked {
            finding.code = code(finding, bearer, order.forbid_anonymous);
            ended_by = Some(finding.code);
        } else if timed_out {
            // The first that is not done was being asked when the deadline came.
            finding.asked = ended_by != Some(Code::Timeout);
            finding.code = Code::Timeout;
            ended_by = Some(Code::Timeout);
        } else {
            finding.code = ended_by.unwrap_or(Code::Unreachable);
        }
    }
}

fn code(finding: &Finding, bearer: Bearer, forbid_anonymous: bool) -> Code {
    let anonymous = finding.anonymous.as_ref().map(|knock| &knock.result);
    let token = finding.token.as_ref().map(|knock| &knock.result);
    match &finding.unresolved {
        None => verdict::decide(finding.expected, anonymous, token, bearer, forbid_anonymous),
        Some(Unresolved::Failed(failure)) => failure.code(),
        Some(Unresolved::Answered(answer)) => verdict::deciding_code(&Ok(answer.clone()), bearer),
        Some(Unresolved::Unknown { silent, .. }) if !silent.is_empty() => Code::Unavailable,
        Some(Unresolved::Unknown { .. }) => Code::Unserved,
    }
}

/// Watches last: an allowed one costs the connection.
fn asking_order(permissions: &[Permission]) -> Vec<usize> {
    let watches = |permission: &Permission| permission.verb == "watch" && !needs_review(permission);
    let of_kind = |wanted: bool| {
        permissions
            .iter()
            .enumerate()
            .filter(move |(_, permission)| watches(permission) == wanted)
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
        }),
    }
}

/// The pod's own namespace, if a phrase may need it. Missing, it is a fault at once where a known resource
/// needs it, and later where discovery decides.
fn own_namespace(order: &Order) -> Result<Result<String, String>, Fault> {
    let uses_own = |permission: &&Permission| matches!(&permission.target, Target::Objects(objects) if objects.namespace == Namespace::Own);
    let mut users = order.permissions.iter().filter(uses_own).filter_map(wanted).peekable();
    if users.peek().is_none() {
        return Ok(Err(String::new()));
    }
    match order.cluster.namespace() {
        Ok(namespace) => Ok(Ok(namespace)),
        Err(fault)
            if users.any(|wanted| discovery::known(&wanted).is_some_and(|resource| resource.namespaced)) =>
        {
            Err(fault)
        }
        Err(fault) => Ok(Err(fault.text().to_owned())),
    }
}

struct Asker<'r> {
    order: &'r Order,
    visit: &'r Visit,
    /// Names that an earlier round resolved.
    known: &'r [Option<Resource>],
    own_namespace: Result<String, String>,
    anonymous: bool,
}

/// Why nothing more can be asked.
enum End {
    /// The connection itself failed: asking anything else would fail the same way.
    Broken,
    /// The deadline has come.
    TooLate,
    Fault(Fault),
}

impl Asker<'_> {
    fn ask_all(&self, findings: &mut [Finding]) -> Result<(), End> {
        let resources = self.resources();
        for index in asking_order(&self.order.permissions) {
            if let (Some(permission), Some(finding), Some(resource)) =
                (self.order.permissions.get(index), findings.get_mut(index), resources.get(index))
            {
                self.ask(permission, resource.as_ref(), finding)?;
            }
        }
        Ok(())
    }

    /// What each permission's name means; `None` for a path.
    fn resources(&self) -> Vec<Option<Result<Resource, Unresolved>>> {
        let wanted: Vec<Option<Wanted>> = self.order.permissions.iter().map(wanted).collect();
        let known = |(wanted, known): (&Option<Wanted>, &Option<Resource>)| {
            known.clone().or_else(|| wanted.as_ref().and_then(discovery::known))
        };
        let known: Vec<Option<Resource>> = wanted.iter().zip(self.known).map(known).collect();
        let to_ask: Vec<Wanted> = wanted
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .filter_map(|(wanted, _)| wanted.clone())
            .collect();
        let mut asked = if to_ask.is_empty() {
            Vec::new().into_iter()
        } else {
            let identity = self.visit.deciding();
            discovery::resolve(&to_ask, &mut |request| self.visit.send(request, identity)).into_iter()
        };
        let resolved = |(wanted, known): (Option<Wanted>, Option<Resource>)| match (wanted, known) {
            (None, _) => None,
            (Some(_), Some(known)) => Some(Ok(known)),
            (Some(_), None) => asked.next(),
        };
        wanted.into_iter().zip(known).map(resolved).collect()
    }

    fn ask(
        &self,
        permission: &Permission,
        resource: Option<&Result<Resource, Unresolved>>,
        finding: &mut Finding,
    ) -> Result<(), End> {
        self.in_time()?;
        let question = match (&permission.target, resource) {
            (Target::Path(path), _) => Question::path(permission, path, self.order.review),
            (Target::Objects(_), None) => return Err(End::Broken),
            (Target::Objects(_), Some(Err(why))) => {
                finding.asked = true;
                finding.unresolved = Some(why.clone());
                let broken = matches!(why, Unresolved::Failed(failure) if failure.is_connection());
                return if broken { Err(End::Broken) } else { Ok(()) };
            }
            (Target::Objects(objects), Some(Ok(resource))) => {
                let own = || self.own_namespace.clone();
                Question::objects(permission, objects, resource, own, self.order.review)
                    .map_err(|why| End::Fault(Fault::Setup(why)))?
            }
        };
        finding.phrase.clone_from(&question.phrase);
        finding.resource = resource.and_then(|resource| resource.as_ref().ok()).cloned();
        let question = finding.question.insert(question);
        let identities = [
            self.anonymous.then_some(Identity::Anonymous),
            (self.visit.bearer == Bearer::Token).then_some(Identity::Token),
        ];
        let mut broken = false;
        for identity in identities.into_iter().flatten() {
            let start = Instant::now();
            let sent = self.visit.send(&question.request, identity);
            let mut knock = Knock::finish(sent, &question.asked, start);
            knock.result = self.visit.in_time(knock.result);
            broken = matches!(&knock.result, Err(failure) if failure.is_connection());
            match identity {
                Identity::Anonymous => finding.anonymous = Some(knock),
                Identity::Token => finding.token = Some(knock),
            }
            if broken {
                break;
            }
        }
        finding.asked = true;
        if broken { self.in_time().and(Err(End::Broken)) } else { Ok(()) }
    }

    fn in_time(&self) -> Result<(), End> {
        if self.visit.is_over() { Err(End::TooLate) } else { Ok(()) }
    }
}

/// True if the review is what was answered, so that a plain "no" has no HTTP status of its own.
pub fn by_review(finding: &Finding) -> bool {
    finding.question.as_ref().is_some_and(|question| question.asked == Asked::Review)
}

/// The deciding answer, if there is one.
pub fn deciding_answer(finding: &Finding, bearer: Bearer) -> Option<&Answer> {
    let knock = if bearer == Bearer::Token { &finding.token } else { &finding.anonymous };
    knock.as_ref()?.result.as_ref().ok()
}
