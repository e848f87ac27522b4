//! The URL of a resource, as the phrase that asks it.

/// `/api/v1/namespaces/ns-1/pods` -> `list pods in ns-1`. `None` if it is no URL of a resource:
/// `/api/VERSION` and `/apis/GROUP/VERSION` themselves are discovery paths.
pub fn equivalent_phrase(path: &str, verbs: &[String]) -> Option<String> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let group = match segments.next()? {
        "api" => "",
        "apis" => segments.next()?,
        _ => return None,
    };
    let _version = segments.next()?;
    let rest: Vec<&str> = segments.collect();
    let (namespace, rest) = match rest.as_slice() {
        // `namespaces/NAME/status` and `/finalize` are subresources of the namespace itself.
        ["namespaces", _, "status" | "finalize"] => (None, rest.as_slice()),
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
        _ => (None, rest.as_slice()),
    };
    let (resource, tail) = rest.split_first()?;
    let verb = match verbs {
        [verb] if verb == "get" && query.contains("watch=") => "watch".to_owned(),
        [verb] if verb == "get" && tail.is_empty() => "list".to_owned(),
        verbs => verbs.join(","),
    };
    let dot = if group.is_empty() { "" } else { "." };
    let tail: String = tail.iter().map(|part| format!("/{part}")).collect();
    let place = namespace.map(|namespace| format!(" in {namespace}")).unwrap_or_default();
    Some(format!("{verb} {resource}{dot}{group}{tail}{place}"))
}
