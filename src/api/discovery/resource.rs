//! The nouns of discovery: a resource, a name to resolve, and why a name has no resource.

use crate::api::status::Answer;
use crate::failure::Failure;
use crate::permission::ResourceName;

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
