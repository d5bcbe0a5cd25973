//! The options that say where the servers are and how to come in.

use std::path::PathBuf;

use super::spec::credentials_in;
use super::spelling::{parse_databases, parse_nodes};
use super::{
    Access, Address, ConnectionOptions, Credentials, Databases, Mode, Options, Password, Pem,
    ReadFrom, Secret, Sentinel, Tls,
};
use crate::error::{Error, Result};

/// Where Sentinels listen unless told otherwise.
pub(super) const SENTINEL_PORT: u16 = 26_379;

impl Options {
    /// What is needed to connect; resolves references.
    pub fn connection(&self) -> Result<ConnectionOptions> {
        let mode = self.known_mode()?;
        let mut options = ConnectionOptions {
            mode,
            seeds: self.seeds(mode)?,
            read_from: match self.required("read_from")?.as_str() {
                "replica" => ReadFrom::Replica,
                _ => ReadFrom::Primary,
            },
            databases: self.db()?,
            retry_deadline: self.seconds("retry_deadline")?,
            access: Access {
                credentials: self.credentials("username", "password")?,
                tls: None,
                connect_timeout: self.seconds("socket_connect_timeout")?,
                timeout: self.seconds("socket_timeout")?,
                client_name: self.required("client_name")?,
            },
            sentinel: Sentinel {
                master: self.text("sentinel_master")?,
                credentials: self.credentials("sentinel_username", "sentinel_password")?,
            },
        };
        self.add_password_file(&mut options)?;
        let mut encrypted = self.flag("ssl")?;
        if let Some(url) = self.text("url")? {
            encrypted = self.add_url(&url, &mut options)?;
        }
        options.access.tls = self.tls(encrypted, &options)?;
        for (credentials, username, password) in [
            (&options.access.credentials, "username", "password"),
            (
                &options.sentinel.credentials,
                "sentinel_username",
                "sentinel_password",
            ),
        ] {
            if credentials.username.is_some() && credentials.password.is_none() {
                let text = format!("the user name needs a `{password}` with it");
                return Err(Error::about([username, password], text));
            }
        }
        let name = &options.access.client_name;
        if !name.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
            let text = format!(
                "option `client_name` is {:?}; Redis takes printable ASCII without spaces",
                self.values.get("client_name")
            );
            return Err(Error::about(["client_name"], text));
        }
        self.check_mode(&options)?;
        Ok(options)
    }

    /// What the server is part of.
    pub fn mode(&self) -> Result<Mode> {
        Ok(match self.required("mode")?.as_str() {
            "standalone" => Mode::Standalone,
            "cluster" => Mode::Cluster,
            "sentinel" => Mode::Sentinel,
            _ => Mode::Auto,
        })
    }

    /// The same, where the name of a primary leaves nothing to ask.
    fn known_mode(&self) -> Result<Mode> {
        Ok(match self.mode()? {
            Mode::Auto if self.values.contains_key("sentinel_master") => Mode::Sentinel,
            mode => mode,
        })
    }

    pub(super) fn db(&self) -> Result<Databases> {
        let given = self.parsed("db", parse_databases)?;
        Ok(given.unwrap_or(Databases::These(vec![0])))
    }

    /// The servers to begin with.
    fn seeds(&self, mode: Mode) -> Result<Vec<Address>> {
        let port = match mode {
            Mode::Sentinel => SENTINEL_PORT,
            _ => self.narrow("port")?,
        };
        if let Some(nodes) = self.parsed("nodes", |text| parse_nodes(text, port))? {
            return Ok(nodes);
        }
        if let Some(path) = self.text("unix_socket_path")? {
            return Ok(vec![Address::Unix(PathBuf::from(path))]);
        }
        // `add_url` puts the URL's own address over this one.
        let host = host_name(&self.text("host")?.unwrap_or_default())?;
        let given = self.values.contains_key("port");
        let port = if given { self.narrow("port")? } else { port };
        Ok(vec![Address::Tcp { host, port }])
    }

    fn credentials(&self, username: &'static str, password: &'static str) -> Result<Credentials> {
        Ok(Credentials {
            username: self.text(username)?,
            password: self
                .text(password)?
                .map(|text| Password::Given(Secret(text))),
        })
    }

    fn add_password_file(&self, options: &mut ConnectionOptions) -> Result<()> {
        let Some(path) = self.text("password_file")? else {
            return Ok(());
        };
        let file = Password::InFile(PathBuf::from(path));
        match options.access.credentials.password.replace(file) {
            None => Ok(()),
            Some(_) => Err(twice("password", "password_file", "option `password_file`")),
        }
    }

    fn tls(&self, encrypted: bool, options: &ConnectionOptions) -> Result<Option<Tls>> {
        if !encrypted {
            let given = self.values.keys().find(|name| name.starts_with("ssl_"));
            return match given {
                None => Ok(None),
                Some(name) => {
                    let text = format!(
                        "option `{name}` is about TLS, which is not asked for; give `ssl` as `true` \
                         (or a `rediss://` URL), or leave it out"
                    );
                    Err(Error::about([name, "ssl"], text))
                }
            };
        }
        if options
            .seeds
            .iter()
            .any(|seed| matches!(seed, Address::Unix(_)))
        {
            return Err(Error::about(
                ["ssl"],
                "option `ssl` is for TCP; a Unix socket has no TLS",
            ));
        }
        let verify = self.required("ssl_cert_reqs")? != "none";
        let trust = ["ssl_ca_certs", "ssl_check_hostname"];
        if let (false, Some(name)) = (
            verify,
            trust.iter().find(|name| self.values.contains_key(*name)),
        ) {
            let text = format!(
                "option `ssl_cert_reqs` is `none`, so that nothing is checked by `{name}`; give one of them"
            );
            return Err(Error::about(["ssl_cert_reqs", name], text));
        }
        let client = match (self.pem("ssl_certfile")?, self.pem("ssl_keyfile")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err(needs("ssl_certfile", "ssl_keyfile", "ssl_keyfile")),
            (None, Some(_)) => return Err(needs("ssl_keyfile", "ssl_certfile", "ssl_certfile")),
        };
        Ok(Some(Tls {
            authorities: self.pem("ssl_ca_certs")?,
            client,
            verify,
            check_hostname: self.flag("ssl_check_hostname")?,
        }))
    }

    fn pem(&self, name: &'static str) -> Result<Option<Pem>> {
        let text = self.text(name)?;
        Ok(text.map(|text| match text.contains("-----BEGIN ") {
            true => Pem::Text(Secret(text)),
            false => Pem::Path(PathBuf::from(text)),
        }))
    }

    /// Refuses options that mean nothing in the mode that is asked for.
    fn check_mode(&self, options: &ConnectionOptions) -> Result<()> {
        let said = |name: &str| self.values.contains_key(name);
        for name in ["sentinel_master", "sentinel_username", "sentinel_password"] {
            if said(name) && options.mode != Mode::Sentinel {
                return Err(match options.mode {
                    Mode::Auto => needs(name, "sentinel_master", "sentinel_master"),
                    _ => needs(name, "mode", "mode` = `sentinel"),
                });
            }
        }
        if options.mode == Mode::Sentinel && !said("sentinel_master") {
            let text = "option `mode` = `sentinel` needs `sentinel_master` with it";
            return Err(Error::about(["mode", "sentinel_master"], text));
        }
        if options.mode == Mode::Standalone && said("nodes") {
            return Err(needs("nodes", "mode", "mode` = `cluster` or `sentinel"));
        }
        if options.mode == Mode::Standalone && options.read_from == ReadFrom::Replica {
            return Err(Error::about(
                ["read_from", "mode"],
                "option `read_from` chooses among the nodes of a cluster, or those that Sentinels \
                 know; to read a single replica, name it as the `host`",
            ));
        }
        if options.mode == Mode::Cluster {
            check_cluster_database(&options.databases)?;
        }
        Ok(())
    }
}

/// A cluster has one database.
pub fn check_cluster_database(databases: &Databases) -> Result<()> {
    match databases {
        Databases::These(numbers) if numbers[..] == [0] => Ok(()),
        _ => Err(Error::about(
            ["db", "sync_rules"],
            "of a cluster, only database 0 is read (Redis has no other there), and option `db` (or a \
             rule's `database`) says otherwise",
        )),
    }
}

/// An option is given, and another one says it too.
pub(super) fn twice(name: &'static str, other: &'static str, shown: &str) -> Error {
    let text = format!("option `{name}` is given and {shown} says it too; give it once");
    Error::about([name, other], text)
}

/// An option lacks another one, or a value of it.
fn needs(name: &'static str, other: &'static str, shown: &str) -> Error {
    let text = format!("option `{name}` needs `{shown}` with it");
    Error::about([name, other], text)
}

/// A host as the resolver takes it; an IPv6 address may come in brackets.
fn host_name(given: &str) -> Result<String> {
    let bare = given
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(given);
    if bare.contains("://") {
        return Err(Error::about(
            ["host"],
            "option `host` holds a URL, which belongs into option `url`",
        ));
    }
    if bare.contains('@') {
        return Err(credentials_in("host"));
    }
    if bare.matches(':').count() == 1 {
        let text = format!("option `host` is {bare:?}; the port is an option of its own, `port`");
        return Err(Error::about(["host"], text));
    }
    Ok(bare.to_owned())
}
