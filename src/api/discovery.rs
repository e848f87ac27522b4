//! Resource names to group, version, plural and scope, as kubectl resolves them.
//!
//! The core group's resources are known without asking. For others the aggregated documents are
//! asked for (Kubernetes 1.27 and later: one request), and the older ones are read where the server
//! answers with those. Documents are read as streams that keep only what was asked for.

use std::cell::Cell;
use std::io::{self, BufReader, Read};

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::json::{self, Sparing};
use super::status::{Answer, Shape};
use super::{LARGEST_BODY, Reply, Request, failure_of_io, io_of_failure, status};
use crate::failure::Failure;
use crate::permission::ResourceName;
use crate::token::Token;

/// Aggregated discovery, v2 (1.30) and v2beta1 (1.27), with the older documents behind them.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// No piece of a document (a resource, a key) may be larger, in bytes; real resources have less than 2 KiB.
/// The whole may be of any length.
const LARGEST_PIECE: usize = 32 * 1024;

/// How many groups that do not answer are named.
const SILENT_GROUPS: usize = 10;

/// How many names are offered for an unknown one.
const OFFERS: usize = 3;

/// A resource as the API server serves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// The API group, empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The plural, as it stands in URLs and rules.
    pub plural: String,
    /// False: cluster-scoped.
    pub namespaced: bool,
    /// The verbs it serves (the subresource's, where one was asked for); empty if unknown.
    pub verbs: Vec<String>,
}

/// A name to resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What is to be done with it: some verbs are for resources that are in rules only.
    pub verb: String,
    /// As typed.
    pub resource: ResourceName,
    /// The subresource, which has to be served too.
    pub subresource: Option<String>,
}

/// Why a name has no resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// The discovery request got no answer.
    Failed(Failure),
    /// The discovery request was answered with something else.
    Answered(Answer),
    /// The server serves nothing of that name.
    Unknown {
        /// Names that are close.
        nearest: Vec<String>,
        /// Groups whose server did not answer: the name may be one of theirs.
        silent: Vec<String>,
    },
}

/// Plural, kind in lower case (which is the singular), short names, namespaced, subresources: the
/// core group as every server since 1.20 serves it (`kubectl api-resources --api-group=""`).
type CoreRow = (&'static str, &'static str, &'static [&'static str], bool, &'static [&'static str]);

const CORE: [CoreRow; 17] = [
    ("bindings", "binding", &[], true, &[]),
    ("componentstatuses", "componentstatus", &["cs"], false, &[]),
    ("configmaps", "configmap", &["cm"], true, &[]),
    ("endpoints", "endpoints", &["ep"], true, &[]),
    ("events", "event", &["ev"], true, &[]),
    ("limitranges", "limitrange", &["limits"], true, &[]),
    ("namespaces", "namespace", &["ns"], false, &["finalize", "status"]),
    ("nodes", "node", &["no"], false, &["proxy", "status"]),
    ("persistentvolumeclaims", "persistentvolumeclaim", &["pvc"], true, &["status"]),
    ("persistentvolumes", "persistentvolume", &["pv"], false, &["status"]),
    (
        "pods",
        "pod",
        &["po"],
        true,
        &["attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "status"],
    ),
    ("podtemplates", "podtemplate", &[], true, &[]),
    ("replicationcontrollers", "replicationcontroller", &["rc"], true, &["scale", "status"]),
    ("resourcequotas", "resourcequota", &["quota"], true, &["status"]),
    ("secrets", "secret", &[], true, &[]),
    ("serviceaccounts", "serviceaccount", &["sa"], true, &["token"]),
    ("services", "service", &["svc"], true, &["proxy", "status"]),
];

/// Verb, plural and group of what rules speak of and no server lists (kubernetes.io, "User
/// impersonation", "Certificate signing requests").
const IN_RULES_ONLY: [(&str, &str, &str); 7] = [
    ("impersonate", "users", ""),
    ("impersonate", "groups", ""),
    ("impersonate", "uids", "authentication.k8s.io"),
    ("impersonate", "userextras", "authentication.k8s.io"),
    ("approve", "signers", "certificates.k8s.io"),
    ("sign", "signers", "certificates.k8s.io"),
    ("attest", "signers", "certificates.k8s.io"),
];

fn core_row(name: &str) -> Option<&'static CoreRow> {
    let name = name.to_ascii_lowercase();
    CORE.iter().find(|(plural, singular, short, ..)| {
        name == *plural || name == *singular || short.contains(&name.as_str())
    })
}

/// Resolves a name without asking: the core group, `*`, and what is in rules only.
pub fn known(wanted: &Wanted) -> Option<Resource> {
    let ResourceName { name, qualifier } = &wanted.resource;
    if name == "*" {
        let group = qualifier.clone().unwrap_or_else(|| "*".into());
        return Some(Resource {
            group,
            version: "*".into(),
            plural: "*".into(),
            namespaced: true,
            verbs: Vec::new(),
        });
    }
    let in_rules = |(verb, plural, group): &&(&str, &str, &str)| {
        wanted.verb == *verb
            && name == plural
            && qualifier.as_deref().is_none_or(|qualifier| qualifier == *group)
    };
    if let Some((_, plural, group)) = IN_RULES_ONLY.iter().find(in_rules) {
        return Some(Resource { group: (*group).into(), plural: (*plural).into(), ..Resource::default() });
    }
    if qualifier.is_some() {
        return None;
    }
    let (plural, _, _, namespaced, subresources) = core_row(name)?;
    let served = |subresource: &String| subresource == "*" || subresources.contains(&subresource.as_str());
    wanted.subresource.as_ref().is_none_or(served).then(|| Resource {
        version: "v1".into(),
        plural: (*plural).into(),
        namespaced: *namespaced,
        ..Resource::default()
    })
}

/// Whether this is a subresource of a resource of the core group, where `RESOURCE/NAME` may have been meant as
/// rules have it: `pods/log`.
pub fn is_core_subresource(resource: &Resource, name: &str) -> bool {
    let row = core_row(&resource.plural).filter(|_| resource.group.is_empty());
    row.is_some_and(|(.., subresources)| subresources.contains(&name))
}

/// Resolves names by asking: `send` sends a request as the identity that asks. At most two requests on
/// a server with aggregated discovery.
pub fn resolve(
    wanted: &[Wanted],
    send: &mut dyn FnMut(&Request) -> Result<Reply, Failure>,
) -> Vec<Result<Resource, Unresolved>> {
    let mut search = Search::new(wanted);
    let asked = search.ask_groups(send).and_then(|()| search.ask_core(send));
    search.results(asked.err().as_ref())
}

/// How well a resource fits a wanted name: an exact group before a prefix of one, a name before a
/// short name. Among equals the first one served wins: servers list groups as kubectl prefers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    whole_group: bool,
    whole_name: bool,
}

const PERFECT: Fit = Fit { whole_group: true, whole_name: true };

/// One resource of a discovery document.
#[derive(Debug, Default)]
struct Candidate {
    plural: String,
    /// Singular, and kind in lower case.
    singulars: Vec<String>,
    short_names: Vec<String>,
    namespaced: bool,
    verbs: Vec<String>,
    /// Subresources and their verbs.
    subresources: Vec<(String, Vec<String>)>,
}

struct Hit {
    fit: Fit,
    resource: Resource,
    /// False while the wanted subresource has not been seen.
    whole: bool,
}

struct Search<'w> {
    wanted: &'w [Wanted],
    hits: Vec<Option<Hit>>,
    nearest: Vec<Vec<(usize, String)>>,
    /// Groups and versions whose server did not answer.
    silent: Vec<(String, String)>,
}

impl<'w> Search<'w> {
    fn new(wanted: &'w [Wanted]) -> Search<'w> {
        Search {
            wanted,
            hits: wanted.iter().map(|_| None).collect(),
            nearest: vec![Vec::new(); wanted.len()],
            silent: Vec::new(),
        }
    }

    fn results(self, failed: Option<&Unresolved>) -> Vec<Result<Resource, Unresolved>> {
        let silent = self.silent;
        self.hits
            .into_iter()
            .zip(self.nearest)
            .zip(self.wanted)
            .map(|((hit, nearest), wanted)| match hit {
                Some(Hit { resource, whole: true, .. }) => Ok(resource),
                _ => Err(failed.cloned().unwrap_or_else(|| Unresolved::Unknown {
                    nearest: nearest.into_iter().map(|(_, name)| name).collect(),
                    silent: silent
                        .iter()
                        .filter(|(group, version)| group_fit(&wanted.resource, group, version).is_some())
                        .map(|(group, _)| group.clone())
                        .collect(),
                })),
            })
            .collect()
    }

    /// The wanted names that `accept` and that have no perfect hit yet.
    fn open(&self, accept: impl Fn(&Wanted) -> bool) -> bool {
        self.wanted.iter().zip(&self.hits).any(|(wanted, hit)| {
            accept(wanted) && !hit.as_ref().is_some_and(|hit| hit.whole && hit.fit == PERFECT)
        })
    }

    /// The groups: `/apis`, and on older servers each group's documents.
    fn ask_groups(
        &mut self,
        send: &mut dyn FnMut(&Request) -> Result<Reply, Failure>,
    ) -> Result<(), Unresolved> {
        let in_core = |wanted: &Wanted| {
            wanted.resource.qualifier.is_none() && core_row(&wanted.resource.name).is_some()
        };
        if !self.open(|wanted| !in_core(wanted)) {
            return Ok(());
        }
        let request = Request { accept: AGGREGATED, ..Request::get("/apis") };
        let Document::Older(groups) = self.read(send(&request).map_err(Unresolved::Failed)?, "", "")? else {
            return Ok(());
        };
        for group in groups.get("groups").and_then(Value::as_array).into_iter().flatten() {
            let name = group.get("name").and_then(Value::as_str).unwrap_or_default();
            let versions = versions_of(group);
            if !is_plain(name) || !versions.iter().all(|version| is_plain(version)) {
                continue;
            }
            for version in &versions {
                let wanted_here = |wanted: &Wanted| {
                    !in_core(wanted) && group_fit(&wanted.resource, name, version).is_some()
                };
                if !self.open(wanted_here) {
                    continue;
                }
                let reply =
                    send(&Request::get(format!("/apis/{name}/{version}"))).map_err(Unresolved::Failed)?;
                if reply.status() == 200 {
                    self.read(reply, name, version)?;
                } else {
                    // The group's server is down; the rest of the cluster still resolves.
                    self.note_silent(name, version);
                    reply.drain().map_err(Unresolved::Failed)?;
                }
            }
        }
        Ok(())
    }

    /// The core group, for what the table does not know: `/api`, on older servers `/api/v1`.
    fn ask_core(
        &mut self,
        send: &mut dyn FnMut(&Request) -> Result<Reply, Failure>,
    ) -> Result<(), Unresolved> {
        for (name, singular, short, ..) in CORE {
            let singulars = vec![singular.to_owned()];
            let short_names = short.iter().map(|&name| name.to_owned()).collect();
            self.note_nearest(
                "",
                &Candidate { plural: name.into(), singulars, short_names, ..Candidate::default() },
            );
        }
        let unfound = self.wanted.iter().zip(&self.hits).any(|(wanted, hit)| {
            wanted.resource.qualifier.is_none() && !hit.as_ref().is_some_and(|hit| hit.whole)
        });
        if !unfound {
            return Ok(());
        }
        let request = Request { accept: AGGREGATED, ..Request::get("/api") };
        if let Document::Older(_) = self.read(send(&request).map_err(Unresolved::Failed)?, "", "")? {
            self.read(send(&Request::get("/api/v1")).map_err(Unresolved::Failed)?, "", "v1")?;
        }
        Ok(())
    }

    /// Reads any of the discovery documents; `group` and `version` are what an older resource list is of.
    fn read(&mut self, mut reply: Reply, group: &str, version: &str) -> Result<Document, Unresolved> {
        if reply.status() != 200 {
            return Err(
                status::answer(reply, &Shape::Path).map_or_else(Unresolved::Failed, Unresolved::Answered)
            );
        }
        let aggregated =
            reply.header("content-type").is_some_and(|value| value.contains("apidiscovery.k8s.io"));
        let server = reply.server.clone();
        let broken = |error: serde_json::Error| {
            Unresolved::Failed(if error.is_io() {
                failure_of_io(error.into(), &server)
            } else {
                // Not in the parser's words: they quote the document.
                let (line, column) = (error.line(), error.column());
                Failure::Unintelligible(format!(
                    "a discovery document that cannot be read (line {line}, column {column})"
                ))
            })
        };
        if !aggregated && version.is_empty() {
            let body = reply.take(LARGEST_BODY).map_err(Unresolved::Failed)?;
            let document: Value = json::parse(&body, reply.token()).map_err(broken)?;
            reply.drain().map_err(Unresolved::Failed)?;
            let kind = document.get("kind").and_then(Value::as_str);
            if !matches!(kind, Some("APIGroupList" | "APIVersions")) {
                let why = format!("{server} answers discovery with something else than API groups");
                return Err(Unresolved::Failed(Failure::Unintelligible(why)));
            }
            return Ok(Document::Older(document));
        }
        let (token, left) = (reply.token().cloned(), Cell::new(LARGEST_PIECE));
        let (group, version) = (group.to_owned(), version.to_owned());
        let mut walk = Walk { search: self, group, version, left: &left, token: token.as_ref() };
        let pieces = Pieces { body: reply.reader(), left: &left };
        let mut parser = serde_json::Deserializer::from_reader(BufReader::new(pieces));
        Object(&mut walk).deserialize(&mut parser).and_then(|()| parser.end()).map_err(broken)?;
        drop(parser);
        Ok(Document::Read)
    }

    fn offer(&mut self, group: &str, version: &str, candidate: &Candidate) {
        for (wanted, hit) in self.wanted.iter().zip(&mut self.hits) {
            let Some(whole_group) = group_fit(&wanted.resource, group, version) else { continue };
            let Some(whole_name) = name_fit(&wanted.resource.name, candidate) else { continue };
            let fit = Fit { whole_group, whole_name };
            if hit.as_ref().is_some_and(|hit| hit.fit >= fit) {
                continue;
            }
            let verbs = match &wanted.subresource {
                None => Some(candidate.verbs.clone()),
                Some(any) if any == "*" => Some(Vec::new()),
                Some(wanted) => candidate
                    .subresources
                    .iter()
                    .find(|(name, _)| name == wanted)
                    .map(|(_, verbs)| verbs.clone()),
            };
            *hit = Some(Hit {
                fit,
                whole: verbs.is_some(),
                resource: Resource {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    plural: candidate.plural.clone(),
                    namespaced: candidate.namespaced,
                    verbs: verbs.unwrap_or_default(),
                },
            });
        }
        self.note_nearest(group, candidate);
    }

    /// Older resource lists hold subresources as resources of their own, behind their parent.
    fn offer_subresource(&mut self, group: &str, plural: &str, subresource: &str, verbs: &[String]) {
        for (wanted, hit) in self.wanted.iter().zip(&mut self.hits) {
            if let Some(hit) = hit
                && hit.resource.group == group
                && hit.resource.plural == plural
                && wanted.subresource.as_deref() == Some(subresource)
            {
                hit.whole = true;
                hit.resource.verbs = verbs.to_vec();
            }
        }
    }

    fn note_silent(&mut self, group: &str, version: &str) {
        let wanted = self.wanted.iter().any(|wanted| group_fit(&wanted.resource, group, version).is_some());
        if wanted && is_plain(group) && self.silent.len() < SILENT_GROUPS {
            self.silent.push((group.to_owned(), version.to_owned()));
        }
    }

    fn note_nearest(&mut self, group: &str, candidate: &Candidate) {
        let shown =
            if group.is_empty() { candidate.plural.clone() } else { format!("{}.{group}", candidate.plural) };
        for (wanted, nearest) in self.wanted.iter().zip(&mut self.nearest) {
            let name = wanted.resource.name.to_ascii_lowercase();
            let names =
                [&candidate.plural].into_iter().chain(&candidate.singulars).chain(&candidate.short_names);
            let Some(distance) = names.map(|other| distance(&name, other)).min() else { continue };
            if distance > name.len() / 3 || nearest.iter().any(|(_, other)| *other == shown) {
                continue;
            }
            let entry = (distance, shown.clone());
            let at = nearest.partition_point(|other| *other < entry);
            nearest.insert(at, entry);
            nearest.truncate(OFFERS);
        }
    }
}

enum Document {
    /// A list of groups or versions of a server without aggregated discovery.
    Older(Value),
    /// Read, and its resources offered.
    Read,
}

/// The preferred version first.
fn versions_of(group: &Value) -> Vec<String> {
    let version = |value: &Value| value.get("version").and_then(Value::as_str).map(str::to_owned);
    let preferred = group.get("preferredVersion").and_then(version);
    let all = group.get("versions").and_then(Value::as_array).into_iter().flatten().filter_map(version);
    let others = all.filter(|other| Some(other) != preferred.as_ref());
    preferred.clone().into_iter().chain(others).collect()
}

/// `None`: not of this group and version. `Some(false)`: the qualifier is only a prefix of the group, which
/// kubectl takes too (`ingresses.networking`).
fn group_fit(wanted: &ResourceName, group: &str, version: &str) -> Option<bool> {
    let Some(qualifier) = wanted.qualifier.as_deref().map(str::to_ascii_lowercase) else { return Some(true) };
    if group.is_empty() {
        return None;
    }
    let behind_version = qualifier.strip_prefix(version).and_then(|rest| rest.strip_prefix('.'));
    if qualifier == group || behind_version == Some(group) {
        return Some(true);
    }
    // Behind a version the group has to be whole.
    group.starts_with(&qualifier).then_some(false)
}

/// `None`: another resource. `Some(false)`: its short name.
fn name_fit(name: &str, candidate: &Candidate) -> Option<bool> {
    let name = name.to_ascii_lowercase();
    if name == candidate.plural || candidate.singulars.contains(&name) {
        return Some(true);
    }
    candidate.short_names.contains(&name).then_some(false)
}

/// How many letters have to change (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, from) in from.bytes().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        let mut next = vec![left];
        for (to, &above) in to.bytes().zip(row.iter().skip(1)) {
            let cost = (diagonal + usize::from(from != to)).min(above + 1).min(left + 1);
            diagonal = above;
            left = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// A body that ends with a failure where one piece of it is too large to be held.
struct Pieces<'l, B> {
    body: B,
    /// Bytes that may still be read before the next piece begins.
    left: &'l Cell<usize>,
}

impl<B: Read> Read for Pieces<'_, B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = buffer.len().min(self.left.get());
        if limit == 0 {
            let why = format!("a discovery document with something of more than {LARGEST_PIECE} bytes in it");
            return Err(io_of_failure(Failure::Unintelligible(why)));
        }
        let count = self.body.read(buffer.get_mut(..limit).unwrap_or_default())?;
        self.left.set(self.left.get() - count);
        Ok(count)
    }
}

/// True for what can be a group, a version or a resource: it comes into paths, and into lines to copy.
fn is_plain(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    name.len() <= 253 && name.bytes().all(inner) && !name.starts_with('.')
}

/// Where in the documents we are. In them, names stand before what they name.
struct Walk<'s, 'w> {
    search: &'s mut Search<'w>,
    group: String,
    version: String,
    /// See [`Pieces`].
    left: &'s Cell<usize>,
    /// What is taken out of texts.
    token: Option<&'s Token>,
}

impl Walk<'_, '_> {
    /// A new piece begins.
    fn next_piece(&self) {
        self.left.set(LARGEST_PIECE);
    }

    fn resource(&mut self, object: &Value) {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let texts = |value: &Value, key: &str| -> Vec<String> {
            let list = value.get(key).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        // The aggregated documents say `resource`, the older ones `name`.
        let plural = if text("resource").is_empty() { text("name") } else { text("resource") };
        let name = plural.split('/').next().unwrap_or_default();
        if name.is_empty() || ![name, &self.group, &self.version].into_iter().all(is_plain) {
            return;
        }
        let verbs = texts(object, "verbs");
        if let Some((plural, subresource)) = plural.split_once('/') {
            return self.search.offer_subresource(&self.group, plural, subresource, &verbs);
        }
        let kind =
            object.pointer("/responseKind/kind").and_then(Value::as_str).unwrap_or_else(|| text("kind"));
        let singulars = [text("singularResource"), text("singularName"), &kind.to_ascii_lowercase()];
        let candidate = Candidate {
            plural: plural.to_owned(),
            singulars: singulars.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            short_names: texts(object, "shortNames"),
            namespaced: text("scope") == "Namespaced"
                || object.get("namespaced").and_then(Value::as_bool) == Some(true),
            verbs,
            subresources: object
                .get("subresources")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|entry| {
                    Some((entry.get("subresource")?.as_str()?.to_owned(), texts(entry, "verbs")))
                })
                .collect(),
        };
        self.search.offer(&self.group, &self.version, &candidate);
    }
}

/// An object of any level of the documents: its keys tell where the walk goes on.
struct Object<'a, 's, 'w>(&'a mut Walk<'s, 'w>);

impl<'de> DeserializeSeed<'de> for Object<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object of a discovery document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let room = Cell::new(json::ROOM);
        loop {
            self.0.next_piece();
            room.set(json::ROOM);
            let sparing = Sparing { room: &room, token: self.0.token };
            let Some(key) = map.next_key::<String>()? else { break };
            match key.as_str() {
                "metadata" => {
                    let metadata = map.next_value_seed(sparing)?;
                    if let Some(name) = metadata.get("name").and_then(Value::as_str) {
                        name.clone_into(&mut self.0.group);
                    }
                }
                "version" => {
                    let Value::String(version) = map.next_value_seed(sparing)? else {
                        return Err(A::Error::custom("a version is a text"));
                    };
                    self.0.version = version;
                }
                "freshness" => {
                    if map.next_value_seed(sparing)? == "Stale" {
                        self.0.search.note_silent(&self.0.group, &self.0.version);
                    }
                }
                "items" | "versions" => map.next_value_seed(List { walk: &mut *self.0, resources: false })?,
                "resources" => map.next_value_seed(List { walk: &mut *self.0, resources: true })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A list of groups, versions or resources. `null` is an empty one.
struct List<'a, 's, 'w> {
    walk: &'a mut Walk<'s, 'w>,
    resources: bool,
}

impl<'de> DeserializeSeed<'de> for List<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a list of a discovery document")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.resources {
            loop {
                self.walk.next_piece();
                let room = Cell::new(json::ROOM);
                let Some(resource) =
                    list.next_element_seed(Sparing { room: &room, token: self.walk.token })?
                else {
                    break;
                };
                self.walk.resource(&resource);
            }
        } else {
            while list.next_element_seed(Object(&mut *self.walk))?.is_some() {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use ureq::http;

    const RECORDED_1_20: &str = include_str!("../../tests/recordings/v1.20.2.json");
    const RECORDED_1_36: &str = include_str!("../../tests/recordings/v1.36.2.json");

    fn wanted(name: &str) -> Wanted {
        let (resource, subresource) = match name.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (name, None),
        };
        let (name, qualifier) = match resource.split_once('.') {
            Some((name, qualifier)) => (name, Some(qualifier.to_owned())),
            None => (resource, None),
        };
        Wanted { verb: "list".into(), resource: ResourceName { name: name.into(), qualifier }, subresource }
    }

    fn reply(status: u16, content_type: &str, body: &str) -> Reply {
        let (head, ()) = http::Response::builder()
            .status(status)
            .header("content-type", content_type)
            .body(())
            .unwrap()
            .into_parts();
        Reply {
            head,
            body: crate::api::Body::plain(ureq::Body::builder().data(body.as_bytes())),
            server: "server".into(),
            token: None,
        }
    }

    /// `GROUP/VERSION PLURAL SCOPE`, or why not; and how many requests it took.
    fn resolved(
        names: &[&str],
        answer: impl Fn(&Request) -> (u16, String, String),
    ) -> (Vec<String>, Vec<String>) {
        let asked = RefCell::new(Vec::new());
        let wanted: Vec<Wanted> = names.iter().map(|name| wanted(name)).collect();
        let results = resolve(&wanted, &mut |request| {
            asked.borrow_mut().push(request.path.clone());
            let (status, content_type, body) = answer(request);
            Ok(reply(status, &content_type, &body))
        });
        let shown = results.into_iter().map(|result| match result {
            Ok(Resource { group, version, plural, namespaced, .. }) => {
                format!("{group}/{version} {plural} {}", if namespaced { "namespaced" } else { "cluster" })
            }
            Err(Unresolved::Unknown { nearest, silent }) => {
                format!("unknown, near {}, silent {}", nearest.join(" "), silent.join(" "))
            }
            Err(other) => format!("{other:?}"),
        });
        (shown.collect(), asked.into_inner())
    }

    /// As a recorded server answered; 404 for what was not recorded.
    fn recorded(recording: &str) -> impl Fn(&Request) -> (u16, String, String) {
        let exchanges: Vec<Value> = serde_json::from_str(recording).unwrap();
        move |request| {
            let exchange = exchanges.iter().find(|exchange| {
                let seen = &exchange["request"];
                exchange["as"] == "k-sa-1"
                    && seen["path"] == *request.path
                    && seen["accept"].as_str().unwrap().contains("apidiscovery")
                        == request.accept.contains("apidiscovery")
            });
            let Some(exchange) = exchange else {
                return (404, "text/plain".into(), "404 page not found\n".into());
            };
            let response = &exchange["response"];
            let headers = response["headers"].as_array().unwrap();
            let content_type = headers
                .iter()
                .find(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case("content-type"))
                .unwrap();
            (
                u16::try_from(response["status"].as_u64().unwrap()).unwrap(),
                content_type[1].as_str().unwrap().into(),
                response["body"].as_str().unwrap().into(),
            )
        }
    }

    #[test]
    fn on_1_36_one_request_resolves_everything() {
        let (shown, asked) = resolved(
            &[
                "deploy",
                "Deployment",
                "deployments.v1.apps",
                "deployments.app",
                "deployments/scale",
                "cj",
                "ing",
                "ingresses.networking",
                "nodes.metrics.k8s.io",
                "events.events.k8s.io",
                "sc",
                "CLUSTERROLES",
                "hpa",
                "leases",
            ],
            recorded(RECORDED_1_36),
        );
        assert_eq!(
            shown,
            [
                "apps/v1 deployments namespaced",
                "apps/v1 deployments namespaced",
                "apps/v1 deployments namespaced",
                "apps/v1 deployments namespaced",
                "apps/v1 deployments namespaced",
                "batch/v1 cronjobs namespaced",
                "networking.k8s.io/v1 ingresses namespaced",
                "networking.k8s.io/v1 ingresses namespaced",
                "unknown, near nodes, silent ",
                "events.k8s.io/v1 events namespaced",
                "storage.k8s.io/v1 storageclasses cluster",
                "rbac.authorization.k8s.io/v1 clusterroles cluster",
                "autoscaling/v2 horizontalpodautoscalers namespaced",
                "coordination.k8s.io/v1 leases namespaced",
            ]
        );
        assert_eq!(asked, ["/apis"]);
        let (shown, asked) = resolved(&["deploymentz", "pods/nope", "widget"], recorded(RECORDED_1_36));
        assert!(shown[0].starts_with("unknown, near deployments.apps"), "{shown:?}");
        assert!(shown[1].starts_with("unknown, near pods"), "{shown:?}");
        assert!(shown[2].starts_with("unknown, near"), "{shown:?}");
        assert_eq!(asked, ["/apis", "/api"]);
    }

    #[test]
    fn on_1_20_the_older_documents_are_read() {
        let (shown, asked) =
            resolved(&["deployments.apps", "deployments.apps/scale"], recorded(RECORDED_1_20));
        assert_eq!(shown, ["apps/v1 deployments namespaced", "apps/v1 deployments namespaced"]);
        assert_eq!(asked, ["/apis", "/apis/apps/v1"]);
        let (shown, _) = resolved(&["deploy", "pods.apps", "secretz"], recorded(RECORDED_1_20));
        assert_eq!(shown[0], "apps/v1 deployments namespaced");
        assert_eq!(shown[1], "unknown, near pods, silent ");
        // Only apps was recorded: each other group's server is down here, and may know the name.
        assert!(shown[2].starts_with("unknown, near secrets, silent "), "{shown:?}");
    }

    const AGGREGATED_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

    fn aggregated(groups: &'static str) -> impl Fn(&Request) -> (u16, String, String) {
        move |request| {
            let items = if request.path == "/apis" { groups } else { "" };
            (200, AGGREGATED_TYPE.into(), format!(r#"{{"kind":"APIGroupDiscoveryList","items":[{items}]}}"#))
        }
    }

    #[test]
    fn ambiguous_names_go_to_whom_kubectl_prefers() {
        let groups = r#"
            {"metadata":{"name":"first"},"versions":[
                {"version":"v2","resources":[{"resource":"widgets","singularResource":"widget","scope":"Namespaced","shortNames":["gz"]}]},
                {"version":"v1","resources":[
                    {"resource":"widgets","singularResource":"widget","scope":"Namespaced"},
                    {"resource":"olds","responseKind":{"kind":"OldThing"},"scope":"Cluster","verbs":null,"subresources":null}]}]},
            {"metadata":{"name":"second"},"versions":[
                {"version":"v1","resources":[{"resource":"widgets","scope":"Cluster"},{"resource":"gz","scope":"Cluster"}],"freshness":"Current"},
                {"version":"v0","resources":null,"freshness":"Stale"}]},
            {"metadata":{"name":"second.longer"},"versions":[
                {"version":"v1","resources":[{"resource":"widgets","scope":"Namespaced"},{"resource":"rares","scope":"Cluster"}]}]},
            {"metadata":{"name":"empty"},"versions":null}"#;
        let (shown, asked) = resolved(
            &[
                "widgets",
                "widgets.second",
                "widgets.sec",
                "widgets.second.longer",
                "widgets.v1.first",
                "olds",
                "oldthing",
                "gz",
                "rares.second",
                "widgets.v3.first",
                "nothing.second",
                "nothing.first",
            ],
            aggregated(groups),
        );
        assert_eq!(
            shown,
            [
                "first/v2 widgets namespaced",
                "second/v1 widgets cluster",
                "second/v1 widgets cluster",
                "second.longer/v1 widgets namespaced",
                "first/v1 widgets namespaced",
                "first/v1 olds cluster",
                "first/v1 olds cluster",
                "second/v1 gz cluster",
                "second.longer/v1 rares cluster",
                "unknown, near widgets.first widgets.second widgets.second.longer, silent ",
                "unknown, near , silent second",
                "unknown, near , silent ",
            ]
        );
        assert_eq!(asked, ["/apis"]);
    }

    #[test]
    fn documents_that_are_none() {
        for (status, content_type, body) in [
            (200, "application/json", "{"),
            (200, "application/json", "[]"),
            (200, AGGREGATED_TYPE, "{\"items\":[{\"metadata\""),
            (200, AGGREGATED_TYPE, "[]"),
            (200, AGGREGATED_TYPE, "{\"items\":7}"),
            (403, "application/json", "{}"),
            (503, "text/plain", "down"),
            (200, "text/html", "<html>"),
        ] {
            let (shown, _) = resolved(&["deployments"], |_| (status, content_type.into(), body.into()));
            assert!(!shown[0].starts_with("apps"), "{shown:?}");
            let how = if status == 200 { "Failed(Unintelligible" } else { "Answered" };
            assert!(shown[0].starts_with(how), "{status}: {shown:?}");
        }
    }
}
