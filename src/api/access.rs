//! How to connect to the API server, and what one round passes to the next: the TLS configuration with its sessions,
//! and an open connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::facts::SharedFacts;
use super::idle::Idle;
use super::tls::{Setup, Verify};
use crate::cluster::{Cluster, Origin, Server, Trust};
use crate::failure::Fault;

/// How to open connections to one API server, any number of them.
pub struct Access {
    /// The address of the server.
    pub server: Server,
    /// The TLS configuration, and the name to verify; `None` for plain HTTP.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// A warning about the CA bundle.
    pub warning: Option<String>,
    /// Where the connections record their facts.
    pub facts: SharedFacts,
    /// Where a connection is kept for the next round; `None` if there is no next round.
    pub idle: Option<Idle>,
}

impl Access {
    /// Prepares access to a server. `idle`: where a connection is kept; if it is given, TLS sessions are resumed, too.
    pub fn new(cluster: &Cluster, bundle: Option<&[u8]>, idle: Option<Idle>) -> Result<Arc<Access>, Fault> {
        let mut warning = None;
        let facts = SharedFacts::default();
        let tls = match (&cluster.trust, bundle) {
            (Trust::Plain, _) => None,
            (trust, bundle) => {
                let name = match trust {
                    Trust::Bundle(path) => path.display().to_string(),
                    Trust::Anything | Trust::Plain => String::new(),
                };
                let verify = bundle.map_or(Verify::Nothing, |pem| Verify::Bundle(pem, &name));
                let setup = Setup::new(&verify, &facts, idle.is_some())?;
                if setup.skipped > 0 {
                    let (certificates, are) =
                        if setup.skipped == 1 { ("certificate", "is") } else { ("certificates", "are") };
                    warning = Some(format!(
                        "CA bundle {name}: {} {certificates} in it cannot be read and {are} ignored",
                        setup.skipped
                    ));
                }
                Some((setup.config, server_name(cluster)?))
            }
        };
        Ok(Arc::new(Access { server: cluster.server.clone(), tls, warning, facts, idle }))
    }
}

fn server_name(cluster: &Cluster) -> Result<ServerName<'static>, Fault> {
    let (what, name) = match &cluster.tls_server_name {
        Some(name) => ("--tls-server-name", name),
        None => (cluster.origin.of_host(), &cluster.server.host),
    };
    ServerName::try_from(name.clone()).map_err(|_| {
        let why = format!("{what} {name:?}: not a name that a certificate can hold");
        match (&cluster.tls_server_name, cluster.origin) {
            (None, Origin::Variables) => Fault::Setup(why),
            (Some(_), _) | (None, Origin::Option | Origin::Default) => Fault::Usage(why),
        }
    })
}

/// A resumed session shows no certificate. After this time, a full handshake shows whether the certificate has expired
/// or changed.
const LONGEST_USE: Duration = Duration::from_secs(3600);

/// What one round passes to the next in the same process. All rounds ask the same cluster.
pub struct Kept {
    connections: bool,
    /// The access, its CA bundle, and when it was created.
    access: Option<(Arc<Access>, Option<Vec<u8>>, Instant)>,
}

impl Kept {
    /// Starts empty. `connections`: whether to keep connections as well as sessions.
    pub fn new(connections: bool) -> Kept {
        Kept { connections, access: None }
    }

    /// Returns the access of the last round if its CA bundle is the same and it is not too old. Otherwise creates a new
    /// one with [`Access::new`], without the sessions that another bundle verified.
    pub fn access(&mut self, cluster: &Cluster, bundle: Option<Vec<u8>>) -> Result<Arc<Access>, Fault> {
        if let Some((access, of, since)) = &self.access
            && *of == bundle
            && since.elapsed() < LONGEST_USE
        {
            return Ok(Arc::clone(access));
        }
        self.access = None;
        let access = Access::new(cluster, bundle.as_deref(), Some(Idle::new(self.connections)))?;
        self.access = Some((Arc::clone(&access), bundle, Instant::now()));
        Ok(access)
    }

    /// Closes the kept connection, so that the next round opens a new one.
    pub fn hang_up(&self) {
        if let Some(idle) = self.access.as_ref().and_then(|(access, ..)| access.idle.as_ref()) {
            idle.hang_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{ServiceVariables, Where};

    fn bundle() -> Vec<u8> {
        rcgen::generate_simple_self_signed(["kubernetes".to_owned()]).unwrap().cert.pem().into_bytes()
    }

    #[test]
    fn an_access_is_of_one_bundle_and_ends_after_an_hour() {
        let place = Where { server: Some("https://127.0.0.1:6443".into()), ..Where::default() };
        let variables = ServiceVariables { host: None, port: None, hostname: None };
        let cluster = Cluster::resolve(place, &variables).unwrap();
        let (one, other) = (bundle(), bundle());
        let mut kept = Kept::new(true);
        let mut access = |bundle: &[u8], age: Duration| {
            if let Some((_, _, since)) = &mut kept.access {
                *since -= age;
            }
            kept.access(&cluster, Some(bundle.to_vec()))
        };
        let first = access(&one, Duration::ZERO).unwrap();
        assert!(Arc::ptr_eq(&first, &access(&one, LONGEST_USE / 2).unwrap()), "the same bundle");
        let second = access(&one, LONGEST_USE / 2).unwrap();
        assert!(!Arc::ptr_eq(&first, &second), "an hour later");
        let third = access(&other, Duration::ZERO).unwrap();
        assert!(!Arc::ptr_eq(&second, &third), "another bundle");
        assert!(!Arc::ptr_eq(&second, &access(&one, Duration::ZERO).unwrap()), "the first one again");
        // After a bundle that cannot be used, nothing of the earlier access is kept.
        assert!(access(b"nothing", Duration::ZERO).is_err());
        let last = access(&one, Duration::ZERO).unwrap();
        assert!(!Arc::ptr_eq(&second, &last) && Arc::ptr_eq(&last, &access(&one, Duration::ZERO).unwrap()));
    }
}
