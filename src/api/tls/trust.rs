//! Decides which server certificates a CA bundle verifies: the same ones that Go's verifier, and so client-go, accepts
//! with that bundle, as far as rustls can verify them.
//!
//! rustls alone accepts more: any CA of the bundle, even one that has expired or says CA:FALSE, and an intermediate
//! with any key usage. It also accepts less: it does not trust a certificate just because that certificate is itself in
//! the bundle.

use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};

use super::bundle::Bundle;
use super::explain::Distrust;
use crate::api::certificate::Certificate;
use crate::failure::Flaw;
use crate::time::duration::span;

/// The certificates of a bundle, grouped by what each may do.
#[derive(Debug)]
pub struct Trust {
    /// The certificates that may sign others: CAs for servers, within their validity.
    roots: RootCertStore,
    /// The CAs that may not sign other CAs.
    lowest: RootCertStore,
    /// All certificates of the bundle: any of them may be a server's own.
    certificates: Vec<(CertificateDer<'static>, Certificate)>,
}

/// The judgment on a server's certificate.
pub struct Judgement {
    /// Accepted, or the reason why not.
    pub verdict: Result<(), rustls::Error>,
    /// Whether no CA in the bundle has signed it.
    pub unknown_issuer: bool,
}

impl Trust {
    /// Builds the trust that a bundle gives.
    pub fn new(bundle: Bundle) -> Trust {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (mut roots, mut lowest) = (RootCertStore::empty(), RootCertStore::empty());
        for (der, certificate) in &bundle.certificates {
            if certificate.signs && certificate.serves && !certificate.is_odd && is_within(certificate, now) {
                let store = if certificate.signs_cas { &mut roots } else { &mut lowest };
                // A certificate that rustls cannot read signs nothing, but it may still be a server's own.
                let _ = store.add(der.clone());
            }
        }
        Trust { roots, lowest, certificates: bundle.certificates }
    }

    /// Judges the chain that a server shows.
    pub fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
        provider: &CryptoProvider,
    ) -> Judgement {
        let verdict = self.verify(end_entity, intermediates, name, now, provider);
        let unknown_issuer = is_unknown(&verdict) && !self.is_foreign_ca(end_entity);
        let why = || {
            let shown = Certificate::parse(end_entity)?;
            if self.is_foreign_ca(end_entity) {
                let why = "its certificate is a CA's (CA:TRUE), which counts as a server's only where it is itself in the CA bundle";
                return Some(why.into());
            }
            let sent = intermediates.iter().filter_map(|der| Certificate::parse(der)).collect::<Vec<_>>();
            if unknown_issuer {
                return Some(self.why_unknown(&shown, &sent, now.as_secs()));
            }
            why_not_good(&shown, &sent, now.as_secs())
        };
        let verdict = verdict.map_err(|error| why().map_or(error, Distrust::into));
        Judgement { verdict, unknown_issuer }
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
        provider: &CryptoProvider,
    ) -> Result<(), rustls::Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        if let Some((_, own)) = self.certificates.iter().find(|(der, _)| der == end_entity) {
            // Go's `Verify` also stops here: a certificate that is itself trusted needs no signature.
            dates(own, now)?;
            if !own.serves {
                return Err(CertificateError::InvalidPurpose.into());
            }
            return verify_server_name(&parsed, name);
        }
        let algorithms = provider.signature_verification_algorithms.all;
        let signed_by = |roots: &RootCertStore, intermediates: &[CertificateDer<'_>]| {
            verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)
        };
        // rustls reports an intermediate that is not a CA, but it ignores key usages, so leave out CAs that may not
        // sign.
        let may_sign = |der: &&CertificateDer<'_>| {
            Certificate::parse(der).is_none_or(|certificate| certificate.signs || !certificate.is_ca)
        };
        let intermediates: Vec<_> =
            intermediates.iter().filter(may_sign).map(|der| CertificateDer::from(der.as_ref())).collect();
        let mut verdict = signed_by(&self.roots, &intermediates);
        if is_unknown(&verdict) && !self.lowest.is_empty() {
            verdict = signed_by(&self.lowest, &[]);
        }
        verdict.and_then(|()| verify_server_name(&parsed, name))
    }

    /// Whether the server's certificate is a CA that is not in the bundle: rustls never accepts one as a server's
    /// certificate.
    fn is_foreign_ca(&self, end_entity: &CertificateDer<'_>) -> bool {
        self.certificates.iter().all(|(der, _)| der != end_entity)
            && Certificate::parse(end_entity).is_some_and(|certificate| certificate.is_ca)
    }

    /// Why no CA in the bundle has signed the certificate. Each cause has its own remedy.
    fn why_unknown(&self, shown: &Certificate, sent: &[Certificate], now: u64) -> Distrust {
        // Follow the chain up as far as the server sends it.
        let mut top = shown;
        for _ in 0..sent.len() {
            let issuer = sent.iter().find(|one| one.subject == top.issuer && one.subject != one.issuer);
            top = issuer.unwrap_or(top);
        }
        let signer = &top.issuer;
        let named = || self.named(signer);
        if shown.subject == shown.issuer && !named().any(|certificate| certificate.signs) {
            let why = format!("its certificate is self-signed ({}) and not in the CA bundle", shown.subject);
            return Distrust(Flaw::Authority, why);
        }
        let is_above_a_ca = top != shown;
        let why_not = |certificate: &Certificate| match certificate {
            Certificate { signs: false, is_ca: false, .. } => Some("it is not a CA (no CA:TRUE)"),
            Certificate { signs: false, .. } => Some("its key usage lacks keyCertSign"),
            Certificate { serves: false, .. } => Some("its extended key usage lacks server authentication"),
            Certificate { is_odd: true, .. } => Some("it has an unknown critical extension"),
            Certificate { signs_cas: false, .. } if is_above_a_ca => {
                Some("it may sign no other CA (pathlen:0)")
            }
            _ => None,
        };
        let of_server = sent.iter().filter(|one| one.is_ca && !one.signs);
        let of_server = of_server.map(|one| (Flaw::Chain, "that it sends", one));
        let mut signers = of_server.chain(named().map(|one| (Flaw::Authority, "of the bundle", one)));
        if let Some((flaw, whose, signer, why)) =
            signers.find_map(|(flaw, whose, one)| Some((flaw, whose, &one.subject, why_not(one)?)))
        {
            let why = format!("its certificate is signed by {signer} {whose}, which must not sign it: {why}");
            return Distrust(flaw, why);
        }
        Distrust(Flaw::Authority, self.why_not_named(signer, now))
    }

    fn of_bundle(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.iter().map(|(_, certificate)| certificate)
    }

    /// The certificates of the bundle with this subject.
    fn named(&self, subject: &str) -> impl Iterator<Item = &Certificate> {
        self.of_bundle().filter(move |certificate| certificate.subject == subject)
    }

    /// Why no CA of the bundle counts as this signer, though none of them is unfit to sign.
    fn why_not_named(&self, signer: &str, now: u64) -> String {
        let named = || self.named(signer);
        if named().next().is_some() && !named().any(|certificate| is_within(certificate, now)) {
            let late = named().map(|certificate| certificate.not_after).max().unwrap_or_default();
            let when = when(late, now);
            return format!("the CA certificate of the bundle, {signer}, {when}: renew ca.crt");
        }
        if named().next().is_some() {
            return format!(
                "its certificate is signed by a CA with the bundle's name ({signer}) but another key: another cluster's ca.crt, or an old one"
            );
        }
        let mut others: Vec<&str> =
            self.of_bundle().map(|certificate| certificate.subject.as_str()).collect();
        others.dedup();
        let more = if others.len() > 3 { ", …" } else { "" };
        others.truncate(3);
        format!(
            "its certificate is signed by {signer}, but the bundle has {}{more} (another cluster's ca.crt, or no intermediate sent)",
            others.join(", ")
        )
    }
}

fn is_unknown<T>(verdict: &Result<T, rustls::Error>) -> bool {
    use CertificateError::{BadSignature, UnknownIssuer};
    matches!(verdict, Err(rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature)))
}

/// What is wrong with an intermediate certificate, if the server's own is good: rustls does not say which one is at
/// fault.
fn why_not_good(shown: &Certificate, sent: &[Certificate], now: u64) -> Option<Distrust> {
    let is_good = |one: &Certificate| one.serves && is_within(one, now);
    let bad = sent.iter().find(|one| is_good(shown) && !is_good(one))?;
    let why = if bad.serves {
        when(bad.not_after, now)
    } else {
        "is not for servers: its extended key usage lacks server authentication".to_owned()
    };
    Some(Distrust(Flaw::Chain, format!("the intermediate certificate that it sends, {}, {why}", bad.subject)))
}

/// How long ago a certificate has expired, or that it is not valid yet.
fn when(not_after: i64, now: u64) -> String {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let when = if not_after < now {
        format!("expired {} ago", span(now.saturating_sub(not_after)))
    } else {
        "is not valid yet".to_owned()
    };
    format!("{when} (or this clock is wrong)")
}

fn is_within(certificate: &Certificate, now: u64) -> bool {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    (certificate.not_before..=certificate.not_after).contains(&now)
}

fn dates(certificate: &Certificate, now: UnixTime) -> Result<(), CertificateError> {
    let at = |seconds: i64| {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    };
    let (not_before, not_after) = (at(certificate.not_before), at(certificate.not_after));
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before });
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::time::Duration;

    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
        KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
    };
    use rustls::crypto::ring::default_provider;

    use super::*;
    use crate::api::tls::failure;

    /// A certificate with its key, which can sign others.
    struct Made {
        params: CertificateParams,
        key: KeyPair,
        der: CertificateDer<'static>,
    }

    type Change = fn(&mut CertificateParams);

    fn params(name: &str, change: Change) -> CertificateParams {
        let mut params =
            CertificateParams::new(vec!["kubernetes".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        params
    }

    fn own(name: &str, change: Change) -> Made {
        let (params, key) = (params(name, change), KeyPair::generate().unwrap());
        let der = params.self_signed(&key).unwrap().der().clone();
        Made { params, key, der }
    }

    fn signed(by: &Made, name: &str, change: Change) -> Made {
        let (params, key) = (params(name, change), KeyPair::generate().unwrap());
        let der = params.signed_by(&key, &Issuer::from_params(&by.params, &by.key)).unwrap().der().clone();
        Made { params, key, der }
    }

    fn ca(params: &mut CertificateParams) {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.subject_alt_names.clear();
    }

    fn serving_ca(params: &mut CertificateParams) {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }

    fn no_ca(params: &mut CertificateParams) {
        params.is_ca = IsCa::ExplicitNoCa;
    }

    fn plain(_: &mut CertificateParams) {}

    fn expired(params: &mut CertificateParams) {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    }

    fn expired_ca(params: &mut CertificateParams) {
        ca(params);
        expired(params);
    }

    fn client(params: &mut CertificateParams) {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }

    fn any_purpose(params: &mut CertificateParams) {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
    }

    fn other_name(params: &mut CertificateParams) {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("elsewhere".try_into().unwrap())];
    }

    fn critical(params: &mut CertificateParams) {
        let mut extension =
            rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    }

    fn names(params: &mut CertificateParams, names: &[&str]) {
        let name = |name: &&str| rcgen::SanType::DnsName((*name).try_into().unwrap());
        params.subject_alt_names = names.iter().map(name).collect();
    }

    fn constrained(permitted: &[&str], excluded: &[&str]) -> NameConstraints {
        let subtrees =
            |names: &[&str]| names.iter().map(|name| GeneralSubtree::DnsName((*name).into())).collect();
        NameConstraints { permitted_subtrees: subtrees(permitted), excluded_subtrees: subtrees(excluded) }
    }

    /// The same name and key, but signed by another CA.
    fn crossed(made: &Made, by: &Made) -> CertificateDer<'static> {
        made.params.signed_by(&made.key, &Issuer::from_params(&by.params, &by.key)).unwrap().der().clone()
    }

    /// The same certificate, issued again a moment later.
    fn renewed(made: &Made) -> CertificateDer<'static> {
        let mut params = made.params.clone();
        params.not_before = date_time_ymd(2024, 1, 1);
        params.self_signed(&made.key).unwrap().der().clone()
    }

    fn own_with(name: &str, algorithm: &'static rcgen::SignatureAlgorithm) -> Made {
        let (params, key) = (params(name, ca), KeyPair::generate_for(algorithm).unwrap());
        let der = params.self_signed(&key).unwrap().der().clone();
        Made { params, key, der }
    }

    /// A server certificate below this many intermediates.
    fn ladder(root: &Made, steps: usize) -> Vec<CertificateDer<'static>> {
        let mut chain = Vec::new();
        let mut top = signed(root, "step-0", ca);
        for step in 1..=steps {
            chain.insert(0, top.der.clone());
            top = signed(&top, &format!("step-{step}"), if step == steps { plain } else { ca });
        }
        chain.insert(0, top.der);
        chain
    }

    /// A critical extension that permits any policy (RFC 5280, 4.2.1.4).
    fn policies(params: &mut CertificateParams) {
        let any = vec![0x30, 8, 0x30, 6, 6, 4, 0x55, 0x1d, 0x20, 0];
        let mut extension = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 32], any);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    }

    /// The verdict of Go 1.26.6, from `x509.Certificate.Verify` with these roots, intermediates and name, and from its
    /// handshake in TLS 1.2 and 1.3: each row was tried with both.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Go {
        Yes,
        No,
    }

    /// A row: what it is, the bundle, what the server shows, Go's verdict, and ours (empty if trusted, or else words
    /// from the reason).
    type Row = (&'static str, Vec<CertificateDer<'static>>, Vec<CertificateDer<'static>>, Go, &'static str);

    #[allow(clippy::too_many_lines, reason = "a table")]
    fn rows() -> Vec<Row> {
        use Go::{No, Yes};
        let der = |made: &Made| made.der.clone();
        let root = own("kubernetes", ca);
        let namesake = own("kubernetes", ca);
        let other = own("other", ca);
        let middle = signed(&root, "middle", ca);
        let low = signed(&middle, "low", ca);
        let leaf = signed(&root, "server", plain);
        let deep = signed(&low, "server", plain);
        let below = signed(&middle, "server", plain);
        let (self_signed, self_ca, self_no_ca) = (own("me", plain), own("me", serving_ca), own("me", no_ca));
        let old = own("kubernetes", expired_ca);
        let future = own("kubernetes", |params| {
            ca(params);
            params.not_before = date_time_ymd(2100, 1, 1);
            params.not_after = date_time_ymd(2101, 1, 1);
        });
        let no_sign = own("kubernetes", |params| {
            ca(params);
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        });
        let signer = own("kubernetes", |params| {
            ca(params);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        });
        let not_ca = own("kubernetes", no_ca);
        let says_nothing = own("kubernetes", plain);
        let narrow = own("kubernetes", |params| {
            ca(params);
            let permitted_subtrees = vec![GeneralSubtree::DnsName("example.com".into())];
            params.name_constraints =
                Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        });
        let pathlen = own("kubernetes", |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.subject_alt_names.clear();
        });
        let pathlen_1 = own("kubernetes", |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
            params.subject_alt_names.clear();
        });
        let middle_of_1 = signed(&pathlen_1, "middle", ca);
        let low_of_1 = signed(&middle_of_1, "low", ca);
        let middle_of_pathlen = signed(&pathlen, "middle", ca);
        let middle_no_ca = signed(&root, "middle", no_ca);
        let middle_expired = signed(&root, "middle", expired_ca);
        let middle_client = signed(&root, "middle", |params| {
            ca(params);
            client(params);
        });
        let self_expired = own("me", expired);
        let (self_client, self_any) = (own("me", client), own("me", any_purpose));
        let (self_other, self_critical) = (own("me", other_name), own("me", critical));
        let foreign_leaf = signed(&other, "server", plain);
        let for_clients = own("kubernetes", |params| {
            ca(params);
            client(params);
        });
        let for_servers = own("kubernetes", |params| {
            ca(params);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        let odd = own("kubernetes", |params| {
            ca(params);
            critical(params);
        });
        let middle_no_sign = signed(&root, "middle", |params| {
            ca(params);
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        });
        let middle_short = signed(&root, "middle", |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.subject_alt_names.clear();
        });
        let low_of_short = signed(&middle_short, "low", ca);
        let permits = own("kubernetes", |params| {
            ca(params);
            params.name_constraints = Some(constrained(&["kubernetes"], &[]));
        });
        let excludes = own("kubernetes", |params| {
            ca(params);
            params.name_constraints = Some(constrained(&[], &["kubernetes"]));
        });
        let narrow_leaf = der(&signed(&narrow, "server", plain));
        let old_leaf = der(&signed(&old, "server", plain));
        let p_384 = own_with("kubernetes", &rcgen::PKCS_ECDSA_P384_SHA384);
        let ed = own_with("kubernetes", &rcgen::PKCS_ED25519);
        vec![
            ("a CA and its leaf", vec![der(&root)], vec![der(&leaf)], Yes, ""),
            ("the CA sent, too", vec![der(&root)], vec![der(&leaf), der(&root)], Yes, ""),
            ("an intermediate that is sent", vec![der(&root)], vec![der(&below), der(&middle)], Yes, ""),
            ("two, out of order", vec![der(&root)], vec![der(&deep), der(&middle), der(&low)], Yes, ""),
            (
                "an intermediate that is not sent",
                vec![der(&root)],
                vec![der(&below)],
                No,
                "no intermediate sent",
            ),
            (
                "the upper of two not sent",
                vec![der(&root)],
                vec![der(&deep), der(&low)],
                No,
                "is signed by CN=middle,",
            ),
            ("the intermediate in the bundle", vec![der(&middle)], vec![der(&below)], Yes, ""),
            (
                "another CA",
                vec![der(&other)],
                vec![der(&leaf)],
                No,
                "is signed by CN=kubernetes, but the bundle has CN=other",
            ),
            (
                "another CA of the same name",
                vec![der(&namesake)],
                vec![der(&leaf)],
                No,
                "with the bundle's name (CN=kubernetes) but another key",
            ),
            ("both of that name", vec![der(&namesake), der(&root)], vec![der(&leaf)], Yes, ""),
            ("self-signed, in the bundle", vec![der(&self_signed)], vec![der(&self_signed)], Yes, ""),
            ("self-signed with CA:TRUE, in the bundle", vec![der(&self_ca)], vec![der(&self_ca)], Yes, ""),
            (
                "self-signed with CA:FALSE, in the bundle",
                vec![der(&self_no_ca)],
                vec![der(&self_no_ca)],
                Yes,
                "",
            ),
            (
                "self-signed, not in the bundle",
                vec![der(&root)],
                vec![der(&self_signed)],
                No,
                "self-signed (CN=me)",
            ),
            (
                "self-signed with CA:TRUE, not in the bundle",
                vec![der(&root)],
                vec![der(&self_ca)],
                No,
                "CA:TRUE",
            ),
            (
                "the leaf in the bundle, without its CA",
                vec![der(&foreign_leaf)],
                vec![der(&foreign_leaf)],
                Yes,
                "",
            ),
            (
                "the leaf and another CA",
                vec![der(&root), der(&foreign_leaf)],
                vec![der(&foreign_leaf)],
                Yes,
                "",
            ),
            (
                "an expired leaf in the bundle",
                vec![der(&self_expired)],
                vec![der(&self_expired)],
                No,
                "expired",
            ),
            (
                "a client's leaf in the bundle",
                vec![der(&self_client)],
                vec![der(&self_client)],
                No,
                "not for servers",
            ),
            ("a leaf for any purpose in the bundle", vec![der(&self_any)], vec![der(&self_any)], Yes, ""),
            (
                "a leaf of another name in the bundle",
                vec![der(&self_other)],
                vec![der(&self_other)],
                No,
                "elsewhere",
            ),
            (
                "a leaf with an unknown critical extension in the bundle",
                vec![der(&self_critical)],
                vec![der(&self_critical)],
                No,
                "critical",
            ),
            (
                "an expired CA",
                vec![der(&old)],
                vec![der(&signed(&old, "server", plain))],
                No,
                "the CA certificate of the bundle, CN=kubernetes, expired",
            ),
            (
                "a CA of the future",
                vec![der(&future)],
                vec![der(&signed(&future, "server", plain))],
                No,
                "is not valid yet",
            ),
            ("an expired CA beside the good one", vec![der(&old), der(&root)], vec![der(&leaf)], Yes, ""),
            (
                "a CA without keyCertSign",
                vec![der(&no_sign)],
                vec![der(&signed(&no_sign, "server", plain))],
                No,
                "keyCertSign",
            ),
            (
                "a CA with keyCertSign",
                vec![der(&signer)],
                vec![der(&signed(&signer, "server", plain))],
                Yes,
                "",
            ),
            (
                "signed by a leaf in the bundle (CA:FALSE)",
                vec![der(&not_ca)],
                vec![der(&signed(&not_ca, "server", plain))],
                No,
                "no CA:TRUE",
            ),
            (
                "signed by a leaf in the bundle (no constraints)",
                vec![der(&says_nothing)],
                vec![der(&signed(&says_nothing, "server", plain))],
                No,
                "no CA:TRUE",
            ),
            (
                "outside a CA's name constraints",
                vec![der(&narrow)],
                vec![der(&signed(&narrow, "server", plain))],
                No,
                "name constraints",
            ),
            (
                "more CAs than pathlen allows",
                vec![der(&pathlen)],
                vec![der(&signed(&middle_of_pathlen, "server", plain)), der(&middle_of_pathlen)],
                No,
                "signed by CN=kubernetes of the bundle, which must not sign it: it may sign no other CA (pathlen:0)",
            ),
            (
                "an intermediate with CA:FALSE",
                vec![der(&root)],
                vec![der(&signed(&middle_no_ca, "server", plain)), der(&middle_no_ca)],
                No,
                "not a CA's",
            ),
            (
                "an expired intermediate",
                vec![der(&root)],
                vec![der(&signed(&middle_expired, "server", plain)), der(&middle_expired)],
                No,
                "the intermediate certificate that it sends, CN=middle, expired",
            ),
            (
                "an intermediate for clients",
                vec![der(&root)],
                vec![der(&signed(&middle_client, "server", plain)), der(&middle_client)],
                No,
                "the intermediate certificate that it sends, CN=middle, is not for servers",
            ),
            (
                "an expired leaf",
                vec![der(&root)],
                vec![der(&signed(&root, "server", expired))],
                No,
                "expired",
            ),
            (
                "a client's leaf",
                vec![der(&root)],
                vec![der(&signed(&root, "server", client))],
                No,
                "not for servers",
            ),
            (
                "a leaf for any purpose",
                vec![der(&root)],
                vec![der(&signed(&root, "server", any_purpose))],
                Yes,
                "not for servers",
            ),
            (
                "a leaf of another name",
                vec![der(&root)],
                vec![der(&signed(&root, "server", other_name))],
                No,
                "elsewhere",
            ),
            (
                "a leaf with CA:TRUE",
                vec![der(&root)],
                vec![der(&signed(&root, "server", serving_ca))],
                Yes,
                "CA:TRUE",
            ),
            (
                "a leaf with an unknown critical extension",
                vec![der(&root)],
                vec![der(&signed(&root, "server", critical))],
                No,
                "critical",
            ),
            (
                "a CA for clients",
                vec![der(&for_clients)],
                vec![der(&signed(&for_clients, "server", plain))],
                No,
                "must not sign it: its extended key usage lacks",
            ),
            (
                "a CA for servers",
                vec![der(&for_servers)],
                vec![der(&signed(&for_servers, "server", plain))],
                Yes,
                "",
            ),
            (
                "a CA with an unknown critical extension",
                vec![der(&odd)],
                vec![der(&signed(&odd, "server", plain))],
                No,
                "unknown critical extension",
            ),
            (
                "an intermediate without keyCertSign",
                vec![der(&root)],
                vec![der(&signed(&middle_no_sign, "server", plain)), der(&middle_no_sign)],
                No,
                "signed by CN=middle that it sends, which must not sign it: its key usage",
            ),
            (
                "more CAs than an intermediate's pathlen allows",
                vec![der(&root)],
                vec![der(&signed(&low_of_short, "server", plain)), der(&low_of_short), der(&middle_short)],
                No,
                "pathlen",
            ),
            (
                "more CAs than a longer pathlen allows",
                vec![der(&pathlen_1)],
                vec![der(&signed(&low_of_1, "server", plain)), der(&low_of_1), der(&middle_of_1)],
                No,
                "",
            ),
            (
                "pathlen 0 without another CA",
                vec![der(&pathlen)],
                vec![der(&signed(&pathlen, "server", plain))],
                Yes,
                "",
            ),
            (
                "pathlen 0, the CA sent, too",
                vec![der(&pathlen)],
                vec![der(&signed(&pathlen, "server", plain)), der(&pathlen)],
                Yes,
                "",
            ),
            (
                "pathlen 0 of an intermediate in the bundle",
                vec![der(&middle_short)],
                vec![der(&signed(&middle_short, "server", plain)), der(&middle_short)],
                Yes,
                "",
            ),
            (
                "a CA of pathlen 0 beside its own without limit",
                vec![der(&pathlen), der(&root)],
                vec![der(&below), der(&middle)],
                Yes,
                "",
            ),
            (
                "cross-signed by an expired CA and by a good one",
                vec![der(&old), der(&root)],
                vec![der(&below), crossed(&middle, &old), der(&middle)],
                Yes,
                "",
            ),
            (
                "cross-signed by a CA that is not in the bundle",
                vec![der(&root)],
                vec![der(&below), crossed(&middle, &other), der(&middle)],
                Yes,
                "",
            ),
            (
                "a root cross-signed by another, which is sent",
                vec![der(&other)],
                vec![der(&leaf), crossed(&root, &other)],
                Yes,
                "",
            ),
            (
                "self-signed, renewed with the same key",
                vec![der(&self_signed)],
                vec![renewed(&self_signed)],
                No,
                "self-signed (CN=me) and not in",
            ),
            (
                "self-signed with CA:TRUE, renewed with the same key",
                vec![der(&self_ca)],
                vec![renewed(&self_ca)],
                No,
                "CA:TRUE",
            ),
            (
                "a CA renewed with the same key, the old one in the bundle",
                vec![renewed(&root)],
                vec![der(&leaf)],
                Yes,
                "",
            ),
            (
                "a CA renewed with the same key, the new one sent",
                vec![renewed(&root)],
                vec![der(&leaf), der(&root)],
                Yes,
                "",
            ),
            (
                "names in capitals",
                vec![der(&root)],
                vec![der(&signed(&root, "server", |params| names(params, &["KUBERNETES"])))],
                Yes,
                "",
            ),
            (
                "a name with a dot at its end",
                vec![der(&root)],
                vec![der(&signed(&root, "server", |params| names(params, &["kubernetes."])))],
                No,
                "but for kubernetes.",
            ),
            (
                "names that are none beside the good one",
                vec![der(&root)],
                vec![der(&signed(&root, "server", |params| {
                    names(params, &["https://a", "*", "a b", "kubernetes"]);
                }))],
                Yes,
                "",
            ),
            (
                "an underscore among the names",
                vec![der(&root)],
                vec![der(&signed(&root, "server", |params| names(params, &["a_b.c", "kubernetes"])))],
                Yes,
                "",
            ),
            (
                "an empty name beside the good one",
                vec![der(&root)],
                vec![der(&signed(&root, "server", |params| names(params, &["", "kubernetes"])))],
                Yes,
                "",
            ),
            (
                "a star for a name of one label",
                vec![der(&root)],
                vec![der(&signed(&root, "server", |params| names(params, &["*"])))],
                No,
                "but for *",
            ),
            (
                "no names",
                vec![der(&root)],
                vec![der(&signed(&root, "kubernetes", |params| names(params, &[])))],
                No,
                "no subjectAltName",
            ),
            (
                "within a CA's name constraints",
                vec![der(&permits)],
                vec![der(&signed(&permits, "server", plain))],
                Yes,
                "",
            ),
            (
                "excluded by a CA's name constraints",
                vec![der(&excludes)],
                vec![der(&signed(&excludes, "server", plain))],
                No,
                "name constraints",
            ),
            (
                "the leaf of a CA's name constraints in the bundle",
                vec![der(&narrow), narrow_leaf.clone()],
                vec![narrow_leaf.clone()],
                Yes,
                "",
            ),
            (
                "a leaf that is not valid yet",
                vec![der(&root)],
                vec![der(&signed(&root, "server", |params| params.not_before = date_time_ymd(2100, 1, 1)))],
                No,
                "is not valid before",
            ),
            (
                "a leaf that may only sign certificates",
                vec![der(&root)],
                vec![der(&signed(&root, "server", |params| {
                    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
                }))],
                Yes,
                "",
            ),
            (
                "a leaf for servers and something unknown",
                vec![der(&root)],
                vec![der(&signed(&root, "server", |params| {
                    params.extended_key_usages = vec![
                        ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 4, 1, 99_999, 2]),
                        ExtendedKeyUsagePurpose::ServerAuth,
                    ];
                }))],
                Yes,
                "",
            ),
            (
                "a leaf with critical policies",
                vec![der(&root)],
                vec![der(&signed(&root, "server", policies))],
                Yes,
                "critical",
            ),
            (
                "a serial number of 21 bytes",
                vec![der(&root)],
                vec![der(&signed(&root, "server", |params| params.serial_number = Some(vec![1; 21].into())))],
                Yes,
                "",
            ),
            (
                "something broken among the intermediates",
                vec![der(&root)],
                vec![der(&leaf), vec![0x30; 100].into()],
                No,
                "",
            ),
            (
                "a stranger among the intermediates",
                vec![der(&root)],
                vec![der(&leaf), der(&foreign_leaf)],
                Yes,
                "",
            ),
            ("the leaf sent twice", vec![der(&root)], vec![der(&leaf), der(&leaf)], Yes, ""),
            ("six intermediates", vec![der(&root)], ladder(&root, 6), Yes, ""),
            ("seven intermediates", vec![der(&root)], ladder(&root, 7), Yes, "too long"),
            ("a CA with P-384", vec![der(&p_384)], vec![der(&signed(&p_384, "server", plain))], Yes, ""),
            ("a CA with Ed25519", vec![der(&ed)], vec![der(&signed(&ed, "server", plain))], Yes, ""),
            (
                "the leaf and its expired CA in the bundle",
                vec![der(&old), old_leaf.clone()],
                vec![old_leaf.clone()],
                Yes,
                "",
            ),
            ("what is not a certificate", vec![der(&root)], vec![vec![0x30; 100].into()], No, "damaged"),
        ]
    }

    /// The rows where our verdict differs from Go's, and why.
    const DIFFERENT: [(&str, &str); 6] = [
        (
            "a leaf for any purpose",
            "rustls requires server authentication by name; kube-apiserver's certificates have it",
        ),
        (
            "a leaf with CA:TRUE",
            "rustls accepts no CA as a server; what is itself in the bundle is decided before it",
        ),
        ("a leaf with critical policies", "rustls knows no policies; hardly any CA marks them critical"),
        ("seven intermediates", "rustls takes six; real chains have one or two"),
        (
            "more CAs than a longer pathlen allows",
            "rustls does not read the path length of a root; 0, the one that is used, is read here",
        ),
        ("something broken among the intermediates", "rustls reads only what it needs for the chain"),
    ];

    #[test]
    fn chains_are_judged_as_by_go() {
        let rows = rows();
        let (name, now) = (ServerName::try_from("kubernetes").unwrap(), UnixTime::now());
        let mut faults = String::new();
        for (what, bundle, chain, go, words) in &rows {
            let certificates: Vec<_> =
                bundle.iter().map(|der| (der.clone(), Certificate::parse(der).unwrap())).collect();
            let trust = Trust::new(Bundle { certificates, skipped: 0 });
            let judgement = trust.judge(&chain[0], &chain[1..], &name, now, &default_provider());
            let trusted = judgement.verdict.is_ok();
            let text = judgement.verdict.map_or_else(
                |error| failure(&std::io::Error::other(error), "x").text().to_owned(),
                |()| String::new(),
            );
            let differs = DIFFERENT.iter().any(|(row, _)| row == what);
            if trusted == (*go == Go::No) && !differs || trusted == (*go == Go::Yes) && differs {
                writeln!(faults, "{what}: Go {go:?}, ours {trusted}: {text}").unwrap();
            }
            if trusted && !text.is_empty() || !text.contains(words) || !trusted && text.len() < 20 {
                writeln!(faults, "{what}: no {words:?} in {text:?}").unwrap();
            }
        }
        assert!(rows.len() >= 80 && faults.is_empty(), "{faults}");
    }

    #[test]
    fn an_address_in_the_certificate_is_one() {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let as_name: Change = |params| {
            params.subject_alt_names = vec![rcgen::SanType::DnsName("127.0.0.1".try_into().unwrap())];
        };
        let common: Change = |params| {
            params.subject_alt_names.clear();
            params.distinguished_name.push(DnType::CommonName, "127.0.0.1");
        };
        let root = own("kubernetes", ca);
        for (leaf, words) in [
            (own("me", as_name), "has 127.0.0.1 as a DNS name"),
            (signed(&root, "server", as_name), "has 127.0.0.1 as a DNS name"),
            (signed(&root, "server", common), "a common name (CN) does not count"),
            (signed(&root, "server", other_name), "is not for 127.0.0.1 but for elsewhere"),
        ] {
            let certificates =
                [&root.der, &leaf.der].map(|der| (der.clone(), Certificate::parse(der).unwrap())).to_vec();
            let trust = Trust::new(Bundle { certificates, skipped: 0 });
            let now = UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs()));
            let verdict = trust.judge(&leaf.der, &[], &name, now, &default_provider()).verdict;
            let text = failure(&std::io::Error::other(verdict.unwrap_err()), "x").text().to_owned();
            assert!(text.contains(words), "no {words:?} in {text:?}");
        }
    }
}
