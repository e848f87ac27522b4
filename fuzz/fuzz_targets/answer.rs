//! Replies to answers: only an explicit yes is a yes, and no text contains the token or is endless.
#![no_main]

use kubeknock_fuzz::api::Reply;
use kubeknock_fuzz::api::refusal::Refusal;
use kubeknock_fuzz::api::status::{Meaning, Shape, answer, understand};
use kubeknock_fuzz::{SECRET, TOKEN, choose};
use libfuzzer_sys::fuzz_target;

const STATUSES: [u16; 16] = [200, 201, 202, 204, 206, 400, 401, 403, 404, 405, 409, 429, 500, 503, 101, 999];
const TYPES: [&str; 4] = ["application/json", "text/plain; charset=utf-8", "text/html", ""];

fuzz_target!(|data: &[u8]| {
    let Some(([asked, status, content_type], body)) = choose(data) else { return };
    let asked = match asked % 5 {
        0 => Shape::List,
        1 => Shape::Object("web-0".into()),
        2 => Shape::Watch,
        3 => Shape::Path,
        _ => Shape::Review,
    };
    let (status, content_type) = (STATUSES[status % STATUSES.len()], TYPES[content_type % TYPES.len()]);
    let (meaning, user, reason) = understand(&asked, status, content_type, body, Some(&TOKEN));
    let has = |text: &str| body.windows(text.len()).any(|window| window == text.as_bytes());
    // A Status of failure inside a 200 is a failure, whatever the head says; a key may be written with escapes.
    let inside = (200..300).contains(&status) && (has("Status") || has("\\u"));
    match meaning {
        Meaning::Granted if asked == Shape::Review => {
            assert!(
                matches!(status, 200 | 201) && (has("true") && has("SelfSubjectAccessReview") || has("\\u"))
            );
        }
        Meaning::Granted => assert!((200..300).contains(&status)),
        Meaning::NotFound => {
            assert!((status == 404 || inside) && asked == Shape::Object("web-0".into()));
        }
        Meaning::Forbidden if asked == Shape::Review => assert!(matches!(status, 200 | 201)),
        Meaning::Forbidden | Meaning::ReviewForbidden => assert!(status == 403 || inside),
        Meaning::OtherForbidden => panic!("only a question can say that a refusal is not about it"),
        Meaning::Conditional | Meaning::Denied => assert!(asked == Shape::Review && matches!(status, 200 | 201)),
        Meaning::Unauthenticated => assert!(status == 401 || inside),
        Meaning::Unserved => assert!(matches!(status, 404 | 405) || inside),
        Meaning::Unavailable if asked == Shape::Review && matches!(status, 200 | 201) => {}
        Meaning::Unavailable => assert!(status == 429 || (500..600).contains(&status) || inside),
        Meaning::Unintelligible => assert!(!reason.is_empty()),
    }
    // Text bodies are redacted earlier, while they are read.
    if !has(SECRET) {
        assert!(!reason.contains(SECRET) && user.is_none_or(|user| !user.contains(SECRET)));
    }
    assert!(reason.chars().count() < 1100, "{} letters", reason.len());
    // A review that cannot be read is neither a yes nor a no.
    if asked == Shape::Review
        && matches!(meaning, Meaning::Granted | Meaning::Forbidden | Meaning::Conditional)
    {
        assert!(has("SelfSubjectAccessReview") || has("\\u"));
    }
    assert!(Refusal::parse(&reason).is_none_or(|refusal| !refusal.user.is_empty()));
    // Read as a whole answer, from its head to its end, it means the same, except that an allowed read is not
    // complete.
    let whole =
        answer(Reply::of(status, content_type, body, Some(&TOKEN)), &asked).expect("no connection breaks");
    if status != 200 || body.len() < 1024 && asked != Shape::Watch {
        assert!(has(SECRET) || whole.meaning == meaning, "{:?} {meaning:?}", whole.meaning);
    }
});
