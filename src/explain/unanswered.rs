//! Why there is no answer, and what to do: by the failure, or else by the code.

use crate::api::discovery::Unresolved;
use crate::api::status::Answer;
use crate::cluster::Server;
use crate::exit::Code;
use crate::failure::{Failure, Flaw};
use crate::round::{Finding, State};

/// The end of an advice that `doctor` leaves out.
pub const DOCTOR: &str = "; kubeknock doctor checks each step";

const LATE: &str = "check for a NetworkPolicy that drops packets and for an overloaded API server, or raise --timeout; kubeknock doctor checks each step";
const STRANGE: &str = "this answer is not from a Kubernetes API server: check the address, and look for a proxy, portal or mesh on the way";

/// What happened, and what to do about it.
pub fn no_answer(finding: &Finding, answer: Option<&Answer>, server: &Server) -> Vec<String> {
    let code = finding.code;
    let failures = finding
        .asked()
        .into_iter()
        .flat_map(|asked| asked.knocks.iter())
        .filter_map(|knock| knock.result.as_ref().err());
    // With --forbid-anonymous the other knock may be the one that failed.
    let failure = failures.rev().find(|failure| failure.code() == code);
    let mut why: Vec<String> = match (&finding.state, failure, answer) {
        (State::Unresolved(Unresolved::Failed(failure)), ..) | (_, Some(failure), _) => {
            return vec![failure.text().to_owned(), advice(failure).to_owned()];
        }
        (_, None, Some(answer)) if code == Code::Unintelligible => {
            vec![format!("{} answers with {}", server.authority(), answer.line())]
        }
        (_, None, Some(answer)) => vec![answer.line()],
        (State::Unresolved(Unresolved::Unknown { silent, .. }), None, None) => {
            return vec![
                format!(
                    "the name may belong to an API group whose server does not answer: {}",
                    silent.join(", ")
                ),
                "list the API services that are down: kubectl get apiservices".into(),
            ];
        }
        (
            State::Asked(_)
            | State::Unresolved(Unresolved::Answered(_) | Unresolved::NoSubresource { .. })
            | State::NotAsked
            | State::NoToken
            | State::TokenEnds { .. }
            | State::Late,
            None,
            None,
        ) => Vec::new(),
    };
    why.extend(advice_on(code, answer.map(|answer| answer.status)).map(str::to_owned));
    why
}

/// What to do about a failure.
pub fn advice(failure: &Failure) -> &'static str {
    match failure {
        Failure::Unresolved(_) => {
            "check the spelling of the name, and DNS (/etc/resolv.conf), or use the API server's address: kubectl get service kubernetes -n default"
        }
        Failure::ClosedInHandshake(_) => {
            "check that the API server runs, and for a mesh, proxy or load balancer on the way; kubeknock doctor checks each step"
        }
        Failure::Unreachable(_) | Failure::Closed(_) => {
            "check the address, that the API server is up, and that no NetworkPolicy or mesh blocks it; kubeknock doctor checks each step"
        }
        Failure::Untrusted(flaw, _) => match flaw {
            Flaw::Dates => {
                "renew the API server's certificate, or set this clock if it is wrong; kubeknock doctor checks each step"
            }
            Flaw::Chain => {
                "renew the certificates that the API server sends; kubeknock doctor checks each step"
            }
            Flaw::Name => {
                "check that this is the API server; if it is, reissue its certificate with this address or name, or set --tls-server-name to one that it has"
            }
            Flaw::Authority => {
                r"use this cluster's CA bundle (--certificate-authority ca.crt); get it where kubectl works: kubectl get configmap kube-root-ca.crt -o jsonpath='{.data.ca\.crt}' > ca.crt"
            }
            Flaw::Offer => "use a server, or a proxy before it, that offers one of these",
            Flaw::Other => {
                "check the address and the port, and for a proxy or mesh on the way; kubeknock doctor checks each step"
            }
        },
        Failure::Timeout(_) => LATE,
        Failure::Unintelligible(_) => STRANGE,
    }
}

/// What to do where the code is known and no failure: an answer with this status, or a deadline before the request.
pub fn advice_on(code: Code, status: Option<u16>) -> Option<&'static str> {
    match code {
        Code::Timeout => Some(LATE),
        Code::Unintelligible => Some(STRANGE),
        Code::Unavailable if status == Some(429) => {
            Some("the API server limits requests: try again later, or use kubeknock wait")
        }
        Code::Unavailable => {
            Some("the API server is up but cannot answer yet: try again later, or use kubeknock wait")
        }
        Code::Ok
        | Code::Forbidden
        | Code::Unauthenticated
        | Code::Anonymous
        | Code::Excess
        | Code::Exposed
        | Code::Conditional
        | Code::Unresolved
        | Code::Unreachable
        | Code::Untrusted
        | Code::Unserved
        | Code::Usage
        | Code::Setup
        | Code::Internal
        | Code::NotExecutable
        | Code::NotFound
        | Code::Interrupted
        | Code::Terminated => None,
    }
}
