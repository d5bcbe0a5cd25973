//! One connection to one server: TCP, TLS or Unix socket, handshake, deadlines.
//!
//! The socket does not block. While replies are awaited, what is left of the commands is
//! sent, the deadline is watched and the caller's wish to stop is asked for.

mod dial;
mod stream;
mod tls;
mod values;
mod waiting;
mod wire;

use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisResult, Value};

use crate::error::{Error, Result};
use crate::options::Access;
use crate::resp::{Commands, Decoder, Replies, Tokens as _};

pub use dial::Dialer;
pub use values::values;
pub use waiting::{Cancel, pause};

use stream::Stream;
use wire::Wire;

/// A connection that has shaken hands.
pub struct Connection {
    decoder: Decoder<Wire>,
    db: u32,
    /// What ended a one-off command: the crate's error type cannot carry ours, so it waits here.
    failed: Option<Error>,
    /// Whether replies and commands can no longer be told to belong together.
    broken: bool,
    /// The shortest time in which an answer came.
    round_trip: Duration,
    /// Whether each command is to follow an ASKING.
    asking: bool,
}

impl Connection {
    /// Authenticates over a stream, if there is a password, and names itself.
    fn begin(
        stream: Stream,
        access: &Access,
        password: Option<&str>,
        cancel: Cancel,
    ) -> Result<Self> {
        let mut connection = Connection {
            decoder: Decoder::new(Wire::new(stream, access.timeout, cancel)),
            db: 0,
            failed: None,
            broken: false,
            round_trip: Duration::MAX,
            asking: false,
        };
        let began = Instant::now();
        connection.shake_hands(access, password)?;
        connection.round_trip = began.elapsed();
        Ok(connection)
    }

    fn shake_hands(&mut self, access: &Access, password: Option<&str>) -> Result<()> {
        let mut commands = Commands::default();
        let username = access.credentials.username.as_deref();
        match (username, password) {
            (Some(user), Some(password)) => {
                commands.push(&[b"AUTH", user.as_bytes(), password.as_bytes()]);
            }
            (None, Some(password)) => commands.push(&[b"AUTH", password.as_bytes()]),
            (_, None) => {}
        }
        commands.push(&[b"PING"]);
        commands.push(&[b"CLIENT", b"SETNAME", access.client_name.as_bytes()]);
        self.send(&commands)?;

        if password.is_some() {
            let authenticated = self.replies(1).bytes().map(|_| ());
            self.check_welcome(authenticated)?;
        } else {
            self.replies(1).bytes()?;
        }
        self.take_courtesy()
    }

    /// Goes to a database, where it is not there already.
    pub fn select(&mut self, db: u32) -> Result<()> {
        if db == self.db {
            return Ok(());
        }
        let selected: Result<()> = self.query(redis::cmd("SELECT").arg(db));
        selected.map_err(|error| match error {
            Error::Refused { code, message } if code == "ERR" => Error::configuration(format!(
                "database {db}, which option `db` or a rule asks for, is refused by the server: {message}"
            )),
            other => other,
        })?;
        self.db = db;
        Ok(())
    }

    /// The replies to AUTH and to the PING after it, which tells whether one may speak at all:
    /// where it was not AUTH that failed (too many clients, say), the connection is gone.
    fn check_welcome(&mut self, authenticated: Result<()>) -> Result<()> {
        // Who was silent so far is not waited for again.
        if let Err(error) = authenticated.as_ref()
            && !error.is_refusal()
            && !matches!(error, Error::Authentication(_))
        {
            return authenticated;
        }
        let spoken = self.replies(1).bytes().map(|_| ());
        match (authenticated, spoken) {
            (Ok(()), spoken) => spoken,
            (Err(refused), Err(Error::Lost(_))) => Err(refused),
            // In words of our own: before 6.0 the server's say little.
            (Err(Error::Refused { code, .. }), _) if code == "ERR" => {
                Err(Error::Authentication(format!(
                    "AUTH was answered with {code}: the user name or password is wrong, or the \
                     server wants none, or has no such command"
                )))
            }
            (Err(refused), _) => Err(refused),
        }
    }

    /// Reads from a replica in a cluster, which sends clients to its primary otherwise.
    pub fn set_readonly(&mut self) -> Result<()> {
        self.query(&redis::cmd("READONLY"))
    }

    /// From now on each command follows an ASKING: this node is being given their slots.
    pub fn set_asking(&mut self) {
        self.asking = true;
    }

    pub fn is_asking(&self) -> bool {
        self.asking
    }

    /// Commands to be sent over this connection.
    pub fn commands(&self) -> Commands {
        Commands::new(self.asking)
    }

    /// Reads without counting as a use of the keys, where the server has that (7.2).
    pub fn set_no_touch(&mut self) -> Result<()> {
        let mut commands = Commands::default();
        commands.push(&[b"CLIENT", b"NO-TOUCH", b"ON"]);
        self.send(&commands)?;
        self.take_courtesy()
    }

    /// The reply to what is only a courtesy, to whoever reads CLIENT LIST or to the server's
    /// eviction: a user that may not ask for it can still read.
    fn take_courtesy(&mut self) -> Result<()> {
        match self.replies(1).bytes() {
            Err(Error::PermissionDenied { .. } | Error::Refused { .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Who is asked, from now on, whether to go on waiting.
    pub fn set_cancel(&mut self, cancel: Cancel) {
        self.decoder.reader.cancel = cancel;
    }

    /// Sends what can be sent at once; the rest goes while replies are read.
    pub fn send(&mut self, commands: &Commands) -> Result<()> {
        self.send_bytes(&commands.bytes)
    }

    fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.decoder.reader.send(bytes)?)
    }

    /// The replies to the next so many commands.
    pub fn replies(&mut self, commands: usize) -> Replies<'_> {
        Replies::new(&mut self.decoder, commands).after_asking(self.asking)
    }

    /// As `replies`, to commands that followed no ASKING, or in the middle of a reply.
    pub fn replies_unasked(&mut self, values: usize) -> Replies<'_> {
        Replies::new(&mut self.decoder, values)
    }

    /// Reply bytes pulled so far.
    pub fn consumed(&self) -> u64 {
        self.decoder.consumed()
    }

    /// Asks one command on the control plane.
    pub fn query<T: redis::FromRedisValue>(&mut self, command: &redis::Cmd) -> Result<T> {
        self.failed = None;
        let began = Instant::now();
        let answer = command.query(self);
        self.round_trip = self.round_trip.min(began.elapsed());
        answer.map_err(|error| {
            self.failed
                .take()
                .unwrap_or_else(|| Error::Protocol(error.to_string()))
        })
    }

    /// How far away the server is: the shortest time in which it has answered so far.
    pub fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Sleeps, and ends that like any wait when the caller wants no more.
    pub fn pause(&self, time: Duration) -> Result<()> {
        pause(time, &self.decoder.reader.cancel)
    }

    /// Keeps our error for `query`, and gives the crate one that says the same.
    fn fail(&mut self, error: Error) -> redis::RedisError {
        self.broken |= !error.is_refusal();
        let text = error.to_string();
        self.failed = Some(error);
        (ErrorKind::Client, "lakeflow-redis", text).into()
    }
}

/// The control plane: one-off commands, packed and typed by the `redis` crate.
impl redis::ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        let mut values = self.req_packed_commands(command, 0, 1)?;
        Ok(values.pop().unwrap_or_default())
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.send_bytes(commands)
            .and_then(|()| values(&mut self.decoder, offset, count))
            .map_err(|error| self.fail(error))
    }

    fn get_db(&self) -> i64 {
        self.db.into()
    }

    fn check_connection(&mut self) -> bool {
        redis::cmd("PING").query::<String>(self).is_ok()
    }

    fn is_open(&self) -> bool {
        !self.broken
    }
}
