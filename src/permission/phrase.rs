//! The grammar of a phrase.

use super::caret::{PhraseFault, Word, fault};
use super::model::{Defaults, Expected, Namespace, Objects, Permission, Target};
use super::parts::{
    is_metric, metric_fault, namespace_fault, parse_name, parse_resource, parse_signer, subresource_fault,
};
use super::url::equivalent;

/// Parses PHRASE arguments. If no argument holds a space, all of them together are one phrase.
/// Each verb makes one permission. The error shows the phrase with a caret under the fault.
pub fn parse(arguments: &[String], defaults: &Defaults) -> Result<Vec<Permission>, String> {
    let one_phrase = !arguments.iter().any(|argument| argument.contains(char::is_whitespace));
    let phrases = if one_phrase { vec![arguments.join(" ")] } else { arguments.to_vec() };
    let mut permissions = Vec::new();
    for phrase in &phrases {
        permissions.extend(parse_phrase(phrase, defaults).map_err(|fault| fault.show(phrase))?);
    }
    Ok(permissions)
}

const EXAMPLES: &str =
    "such as \"list pods in default\", \"get secrets/db\", \"create pods/*/exec\" or \"get /metrics\"";

fn parse_phrase(phrase: &str, defaults: &Defaults) -> Result<Vec<Permission>, PhraseFault> {
    if let Some((at, _)) = phrase.char_indices().find(|(_, c)| c.is_control() && !c.is_ascii_whitespace()) {
        return fault(at, "a phrase holds no control characters");
    }
    let mut words = split(phrase).into_iter().peekable();
    let end = phrase.trim_end().len();

    let expected = match words.peek().map(|word| word.text) {
        Some("cannot") => Expected::Cannot,
        _ => Expected::Can,
    };
    words.next_if(|word| matches!(word.text, "can" | "cannot"));
    let Some(verbs) = words.next() else {
        return fault(
            end,
            format!("a verb is missing: a phrase is VERB RESOURCE [in NAMESPACE], {EXAMPLES}"),
        );
    };
    if verbs.text.starts_with('/') {
        return fault(verbs.at, "a path needs a verb before it, such as \"get /metrics\"");
    }
    let verbs = parse_verbs(verbs)?;
    let Some(target_word) = words.next() else {
        return fault(
            end,
            format!("a resource or a path is missing: a phrase is VERB RESOURCE [in NAMESPACE], {EXAMPLES}"),
        );
    };
    let namespace = match (words.next(), words.next()) {
        (None, _) => None,
        (Some(Word { text: "in", at }), None) => {
            return fault(at, "\"in\" needs a namespace after it, or * for all namespaces");
        }
        (Some(Word { text: "in", .. }), Some(word)) => Some((word.at, parse_namespace(word)?)),
        (Some(word), _) => {
            return fault(
                word.at,
                "only \"in NAMESPACE\" may follow the resource; put each phrase in its own quotes, and options outside them",
            );
        }
    };
    if let Some(extra) = words.next() {
        return fault(extra.at, "the phrase ends before this: put each phrase in its own quotes");
    }
    let target = parse_target(target_word, expected, &verbs, namespace, defaults)?;
    Ok(verbs
        .into_iter()
        .map(|verb| Permission { expected, verb, target: target.clone(), exact: false })
        .collect())
}

fn split(phrase: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    for text in phrase.split(|c: char| c.is_whitespace()) {
        if !text.is_empty() {
            words.push(Word { at, text });
        }
        // The separator is one character of the phrase, one to three bytes long.
        at += text.len()
            + phrase.get(at + text.len()..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
    words
}

fn parse_verbs(word: Word<'_>) -> Result<Vec<String>, PhraseFault> {
    let mut verbs = Vec::new();
    let mut skipped = 0;
    for verb in word.text.split(',') {
        let at = word.inside(skipped);
        if verb.is_empty() {
            return fault(at, "a verb is missing between the commas");
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | ':');
        let bad = if verb.starts_with(|c: char| c.is_ascii_lowercase()) {
            verb.find(|c| !plain(c))
        } else {
            Some(0).filter(|_| verb != "*")
        };
        if let Some(bad) = bad {
            return fault(
                at + bad,
                "a verb is lower-case letters, digits, - and :, such as get, list, watch, create or delete",
            );
        }
        verbs.push(verb.to_owned());
        skipped += verb.len() + 1;
    }
    Ok(verbs)
}

fn parse_namespace(word: Word<'_>) -> Result<Namespace, PhraseFault> {
    if word.text == "*" {
        return Ok(Namespace::All);
    }
    match namespace_fault(word.text) {
        Some((skipped, why)) => fault(word.inside(skipped), why),
        None => Ok(Namespace::Named(word.text.to_owned())),
    }
}

fn parse_target(
    word: Word<'_>,
    expected: Expected,
    verbs: &[String],
    namespace: Option<(usize, Namespace)>,
    defaults: &Defaults,
) -> Result<Target, PhraseFault> {
    if word.text.starts_with('/') {
        if let Some((at, _)) = namespace {
            return fault(at, "a path has no namespace");
        }
        if defaults.subresource.is_some() {
            return fault(word.at, "--subresource does not go with a path");
        }
        return parse_path(word, expected, verbs);
    }
    let mut parts = word.text.splitn(3, '/');
    let resource_text = parts.next().unwrap_or_default();
    let resource = parse_resource(word.at, resource_text)?;
    let name_at = resource_text.len() + 1;
    let (mut name, mut subresource) = (None, defaults.subresource.clone());
    if resource.is_signers() {
        if subresource.is_some() {
            return fault(word.at, "--subresource does not go with signers");
        }
        if let Some((_, text)) = word.text.split_once('/') {
            name = parse_signer(word.inside(name_at), text)?;
        }
    } else {
        if let Some(text) = parts.next() {
            name = parse_name(word.inside(name_at), text)?;
        }
        if let Some(text) = parts.next() {
            let why = if is_metric(&resource) { metric_fault(text) } else { subresource_fault(text) };
            if let Some((at, why)) = why {
                return fault(word.inside(word.text.len() - text.len() + at), why);
            }
            subresource = Some(text.to_owned());
        }
    }
    let namespace = namespace.map_or_else(|| defaults.namespace.clone(), |(_, namespace)| namespace);
    Ok(Target::Objects(Objects { resource, name, subresource, namespace }))
}

fn parse_path(word: Word<'_>, expected: Expected, verbs: &[String]) -> Result<Target, PhraseFault> {
    let path = word.text;
    match equivalent(path, expected, verbs) {
        Some(Ok(phrase)) => {
            return fault(word.at, format!("this is the URL of a resource; as a phrase: {phrase}"));
        }
        Some(Err(why)) => {
            return fault(
                word.at,
                format!("this is the URL of a resource, and no phrase asks the same: {why}"),
            );
        }
        None => {}
    }
    if let Some(bad) =
        path.find(|c: char| !c.is_ascii_graphic() || matches!(c, '?' | '#' | '"' | '<' | '>' | '\\'))
    {
        return fault(
            word.inside(bad),
            "this character cannot stand in a path (no query: permissions are for the path alone)",
        );
    }
    let mut skipped = 0;
    for segment in path.split('/') {
        if matches!(segment, "." | "..") {
            return fault(word.inside(skipped), "a path has no . or .. segments");
        }
        skipped += segment.len() + 1;
    }
    Ok(Target::Path(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Defaults {
        Defaults { namespace: Namespace::Own, subresource: None }
    }

    fn parsed(arguments: &[&str]) -> Result<Vec<String>, String> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.into()).collect();
        Ok(parse(&arguments, &defaults())?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn phrases() {
        for (arguments, expected) in [
            (&["list pods"][..], &["list pods"][..]),
            (
                &["get,list,watch pods in default"],
                &["get pods in default", "list pods in default", "watch pods in default"],
            ),
            (&["get secrets/db in vault"], &["get secrets/db in vault"]),
            (&["create pods/*/exec"], &["create pods/*/exec"]),
            (&["get pods/*"], &["get pods"]),
            (&["list nodes"], &["list nodes"]),
            (&["get /metrics"], &["get /metrics"]),
            (&["can can /metrics"], &["can can /metrics"]),
            (&["cannot can pods"], &["cannot can pods"]),
            (&["get /"], &["get /"]),
            (&["get /apis/apps/v1"], &["get /apis/apps/v1"]),
            (&["get /api/v1"], &["get /api/v1"]),
            (&["list pods in *"], &["list pods in *"]),
            (&["cannot list secrets"], &["cannot list secrets"]),
            (&["can list secrets"], &["list secrets"]),
            (&["list", "pods"], &["list pods"]),
            (&["cannot", "list", "pods", "in", "ns-1"], &["cannot list pods in ns-1"]),
            (&["list pods", "  get   nodes/n:1 "], &["list pods", "get nodes/n:1"]),
            (&["list deployments.v1.apps"], &["list deployments.v1.apps"]),
            (&["* *"], &["* *"]),
            (&["* *.*"], &["* *"]),
            (&["get *."], &["get *."]),
            (&["get *.apps in *"], &["get *.apps in *"]),
            (&["list pods.*"], &["list pods.*"]),
            (&["update *.*/*/scale"], &["update */*/scale"]),
            (&["impersonate users/jane@example.com"], &["impersonate users/jane@example.com"]),
            (&["get Deployment/web/scale in prod"], &["get Deployment/web/scale in prod"]),
            (
                &["approve signers/kubernetes.io/kube-apiserver-client"],
                &["approve signers/kubernetes.io/kube-apiserver-client"],
            ),
            (&["sign signers/kubernetes.io/*"], &["sign signers/kubernetes.io/*"]),
            (&["sign signers/*"], &["sign signers"]),
            (
                &["approve signers.cert-manager.io/issuers.cert-manager.io/ns.ca"],
                &["approve signers.cert-manager.io/issuers.cert-manager.io/ns.ca"],
            ),
            (
                &["impersonate:user-info users.authentication.k8s.io/jane"],
                &["impersonate:user-info users.authentication.k8s.io/jane"],
            ),
            (&["impersonate-on:user-info:list pods"], &["impersonate-on:user-info:list pods"]),
            (&["impersonate userextras/*/example.com/team"], &["impersonate userextras/*/example.com/team"]),
            (&["x509 pods"], &["x509 pods"]),
            (&["get vmis/*/vnc/screenshot"], &["get vmis/*/vnc/screenshot"]),
            (&["list pods.v1."], &["list pods.v1."]),
            (&["list pods."], &["list pods"]),
            (
                &["get pods.custom.metrics.k8s.io/*/http_requests"],
                &["get pods.custom.metrics.k8s.io/*/http_requests"],
            ),
            (
                &["get pods.custom.metrics.k8s.io/*/ns:queueDepth"],
                &["get pods.custom.metrics.k8s.io/*/ns:queueDepth"],
            ),
            (
                &["list queue_messages.external.metrics.k8s.io"],
                &["list queue_messages.external.metrics.k8s.io"],
            ),
            (
                &["list nginx.net.rps.v1beta1.external.metrics.k8s.io"],
                &["list nginx.net.rps.v1beta1.external.metrics.k8s.io"],
            ),
        ] {
            assert_eq!(parsed(arguments).unwrap(), expected, "{arguments:?}");
        }
    }

    #[test]
    fn what_the_phrase_says_beats_the_options() {
        let defaults =
            Defaults { namespace: Namespace::Named("ns-1".into()), subresource: Some("log".into()) };
        let shown = |phrase: &str| parse(&[phrase.into()], &defaults).unwrap().remove(0).to_string();
        assert_eq!(shown("get pods"), "get pods/*/log in ns-1");
        assert_eq!(shown("get pods/web-0"), "get pods/web-0/log in ns-1");
        assert_eq!(shown("get pods/web-0/status in prod"), "get pods/web-0/status in prod");
        assert!(parse(&["get /metrics".into()], &defaults).unwrap_err().contains("--subresource"));
    }

    /// The phrase, the column of the caret, a word of the reason.
    #[test]
    fn faults_have_a_caret_under_them() {
        for (phrase, column, reason) in [
            ("", 0, "verb"),
            ("   ", 0, "verb"),
            ("cannot", 6, "verb"),
            ("list", 4, "resource"),
            ("list pods in", 10, "namespace"),
            ("list pods on ns-1", 10, "in NAMESPACE"),
            ("list pods in ns-1 please", 18, "ends"),
            ("list pods in Ns-1", 13, "DNS label"),
            ("list pods in ns_1", 15, "DNS label"),
            ("list pods in ns-", 15, "DNS label"),
            ("list pods in -ns", 13, "DNS label"),
            ("list,,get pods", 5, "comma"),
            ("List pods", 0, "lower-case"),
            ("get pods/", 9, "name"),
            ("get pods/.", 9, ". or .."),
            ("get pods/..", 9, ". or .."),
            ("get pods/a%2fb", 10, "character"),
            ("get pods/a/log/b/c", 17, "at most"),
            ("get pods/a/proxy/b", 17, "leave it out"),
            ("get pods/a/log/", 15, "subresource"),
            ("get pods/a/log/..", 15, "subresource"),
            ("approve signers/", 16, "name"),
            ("approve signers/example.com/", 28, "name"),
            ("approve signers//x", 16, "name"),
            ("approve signers/example.com/a%20b", 29, "character"),
            ("get pods.v1..", 12, "RESOURCE"),
            ("get pods.v1.*", 12, "RESOURCE"),
            ("get pods.*.apps", 9, "RESOURCE"),
            ("get pods.apps.", 14, "RESOURCE"),
            ("get po_ds.example.com", 6, "RESOURCE"),
            ("get a%b.external.metrics.k8s.io", 5, "metric"),
            ("get pods.custom.metrics.k8s.io/*/a%b", 34, "metric"),
            ("list_all pods", 4, "lower-case"),
            (":list pods", 0, "lower-case"),
            ("1st pods", 0, "lower-case"),
            ("get pods/a/", 11, "subresource"),
            ("get pods/a/Log", 11, "subresource"),
            ("get po_ds", 6, "RESOURCE"),
            ("get deployments..apps", 16, "RESOURCE"),
            ("get .apps", 4, "RESOURCE"),
            ("/metrics", 0, "verb"),
            ("get /metrics in ns-1", 16, "no namespace"),
            ("get /a/../b", 7, ".."),
            ("get /healthz?verbose", 12, "query"),
            ("list p\u{1b}ods", 6, "control"),
            ("list pöds", 6, "RESOURCE"),
            ("löst pods", 1, "lower-case"),
        ] {
            let text = parse(&[phrase.into(), "list pods".into()], &defaults()).unwrap_err();
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines[0].contains(reason), "{phrase:?}: {text}");
            assert_eq!(lines[2].find('^'), Some(column + 2), "{text}");
            assert!(!text.contains('\u{1b}'));
        }
    }

    #[test]
    fn urls_of_resources_become_phrases() {
        for (url, phrase) in [
            ("get /api/v1/namespaces/ns-1/pods", "list pods in ns-1"),
            ("get /api/v1/namespaces/ns-1/pods/web-0", "get pods/web-0 in ns-1"),
            ("get /api/v1/namespaces/ns-1/pods/web-0/log", "get pods/web-0/log in ns-1"),
            ("get /api/v1/pods", "list pods in *"),
            ("get /api/v1/pods?watch=1", "watch pods in *"),
            ("get /api/v1/nodes/n1", "get nodes/n1"),
            ("get /api/v1/namespaces", "list namespaces"),
            ("get /api/v1/namespaces/ns-1", "get namespaces/ns-1"),
            ("get /api/v1/namespaces/ns-1/status", "get namespaces/ns-1/status"),
            ("get /apis/apps/v1/namespaces/ns-1/deployments", "list deployments.apps in ns-1"),
            ("get /api/v1/nodes/n1/proxy/metrics/cadvisor", "get nodes/n1/proxy"),
            ("get /api/v1/namespaces/x/services/http:y:/proxy/z", "get services/http:y:/proxy in x"),
            (
                "get /api/v1/namespaces/x/services/https%3Ay%3A443/proxy",
                "get services/https:y:443/proxy in x",
            ),
            (
                "get /apis/custom.metrics.k8s.io/v1beta1/namespaces/x/pods/*/http_requests",
                "get pods.v1beta1.custom.metrics.k8s.io/*/http_requests in x",
            ),
            (
                "get /apis/custom.metrics.k8s.io/v1beta2/namespaces/x/deployments.apps/web/queueDepth",
                "get deployments.apps.v1beta2.custom.metrics.k8s.io/web/queueDepth in x",
            ),
            (
                "get /apis/external.metrics.k8s.io/v1beta1/namespaces/x/queue_messages",
                "list queue_messages.v1beta1.external.metrics.k8s.io in x",
            ),
            (
                "get /apis/subresources.kubevirt.io/v1/namespaces/x/virtualmachineinstances/vm/vnc/screenshot",
                "get virtualmachineinstances.subresources.kubevirt.io/vm/vnc/screenshot in x",
            ),
            ("get /apis/example.com/v1/planets", "list planets.example.com in *"),
            ("get /apis/example.com/v1alpha1/planets/mars", "get planets.v1alpha1.example.com/mars"),
            ("get /api/v1/watch/namespaces/x/pods", "watch pods in x"),
            ("get /api/v1/watch/namespaces/x/pods/web", "watch pods/web in x"),
            ("get /api/v1/namespaces/x/pods?limit=1&watch=false", "list pods in x"),
            ("get /api/v1/namespaces/x/pods?watch", "watch pods in x"),
            ("get /api/v1/namespaces/x/pods/web?watch=1", "get pods/web in x"),
            ("get /api/v1/namespaces/x/pods?fieldSelector=metadata.name%3Dweb", "list pods/web in x"),
            ("cannot get /api/v1/secrets", "cannot list secrets in *"),
            ("get,head /api/v1/nodes", "list nodes"),
            ("post /api/v1/namespaces/x/pods", "create pods in x"),
            ("put /api/v1/namespaces/x/pods/web", "update pods/web in x"),
            ("delete /api/v1/namespaces/x/pods", "deletecollection pods in x"),
            ("delete /apis/apps/v1/namespaces/ns-1/deployments/web", "delete deployments.apps/web in ns-1"),
        ] {
            let text = parse(&[url.into()], &defaults()).unwrap_err();
            assert!(text.contains(&format!("\"{phrase}\"")), "{url}: {text}");
        }
    }
}
