//! The self-subject reviews: their requests, and the contents of their answers.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::status::{self, ANONYMOUS, Answer, Meaning, Shape};
use super::{LARGEST_BODY, Reply, Request, json};
use crate::failure::Failure;

/// What a permission is about, in the API server's terms (authorization.k8s.io/v1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// Objects of a resource.
    Resource {
        /// The RBAC verb, in lower case.
        verb: String,
        /// The API group, empty for the core group.
        group: String,
        /// The version, `*` where it does not matter.
        version: String,
        /// The plural.
        resource: String,
        /// The subresource.
        subresource: Option<String>,
        /// The name of a single object. `None`: any object.
        name: Option<String>,
        /// The namespace; `None` is the cluster scope, or all namespaces.
        namespace: Option<String>,
    },
    /// A non-resource URL.
    Path {
        /// The HTTP method in lower case.
        verb: String,
        /// The path.
        path: String,
    },
}

impl Attributes {
    /// The SelfSubjectAccessReview that asks it.
    pub fn access_review(&self) -> Request {
        let spec = match self {
            Attributes::Resource { verb, group, version, resource, subresource, name, namespace } => {
                let mut attributes = serde_json::Map::new();
                let mut set = |key: &str, value: &str| {
                    if !value.is_empty() {
                        attributes.insert(key.to_owned(), Value::from(value));
                    }
                };
                set("verb", verb);
                set("group", group);
                set("version", version);
                set("resource", resource);
                set("subresource", subresource.as_deref().unwrap_or_default());
                set("name", name.as_deref().unwrap_or_default());
                set("namespace", namespace.as_deref().unwrap_or_default());
                json!({ "resourceAttributes": attributes })
            }
            Attributes::Path { verb, path } => {
                json!({ "nonResourceAttributes": { "verb": verb, "path": path } })
            }
        };
        let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec });
        Request {
            post: Some(review.to_string()),
            ..Request::get("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        }
    }
}

impl Attributes {
    /// True if a refusal is about this permission, and of this service account.
    pub fn is_refused_by(&self, refusal: &Refusal, subject: Option<&str>) -> bool {
        if !is_of(subject, refusal) {
            return false;
        }
        let (verb, what, place) = match self {
            Attributes::Path { verb, path } => (verb, (path.clone(), None), &None),
            Attributes::Resource { verb, group, resource, subresource, namespace, .. } => {
                let tail = subresource.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
                (verb, (format!("{resource}{tail}"), Some(group.clone())), namespace)
            }
        };
        // A question at the cluster scope may be refused in a namespace: OpenShift's projects are in themselves.
        let is_here = place.is_none() || refusal.namespace.is_none() || *place == refusal.namespace;
        refusal.verb == *verb && is_here && refusal.what.as_ref().is_none_or(|found| *found == what)
    }
}

/// True if a refusal may be this subject's: a service account has one name; any other user may have another one for
/// the API server than in its token.
pub fn is_of(subject: Option<&str>, refusal: &Refusal) -> bool {
    let account = subject.filter(|subject| subject.starts_with("system:serviceaccount:"));
    account.is_none_or(|account| account == refusal.user)
}

/// The versions of SelfSubjectReview, newest first: Kubernetes 1.28, 1.27 and 1.26.
pub const SELF_REVIEWS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];

/// The SelfSubjectReview, which names the user (authentication.k8s.io).
pub fn self_review(version: &str) -> Request {
    let review =
        json!({ "apiVersion": format!("authentication.k8s.io/{version}"), "kind": "SelfSubjectReview" });
    Request {
        post: Some(review.to_string()),
        ..Request::get(format!("/apis/authentication.k8s.io/{version}/selfsubjectreviews"))
    }
}

/// The SelfSubjectRulesReview, which lists what the user may do in a namespace (authorization.k8s.io/v1).
pub fn rules_review(namespace: &str) -> Request {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": { "namespace": namespace },
    });
    Request {
        post: Some(review.to_string()),
        ..Request::get("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews")
    }
}

/// The result of a review: the answer, and its `status` if the review was answered.
pub struct Reviewed {
    /// Granted where the review was answered, else why not.
    pub answer: Answer,
    /// The review's `status`; null where it was not answered.
    pub status: Value,
}

/// Reads the answer to a review of this kind to its end.
pub fn read(mut reply: Reply, kind: &str) -> Result<Reviewed, Failure> {
    if !matches!(reply.status(), 200 | 201) {
        let mut answer = status::answer(reply, &Shape::Review)?;
        let is_other = |refusal: Refusal| refusal.user != ANONYMOUS && !refusal.is_of_review();
        if answer.meaning == Meaning::ReviewForbidden && Refusal::parse(&answer.reason).is_some_and(is_other)
        {
            (answer.meaning, answer.user) = (Meaning::OtherForbidden, None);
        }
        return Ok(Reviewed { answer, status: Value::Null });
    }
    let body = reply.take(LARGEST_BODY + 1)?;
    let mut answer = status::answer_from(&reply, &Shape::Path, &body);
    let mut object = json::parse(&body, reply.token()).unwrap_or_default();
    reply.drain()?;
    let status = object.get_mut("status").map(Value::take).unwrap_or_default();
    let right = object.get("kind").and_then(Value::as_str) == Some(kind) && status.is_object();
    if answer.meaning == Meaning::Granted && !right {
        answer.meaning = Meaning::Unintelligible;
        answer.reason = format!("the answer to a {kind} is not a {kind}").into();
    }
    Ok(Reviewed { answer, status })
}

/// A user as the API server knows it (authentication.k8s.io, `UserInfo`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// `username`.
    pub name: String,
    /// `uid`, if there is one.
    pub uid: Option<String>,
    /// `groups`.
    pub groups: Vec<String>,
    /// `extra`: pod, node and credential id of a bound token, among others.
    pub extra: Vec<(String, Vec<String>)>,
}

impl User {
    /// From a SelfSubjectReview's `status`. `None` if it names no user.
    pub fn parse(status: &Value) -> Option<User> {
        let info = status.get("userInfo")?;
        let text = |key: &str| info.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let extra = info.get("extra").and_then(Value::as_object).into_iter().flatten();
        Some(User {
            name: text("username")?.to_owned(),
            uid: text("uid").map(str::to_owned),
            groups: texts(info, "groups"),
            extra: extra.map(|(key, values)| (key.clone(), strings(values))).collect(),
        })
    }
}

/// A rule as `kubectl auth can-i --list` shows it: of a resource, or of a non-resource URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The API group; empty for the core group and for a URL.
    pub group: String,
    /// `pods` or `pods/log`; empty for a URL.
    pub resource: String,
    /// The URL, if it is one.
    pub url: Option<String>,
    /// The one name it is for, if it is for one.
    pub name: Option<String>,
    /// The verbs that are allowed.
    pub verbs: Vec<String>,
}

impl Rule {
    /// The resource, and its subresource.
    pub fn parts(&self) -> (&str, Option<&str>) {
        match self.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (&self.resource, None),
        }
    }

    /// `deployments.apps/scale`, empty for a URL.
    pub fn full_resource(&self) -> String {
        let (resource, subresource) = self.parts();
        let dot = if self.group.is_empty() { "" } else { "." };
        let tail = subresource.map(|name| format!("/{name}")).unwrap_or_default();
        format!("{resource}{dot}{}{tail}", self.group)
    }

    /// What kubectl sorts by: the Go notation of a PolicyRule.
    fn sort_key(&self) -> String {
        let list = |item: Option<&str>| format!("[{}]", item.unwrap_or_default());
        let (group, resource) = match self.url {
            Some(_) => (None, None),
            None => (Some(self.group.as_str()), Some(self.resource.as_str())),
        };
        format!(
            "Verbs:[{}],APIGroups:{},Resources:{},ResourceNames:{},NonResourceURLs:{},",
            self.verbs.join(" "),
            list(group),
            list(resource),
            list(self.name.as_deref()),
            list(self.url.as_deref()),
        )
    }
}

/// The content of a SelfSubjectRulesReview.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Sorted and compacted as kubectl does it.
    pub list: Vec<Rule>,
    /// The server does not guarantee that the list is complete.
    pub incomplete: bool,
    /// The errors that occurred while the list was made; empty if there were none.
    pub error: String,
}

impl Rules {
    /// From a SelfSubjectRulesReview's `status`. Rules are taken apart, those of one resource and one name
    /// are put together again, and all are sorted (k8s.io/component-helpers/auth/rbac/validation, k8s.io/kubectl
    /// pkg/util/rbac).
    pub fn parse(status: &Value) -> Rules {
        let mut list: Vec<Rule> = Vec::new();
        let all = |key: &str| status.get(key).and_then(Value::as_array).into_iter().flatten();
        // Go writes an empty list as null, too. What is anything else may hide a rule.
        let is_list = |value: Option<&Value>, of: fn(&Value) -> bool| {
            value.is_none_or(|value| {
                value.is_null() || value.as_array().is_some_and(|list| list.iter().all(of))
            })
        };
        let lists = ["resourceRules", "nonResourceRules"];
        let fields = ["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"];
        let is_understood = lists.iter().all(|key| is_list(status.get(*key), Value::is_object))
            && lists
                .iter()
                .flat_map(|key| all(key))
                .all(|rule| fields.iter().all(|field| is_list(rule.get(*field), Value::is_string)));
        for rule in all("resourceRules") {
            let names: Vec<Option<String>> = match texts(rule, "resourceNames") {
                names if names.is_empty() => vec![None],
                names => names.into_iter().map(Some).collect(),
            };
            for group in texts(rule, "apiGroups") {
                for resource in texts(rule, "resources") {
                    for verb in texts(rule, "verbs") {
                        for name in &names {
                            add(&mut list, &group, &resource, name.as_ref(), &verb);
                        }
                    }
                }
            }
        }
        for rule in all("nonResourceRules") {
            for url in texts(rule, "nonResourceURLs") {
                for verb in texts(rule, "verbs") {
                    list.push(Rule { url: Some(url.clone()), verbs: vec![verb], ..Rule::default() });
                }
            }
        }
        // Put in one by one: lists are short, and a sort is 10 kB of code.
        let mut sorted: Vec<Rule> = Vec::with_capacity(list.len());
        for rule in list {
            let at = sorted.partition_point(|other| other.sort_key() <= rule.sort_key());
            sorted.insert(at, rule);
        }
        Rules {
            list: sorted,
            incomplete: !is_understood || status.get("incomplete").and_then(Value::as_bool).unwrap_or(true),
            error: status.get("evaluationError").and_then(Value::as_str).unwrap_or_default().to_owned(),
        }
    }
}

fn add(rules: &mut Vec<Rule>, group: &str, resource: &str, name: Option<&String>, verb: &str) {
    let same = |rule: &&mut Rule| {
        rule.url.is_none() && rule.group == group && rule.resource == resource && rule.name.as_ref() == name
    };
    match rules.iter_mut().find(same) {
        Some(rule) if rule.verbs.iter().any(|known| known == verb) => {}
        Some(rule) => rule.verbs.push(verb.to_owned()),
        None => rules.push(Rule {
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: name.cloned(),
            verbs: vec![verb.to_owned()],
            url: None,
        }),
    }
}

fn texts(object: &Value, key: &str) -> Vec<String> {
    object.get(key).map(strings).unwrap_or_default()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pods(verb: &str) -> Attributes {
        Attributes::Resource {
            verb: verb.into(),
            group: String::new(),
            version: "v1".into(),
            resource: "pods".into(),
            subresource: None,
            name: None,
            namespace: Some("ns-1".into()),
        }
    }

    #[test]
    fn rules_that_are_not_understood_are_incomplete() {
        let rule = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        let whole = json!({"incomplete": false, "resourceRules": [rule], "nonResourceRules": null});
        assert!(!Rules::parse(&whole).incomplete);
        for (field, value) in [
            ("incomplete", json!(true)),
            ("incomplete", json!("true")),
            ("incomplete", Value::Null),
            ("resourceRules", json!({})),
            ("resourceRules", json!([1])),
            ("resourceRules", json!([{"verbs": "*", "apiGroups": [""], "resources": ["pods"]}])),
            ("nonResourceRules", json!([{"verbs": ["get"], "nonResourceURLs": [1]}])),
        ] {
            let mut status = whole.clone();
            status[field] = value;
            assert!(Rules::parse(&status).incomplete, "{status}");
        }
        assert!(Rules::parse(&json!({})).incomplete);
    }

    #[test]
    fn who_and_what_is_refused() {
        const ACCOUNT: &str = "system:serviceaccount:ns-1:k-sa-1";
        let refusal = |user: &str, rest: &str| {
            Refusal::parse(&format!("x is forbidden: User \"{user}\" cannot {rest}")).unwrap()
        };
        let list = "list resource \"pods\" in API group \"\" in the namespace \"ns-1\"";
        for (user, rest, subject, about) in [
            (ACCOUNT, list, Some(ACCOUNT), true),
            ("kube-apiserver", list, Some(ACCOUNT), false),
            ("system:serviceaccount:proxy:impersonator", list, Some(ACCOUNT), false),
            ("jane", list, Some("https://issuer#jane"), true),
            ("jane", list, None, true),
            (ACCOUNT, "impersonate resource \"serviceaccounts\" in API group \"\"", Some(ACCOUNT), false),
            (ACCOUNT, "list resource \"secrets\" in API group \"\"", Some(ACCOUNT), false),
            (ACCOUNT, "list resource \"pods\" in API group \"metrics.k8s.io\"", Some(ACCOUNT), false),
            (ACCOUNT, "get path \"/metrics\"", Some(ACCOUNT), false),
            ("jane", "watch resource \"pods\" in API group \"\"", None, false),
            (ACCOUNT, "list something unheard of", Some(ACCOUNT), true),
            (
                ACCOUNT,
                "list resource \"pods\" in API group \"\" in the namespace \"ns-2\"",
                Some(ACCOUNT),
                false,
            ),
            (ACCOUNT, "list resource \"pods\" in API group \"\" at the cluster scope", Some(ACCOUNT), true),
        ] {
            assert_eq!(
                pods("list").is_refused_by(&refusal(user, rest), subject),
                about,
                "{user} cannot {rest}, {subject:?}"
            );
        }
        let path = Attributes::Path { verb: "get".into(), path: "/metrics".into() };
        assert!(path.is_refused_by(&refusal(ACCOUNT, "get path \"/metrics\""), Some(ACCOUNT)));
        assert!(!path.is_refused_by(&refusal(ACCOUNT, "get path \"/logs\""), Some(ACCOUNT)));
    }

    #[test]
    fn rules_are_compacted_and_sorted_as_kubectl_does() {
        let status = json!({
            "resourceRules": [
                { "verbs": ["list"], "apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"] },
                { "verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"] },
                { "verbs": ["list", "watch"], "apiGroups": [""], "resources": ["pods"] },
                { "verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["b", "a"] },
                { "verbs": ["get"], "apiGroups": null, "resources": ["orphans"] },
            ],
            "nonResourceRules": [
                { "verbs": ["get"], "nonResourceURLs": ["/version", "/healthz"] },
                { "verbs": ["get"], "nonResourceURLs": ["/version"] },
            ],
            "incomplete": true,
            "evaluationError": "oh",
        });
        let rules = Rules::parse(&status);
        assert!(rules.incomplete && rules.error == "oh");
        let shown: Vec<String> = rules
            .list
            .iter()
            .map(|rule| {
                let name = rule.name.clone().or(rule.url.clone()).unwrap_or_default();
                format!("{} {name} {}", rule.full_resource(), rule.verbs.join(","))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "pods  get,list,watch",
                " /healthz get",
                " /version get",
                " /version get",
                "secrets a get",
                "secrets b get",
                // In kubectl's order, too: it sorts by the Go notation, where a bracket follows the name.
                "deployments.apps/scale  list",
                "deployments.apps  list",
            ]
        );
        assert!(Rules::parse(&json!({ "resourceRules": null })).list.is_empty());
    }

    #[test]
    fn users() {
        let status =
            json!({ "userInfo": { "username": "u", "groups": ["g"], "extra": { "k": ["v", "w"] } } });
        let user = User::parse(&status).unwrap();
        assert_eq!((user.name.as_str(), user.uid), ("u", None));
        assert_eq!(user.extra, [("k".to_owned(), vec!["v".to_owned(), "w".to_owned()])]);
        assert_eq!(User::parse(&json!({ "userInfo": {} })), None);
        assert_eq!(User::parse(&Value::Null), None);
    }
}
