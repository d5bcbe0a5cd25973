//! A server that stands alone.

use super::{Node, State, Topology, first_that_answers};
use crate::connection::{Cancel, Dialer};
use crate::error::{Error, Result};
use crate::options::{Address, ConnectionOptions, ReadFrom};

pub struct Standalone {
    dialer: Dialer,
    seeds: Vec<Address>,
}

impl Standalone {
    pub fn new(options: &ConnectionOptions, dialer: Dialer) -> Self {
        Standalone {
            dialer,
            seeds: options.seeds.clone(),
        }
    }

    /// A node of a cluster holds a part of the keys, and a Sentinel none: read as if it were all
    /// there is, either would give a table that is silently short.
    pub fn check(&self, node: &Node) -> Result<()> {
        match node.server.mode.as_str() {
            "standalone" => Ok(()),
            mode => Err(Error::configuration(format!(
                "{} is in {mode} mode and no standalone server, which option `mode` says it is; \
                 set it to `{mode}`, or leave it out",
                node.name
            ))),
        }
    }

    /// Options that choose among several servers have nothing to choose from.
    pub fn check_alone(&self, options: &ConnectionOptions) -> Result<()> {
        let wrong = |what: &str| Err(Error::configuration(what.to_owned()));
        if self.seeds.len() > 1 {
            return wrong(
                "option `nodes` names several servers, and the first of them is no part of a \
                 cluster; name one, or set `mode` to `sentinel` if they are Sentinels",
            );
        }
        if options.read_from == ReadFrom::Replica {
            return wrong(
                "option `read_from` chooses among the nodes of a cluster, or those that Sentinels \
                 know, and this is a standalone server; to read a replica, name it as the `host`",
            );
        }
        Ok(())
    }
}

impl Topology for Standalone {
    fn mode(&self) -> &'static str {
        "standalone"
    }

    fn changes(&self) -> bool {
        false
    }

    fn nodes(&self, cancel: &Cancel) -> Result<Vec<Node>> {
        let node = first_that_answers(&self.dialer, &self.seeds, cancel)?;
        self.check(&node)?;
        Ok(vec![node])
    }

    /// As it said when it was connected to: over one connection it is one process.
    fn state(&self, node: &mut Node, _: &Cancel) -> Result<State> {
        Ok(State {
            role: node.server.role,
            run_id: node.server.run_id.clone(),
            ..node.state.clone()
        })
    }

    fn dialer(&self) -> &Dialer {
        &self.dialer
    }
}
