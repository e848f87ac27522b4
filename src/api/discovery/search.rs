//! The search: which candidate a name means, and which names are near one that means nothing. Asks nothing.

use super::document::{Candidate, Found, is_plain};
use super::resource::{Resource, Unresolved, Wanted};
use crate::permission::ResourceName;

/// How many groups that do not answer are named.
const SILENT_GROUPS: usize = 10;

/// How many names are offered for an unknown one.
const OFFERS: usize = 3;

/// How well a resource fits a wanted name: an exact group before a prefix of one, a name before a
/// short name. Among equals the first one served wins: servers list groups as kubectl prefers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    whole_group: bool,
    whole_name: bool,
}

const PERFECT: Fit = Fit { whole_group: true, whole_name: true };

struct Hit {
    fit: Fit,
    resource: Resource,
    /// False while the wanted subresource has not been seen.
    whole: bool,
}

/// A search for names in what the documents hand out.
pub struct Search<'w> {
    wanted: &'w [Wanted],
    hits: Vec<Option<Hit>>,
    nearest: Vec<Vec<(usize, String)>>,
    /// Groups and versions whose server did not answer.
    silent: Vec<(String, String)>,
}

impl<'w> Search<'w> {
    /// A search that has found nothing yet.
    pub fn new(wanted: &'w [Wanted]) -> Search<'w> {
        Search {
            wanted,
            hits: wanted.iter().map(|_| None).collect(),
            nearest: vec![Vec::new(); wanted.len()],
            silent: Vec::new(),
        }
    }

    /// What each name means; `failed` is why the search ended early.
    pub fn results(self, failed: Option<&Unresolved>) -> Vec<Result<Resource, Unresolved>> {
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
    pub fn open(&self, accept: impl Fn(&Wanted) -> bool) -> bool {
        self.wanted.iter().zip(&self.hits).any(|(wanted, hit)| {
            accept(wanted) && !hit.as_ref().is_some_and(|hit| hit.whole && hit.fit == PERFECT)
        })
    }

    /// Whether one of the wanted names that `accept` has not been found.
    pub fn misses(&self, accept: impl Fn(&Wanted) -> bool) -> bool {
        let mut pairs = self.wanted.iter().zip(&self.hits);
        pairs.any(|(wanted, hit)| accept(wanted) && !hit.as_ref().is_some_and(|hit| hit.whole))
    }

    /// Takes what a document hands out.
    pub fn take(&mut self, found: &Found<'_>) {
        match found {
            Found::Resource(group, version, candidate) => self.offer(group, version, candidate),
            Found::Subresource(group, plural, name, verbs) => {
                self.offer_subresource(group, plural, name, verbs);
            }
            Found::Silent(group, version) => self.note_silent(group, version),
        }
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

    /// Notes a group whose server does not answer.
    pub fn note_silent(&mut self, group: &str, version: &str) {
        let wanted = self.wanted.iter().any(|wanted| group_fit(&wanted.resource, group, version).is_some());
        if wanted && is_plain(group) && self.silent.len() < SILENT_GROUPS {
            self.silent.push((group.to_owned(), version.to_owned()));
        }
    }

    /// Notes a resource that may have been meant.
    pub fn note_nearest(&mut self, group: &str, candidate: &Candidate) {
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

/// `None`: not of this group and version. `Some(false)`: the qualifier is only a prefix of the group, which
/// kubectl takes too (`ingresses.networking`).
pub fn group_fit(wanted: &ResourceName, group: &str, version: &str) -> Option<bool> {
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
