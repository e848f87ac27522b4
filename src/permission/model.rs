//! The nouns of a phrase, and how they are printed.

use std::fmt;

/// What the pod must be able to do, or must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// `can`, or neither word: it must be granted.
    Can,
    /// `cannot`: it must be refused.
    Cannot,
}

/// One permission: one verb on one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Whether it must be granted, or must be refused.
    pub expected: Expected,
    /// The RBAC verb, lower case, or `*`.
    pub verb: String,
    /// On what.
    pub target: Target,
    /// From a rule of RBAC: names are meant to the letter, and nothing of it has to be served.
    pub exact: bool,
}

/// What a permission is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Objects of the API.
    Objects(Objects),
    /// A non-resource URL such as `/metrics`.
    Path(String),
}

/// Objects of a resource, or one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objects {
    /// The resource as it was typed.
    pub resource: ResourceName,
    /// A single object; `None` is any.
    pub name: Option<String>,
    /// `log` of `pods/x/log`.
    pub subresource: Option<String>,
    /// Where.
    pub namespace: Namespace,
}

/// A resource as it was typed: `pods`, `po`, `deployments.apps`, `deployments.v1.apps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceName {
    /// Up to the first dot.
    pub name: String,
    /// After the first dot: a group, a version and a group, or a version and a dot. `*` is every group, empty is the
    /// core group alone.
    pub qualifier: Option<String>,
}

/// The namespace part of a phrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// None was said: the pod's own.
    Own,
    /// `in NAME`, or `-n NAME`.
    Named(String),
    /// `in *`, or `-A`.
    All,
}

/// What options say for phrases that do not say it themselves.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// `-n`, `-A`, or neither.
    pub namespace: Namespace,
    /// `--subresource`.
    pub subresource: Option<String>,
}

impl ResourceName {
    /// True for signers, of whatever group: their names hold slashes, and stand in rules only.
    pub fn is_signers(&self) -> bool {
        self.name == "signers"
    }

    /// True for what stands for more than one resource.
    pub fn is_wildcard(&self) -> bool {
        self.name == "*" || self.qualifier.as_deref() == Some("*")
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.qualifier {
            // `pods.` would be read as of any group.
            Some(qualifier) if !qualifier.is_empty() || self.name == "*" => {
                write!(formatter, "{}.{qualifier}", self.name)
            }
            Some(_) | None => formatter.write_str(&self.name),
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.expected == Expected::Cannot {
            formatter.write_str("cannot ")?;
        } else if matches!(self.verb.as_str(), "can" | "cannot") {
            // Alone they would not be read as verbs.
            formatter.write_str("can ")?;
        }
        write!(formatter, "{} ", self.verb)?;
        match &self.target {
            Target::Path(path) => formatter.write_str(path),
            Target::Objects(objects) => objects.fmt(formatter),
        }
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.resource)?;
        match (&self.name, &self.subresource) {
            (None, None) => {}
            (Some(name), None) => write!(formatter, "/{name}")?,
            (name, Some(subresource)) => {
                write!(formatter, "/{}/{subresource}", name.as_deref().unwrap_or("*"))?;
            }
        }
        match &self.namespace {
            Namespace::Own => Ok(()),
            Namespace::Named(namespace) => write!(formatter, " in {namespace}"),
            Namespace::All => formatter.write_str(" in *"),
        }
    }
}
