//! Coming into a server: one place where options become connections.

use std::sync::{Arc, Mutex};

use rustls::ClientConfig;

use super::stream::{Stream, connect};
use super::tls::{self, WANTS_CERTIFICATE};
use super::{Cancel, Connection};
use crate::error::{Error, Result};
use crate::options::{Access, Address, Password};

/// Connects to any of the servers that one set of options is for.
pub struct Dialer {
    access: Access,
    tls: Option<Arc<ClientConfig>>,
    warnings: Mutex<Vec<String>>,
}

impl Dialer {
    pub fn new(access: &Access) -> Result<Self> {
        let tls = access.tls.as_ref().map(tls::config).transpose()?;
        let dialer = Dialer {
            access: access.clone(),
            tls,
            warnings: Mutex::default(),
        };
        if access.tls.as_ref().is_some_and(|tls| !tls.verify) {
            dialer.warn(
                "option `ssl_cert_reqs` is `none`: the connection is encrypted, but whoever \
                 answers is believed to be the server",
            );
        }
        Ok(dialer)
    }

    /// Connects, authenticates and names itself. Errors do not name the server.
    pub fn open(&self, address: &Address, cancel: &Cancel) -> Result<Connection> {
        let password = self.password()?;
        let timeout = self.access.connect_timeout;
        let stream = connect(address, self.tls.as_ref(), timeout, cancel)?;
        if password.is_some() && stream.is_exposed() {
            self.warn(&format!(
                "the password goes to {address} unencrypted, over a network that is not private; \
                 option `ssl` encrypts it"
            ));
        }
        let plain = matches!(stream, Stream::Tcp(_));
        Connection::begin(stream, &self.access, password.as_deref(), cancel.clone())
            .map_err(|error| self.explain(error, plain))
    }

    /// Who the server is told we are.
    pub fn username(&self) -> Option<&str> {
        self.access.credentials.username.as_deref()
    }

    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// What was noticed while connecting that a user should know.
    pub fn warnings(&self) -> Vec<String> {
        crate::error::lock(&self.warnings).clone()
    }

    fn warn(&self, message: &str) {
        let mut warnings = crate::error::lock(&self.warnings);
        if !warnings.iter().any(|known| known == message) {
            warnings.push(message.to_owned());
        }
    }

    fn password(&self) -> Result<Option<String>> {
        match &self.access.credentials.password {
            None => Ok(None),
            Some(Password::Given(secret)) => Ok(Some(secret.0.clone())),
            Some(Password::InFile(path)) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    // Not which: it may be the password itself, in the wrong option.
                    Error::configuration(format!(
                        "option `password_file` names a file that cannot be read: {error}"
                    ))
                })?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
            }
        }
    }

    /// What a connection that ends with the first words means.
    fn explain(&self, error: Error, plain: bool) -> Error {
        let has_certificate = |tls: &crate::options::Tls| tls.client.is_some();
        match error {
            // Since TLS 1.3 a server looks for the certificate after the handshake; its last word
            // gets lost where ours has crossed it.
            Error::Lost(_)
                if self
                    .access
                    .tls
                    .as_ref()
                    .is_some_and(|tls| !has_certificate(tls)) =>
            {
                Error::TlsUnanswered(format!(
                    "the server hung up right after the handshake; it may be that {WANTS_CERTIFICATE}"
                ))
            }
            Error::Lost(_) if plain => Error::Unreachable(std::io::Error::other(
                "the server hung up at once, as one does that wants TLS there (option `ssl`)",
            )),
            Error::Lost(_) => {
                Error::Unreachable(std::io::Error::other("the server hung up at once"))
            }
            Error::Protocol(text) if plain && text.contains("\\x15") => Error::Protocol(format!(
                "{text}; it looks like TLS, which option `ssl` asks for"
            )),
            other => other,
        }
    }
}
