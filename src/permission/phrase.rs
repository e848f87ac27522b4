//! The grammar of a phrase.

use super::caret::{PhraseFault, Word, fault};
use super::model::{Defaults, Expected, Namespace, Objects, Permission, Target};
use super::parts::{namespace_fault, parse_name, parse_resource, subresource_fault};
use super::url::equivalent_phrase;

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
        return fault(verbs.at, "a path needs a verb in front, such as \"get /metrics\"");
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
            return fault(at, "\"in\" needs a namespace behind it, or * for all");
        }
        (Some(Word { text: "in", .. }), Some(word)) => Some((word.at, parse_namespace(word)?)),
        (Some(word), _) => {
            return fault(
                word.at,
                "only \"in NAMESPACE\" may follow the resource; each phrase is in quotes of its own, options are outside",
            );
        }
    };
    if let Some(extra) = words.next() {
        return fault(extra.at, "the phrase ends before this; put each phrase in quotes of its own");
    }
    let target = parse_target(target_word, &verbs, namespace, defaults)?;
    Ok(verbs.into_iter().map(|verb| Permission { expected, verb, target: target.clone() }).collect())
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
        if let Some(bad) = verb.find(|c: char| !c.is_ascii_lowercase() && c != '-')
            && verb != "*"
        {
            return fault(at + bad, "a verb is lower-case letters, such as get, list, watch, create, delete");
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
        return parse_path(word, verbs);
    }
    let mut parts = word.text.splitn(4, '/');
    let resource_text = parts.next().unwrap_or_default();
    let resource = parse_resource(word.at, resource_text)?;
    let mut skipped = resource_text.len() + 1;
    let mut name = None;
    if let Some(text) = parts.next() {
        name = parse_name(word.inside(skipped), text)?;
        skipped += text.len() + 1;
    }
    let mut subresource = defaults.subresource.clone();
    if let Some(text) = parts.next() {
        if let Some((at, why)) = subresource_fault(text) {
            return fault(word.inside(skipped + at), why);
        }
        subresource = Some(text.to_owned());
        skipped += text.len() + 1;
    }
    if parts.next().is_some() {
        return fault(word.inside(skipped), "a resource has at most RESOURCE/NAME/SUBRESOURCE");
    }
    let namespace = namespace.map_or_else(|| defaults.namespace.clone(), |(_, namespace)| namespace);
    Ok(Target::Objects(Objects { resource, name, subresource, namespace }))
}

fn parse_path(word: Word<'_>, verbs: &[String]) -> Result<Target, PhraseFault> {
    let path = word.text;
    if let Some(phrase) = equivalent_phrase(path, verbs) {
        return fault(word.at, format!("this is the URL of a resource; as a phrase: \"{phrase}\""));
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
            (&["impersonate users/jane@example.com"], &["impersonate users/jane@example.com"]),
            (&["get Deployment/web/scale in prod"], &["get Deployment/web/scale in prod"]),
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
            ("get pods/a/log/b", 15, "at most"),
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
            ("get /api/v1/pods", "list pods"),
            ("get /api/v1/pods?watch=1", "watch pods"),
            ("get /api/v1/nodes/n1", "get nodes/n1"),
            ("get /api/v1/namespaces", "list namespaces"),
            ("get /api/v1/namespaces/ns-1", "get namespaces/ns-1"),
            ("get /api/v1/namespaces/ns-1/status", "get namespaces/ns-1/status"),
            ("get /apis/apps/v1/namespaces/ns-1/deployments", "list deployments.apps in ns-1"),
            ("delete /apis/apps/v1/namespaces/ns-1/deployments/web", "delete deployments.apps/web in ns-1"),
        ] {
            let text = parse(&[url.into()], &defaults()).unwrap_err();
            assert!(text.contains(&format!("\"{phrase}\"")), "{url}: {text}");
        }
    }
}
