//! The types of discovery: a resource, a name to resolve, and why a name has no resource.

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
    /// The names of its subresources, as far as they are known.
    pub subresources: Vec<String>,
    /// Whether the server does not list the resource, or not the subresource that was asked for: only rules may
    /// know it.
    pub unlisted: bool,
}

/// A name to resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The verb: some are for resources that stand in rules only.
    pub verb: String,
    /// The name, as it was typed.
    pub resource: ResourceName,
    /// The subresource.
    pub subresource: Option<String>,
    /// Whether only the plural and the whole group match, and the server need not know it.
    pub exact: bool,
}

/// Why a name has no resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// The discovery request got no answer.
    Failed(Failure),
    /// The discovery request got another answer.
    Answered(Box<Answer>),
    /// The resource has no such subresource, and one whose name is a slip of the finger away.
    NoSubresource {
        /// The resource, in full.
        resource: String,
        /// The subresource it has.
        nearest: String,
    },
    /// The server serves no resource of that name.
    Unknown {
        /// Names that are close.
        nearest: Vec<String>,
        /// Groups whose server did not answer. The name may belong to one of them.
        silent: Vec<String>,
    },
}
