//! The search: which candidate a name means, and which names are near one that means nothing. Asks nothing.

use super::document::{Candidate, Found, is_plain};
use super::known::{FINALIZERS, in_rules};
use super::resource::{Resource, Unresolved, Wanted};
use super::spelling::distance;
use crate::permission::ResourceName;

/// How many groups that do not answer are named.
const SILENT_GROUPS: usize = 10;

/// How many names are offered for an unknown one.
const OFFERS: usize = 3;

/// How many subresources of a resource are remembered.
const SUBRESOURCES: usize = 64;

/// How well a resource fits a name: one that is served before one that only has subresources, an exact group before
/// a prefix of one, a name before a short name. Among equals the first one served wins: servers list groups as kubectl prefers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    served: bool,
    whole_group: bool,
    whole_name: bool,
}

const PERFECT: Fit = Fit { served: true, whole_group: true, whole_name: true };

struct Hit {
    fit: Fit,
    resource: Resource,
    /// False while the wanted subresource has not been seen.
    whole: bool,
}

impl Hit {
    fn is_of(&self, group: &str, version: &str, candidate: &Candidate) -> bool {
        let Resource { group: own, version: of, plural, .. } = &self.resource;
        own == group && of == version && *plural == candidate.plural
    }

    /// Adds the subresources that a candidate has.
    fn add(&mut self, wanted: &Wanted, candidate: &Candidate) {
        for (name, verbs) in &candidate.subresources {
            if wanted.subresource.as_ref() == Some(name) {
                self.whole = true;
                self.resource.verbs.clone_from(verbs);
            }
            // They come into lines to copy.
            if name.split('/').all(is_plain) && self.resource.subresources.len() < SUBRESOURCES {
                self.resource.subresources.push(name.clone());
            }
        }
    }
}

/// A resource that does not list the subresource. Rules may have it all the same, but for one that is a slip of the
/// finger away from one it lists.
fn unlisted(resource: Resource, wanted: &Wanted) -> Result<Resource, Unresolved> {
    let subresource = wanted.subresource.as_deref().unwrap_or_default();
    let slip =
        |name: &&String| !wanted.exact && subresource != FINALIZERS && distance(subresource, name) == 1;
    match resource.subresources.iter().find(slip) {
        Some(nearest) => Err(Unresolved::NoSubresource {
            nearest: nearest.clone(),
            resource: full_name(&resource.plural, &resource.group),
        }),
        None => Ok(Resource { unlisted: subresource != FINALIZERS, verbs: Vec::new(), ..resource }),
    }
}

/// What a rule speaks of and no server has.
fn unserved(wanted: &Wanted) -> Resource {
    let ResourceName { name, qualifier } = wanted.resource.clone();
    let group = qualifier.unwrap_or_default();
    Resource { group, plural: name, namespaced: true, unlisted: true, ..Resource::default() }
}

/// `deployments.apps`; of the core group the plural alone.
fn full_name(plural: &str, group: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
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
    pub fn results(mut self, failed: Option<&Unresolved>) -> Vec<Result<Resource, Unresolved>> {
        for (wanted, hit) in self.wanted.iter().zip(&mut self.hits) {
            // One that only has subresources is not served itself, under no version.
            if let Some(hit) = hit.as_mut().filter(|hit| !hit.fit.served && wanted.subresource.is_some()) {
                hit.resource.version.clear();
            }
        }
        let silent = self.silent;
        self.hits
            .into_iter()
            .zip(self.nearest)
            .zip(self.wanted)
            .map(|((hit, nearest), wanted)| match (hit, failed) {
                (Some(Hit { resource, whole: true, .. }), _) => Ok(resource),
                (Some(Hit { fit: PERFECT, resource, .. }), _) | (Some(Hit { resource, .. }), None) => {
                    unlisted(resource, wanted)
                }
                (None | Some(_), Some(failed)) => Err(failed.clone()),
                (None, None) => in_rules(wanted).map_or_else(
                    || {
                        let silent = silent
                            .iter()
                            .filter(|(group, version)| group_fit(wanted, group, version).is_some())
                            .map(|(group, _)| group.clone());
                        let silent: Vec<String> = silent.collect();
                        if wanted.exact && silent.is_empty() {
                            return Ok(unserved(wanted));
                        }
                        let nearest = nearest.into_iter().map(|(_, name)| name).collect();
                        Err(Unresolved::Unknown { nearest, silent })
                    },
                    Ok,
                ),
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
            Found::Subresource(group, version, parent) => self.offer_subresource(group, version, parent),
            Found::Silent(group, version) => self.note_silent(group, version),
        }
    }

    fn offer(&mut self, group: &str, version: &str, candidate: &Candidate) {
        for (wanted, hit) in self.wanted.iter().zip(&mut self.hits) {
            let Some(fit) = fit(wanted, group, version, candidate) else { continue };
            if hit.as_ref().is_some_and(|hit| hit.fit >= fit) {
                continue;
            }
            // Its subresources may have come first.
            let known = hit.take().filter(|hit| hit.is_of(group, version, candidate));
            let (whole, known) = known.map_or_else(Default::default, |hit| {
                (hit.whole, (hit.resource.verbs, hit.resource.subresources))
            });
            let mut found = Hit {
                fit,
                whole: whole || matches!(wanted.subresource.as_deref(), None | Some("*")),
                resource: Resource {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    plural: candidate.plural.clone(),
                    namespaced: candidate.namespaced,
                    verbs: if wanted.subresource.is_none() { candidate.verbs.clone() } else { known.0 },
                    subresources: known.1,
                    unlisted: false,
                },
            };
            found.add(wanted, candidate);
            *hit = Some(found);
        }
        self.note_nearest(group, candidate);
    }

    /// Older resource lists hold subresources as resources of their own; some hold them without their resource
    /// (`virtualmachineinstances/console` of `subresources.kubevirt.io`).
    fn offer_subresource(&mut self, group: &str, version: &str, parent: &Candidate) {
        for (wanted, hit) in self.wanted.iter().zip(&mut self.hits) {
            if let Some(hit) = hit.as_mut().filter(|hit| hit.is_of(group, version, parent)) {
                hit.add(wanted, parent);
                continue;
            }
            let Some(fit) = fit(wanted, group, version, parent) else { continue };
            if wanted.subresource.is_none() || hit.as_ref().is_some_and(|hit| hit.fit >= fit) {
                continue;
            }
            let mut found = Hit {
                fit,
                whole: wanted.subresource.as_deref() == Some("*"),
                resource: Resource {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    plural: parent.plural.clone(),
                    namespaced: parent.namespaced,
                    ..Resource::default()
                },
            };
            found.add(wanted, parent);
            *hit = Some(found);
        }
    }

    /// Notes a group whose server does not answer.
    pub fn note_silent(&mut self, group: &str, version: &str) {
        let wanted = self.wanted.iter().any(|wanted| group_fit(wanted, group, version).is_some());
        if wanted && is_plain(group) && self.silent.len() < SILENT_GROUPS {
            self.silent.push((group.to_owned(), version.to_owned()));
        }
    }

    /// Notes a resource that may have been meant.
    pub fn note_nearest(&mut self, group: &str, candidate: &Candidate) {
        let shown = full_name(&candidate.plural, group);
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
pub fn group_fit(wanted: &Wanted, group: &str, version: &str) -> Option<bool> {
    let qualifier = wanted.resource.qualifier.as_deref();
    if wanted.exact {
        return (qualifier == Some(group)).then_some(true);
    }
    let Some(qualifier) = qualifier.map(str::to_ascii_lowercase) else { return Some(true) };
    // Of any group, as kubectl takes it.
    if let Some(only) = qualifier.strip_suffix('.') {
        return (only == version).then_some(true);
    }
    if group.is_empty() {
        return None;
    }
    let after_version = qualifier.strip_prefix(version).and_then(|rest| rest.strip_prefix('.'));
    if qualifier == group || after_version == Some(group) {
        return Some(true);
    }
    // After a version the group has to be whole.
    group.starts_with(&qualifier).then_some(false)
}

fn fit(wanted: &Wanted, group: &str, version: &str, candidate: &Candidate) -> Option<Fit> {
    let whole_group = group_fit(wanted, group, version)?;
    let whole_name = if wanted.exact {
        (wanted.resource.name == candidate.plural).then_some(true)
    } else {
        name_fit(&wanted.resource.name, candidate)
    }?;
    Some(Fit { served: !candidate.verbs.is_empty(), whole_group, whole_name })
}

/// `None`: another resource. `Some(false)`: its short name.
fn name_fit(name: &str, candidate: &Candidate) -> Option<bool> {
    let name = name.to_ascii_lowercase();
    if name == candidate.plural || candidate.singulars.contains(&name) {
        return Some(true);
    }
    candidate.short_names.contains(&name).then_some(false)
}
