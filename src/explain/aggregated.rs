//! Answers of aggregated API servers: the kube-apiserver accepts the token before it proxies a request to one, so an
//! aggregated server's 401 is about its own setup.

use crate::api::review::Attributes;
use crate::api::status::Answer;
use crate::round::Finding;

/// The groups that the kube-apiserver itself serves (k8s.io/api). Those of custom resources cannot be known by name.
const BUILT_IN: [&str; 23] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// What to look at where a path below `/apis/GROUP/VERSION` may be an aggregated server's.
pub fn hint(path: &str) -> Option<String> {
    let mut parts = path.strip_prefix("/apis/")?.split(['/', '?']);
    let (group, version) = (parts.next()?, parts.next()?);
    (!BUILT_IN.contains(&group)).then(|| {
        format!(
            "; if an aggregated server answers for {group}, see whether it is up and trusts the kube-apiserver: kubectl get \
             apiservices {version}.{group}"
        )
    })
}

/// An API service that may be an aggregated server's.
#[derive(Clone, Copy)]
pub struct Aggregated<'a> {
    group: &'a str,
    version: &'a str,
    answer: &'a Answer,
}

impl<'a> Aggregated<'a> {
    /// `None` where the kube-apiserver itself answers.
    pub fn of(finding: &'a Finding, answer: &'a Answer) -> Option<Aggregated<'a>> {
        let asked = finding.asked().filter(|_| !finding.by_review())?;
        match &asked.question.attributes {
            Attributes::Resource { group, version, .. } if !BUILT_IN.contains(&group.as_str()) => {
                Some(Aggregated { group, version, answer })
            }
            Attributes::Resource { .. } | Attributes::Path { .. } => None,
        }
    }

    fn service(self) -> String {
        match self.version {
            "" | "*" => "kubectl get apiservices".into(),
            version => format!("kubectl get apiservices {version}.{}", self.group),
        }
    }

    /// A 401.
    pub fn unauthenticated(self) -> Vec<String> {
        vec![
            format!(
                "{}: the server of API group {} rejects what the kube-apiserver accepted",
                self.answer.line(),
                self.group
            ),
            self.advice(),
        ]
    }

    /// A 403 to system:anonymous.
    pub fn anonymous(self) -> Vec<String> {
        let Aggregated { group, answer, .. } = self;
        vec![
            answer.line(),
            format!(
                "the server of API group {group} does not see which user the kube-apiserver passes on to it"
            ),
            self.advice(),
        ]
    }

    fn advice(self) -> String {
        format!(
            "check that it trusts the kube-apiserver's front proxy: {}; kubectl get configmap -n kube-system \
             extension-apiserver-authentication",
            self.service()
        )
    }

    /// 429 or 5xx: what to do.
    pub fn unavailable(self) -> Vec<String> {
        vec![format!("see whether the server of API group {} is up: {}", self.group, self.service())]
    }
}
