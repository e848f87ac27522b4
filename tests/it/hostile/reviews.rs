//! Reviews of access, of rules, and of the user.

use serde_json::{Value, json};
use testbed::faults;

use super::servers::{JSON, PAINT};
use super::{Row, row};

pub fn rows() -> Vec<Row> {
    let says = |name, code, body: String| {
        row(name, code, move || faults::answers("201 Created", JSON, &[], &body))
            .asked(&["check", "create pods"])
    };
    let allows_with = |name, code, status: &'static str| {
        let review = r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":true}}"#;
        row(name, code, move || faults::answers(status, JSON, &[], review)).asked(&["check", "create pods"])
    };
    let status = |status: Value| json!({ "kind": "SelfSubjectAccessReview", "status": status }).to_string();
    vec![
        says("allows", 0, status(json!({ "allowed": true }))),
        says("allows in a string", 26, status(json!({ "allowed": "true" }))),
        says("allows in a number", 26, status(json!({ "allowed": 1 }))),
        says("allows in null", 26, status(json!({ "allowed": null }))),
        says("allows in a list", 26, status(json!({ "allowed": [true] }))),
        says("allows and denies", 10, status(json!({ "allowed": true, "denied": true }))),
        says("denies in a string", 26, status(json!({ "allowed": true, "denied": "no" }))),
        says("says nothing", 10, status(json!({}))),
        says("fails to decide", 24, status(json!({ "allowed": false, "evaluationError": "authz is down" }))),
        says("fails to decide in a list", 26, status(json!({ "allowed": false, "evaluationError": ["down"] }))),
        says("allows under a condition", 15, status(json!({ "conditionSetChain": [{}] }))),
        says("allows under conditions that are none", 26, status(json!({ "conditionSetChain": "x" }))),
        says("fails inside a success", 24, {
            r#"{"kind":"Status","status":"Failure","reason":"InternalError","code":500}"#.into()
        }),
        says("refuses to be asked inside a success", 10, {
            r#"{"kind":"Status","status":"Failure","reason":"Forbidden","code":403}"#.into()
        })
        .asked(&["check", "cannot create pods"]),
        says("has no status", 26, json!({ "kind": "SelfSubjectAccessReview" }).to_string()),
        says("has a status that is a list", 26, status(json!([]))),
        says("has a status that is true", 26, status(json!(true))),
        says(
            "allows twice",
            26,
            r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":false,"allowed":true}}"#.into(),
        ),
        says(
            "has a status twice",
            26,
            r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":false},"status":{"allowed":true}}"#
                .into(),
        ),
        says(
            "is a kind twice",
            26,
            r#"{"kind":"Pod","kind":"SelfSubjectAccessReview","status":{"allowed":true}}"#.into(),
        ),
        says(
            "allows another kind",
            26,
            json!({ "kind": "SubjectAccessReview", "status": { "allowed": true } }).to_string(),
        ),
        says("begins with a byte order mark", 26, format!("\u{feff}{}", status(json!({ "allowed": true })))),
        says("says who asks among 100,000 objects", 26, {
            let many = format!("[{}{{}}]", "{\"\":0},".repeat(100_000));
            format!(r#"{{"kind":"SelfSubjectReview","spec":{many},"status":{{"userInfo":{{"username":"jane"}}}}}}"#)
        })
        .asked(&["whoami"]),
        says("says rules without an end", 26, {
            let rule = r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods"]},"#.repeat(16_000);
            format!(r#"{{"kind":"SelfSubjectRulesReview","status":{{"resourceRules":[{rule}{{}}],"nonResourceRules":[],"incomplete":false}}}}"#)
        })
        .asked(&["rules"]),
        says("is broken off", 26, status(json!({ "allowed": true })).replace("}}", "}")),
        says("says more behind it", 26, status(json!({ "allowed": true })) + "x"),
        says("allows 100,000 deep", 26, {
            let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
            format!(r#"{{"kind":"SelfSubjectAccessReview","spec":{deep},"status":{{"allowed":true}}}}"#)
        }),
        says("allows among 100,000 objects", 26, {
            let many = format!("[{}{{}}]", "{\"\":0},".repeat(100_000));
            format!(r#"{{"kind":"SelfSubjectAccessReview","spec":{many},"status":{{"allowed":true}}}}"#)
        }),
        says("gives a reason that paints", 10, status(json!({ "allowed": false, "reason": PAINT }))),
        says(
            "gives a reason of just under 1 MiB",
            10,
            status(json!({ "allowed": false, "reason": "x".repeat(1024 * 1024 - 500) })),
        ),
        says("gives a reason that is a list", 10, status(json!({ "allowed": false, "reason": ["no"] }))),
        allows_with("allows with 200", 0, "200 OK"),
        allows_with("allows with 202", 26, "202 Accepted"),
    ]
}
