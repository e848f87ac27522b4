//! Explains errors of TLS and of the connection. Debug output of a library never reaches a person.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{
    AlertDescription, CertRevocationListError, CertificateError, InvalidMessage, OtherError,
    PeerIncompatible, PeerMisbehaved,
};

use crate::failure::{Failure, Flaw};
use crate::time::{date, duration::span};

/// What this program can do, for servers that can do something else.
const VERSIONS: &str = "kubeknock offers TLS 1.2 and 1.3";
const CIPHERS: &str = "kubeknock offers AES-GCM and ChaCha20-Poly1305";
const EXCHANGES: &str = "kubeknock offers X25519, P-256 and P-384";
const SIGNATURES: &str = "kubeknock verifies P-256, P-384, Ed25519, RSA 2048+";

/// Why a server is not trusted, for the remedy and in words. As an error of rustls: where this program knows better than
/// the library why a certificate is not.
#[derive(Clone, Debug)]
pub struct Distrust(pub Flaw, pub String);

impl From<String> for Distrust {
    fn from(why: String) -> Distrust {
        Distrust(Flaw::Other, why)
    }
}

impl From<&str> for Distrust {
    fn from(why: &str) -> Distrust {
        why.to_owned().into()
    }
}

/// The server has nothing that this program offers.
fn no_offer(why: &str, ours: &str) -> Distrust {
    Distrust(Flaw::Offer, format!("{why}; {ours}"))
}

impl fmt::Display for Distrust {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.1)
    }
}

impl std::error::Error for Distrust {}

impl From<Distrust> for rustls::Error {
    fn from(distrust: Distrust) -> rustls::Error {
        CertificateError::Other(OtherError(Arc::new(distrust))).into()
    }
}

/// What an I/O error on the connection to `server` means, TLS faults included.
pub fn failure(error: &io::Error, server: &str) -> Failure {
    if let Some(fault) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        let Distrust(flaw, why) = explain(fault);
        return Failure::Untrusted(flaw, format!("TLS with {server}: {why}"));
    }
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Failure::Timeout(format!("{server} did not answer in time"))
        }
        io::ErrorKind::UnexpectedEof => {
            Failure::Closed(format!("{server} closed the connection without an answer"))
        }
        _ => Failure::Closed(format!("the connection to {server} broke: {}", reason(error))),
    }
}

/// The operating system's words without its error number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    plain(text.split(" (os error").next().unwrap_or(&text)).to_ascii_lowercase()
}

/// A library's words. Where one is the name of a variant (`HandshakeFailure`), all of it is debug output, and is
/// taken apart into words.
pub fn plain(text: &str) -> String {
    if text.split(' ').any(is_name) { apart(text) } else { text.to_owned() }
}

/// Whether a capital follows a small letter or a digit: `DnsName`, and neither `TLS` nor `Transfer-Encoding`.
fn is_name(word: &str) -> bool {
    let mut letters = word.chars().zip(word.chars().skip(1));
    letters.any(|(one, next)| (one.is_ascii_lowercase() || one.is_ascii_digit()) && next.is_ascii_uppercase())
}

fn apart(name: &str) -> String {
    let mut words = String::new();
    let mut previous = ' ';
    for c in name.chars() {
        let opens = matches!(c, '(' | '{' | '[');
        let starts = c.is_ascii_uppercase() && (previous.is_ascii_lowercase() || previous.is_ascii_digit());
        if (starts || opens) && !words.ends_with(' ') {
            words.push(' ');
        }
        if !matches!(c, '(' | ')' | '{' | '}' | '[' | ']' | '"') {
            words.push(c.to_ascii_lowercase());
        }
        previous = c;
    }
    words.trim().to_owned()
}

/// A value that has no text for people.
fn name_of(value: &impl fmt::Debug) -> String {
    let name = apart(&format!("{value:?}"));
    name.replace("tls12", "TLS 1.2").replace("tls13", "TLS 1.3")
}

fn explain(fault: &rustls::Error) -> Distrust {
    match fault {
        rustls::Error::InvalidCertificate(certificate) => explain_certificate(certificate),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the port does not speak TLS (plain HTTP, or another protocol)".into()
        }
        rustls::Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => {
            no_offer("it answers in an unknown version of TLS, or not in TLS", VERSIONS)
        }
        rustls::Error::InvalidMessage(why) => format!("it sends broken TLS ({})", name_of(why)).into(),
        rustls::Error::PeerIncompatible(why) => incompatible(why),
        rustls::Error::PeerMisbehaved(
            PeerMisbehaved::SelectedUnofferedCipherSuite
            | PeerMisbehaved::SelectedUnusableCipherSuiteForVersion,
        ) => {
            no_offer("it chooses a cipher suite that was not offered, such as AES-CBC or static RSA", CIPHERS)
        }
        rustls::Error::PeerMisbehaved(
            PeerMisbehaved::SelectedUnofferedKxGroup | PeerMisbehaved::WrongGroupForKeyShare,
        ) => no_offer("it chooses a key exchange that was not offered, such as P-521", EXCHANGES),
        rustls::Error::PeerMisbehaved(
            PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme
            | PeerMisbehaved::SignedKxWithWrongAlgorithm,
        ) => no_offer("it signs with an algorithm that was not offered, such as ECDSA on P-521", SIGNATURES),
        rustls::Error::PeerMisbehaved(why) => format!("it breaks the rules of TLS ({})", name_of(why)).into(),
        rustls::Error::AlertReceived(alert) => alerted(*alert),
        rustls::Error::InappropriateMessage { .. } | rustls::Error::InappropriateHandshakeMessage { .. } => {
            "it sends a TLS message out of turn: it is broken, or something on the way changes what it sends"
                .into()
        }
        rustls::Error::NoCertificatesPresented => "it shows no certificate".into(),
        rustls::Error::DecryptError => {
            "what it sends cannot be decrypted: something on the way changes it".into()
        }
        rustls::Error::PeerSentOversizedRecord => {
            "it sends a TLS record that is too long: the port may speak another protocol".into()
        }
        rustls::Error::InvalidCertRevocationList(why) => {
            format!("its revocation list is not good ({})", revocation(why)).into()
        }
        rustls::Error::FailedToGetRandomBytes => "this system gives no random numbers (getrandom)".into(),
        rustls::Error::FailedToGetCurrentTime => "this system gives no time".into(),
        rustls::Error::NoApplicationProtocol => {
            "it accepts neither HTTP/1.1 nor a client that names no protocol".into()
        }
        rustls::Error::General(why) => plain(why).into(),
        // Faults of a program, which this one does not make, and those that the library may have one day.
        _ => plain(&fault.to_string()).into(),
    }
}

fn incompatible(why: &PeerIncompatible) -> Distrust {
    match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::SupportedVersionsExtensionRequired => {
            no_offer("it speaks only TLS 1.1 or older", VERSIONS)
        }
        PeerIncompatible::NoCipherSuitesInCommon => {
            no_offer("no cipher suite in common: it may have AES-CBC or static RSA only", CIPHERS)
        }
        PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::KeyShareExtensionRequired => {
            no_offer("no key exchange in common: it may have P-521 or finite-field groups only", EXCHANGES)
        }
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
            no_offer("no signature algorithm in common: its key may be on P-521", SIGNATURES)
        }
        other => format!("no common ground in TLS ({})", name_of(other)).into(),
    }
}

/// Alerts are all that a server says of why it ends a handshake (RFC 8446, 6.2).
fn alerted(alert: AlertDescription) -> Distrust {
    match alert {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            let alert = u8::from(alert);
            no_offer(
                &format!("it says that nothing fits (alert {alert}): a key on P-521, or only AES-CBC or static RSA"),
                CIPHERS,
            )
        }
        AlertDescription::ProtocolVersion => no_offer(
            "it refuses the versions of TLS (alert 70): it may speak only TLS 1.1 or older",
            VERSIONS,
        ),
        AlertDescription::CertificateRequired
        | AlertDescription::NoCertificate
        | AlertDescription::BadCertificate
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => format!(
            "it demands a client certificate, which kubeknock does not send (alert {}: {}): it may be a proxy or a mesh \
             in front of the API server",
            u8::from(alert),
            name_of(&alert)
        )
        .into(),
        AlertDescription::UnrecognisedName => {
            "it does not serve this name (alert 112): set --tls-server-name to a name that it serves".into()
        }
        AlertDescription::InternalError => {
            "it ends the handshake with an error of its own (alert 80): see the server's log".into()
        }
        other => format!("it ends the handshake (alert {}: {})", u8::from(other), name_of(&other)).into(),
    }
}

fn explain_certificate(fault: &CertificateError) -> Distrust {
    let ago = |time: &UnixTime, limit: &UnixTime| {
        let seconds = time.as_secs().abs_diff(limit.as_secs());
        span(i64::try_from(seconds).unwrap_or(i64::MAX))
    };
    let dates = |why: String| Distrust(Flaw::Dates, why);
    let date = |time: &UnixTime| date::time(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    match fault {
        CertificateError::UnknownIssuer => {
            Distrust(Flaw::Authority, "its certificate is not signed by a CA of the bundle".into())
        }
        CertificateError::BadSignature => {
            "its signature does not fit its certificate: it does not hold the certificate's key".into()
        }
        CertificateError::ExpiredContext { time, not_after } => dates(format!(
            "its certificate expired {} ago, on {}; it is {} by this clock",
            ago(time, not_after),
            date(not_after),
            date(time)
        )),
        CertificateError::NotValidYetContext { time, not_before } => dates(format!(
            "its certificate is not valid before {}; it is {} by this clock",
            date(not_before),
            date(time)
        )),
        CertificateError::Expired | CertificateError::NotValidYet => {
            dates("its certificate is not valid today (or this clock is wrong)".into())
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            Distrust(Flaw::Name, wrong_name(expected, presented))
        }
        CertificateError::NotValidForName => {
            Distrust(Flaw::Name, "its certificate is for another name".into())
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not for servers: its extended key usage lacks server authentication".into()
        }
        CertificateError::UnhandledCriticalExtension => {
            "its certificate has a critical extension that is not known here".into()
        }
        CertificateError::BadEncoding => "its certificate is damaged".into(),
        CertificateError::UnsupportedSignatureAlgorithmContext { signature_algorithm_id, .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id, ..
        } => {
            let curve = match fault {
                CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                    public_key_algorithm_id,
                    ..
                } => algorithm(public_key_algorithm_id).map(|key| format!(" by {key}")).unwrap_or_default(),
                _ => String::new(),
            };
            let with = algorithm(signature_algorithm_id).unwrap_or("another algorithm");
            no_offer(&format!("its certificate or CA is signed with {with}{curve}"), SIGNATURES)
        }
        CertificateError::Other(other) => match other.0.downcast_ref::<Distrust>() {
            Some(distrust) => distrust.clone(),
            None => unusual(&other.0.to_string()),
        },
        CertificateError::ApplicationVerificationFailure => "its certificate is refused".into(),
        CertificateError::Revoked => "its certificate is revoked".into(),
        other => format!("its certificate is not good ({})", name_of(other)).into(),
    }
}

/// The library's rarer faults are known by name only.
fn unusual(name: &str) -> Distrust {
    let chain = |why: &str| Distrust(Flaw::Chain, why.to_owned());
    match name {
        "UnsupportedCertVersion" => {
            "its certificate is of X.509 version 1 or 2, which has no names; a server needs version 3".into()
        }
        "EndEntityUsedAsCa" => {
            chain("its certificate is signed by a certificate that is not a CA's (no CA:TRUE)")
        }
        "PathLenConstraintViolated" => chain("its chain has more CAs than one of them allows (pathlen)"),
        "NameConstraintViolation" => chain("its CA must not sign for these names (name constraints)"),
        "MaximumPathDepthExceeded" | "MaximumPathBuildCallsExceeded" | "MaximumSignatureChecksExceeded" => {
            chain("its chain of certificates is too long")
        }
        name if name.starts_with("UnsupportedSignatureAlgorithm") => {
            no_offer("its certificate is signed with an algorithm that cannot be verified here", SIGNATURES)
        }
        other => format!("its certificate is not good ({})", apart(other)).into(),
    }
}

fn revocation(why: &CertRevocationListError) -> String {
    match why {
        CertRevocationListError::Other(other) => plain(&other.0.to_string()),
        other => name_of(other),
    }
}

fn wrong_name(expected: &ServerName<'_>, presented: &[String]) -> String {
    // rustls shows them as `DnsName("x")` and `IpAddress(x)`.
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        inner.unwrap_or(name).trim_matches('"').to_owned()
    };
    let names: Vec<String> = presented.iter().map(bare).collect();
    let wanted = expected.to_str();
    let is_address = matches!(expected, ServerName::IpAddress(_));
    if is_address && names.iter().any(|name| *name == wanted) {
        return format!(
            "its certificate has {wanted} as a DNS name, and needs it as an IP address (IP:{wanted} in its subjectAltName)"
        );
    }
    if names.is_empty() {
        return format!(
            "its certificate is not for {wanted} but for no name at all: it has no subjectAltName, and a common name (CN) \
             does not count"
        );
    }
    format!("its certificate is from a trusted CA, and is not for {wanted} but for {}", names.join(", "))
}

/// The name of an algorithm or curve by its object identifier, somewhere in these bytes. More special ones first.
fn algorithm(id: &[u8]) -> Option<&'static str> {
    const NAMES: [(&[u8], &str); 14] = [
        // 1.3.132.0.35, 1.3.132.0.34, 1.3.132.0.10, 1.2.840.10045.3.1.7
        (&[0x2b, 0x81, 4, 0, 0x23], "an ECDSA key on P-521"),
        (&[0x2b, 0x81, 4, 0, 0x22], "an ECDSA key on P-384"),
        (&[0x2b, 0x81, 4, 0, 0x0a], "an ECDSA key on secp256k1"),
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], "an ECDSA key on P-256"),
        // 1.2.840.10045.4.1, 4.3.2, 4.3.3, 4.3.4
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], "ecdsa-with-SHA1"),
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], "ecdsa-with-SHA256"),
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], "ecdsa-with-SHA384"),
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4], "ecdsa-with-SHA512"),
        // 1.2.840.113549.1.1.4, .5, .10, .1
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4], "MD5 and RSA"),
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5], "SHA-1 and RSA"),
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10], "RSA-PSS of an unusual kind"),
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1], "an RSA key"),
        // 1.3.101.113, 1.3.101.112
        (&[0x2b, 0x65, 0x71], "Ed448"),
        (&[0x2b, 0x65, 0x70], "Ed25519"),
    ];
    NAMES
        .iter()
        .find(|(bytes, _)| id.windows(bytes.len()).any(|window| window == *bytes))
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::crypto::ring::default_provider;
    use rustls::{ContentType, EncryptedClientHelloError, HandshakeType, InconsistentKeys};

    use super::*;
    use crate::exit::Code;

    /// Each fault of rustls 0.23 that can be made, and each alert there can be.
    #[allow(clippy::too_many_lines, reason = "a list")]
    fn faults() -> Vec<rustls::Error> {
        let mut faults: Vec<rustls::Error> = Vec::new();
        faults.extend(
            [
                InvalidMessage::CertificatePayloadTooLarge,
                InvalidMessage::HandshakePayloadTooLarge,
                InvalidMessage::InvalidCcs,
                InvalidMessage::InvalidContentType,
                InvalidMessage::InvalidCertificateStatusType,
                InvalidMessage::InvalidCertRequest,
                InvalidMessage::InvalidDhParams,
                InvalidMessage::InvalidEmptyPayload,
                InvalidMessage::InvalidKeyUpdate,
                InvalidMessage::InvalidServerName,
                InvalidMessage::MessageTooLarge,
                InvalidMessage::MessageTooShort,
                InvalidMessage::MissingKeyExchange,
                InvalidMessage::NoSignatureSchemes,
                InvalidMessage::UnknownProtocolVersion,
                InvalidMessage::UnsupportedCompression,
                InvalidMessage::UnsupportedCurveType,
                InvalidMessage::EmptyTicketValue,
                InvalidMessage::IllegalEmptyValue,
                InvalidMessage::PreSharedKeyIsNotFinalExtension,
                InvalidMessage::UnknownHelloRetryRequestExtension,
                InvalidMessage::UnknownCertificateExtension,
            ]
            .map(rustls::Error::from),
        );
        faults.extend(
            [
                InvalidMessage::MissingData("ServerHelloPayload"),
                InvalidMessage::TrailingData("CertificateStatus"),
                InvalidMessage::UnexpectedMessage("HelloRequest"),
                InvalidMessage::IllegalEmptyList("ServerNames"),
                InvalidMessage::DuplicateExtension(51),
            ]
            .map(rustls::Error::from),
        );
        faults.extend(
            [
                PeerMisbehaved::AttemptedDowngradeToTls12WhenTls13IsSupported,
                PeerMisbehaved::BadCertChainExtensions,
                PeerMisbehaved::CipherSuiteDifferedOnRetry,
                PeerMisbehaved::DisallowedEncryptedExtension,
                PeerMisbehaved::DuplicateClientHelloExtensions,
                PeerMisbehaved::DuplicateEncryptedExtensions,
                PeerMisbehaved::DuplicateHelloRetryRequestExtensions,
                PeerMisbehaved::DuplicateNewSessionTicketExtensions,
                PeerMisbehaved::DuplicateServerHelloExtensions,
                PeerMisbehaved::DuplicateServerNameTypes,
                PeerMisbehaved::EarlyDataAttemptedInSecondClientHello,
                PeerMisbehaved::EarlyDataExtensionWithoutResumption,
                PeerMisbehaved::EarlyDataOfferedWithVariedCipherSuite,
                PeerMisbehaved::EchAcceptanceVariedAfterRetry,
                PeerMisbehaved::HandshakeHashVariedAfterRetry,
                PeerMisbehaved::IllegalHelloRetryRequestWithEmptyCookie,
                PeerMisbehaved::IllegalHelloRetryRequestWithNoChanges,
                PeerMisbehaved::IllegalHelloRetryRequestWithOfferedGroup,
                PeerMisbehaved::IllegalHelloRetryRequestWithUnofferedCipherSuite,
                PeerMisbehaved::IllegalHelloRetryRequestWithUnofferedNamedGroup,
                PeerMisbehaved::IllegalHelloRetryRequestWithUnsupportedVersion,
                PeerMisbehaved::IllegalHelloRetryRequestWithWrongSessionId,
                PeerMisbehaved::IllegalHelloRetryRequestWithInvalidEch,
                PeerMisbehaved::IllegalMiddleboxChangeCipherSpec,
                PeerMisbehaved::IllegalTlsInnerPlaintext,
                PeerMisbehaved::IncorrectBinder,
                PeerMisbehaved::InvalidCertCompression,
                PeerMisbehaved::InvalidMaxEarlyDataSize,
                PeerMisbehaved::InvalidKeyShare,
                PeerMisbehaved::KeyEpochWithPendingFragment,
                PeerMisbehaved::KeyUpdateReceivedInQuicConnection,
                PeerMisbehaved::MessageInterleavedWithHandshakeMessage,
                PeerMisbehaved::MissingBinderInPskExtension,
                PeerMisbehaved::MissingKeyShare,
                PeerMisbehaved::MissingPskExtensionInSecondClientHello,
                PeerMisbehaved::MissingPskModesExtension,
                PeerMisbehaved::MissingQuicTransportParameters,
                PeerMisbehaved::OfferedDuplicateCertificateCompressions,
                PeerMisbehaved::OfferedDuplicateKeyShares,
                PeerMisbehaved::OfferedEarlyDataWithOldProtocolVersion,
                PeerMisbehaved::OfferedEmptyApplicationProtocol,
                PeerMisbehaved::OfferedIncorrectCompressions,
                PeerMisbehaved::PskExtensionMustBeLast,
                PeerMisbehaved::PskExtensionWithMismatchedIdsAndBinders,
                PeerMisbehaved::RefusedToFollowHelloRetryRequest,
                PeerMisbehaved::RejectedEarlyDataInterleavedWithHandshakeMessage,
                PeerMisbehaved::ResumptionAttemptedWithVariedEms,
                PeerMisbehaved::ResumptionOfferedWithVariedCipherSuite,
                PeerMisbehaved::ResumptionOfferedWithVariedEms,
                PeerMisbehaved::ResumptionOfferedWithIncompatibleCipherSuite,
                PeerMisbehaved::SelectedDifferentCipherSuiteAfterRetry,
                PeerMisbehaved::SelectedInvalidPsk,
                PeerMisbehaved::SelectedTls12UsingTls13VersionExtension,
                PeerMisbehaved::SelectedUnofferedApplicationProtocol,
                PeerMisbehaved::SelectedUnofferedCertCompression,
                PeerMisbehaved::SelectedUnofferedCipherSuite,
                PeerMisbehaved::SelectedUnofferedCompression,
                PeerMisbehaved::SelectedUnofferedKxGroup,
                PeerMisbehaved::SelectedUnofferedPsk,
                PeerMisbehaved::SelectedUnusableCipherSuiteForVersion,
                PeerMisbehaved::ServerEchoedCompatibilitySessionId,
                PeerMisbehaved::ServerHelloMustOfferUncompressedEcPoints,
                PeerMisbehaved::ServerNameDifferedOnRetry,
                PeerMisbehaved::ServerNameMustContainOneHostName,
                PeerMisbehaved::SignedKxWithWrongAlgorithm,
                PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme,
                PeerMisbehaved::TooManyEmptyFragments,
                PeerMisbehaved::TooManyKeyUpdateRequests,
                PeerMisbehaved::TooManyRenegotiationRequests,
                PeerMisbehaved::TooManyWarningAlertsReceived,
                PeerMisbehaved::TooMuchEarlyDataReceived,
                PeerMisbehaved::UnexpectedCleartextExtension,
                PeerMisbehaved::UnsolicitedCertExtension,
                PeerMisbehaved::UnsolicitedEncryptedExtension,
                PeerMisbehaved::UnsolicitedSctList,
                PeerMisbehaved::UnsolicitedServerHelloExtension,
                PeerMisbehaved::WrongGroupForKeyShare,
                PeerMisbehaved::UnsolicitedEchExtension,
            ]
            .map(rustls::Error::from),
        );
        faults.extend(
            [
                PeerIncompatible::EcPointsExtensionRequired,
                PeerIncompatible::ExtendedMasterSecretExtensionRequired,
                PeerIncompatible::IncorrectCertificateTypeExtension,
                PeerIncompatible::KeyShareExtensionRequired,
                PeerIncompatible::NamedGroupsExtensionRequired,
                PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon,
                PeerIncompatible::NoCipherSuitesInCommon,
                PeerIncompatible::NoEcPointFormatsInCommon,
                PeerIncompatible::NoKxGroupsInCommon,
                PeerIncompatible::NoSignatureSchemesInCommon,
                PeerIncompatible::NullCompressionRequired,
                PeerIncompatible::ServerDoesNotSupportTls12Or13,
                PeerIncompatible::ServerSentHelloRetryRequestWithUnknownExtension,
                PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
                PeerIncompatible::SignatureAlgorithmsExtensionRequired,
                PeerIncompatible::SupportedVersionsExtensionRequired,
                PeerIncompatible::Tls12NotOffered,
                PeerIncompatible::Tls12NotOfferedOrEnabled,
                PeerIncompatible::Tls13RequiredForQuic,
                PeerIncompatible::UncompressedEcPointsRequired,
                PeerIncompatible::UnsolicitedCertificateTypeExtension,
            ]
            .map(rustls::Error::from),
        );
        faults.push(PeerIncompatible::ServerRejectedEncryptedClientHello(None).into());
        faults.extend(
            [
                CertificateError::BadEncoding,
                CertificateError::Expired,
                CertificateError::NotValidYet,
                CertificateError::Revoked,
                CertificateError::UnhandledCriticalExtension,
                CertificateError::UnknownIssuer,
                CertificateError::UnknownRevocationStatus,
                CertificateError::ExpiredRevocationList,
                CertificateError::BadSignature,
                CertificateError::NotValidForName,
                CertificateError::InvalidPurpose,
                CertificateError::InvalidOcspResponse,
                CertificateError::ApplicationVerificationFailure,
            ]
            .map(rustls::Error::from),
        );
        faults.extend(certificate_faults().into_iter().map(rustls::Error::from));
        faults.extend(
            [
                CertRevocationListError::BadSignature,
                CertRevocationListError::InvalidCrlNumber,
                CertRevocationListError::InvalidRevokedCertSerialNumber,
                CertRevocationListError::IssuerInvalidForCrl,
                CertRevocationListError::ParseError,
                CertRevocationListError::UnsupportedCrlVersion,
                CertRevocationListError::UnsupportedCriticalExtension,
                CertRevocationListError::UnsupportedDeltaCrl,
                CertRevocationListError::UnsupportedIndirectCrl,
                CertRevocationListError::UnsupportedRevocationReason,
            ]
            .map(rustls::Error::from),
        );
        faults
            .push(CertRevocationListError::Other(OtherError(Arc::new(io::Error::other("CrlIsOdd")))).into());
        faults.extend(
            [
                EncryptedClientHelloError::InvalidConfigList,
                EncryptedClientHelloError::NoCompatibleConfig,
                EncryptedClientHelloError::SniRequired,
            ]
            .map(rustls::Error::from),
        );
        faults.extend([InconsistentKeys::KeyMismatch, InconsistentKeys::Unknown].map(rustls::Error::from));
        faults.extend((0..=u8::MAX).map(|alert| rustls::Error::AlertReceived(alert.into())));
        faults.extend([
            rustls::Error::NoCertificatesPresented,
            rustls::Error::UnsupportedNameType,
            rustls::Error::DecryptError,
            rustls::Error::EncryptError,
            rustls::Error::FailedToGetCurrentTime,
            rustls::Error::FailedToGetRandomBytes,
            rustls::Error::HandshakeNotComplete,
            rustls::Error::PeerSentOversizedRecord,
            rustls::Error::NoApplicationProtocol,
            rustls::Error::BadMaxFragmentSize,
        ]);
        faults.extend([
            rustls::Error::InappropriateMessage {
                expect_types: vec![ContentType::Handshake, ContentType::ApplicationData],
                got_type: ContentType::ChangeCipherSpec,
            },
            rustls::Error::InappropriateHandshakeMessage {
                expect_types: vec![HandshakeType::ServerHello, HandshakeType::HelloRetryRequest],
                got_type: HandshakeType::NewSessionTicket,
            },
            rustls::Error::General("BadThing".into()),
            rustls::Error::Other(OtherError(Arc::new(io::Error::other("SomethingElse(Odd)")))),
        ]);
        faults
    }

    /// Those that carry something.
    fn certificate_faults() -> Vec<CertificateError> {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let sha_512 = vec![6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4];
        let p_521 = vec![6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x23];
        let named = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("kubernetes").unwrap(),
            presented: presented.iter().map(ToString::to_string).collect(),
        };
        let mut faults = vec![
            CertificateError::ExpiredContext { time: at(2000), not_after: at(1000) },
            CertificateError::NotValidYetContext { time: at(1000), not_before: at(2000) },
            CertificateError::ExpiredRevocationListContext { time: at(2000), next_update: at(1000) },
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: sha_512.clone(),
                supported_algorithms: default_provider().signature_verification_algorithms.all[..2]
                    .iter()
                    .map(|algorithm| algorithm.signature_alg_id())
                    .collect(),
            },
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: sha_512,
                public_key_algorithm_id: p_521,
            },
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: vec![1, 2],
                public_key_algorithm_id: vec![3],
            },
            named(&["DnsName(\"elsewhere\")", "IpAddress(127.0.0.1)"]),
            named(&[]),
            CertificateError::InvalidPurposeContext {
                required: rustls::ExtendedKeyPurpose::ServerAuth,
                presented: vec![rustls::ExtendedKeyPurpose::ClientAuth],
            },
            CertificateError::Other(OtherError(Arc::new(Distrust(Flaw::Other, "no".into())))),
        ];
        // What webpki has more, by name (`webpki::Error`).
        let codes = [
            "CaUsedAsEndEntity",
            "EndEntityUsedAsCa",
            "EmptyEkuExtension",
            "ExtensionValueInvalid",
            "InvalidSerialNumber",
            "MalformedDnsIdentifier",
            "MalformedExtensions",
            "MalformedNameConstraint",
            "MaximumNameConstraintComparisonsExceeded",
            "MaximumPathBuildCallsExceeded",
            "MaximumPathDepthExceeded",
            "MaximumSignatureChecksExceeded",
            "NameConstraintViolation",
            "PathLenConstraintViolated",
            "UnsupportedCertVersion",
            "UnsupportedNameType",
            "UnsupportedCriticalExtension",
            "InvalidNetworkMaskConstraint",
            "UnsupportedSignatureAlgorithmContext(X)",
        ];
        let other =
            |name: &str| CertificateError::Other(OtherError(Arc::new(io::Error::other(name.to_owned()))));
        faults.extend(codes.map(other));
        faults
    }

    /// Words with capitals inside that people know.
    const KNOWN: [&str; 3] = ["subjectAltName", "keyCertSign", "ChaCha20-Poly1305"];

    /// Names of variants, and debug forms: `HandshakeFailure`, `DnsName("x")`, `Some(3)`, `{ a: 1 }`.
    fn debris(text: &str) -> Vec<&str> {
        let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
        let odd = |word: &&str| {
            // The T of a time.
            let is_time = word.starts_with(|c: char| c.is_ascii_digit());
            is_name(word) && !is_time
                || word.contains("(\"")
                || word.contains("::")
                || *word == "{"
                || *word == "}"
        };
        text.split(' ').filter(odd).filter(|word| !KNOWN.contains(&bare(word).as_str())).collect()
    }

    #[test]
    fn no_debug_output_reaches_a_person() {
        let faults = faults();
        assert!(faults.len() > 420, "{} faults", faults.len());
        for fault in &faults {
            let failure = failure(&io::Error::new(io::ErrorKind::InvalidData, fault.clone()), "10.0.0.1:443");
            let text = failure.text();
            assert_eq!(failure.code(), Code::Untrusted, "{text}");
            assert_eq!(debris(text), Vec::<&str>::new(), "{fault:?}: {text}");
            assert!(text.len() < 420 && text.lines().count() == 1 && !text.ends_with('.'), "{text}");
            assert!(text.len() > "TLS with 10.0.0.1:443: ".len() + 1, "{fault:?}: {text}");
            // The advice speaks of "one of these".
            let offers =
                ["; kubeknock offers ", "; kubeknock verifies "].iter().any(|words| text.contains(words));
            assert_eq!(matches!(failure, Failure::Untrusted(Flaw::Offer, _)), offers, "{fault:?}: {text}");
        }
        assert_eq!(debris("a HandshakeFailure of DnsName(\"x\")"), ["HandshakeFailure", "DnsName(\"x\")"]);
    }

    #[test]
    fn no_debug_output_of_input_and_output() {
        use io::ErrorKind::{
            AddrInUse, AddrNotAvailable, AlreadyExists, ArgumentListTooLong, BrokenPipe, ConnectionAborted,
            ConnectionRefused, ConnectionReset, Deadlock, DirectoryNotEmpty, ExecutableFileBusy,
            FileTooLarge, HostUnreachable, Interrupted, InvalidData, InvalidFilename, InvalidInput,
            IsADirectory, NetworkDown, NetworkUnreachable, NotADirectory, NotConnected, NotFound,
            NotSeekable, Other, OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem,
            ResourceBusy, StaleNetworkFileHandle, StorageFull, TimedOut, TooManyLinks, UnexpectedEof,
            Unsupported, WouldBlock, WriteZero,
        };
        let kinds = [
            AddrInUse,
            AddrNotAvailable,
            AlreadyExists,
            ArgumentListTooLong,
            BrokenPipe,
            ConnectionAborted,
            ConnectionRefused,
            ConnectionReset,
            Deadlock,
            DirectoryNotEmpty,
            ExecutableFileBusy,
            FileTooLarge,
            HostUnreachable,
            Interrupted,
            InvalidData,
            InvalidFilename,
            InvalidInput,
            IsADirectory,
            NetworkDown,
            NetworkUnreachable,
            NotADirectory,
            NotConnected,
            NotFound,
            NotSeekable,
            Other,
            OutOfMemory,
            PermissionDenied,
            QuotaExceeded,
            ReadOnlyFilesystem,
            ResourceBusy,
            StaleNetworkFileHandle,
            StorageFull,
            TimedOut,
            TooManyLinks,
            UnexpectedEof,
            Unsupported,
            WouldBlock,
            WriteZero,
        ];
        let bare = kinds.map(io::Error::from).into_iter();
        let carrying = kinds.map(|kind| io::Error::new(kind, "AnInner(Fault { of: Something })")).into_iter();
        let numbered = (0..=140).map(io::Error::from_raw_os_error);
        for error in bare.chain(carrying).chain(numbered) {
            let failure = failure(&error, "10.0.0.1:443");
            let text = failure.text();
            assert!(matches!(failure.code(), Code::Unreachable | Code::Timeout), "{text}");
            assert_eq!(debris(text), Vec::<&str>::new(), "{error:?}: {text}");
            assert!(!text.contains("os error") && text.lines().count() == 1, "{text}");
        }
    }

    #[test]
    fn what_the_server_lacks_is_said() {
        for (fault, flaw, words) in [
            (
                rustls::Error::AlertReceived(AlertDescription::HandshakeFailure),
                Flaw::Offer,
                "P-521, or only AES-CBC or static RSA; kubeknock offers AES-GCM",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::InsufficientSecurity),
                Flaw::Offer,
                "nothing fits (alert 71)",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
                Flaw::Offer,
                "only TLS 1.1 or older",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::CertificateRequired),
                Flaw::Other,
                "demands a client certificate",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::UnrecognisedName),
                Flaw::Other,
                "--tls-server-name",
            ),
            (
                PeerIncompatible::ServerDoesNotSupportTls12Or13.into(),
                Flaw::Offer,
                "speaks only TLS 1.1 or older; kubeknock offers",
            ),
            (PeerIncompatible::NoCipherSuitesInCommon.into(), Flaw::Offer, "AES-CBC or static RSA"),
            (PeerIncompatible::NoKxGroupsInCommon.into(), Flaw::Offer, "P-521 or finite-field"),
            (
                PeerMisbehaved::SelectedUnofferedCipherSuite.into(),
                Flaw::Offer,
                "a cipher suite that was not offered",
            ),
            (
                PeerMisbehaved::SelectedUnofferedKxGroup.into(),
                Flaw::Offer,
                "key exchange that was not offered",
            ),
            (PeerMisbehaved::SignedKxWithWrongAlgorithm.into(), Flaw::Offer, "such as ECDSA on P-521"),
            (
                PeerMisbehaved::TooManyKeyUpdateRequests.into(),
                Flaw::Other,
                "breaks the rules of TLS (too many key update requests)",
            ),
            (CertificateError::Expired.into(), Flaw::Dates, "not valid today"),
            (CertificateError::NotValidYet.into(), Flaw::Dates, "not valid today"),
            (CertificateError::NotValidForName.into(), Flaw::Name, "for another name"),
            (CertificateError::UnknownIssuer.into(), Flaw::Authority, "not signed by a CA of the bundle"),
            (
                certificate_faults().swap_remove(3).into(),
                Flaw::Offer,
                "signed with ecdsa-with-SHA512; kubeknock verifies",
            ),
            (
                certificate_faults().swap_remove(4).into(),
                Flaw::Offer,
                "ecdsa-with-SHA512 by an ECDSA key on P-521",
            ),
            (certificate_faults().swap_remove(5).into(), Flaw::Offer, "signed with another algorithm"),
        ] {
            let failure = failure(&io::Error::other(fault.clone()), "x");
            assert!(failure.text().contains(words), "{fault:?}: {}", failure.text());
            assert!(matches!(&failure, Failure::Untrusted(of, _) if *of == flaw), "{failure:?}");
        }
    }
}
