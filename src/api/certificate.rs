//! What an X.509 certificate says of itself: names, dates and uses. Read, never judged.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::time::date::seconds;

/// The parts of a certificate that a reader needs (RFC 5280). Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is: `CN=kube-apiserver`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Valid from.
    pub not_before: i64,
    /// Valid until.
    pub not_after: i64,
    /// The DNS names and IP addresses it is for.
    pub names: Vec<String>,
    /// It says CA:TRUE.
    pub is_ca: bool,
    /// It may sign other certificates: a CA's, whose key usage (if it has one) allows that; or of version 1, which
    /// cannot say so (Go's `CheckSignatureFrom`).
    pub signs: bool,
    /// It may sign other CAs: its path length, if it has one, is not 0.
    pub signs_cas: bool,
    /// It may be a server's, or sign a server's: no extended key usage, or one with server authentication or any.
    pub serves: bool,
    /// It has a critical extension that is not of RFC 5280.
    pub is_odd: bool,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const BITS: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
/// `[0] version`, `[3] extensions`, `[2] dNSName`, `[7] iPAddress`.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// 2.5.4.3, 2.5.4.10 and 2.5.4.11.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
const UNIT: &[u8] = &[0x55, 4, 11];
/// 2.5.29.17, .19, .15 and .37.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// 2.5.29, of the extensions of RFC 5280.
const EXTENSION: &[u8] = &[0x55, 0x1d];
/// `keyCertSign`, the sixth bit.
const CERT_SIGN: u8 = 0x04;
/// 1.3.6.1.5.5.7.3.1 and 2.5.29.37.0.
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const ANY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0];

impl Certificate {
    /// Reads DER. `None` if it is not a certificate.
    pub fn parse(der: &[u8]) -> Option<Certificate> {
        let mut certificate = Reader(Reader(der).take(SEQUENCE)?);
        let mut body = Reader(certificate.take(SEQUENCE)?);
        let has_version = body.skip_if(VERSION);
        body.take(INTEGER)?;
        body.take(SEQUENCE)?;
        let issuer = name(body.take(SEQUENCE)?);
        let mut validity = Reader(body.take(SEQUENCE)?);
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = name(body.take(SEQUENCE)?);
        let _key = body.take(SEQUENCE)?;
        let names = Vec::new();
        let (is_ca, signs) = (false, !has_version);
        let mut certificate = Certificate {
            subject,
            issuer,
            not_before,
            not_after,
            names,
            is_ca,
            signs,
            signs_cas: true,
            serves: true,
            is_odd: false,
        };
        while let Some((tag, content)) = body.next() {
            if tag == EXTENSIONS {
                certificate.extend(content);
            }
        }
        Some(certificate)
    }

    /// Adds what the extensions say, as far as they can be read.
    fn extend(&mut self, extensions: &[u8]) {
        let Some(mut extensions) = Reader(extensions).take(SEQUENCE).map(Reader) else { return };
        let mut may_sign = true;
        while let Some((_, extension)) = extensions.next() {
            let mut extension = Reader(extension);
            let Some(id) = extension.take(OBJECT_ID) else { continue };
            // FALSE is the default, and DER writes none.
            let is_critical = extension.skip_if(BOOLEAN);
            let Some(content) = extension.take(OCTETS) else { continue };
            match id {
                ALTERNATIVE_NAMES => self.names = alternative_names(content).unwrap_or_default(),
                BASIC_CONSTRAINTS => (self.is_ca, self.signs_cas) = constraints(content),
                // A bit string: how many bits of its last byte are not used, then the bits.
                KEY_USAGE => {
                    let bits = Reader(content).take(BITS).and_then(|bits| bits.get(1));
                    may_sign = bits.is_some_and(|bits| bits & CERT_SIGN != 0);
                }
                EXTENDED_KEY_USAGE => self.serves = serves(content),
                _ => self.is_odd |= is_critical && !id.starts_with(EXTENSION),
            }
        }
        self.signs = self.is_ca && may_sign;
    }
}

/// What is left of a run of DER elements (X.690).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Tag and content of the next element; `None` at the end, or if it is broken.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            // The number of bytes that hold the length: no certificate needs more than three.
            let count = usize::from(first & 0x7f);
            let (bytes, rest) = rest.split_at_checked(count).filter(|_| (1..=3).contains(&count))?;
            (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, which has to have this tag.
    fn take(&mut self, expected: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == expected).map(|(_, content)| content)
    }

    /// Whether it was there.
    fn skip_if(&mut self, tag: u8) -> bool {
        self.0.first() == Some(&tag) && self.next().is_some()
    }
}

/// `CN=…`, with `O=…` where there is no common name.
fn name(der: &[u8]) -> String {
    let mut found = [(COMMON_NAME, "CN", None), (ORGANIZATION, "O", None), (UNIT, "OU", None)];
    let mut sets = Reader(der);
    while let Some((_, set)) = sets.next() {
        let Some(mut pair) = Reader(set).take(SEQUENCE).map(Reader) else { continue };
        let (Some(id), Some((_, value))) = (pair.take(OBJECT_ID), pair.next()) else { continue };
        for (wanted, _, text) in &mut found {
            if id == *wanted {
                text.get_or_insert(String::from_utf8_lossy(value).into_owned());
            }
        }
    }
    let shown = found.into_iter().find_map(|(_, key, text)| Some(format!("{key}={}", text?)));
    shown.unwrap_or_else(|| "(no name)".into())
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time((tag, text): (u8, &[u8])) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = text.split_at_checked(if tag == UTC_TIME { 2 } else { 4 })?;
    let year: i64 = year.parse().ok()?;
    let year = match year {
        0..50 if tag == UTC_TIME => 2000 + year,
        50..100 if tag == UTC_TIME => 1900 + year,
        _ => year,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let second = part(4)? * 3600 + part(6)? * 60 + part(8)?;
    Some(seconds(year, part(0)?, part(2)?, second))
}

fn alternative_names(content: &[u8]) -> Option<Vec<String>> {
    let mut entries = Reader(Reader(content).take(SEQUENCE)?);
    let mut names = Vec::new();
    while let Some((tag, content)) = entries.next() {
        names.extend(match tag {
            DNS_NAME => Some(String::from_utf8_lossy(content).into_owned()),
            IP_ADDRESS => address(content),
            _ => None,
        });
    }
    Some(names)
}

/// Whether it is a CA's, and may sign other CAs.
fn constraints(content: &[u8]) -> (bool, bool) {
    let mut inside = Reader(Reader(content).take(SEQUENCE).unwrap_or_default());
    let is_ca = inside.take(BOOLEAN).is_some_and(|value| value.iter().any(|&byte| byte != 0));
    (is_ca, inside.take(INTEGER) != Some(&[0]))
}

fn serves(content: &[u8]) -> bool {
    let mut usages = Reader(Reader(content).take(SEQUENCE).unwrap_or_default());
    std::iter::from_fn(|| usages.take(OBJECT_ID)).any(|usage| usage == SERVER_AUTH || usage == ANY_USAGE)
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
    let sixteen = || <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).to_string());
    four.or_else(|_| sixteen()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    #[test]
    fn what_a_certificate_says() {
        let names = ["kubernetes", "kubernetes.default.svc", "10.96.0.1", "fd00::1"].map(String::from);
        let mut params = CertificateParams::new(names.to_vec()).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "somebody");
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.not_before = date_time_ymd(2020, 2, 29);
        params.not_after = date_time_ymd(2051, 1, 1);
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let certificate = Certificate::parse(&der).unwrap();
        assert_eq!(certificate.subject, "CN=kube-apiserver");
        assert_eq!(certificate.issuer, "CN=kube-apiserver");
        assert_eq!(certificate.names, names);
        // Before 2050 as UTCTime, from then on as GeneralizedTime.
        assert_eq!(certificate.not_before, seconds(2020, 2, 29, 0));
        assert_eq!(certificate.not_after, seconds(2051, 1, 1, 0));
        for cut in 0..der.len() {
            // Whatever is cut off, there is no panic; the signature at the end is not looked at.
            let _ = Certificate::parse(&der[..cut]);
            let mut bent = der.clone();
            bent[cut] ^= 0xff;
            let _ = Certificate::parse(&bent);
        }
        assert_eq!(Certificate::parse(b"-----BEGIN"), None);
        assert_eq!(Certificate::parse(&[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
