//! TLS over a TCP stream that does not block: what to trust, the handshake, and errors in words
//! that say what to do.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::event::PollFlags;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct,
    PeerIncompatible, RootCertStore, SignatureScheme,
};

use super::waiting::{Cancel, Waited};
use crate::error::{Error, Result};
use crate::options::{Pem, Tls};

/// What TLS connections are made with, by what the options say.
pub fn config(tls: &Tls) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let trusted = match tls.verify {
        true => Some(trusted(tls, &provider)?),
        false => None,
    };
    let verifier: Arc<dyn ServerCertVerifier> = match trusted {
        Some(trusted) if tls.check_hostname => trusted,
        trusted => Arc::new(Lenient {
            trusted,
            provider: provider.clone(),
        }),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((certificates, key)) => {
            let chain = certificates_of(certificates, "ssl_certfile")?;
            let key = PrivateKeyDer::from_pem_slice(&text(key, "ssl_keyfile")?)
                .map_err(|_| unusable("ssl_keyfile", "holds no unencrypted private key in PEM (have its line breaks been lost on the way?)"))?;
            let fits = builder.with_client_auth_cert(chain, key);
            fits.map_err(|error| {
                unusable(
                    "ssl_certfile",
                    &format!("and `ssl_keyfile` do not belong together: {error}"),
                )
            })?
        }
    };
    Ok(Arc::new(config))
}

/// Checks a certificate wholly.
fn trusted(tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let roots = Arc::new(authorities(tls)?);
    WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| Error::Tls(format!("what is to be trusted is no use: {error}")))
}

/// The authorities that are trusted to vouch for servers.
fn authorities(tls: &Tls) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = &tls.authorities else {
        let system = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(system.certs);
        if added > 0 {
            return Ok(roots);
        }
        let why = system.errors.first().map(ToString::to_string);
        return Err(Error::configuration(format!(
            "this system knows no authorities to trust ({}); name them by option `ssl_ca_certs`",
            why.as_deref().unwrap_or("its store is empty")
        )));
    };
    for certificate in certificates_of(pem, "ssl_ca_certs")? {
        roots.add(certificate).map_err(|error| {
            unusable("ssl_ca_certs", &format!("holds a bad certificate: {error}"))
        })?;
    }
    Ok(roots)
}

fn certificates_of(pem: &Pem, option: &str) -> Result<Vec<CertificateDer<'static>>> {
    let text = text(pem, option)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(unusable(
            option,
            "holds no certificate in PEM (have its line breaks been lost on the way?)",
        )),
    }
}

fn text(pem: &Pem, option: &str) -> Result<Vec<u8>> {
    match pem {
        // Texts that were put together may lack the line break in between.
        Pem::Text(text) => Ok(text
            .0
            .replace("----------BEGIN", "-----\n-----BEGIN")
            .into_bytes()),
        Pem::Path(path) => std::fs::read(path).map_err(|error| {
            // What is no path may be a key whose lines were lost: it is not shown.
            unusable(
                option,
                &format!("is no PEM text, and no file that can be read: {error}"),
            )
        }),
    }
}

fn unusable(option: &str, what: &str) -> Error {
    Error::configuration(format!("option `{option}` {what}"))
}

/// Takes what the options say that it should: certificates that can be trusted, for any host, or
/// any at all. In each case the peer must have the certificate's key.
#[derive(Debug)]
struct Lenient {
    /// None where any certificate will do.
    trusted: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        let Some(trusted) = &self.trusted else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name comes last, when all else was found good.
        match trusted.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                NotValidForName | NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A TCP stream with TLS over it.
#[derive(Debug)]
pub struct TlsStream {
    tcp: TcpStream,
    session: ClientConnection,
}

impl TlsStream {
    /// Shakes hands within the time.
    pub fn begin(
        tcp: TcpStream,
        host: &str,
        config: &Arc<ClientConfig>,
        waited: &Waited,
        cancel: &Cancel,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let text = format!("{host:?} is neither a host name nor an IP address");
            io::Error::other(Error::configuration(text))
        })?;
        let session =
            ClientConnection::new(config.clone(), name).map_err(|error| refused(&error))?;
        let mut stream = TlsStream { tcp, session };
        while stream.session.is_handshaking() {
            stream.flush()?;
            match stream.pull() {
                Ok(0) => return Err(hung_up()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(hung_up());
                }
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let events = match stream.wants_write() {
                true => PollFlags::IN | PollFlags::OUT,
                false => PollFlags::IN,
            };
            waited
                .wait(&stream, events, cancel)
                .map_err(explain_silence)?;
        }
        stream.flush()?;
        Ok(stream)
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            self.pull()?;
        }
    }

    /// Takes records off the socket; 0 where it has ended.
    fn pull(&mut self) -> io::Result<usize> {
        let pulled = self.session.read_tls(&mut self.tcp)?;
        if let Err(error) = self.session.process_new_packets() {
            // The peer is told why, if it still listens.
            return match self.flush() {
                Ok(()) | Err(_) => Err(refused(&error)),
            };
        }
        Ok(pulled)
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        match self.session.writer().write(bytes)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            taken => {
                self.flush()?;
                Ok(taken)
            }
        }
    }

    /// Sends what the socket takes now.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub fn wants_write(&self) -> bool {
        self.session.wants_write()
    }
}

impl AsFd for TlsStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}

fn hung_up() -> io::Error {
    let text = "the server hung up in the TLS handshake; does it speak TLS there?";
    io::Error::other(Error::TlsUnanswered(text.to_owned()))
}

/// A server without TLS takes the handshake for the beginning of a command, and waits for its end.
fn explain_silence(error: io::Error) -> io::Error {
    match error.downcast::<Error>() {
        Ok(Error::Timeout { seconds, option }) => io::Error::other(Error::TlsUnanswered(format!(
            "no answer to the handshake within {seconds} s (option `{option}`), as of a server \
             that does not speak TLS at this port"
        ))),
        Ok(other) => io::Error::other(other),
        Err(error) => error,
    }
}

/// A TLS error, and what to do about it.
fn refused(error: &rustls::Error) -> io::Error {
    use AlertDescription as Alert;
    use CertificateError as Certificate;
    let text = match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            Certificate::UnknownIssuer => {
                "the server's certificate is signed by no authority that is trusted here; option \
                 `ssl_ca_certs` names the one that signs it"
                    .to_owned()
            }
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                format!("the server's certificate has expired ({certificate}); it needs a new one")
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                format!("the server's certificate is not valid yet ({certificate}); are the clocks right?")
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => format!(
                "the server's certificate is for another host ({certificate}); connect by a name \
                 that it is for, or set `ssl_check_hostname` to `false`"
            ),
            other => format!("the server's certificate cannot be trusted: {other}"),
        },
        rustls::Error::InvalidMessage(_) => {
            "the server does not speak TLS at this port; leave out `ssl`, or give the port that does"
                .to_owned()
        }
        rustls::Error::AlertReceived(Alert::ProtocolVersion)
        | rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            "the server offers neither TLS 1.2 nor 1.3; its `tls-protocols` may allow them".to_owned()
        }
        rustls::Error::AlertReceived(Alert::CertificateRequired) => WANTS_CERTIFICATE.to_owned(),
        rustls::Error::AlertReceived(Alert::HandshakeFailure) => format!(
            "the server ended the handshake; it may want a client certificate \
             (`ssl_certfile`, `ssl_keyfile`), or no common cipher ({error})"
        ),
        rustls::Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate
            | Alert::AccessDenied,
        ) => format!("the server does not accept the client certificate of `ssl_certfile`: {error}"),
        other => other.to_string(),
    };
    io::Error::other(Error::Tls(text))
}

pub const WANTS_CERTIFICATE: &str = "the server wants a client certificate; options `ssl_certfile` \
    and `ssl_keyfile` give one";
