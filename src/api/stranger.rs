//! What something other than a Kubernetes API server (a gateway, a portal, a mesh) says: a web page is recognized, and
//! words are cut to a line. Pure.

/// So many characters show who speaks.
const SHORT: usize = 200;

/// A page shows its title within so many bytes.
const BEGINNING: usize = 4096;

/// What servers that speak TLS answer to plain HTTP: Go's net/http, nginx and Apache.
const NEEDS_TLS: [&str; 3] = [
    "HTTP request to an HTTPS server",
    "plain HTTP request was sent to HTTPS port",
    "speaking plain HTTP to an SSL-enabled server port",
];

/// Whether a redirect stays on the server that was asked (RFC 3986, 4.2): a path, or the server's own URL.
pub fn is_here(location: &str, server: &str) -> bool {
    let first = location.split(['/', '?', '#']).next().unwrap_or_default();
    if !first.contains(':') {
        // `//host/`, and what browsers take for it, names another host.
        let slashes = location.chars().take_while(|c| matches!(c, '/' | '\\')).count();
        return !location.is_empty() && slashes < 2 && !location.starts_with('\\');
    }
    let Some((scheme, rest)) = location.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_server = |authority: &str| authority.eq_ignore_ascii_case(server);
    scheme.eq_ignore_ascii_case("https") && (is_server(authority) || is_server(&format!("{authority}:443")))
}

/// Whether it is a web page, by its content type or by its first tag.
pub fn is_web_page(content_type: &str, body: &[u8]) -> bool {
    const TAGS: [&[u8]; 8] =
        [b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<meta", b"<title", b"<h1"];
    let content_type = content_type.to_ascii_lowercase();
    let begin = first_tag(body);
    let begins_with =
        |tag: &[u8]| begin.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    content_type.contains("text/html")
        || content_type.contains("application/xhtml+xml")
        || TAGS.into_iter().any(begins_with)
}

/// The body without a byte order mark and comments before its first tag.
fn first_tag(body: &[u8]) -> &[u8] {
    let mut rest = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    while rest.starts_with(b"<!--") {
        let Some(end) = rest.windows(3).position(|window| window == b"-->") else { return rest };
        rest = rest.get(end + 3..).unwrap_or_default().trim_ascii_start();
    }
    rest
}

/// The title of a web page, or its first heading.
pub fn title(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body.get(..BEGINNING).unwrap_or(body));
    let lower = text.to_ascii_lowercase();
    ["<title", "<h1"].into_iter().find_map(|tag| {
        let (_, rest) = text.get(lower.find(tag)?..)?.split_once('>')?;
        let words = brief(rest.split('<').next()?);
        (!words.is_empty()).then_some(words)
    })
}

/// Whether it asks for TLS where plain HTTP came.
pub fn needs_tls(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body.get(..BEGINNING).unwrap_or(body));
    NEEDS_TLS.iter().any(|words| text.contains(words))
}

/// On one line, and no longer than helps.
pub fn brief(text: &str) -> String {
    // White space that reorders or paints is left for the escapes.
    let words: Vec<&str> = text.split_ascii_whitespace().take(SHORT).collect();
    let line = words.join(" ");
    match line.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_on_the_same_server() {
        for (location, here) in [
            ("/debug/pprof/", true),
            ("pprof/", true),
            ("./", true),
            ("?a=b", true),
            ("/login?next=https://elsewhere/", true),
            ("https://10.0.0.1:443/", true),
            ("HTTPS://10.0.0.1/", true),
            ("https://10.0.0.1?a", true),
            ("", false),
            ("//10.0.0.1/", false),
            ("/\\elsewhere", false),
            ("\\elsewhere", false),
            ("https://10.0.0.1:6443/", false),
            ("https://10.0.0.1@elsewhere/", false),
            ("https://10.0.0.1.elsewhere/", false),
            ("http://10.0.0.1:443/", false),
            ("https:elsewhere", false),
            ("javascript:alert(1)", false),
        ] {
            assert_eq!(is_here(location, "10.0.0.1:443"), here, "{location}");
        }
    }

    #[test]
    fn web_pages() {
        for (content_type, body, is) in [
            ("Text/HTML; charset=utf-8", "", true),
            ("application/xhtml+xml", "", true),
            ("", " <!DOCTYPE HTML PUBLIC \"-//W3C//DTD\">", true),
            ("text/plain", "\u{feff}<html>", true),
            ("text/plain", "<!-- a -->\n<!-- b --><HTML>", true),
            ("text/plain", "<script>location='/login'</script>", true),
            ("", "<h1>403 Forbidden</h1>", true),
            ("", "<!-- without an end", false),
            ("text/plain", "ok", false),
            ("text/plain", "a <html>", false),
            ("application/json", "{}", false),
        ] {
            assert_eq!(is_web_page(content_type, body.as_bytes()), is, "{content_type} {body}");
        }
    }

    #[test]
    fn what_a_page_is_called() {
        for (page, found) in [
            ("<html><title>Sign in</title>", Some("Sign in")),
            ("<HTML><Title lang=en>\n  Welcome\n  back </Title>", Some("Welcome back")),
            ("<html><title></title><h1>403 Forbidden</h1>", Some("403 Forbidden")),
            ("<html>", None),
            ("<title", None),
            ("<title>no end", Some("no end")),
        ] {
            assert_eq!(title(page.as_bytes()).as_deref(), found, "{page}");
        }
    }

    #[test]
    fn words_on_one_line() {
        assert_eq!(brief("{\n  \"message\":   \"no\"\n}"), "{ \"message\": \"no\" }");
        assert_eq!(brief(&"ü".repeat(201)), format!("{}…", "ü".repeat(200)));
        assert_eq!(brief(&"x ".repeat(500)).chars().count(), 201);
    }
}
