//! Reads a CA bundle: parses PEM into certificates, and identifies a file that has none. Knows nothing about trust.

use std::borrow::Cow;

use rustls::pki_types::CertificateDer;

use crate::api::certificate::Certificate;
use crate::failure::Fault;
use crate::text::lossy;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// The certificates of a bundle, and how many cannot be read.
#[derive(Debug)]
pub struct Bundle {
    /// The certificates, in the order of the file.
    pub certificates: Vec<(CertificateDer<'static>, Certificate)>,
    /// How many certificates cannot be read.
    pub skipped: usize,
}

impl Bundle {
    /// Reads PEM. A bundle without a usable certificate is a setup fault, and its message includes `name`.
    pub fn read(pem: &[u8], name: &str) -> Result<Bundle, Fault> {
        let mut bundle = Bundle { certificates: Vec::new(), skipped: 0 };
        let text = unglued(lossy(pem));
        let mut rest = text.as_bytes();
        for der in rustls_pemfile::certs(&mut rest) {
            match der.ok().and_then(|der| Some((Certificate::parse(&der)?, der))) {
                Some((certificate, der)) => bundle.certificates.push((der, certificate)),
                None => bundle.skipped += 1,
            }
        }
        if bundle.certificates.is_empty() {
            let why = match (bundle.skipped, kind(pem, &text)) {
                (_, Some(kind)) => kind.to_owned(),
                (0, None) => "no certificate in it (-----BEGIN CERTIFICATE-----)".to_owned(),
                (1, None) => "its one certificate cannot be read: it is damaged".to_owned(),
                (count, None) => format!("none of its {count} certificates can be read: they are damaged"),
            };
            return Err(Fault::Setup(format!("CA bundle {name}: {why}")));
        }
        // A byte order mark or spaces before a header hide it from the reader above, and from client-go: count those
        // headers.
        let headers = text.lines().filter(|line| line.trim_ascii_end().ends_with(CERTIFICATE)).count();
        bundle.skipped = bundle.skipped.max(headers.saturating_sub(bundle.certificates.len()));
        Ok(bundle)
    }
}

/// Adds the line break that is missing between two blocks if `cat` joins files that do not end with one.
/// `rustls_pemfile` and Go read the second header as part of the first trailer, and lose a certificate without an
/// error.
fn unglued(text: Cow<'_, str>) -> Cow<'_, str> {
    const GLUED: &str = "----------BEGIN ";
    if text.contains(GLUED) { text.replace(GLUED, "-----\n-----BEGIN ").into() } else { text }
}

/// What kind of file this is if it is not a PEM bundle, and how to convert it.
fn kind(file: &[u8], text: &str) -> Option<&'static str> {
    let has = |words: &str| text.contains(words);
    if let Some(kind) = of_bytes(file) {
        return Some(kind);
    }
    let labels = [
        (
            "-----BEGIN TRUSTED CERTIFICATE-----",
            "it is OpenSSL's TRUSTED CERTIFICATE; convert it: openssl x509 -in FILE -out ca.crt",
        ),
        (
            "-----BEGIN X509 CERTIFICATE-----",
            "its header is X509 CERTIFICATE; convert it: openssl x509 -in FILE -out ca.crt",
        ),
        (
            "-----BEGIN PKCS7-----",
            "it is PKCS#7; convert it: openssl pkcs7 -print_certs -in FILE -out ca.crt",
        ),
        ("-----BEGIN CERTIFICATE REQUEST-----", "it is a certificate request, which a CA has not signed yet"),
        (
            "-----BEGIN NEW CERTIFICATE REQUEST-----",
            "it is a certificate request, which a CA has not signed yet",
        ),
        (
            "PRIVATE KEY-----",
            "it is a private key; keep it secret, and use the file with the CA's certificate",
        ),
        ("PUBLIC KEY-----", "it is a public key; use the file with the CA's certificate"),
        ("-----BEGIN X509 CRL-----", "it is a revocation list; use the file with the CA's certificate"),
        ("-----BEGIN PGP", "it is a PGP file; use the file with the CA's certificate"),
        ("-----BEGIN OPENSSH", "it is an SSH key; use the file with the CA's certificate"),
    ];
    if let Some((_, kind)) = labels.iter().find(|(label, _)| has(label)) {
        return Some(kind);
    }
    if has(CERTIFICATE) {
        return of_pem(text);
    }
    let text = text.trim_ascii();
    Some(match text.as_bytes() {
        [] => "it is empty",
        _ if text.starts_with("LS0tLS1CRUdJTi") => {
            "it is base64 of a PEM file, as in kubeconfigs and Secrets; decode it with: base64 -d"
        }
        _ if text.starts_with("MII") => {
            "it is base64 without the BEGIN CERTIFICATE and END CERTIFICATE lines; add them"
        }
        _ if has("certificate-authority-data:") => {
            "it is a kubeconfig; its certificate-authority-data is the bundle in base64"
        }
        _ if has("apiVersion:") || has("\"apiVersion\"") => {
            "it is a Kubernetes manifest; the bundle is one of its values"
        }
        [b'{' | b'[', ..] => "it is JSON; the bundle is one of its values",
        [b'<', ..] => "it is HTML or XML",
        [b'/', ..] if text.len() < 4096 && !text.contains('\n') => "it is a path; name that file instead",
        _ if text.starts_with("ssh-") || text.starts_with("ecdsa-sha2-") => "it is an SSH public key",
        _ if has("BEGIN CERTIFICATE") => {
            "its header is damaged; it must be -----BEGIN CERTIFICATE-----, with five hyphens"
        }
        _ => return None,
    })
}

/// Why a PEM reader finds no certificate although the header is there.
fn of_pem(text: &str) -> Option<&'static str> {
    let has = |words: &str| text.contains(words);
    let (before, after) = text.split_once(CERTIFICATE)?;
    let line = before.rsplit('\n').next().unwrap_or_default();
    if has("-----\\n") || has("-----\\r\\n") {
        return Some("its line breaks are written as \\n; write real ones, for example with: printf '%b'");
    }
    if line == "\u{feff}" {
        return Some("it begins with a byte order mark; save it as UTF-8 without one");
    }
    if !line.is_empty() && line.trim_ascii().is_empty() {
        return Some("its lines are indented; each must begin in the first column");
    }
    if !line.is_empty() {
        return Some("text is before -----BEGIN CERTIFICATE----- on its line; begin a new line there");
    }
    if !has("-----END CERTIFICATE-----") {
        return Some("it ends before -----END CERTIFICATE-----: it is cut off");
    }
    if !after.trim_start_matches(' ').starts_with(['\n', '\r']) {
        return Some("its line breaks are missing; put header, base64 and trailer on lines of their own");
    }
    None
}

/// The same for files that are not text.
fn of_bytes(file: &[u8]) -> Option<&'static str> {
    /// The OID `1.2.840.113549.1.7.2`, signedData.
    const SIGNED_DATA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
    /// The OID `1.2.840.113549.1.7.1`, data, which follows version 3 in PKCS#12.
    const DATA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    let head = file.get(..64).unwrap_or(file);
    let has = |id: &[u8]| head.windows(id.len()).any(|window| window == id);
    Some(match file {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16; save it as UTF-8",
        [0x1f, 0x8b, ..] => "it is a gzip archive; unpack it",
        [b'P', b'K', 3, 4, ..] => "it is a zip archive; unpack it",
        [0xfe, 0xed, 0xfe, 0xed, ..] => "it is a Java keystore; export it with: keytool -exportcert -rfc",
        [0x7f, b'E', b'L', b'F', ..] => "it is a program",
        [0x30, ..] if has(SIGNED_DATA) => {
            "it is PKCS#7; convert it: openssl pkcs7 -inform der -print_certs -in FILE -out ca.crt"
        }
        [0x30, ..] if has(DATA) => "it is PKCS#12; convert it: openssl pkcs12 -nokeys -in FILE -out ca.crt",
        [0x30, ..] if Certificate::parse(file).is_some() => {
            "it is in DER form; convert it: openssl x509 -inform der -in FILE -out ca.crt"
        }
        [0x30, 0x81..=0x83, ..] => "it is in DER form, but not a certificate",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate() -> (String, Vec<u8>) {
        let made = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap();
        (made.pem(), made.der().to_vec())
    }

    #[test]
    fn blocks_without_a_line_break_between_them_lose_nothing() {
        let (one, two, three) = (certificate().0, certificate().0, certificate().0);
        let (one, two, three) = (one.trim_end(), two.trim_end(), three.trim_end());
        let crlf = |text: &str| text.replace("\r\n", "\n").replace('\n', "\r\n");
        for (text, good, skipped) in [
            (format!("{one}\n{two}\n{three}\n"), 3, 0),
            (format!("{one}{two}{three}"), 3, 0),
            (format!("{one}{two}\n{three}"), 3, 0),
            (format!("{one}\n\n# old\n{two}{three}\n"), 3, 0),
            (crlf(&format!("{one}{two}{three}")), 3, 0),
            (crlf(&format!("{one}\n{two}")), 2, 0),
            (format!("\n\n{one}\nsome text\n{two}\nthe end"), 2, 0),
            (format!("# {}\n{one}", "-----BEGIN of text"), 1, 0),
            (format!("{one}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----{two}"), 2, 0),
            // A certificate that a mark or spaces hide counts as skipped.
            (format!("\u{feff}{one}\n{two}"), 1, 1),
            (format!("{one}\n  {}", two.replace('\n', "\n  ")), 1, 1),
            (format!("{one}\n-----BEGIN CERTIFICATE-----\nMIIB"), 1, 1),
            (format!("{one}\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"), 1, 1),
        ] {
            let bundle = Bundle::read(text.as_bytes(), "X").unwrap();
            assert_eq!((bundle.certificates.len(), bundle.skipped), (good, skipped), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_bundle_is_named() {
        let (pem, der) = certificate();
        let labeled = |label: &str| pem.replace("CERTIFICATE", label).into_bytes();
        let utf_16: Vec<u8> =
            [0xfeff].into_iter().chain(pem.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let mut signed = vec![0x30, 0x82, 1, 0, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
        signed.resize(260, 0);
        let mut twelve =
            vec![0x30, 0x82, 1, 0, 2, 1, 3, 0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
        twelve.resize(260, 0);
        for (file, words) in [
            (Vec::new(), "it is empty"),
            (b" \n\t\r\n".to_vec(), "it is empty"),
            (STANDARD.encode(&pem).into_bytes(), "base64 of a PEM file"),
            (STANDARD.encode(&der).into_bytes(), "base64 without the BEGIN"),
            (der.clone(), "it is in DER form; convert it: openssl x509"),
            (signed, "it is PKCS#7; convert it: openssl pkcs7"),
            (twelve, "PKCS#12"),
            (vec![0x30, 0x82, 1, 0, 2], "not a certificate"),
            (labeled("PKCS7"), "it is PKCS#7; convert"),
            (labeled("TRUSTED CERTIFICATE"), "TRUSTED CERTIFICATE"),
            (labeled("X509 CERTIFICATE"), "X509 CERTIFICATE"),
            (labeled("CERTIFICATE REQUEST"), "certificate request"),
            (labeled("NEW CERTIFICATE REQUEST"), "certificate request"),
            (labeled("PRIVATE KEY"), "private key"),
            (labeled("RSA PRIVATE KEY"), "private key"),
            (labeled("EC PRIVATE KEY"), "private key"),
            (labeled("PUBLIC KEY"), "public key"),
            (labeled("X509 CRL"), "revocation list"),
            (b"-----BEGIN PGP PUBLIC KEY BLOCK-----".to_vec(), "PGP"),
            (b"-----BEGIN OPENSSH PRIVATE KEY-----".to_vec(), "private key"),
            (pem.replace('\n', "\n  ").replace("-----BEGIN", "  -----BEGIN").into_bytes(), "indented"),
            (pem.replace('\n', "\n\t").replace("-----BEGIN", "\t-----BEGIN").into_bytes(), "indented"),
            (pem.replace("\r\n", "\n").replace('\n', "\\n").into_bytes(), "written as \\n"),
            (pem.replace("\r\n", "\n").replace('\n', "\\r\\n").into_bytes(), "written as \\n"),
            (format!("\u{feff}{pem}").into_bytes(), "byte order mark"),
            (format!("ca: {pem}").into_bytes(), "text is before"),
            (format!("\"{pem}\"").into_bytes(), "text is before"),
            (utf_16, "UTF-16"),
            (pem.replace("\r\n", "").replace('\n', "").into_bytes(), "line breaks are missing"),
            (pem.replace("-----END CERTIFICATE-----", "").into_bytes(), "cut off"),
            (pem[..200].into(), "cut off"),
            (
                pem.replace("-----BEGIN CERTIFICATE-----", "----BEGIN CERTIFICATE----").into_bytes(),
                "five hyphens",
            ),
            (pem.replace("-----", "—").into_bytes(), "five hyphens"),
            (vec![0x1f, 0x8b, 8, 0], "gzip"),
            (b"PK\x03\x04".to_vec(), "zip"),
            (vec![0xfe, 0xed, 0xfe, 0xed, 0], "Java keystore"),
            (b"\x7fELF".to_vec(), "a program"),
            (b"certificate-authority-data: LS0t".to_vec(), "kubeconfig"),
            (b"apiVersion: v1\nkind: ConfigMap".to_vec(), "manifest"),
            (b"{\"ca.crt\": \"\"}".to_vec(), "JSON"),
            (b"<html></html>".to_vec(), "HTML"),
            (b"/etc/kubernetes/pki/ca.crt\n".to_vec(), "a path"),
            (b"ssh-ed25519 AAAA".to_vec(), "SSH"),
        ] {
            let Err(Fault::Setup(text)) = Bundle::read(&file, "X") else { panic!("{words}: it was taken") };
            assert!(text.starts_with("CA bundle X: ") && text.lines().count() == 1, "{text}");
            assert!(
                text.len()
                    <= 160 - "kubeknock: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt".len()
                        + "X".len(),
                "{text}"
            );
            assert!(text.contains(words) && text.lines().count() == 1, "no {words:?} in {text:?}");
        }
        for (file, text) in [
            (b"garbage".to_vec(), "no certificate in it (-----BEGIN CERTIFICATE-----)"),
            (pem.replace("MII", "AAA").into_bytes(), "its one certificate cannot be read: it is damaged"),
            (
                pem.replace("MII", "AAA").repeat(2).into_bytes(),
                "none of its 2 certificates can be read: they are damaged",
            ),
        ] {
            let fault = Bundle::read(&file, "X").unwrap_err();
            assert_eq!(fault, Fault::Setup(format!("CA bundle X: {text}")));
        }
    }
}
