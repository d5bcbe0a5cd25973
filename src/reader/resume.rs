//! Going on with a database of a node where it was, after its connection was lost.
//!
//! A SCAN cursor is good for one server process. Where the same process answers again, and nothing of
//! it has changed, scans go on from the last page that came whole, and what was named and not read is
//! asked for again. Anything else is for another pass over the nodes to mend, or for nobody.

use super::job::Job;
use crate::connection::Cancel;
use crate::error::{Error, Result};
use crate::retry::Trouble;
use crate::topology::{Node, is_passing, is_said_to_pass};
use crate::visit::{Redirected, Visited, Visitor, Work, visit};

/// Connections in a row that may be lost with nothing finished over them. More, with the growing pauses
/// between them, and what ends them is likely to be the read itself.
const FRUITLESS: usize = 8;

/// How a read that is broken off again and again gets on.
struct Headway {
    trouble: Trouble,
    /// How much was finished when it was last broken off.
    steps: u64,
    /// Connections that were lost since.
    fruitless: usize,
}

/// Visits all keys of a work, over as many connections as that takes.
pub fn visit_on(
    node: &mut Node,
    db: u32,
    work: &mut Work,
    visitors: &mut [&mut dyn Visitor],
    job: &Job,
    cancel: &Cancel,
) -> Visited {
    let mut headway = Headway {
        trouble: job.retries.begin(),
        steps: work.steps,
        fruitless: 0,
    };
    let mut redirected = None;
    let (outcome, clean) = loop {
        let Visited {
            outcome,
            redirected: more,
            clean,
        } = match node.connection.select(db) {
            Ok(()) => visit(
                &mut node.connection,
                work,
                visitors,
                &job.read,
                job.manner(),
            ),
            Err(error) => Visited::failed(error, true),
        };
        redirected = Redirected::joined(redirected, more);
        let error = match outcome {
            Err(error) if clean && job.may_mend(&error) && is_broken_off(&error) => error,
            outcome => break (outcome, clean),
        };
        let brief = error.root().brief();
        let back = headway
            .broken_off(error, work.steps, job)
            .and_then(|error| connect_again(node, error, &mut headway.trouble, job, cancel));
        match back {
            Ok(None) => job.warn(&format!(
                "{}: the read was broken off, and went on where it was: {brief}",
                node.name
            )),
            // Another pass over the nodes may mend it.
            Ok(Some(error)) => break (Err(error), true),
            Err(error) => break (Err(error), false),
        }
    };
    Visited {
        outcome,
        redirected,
        clean,
    }
}

/// Whether it is a connection, or a server's readiness, that another try may have.
fn is_broken_off(error: &Error) -> bool {
    error.is_unreachable() || is_said_to_pass(error)
}

impl Headway {
    /// Counts an error; gives it back as one to be mended, or as the last.
    fn broken_off(&mut self, error: Error, steps: u64, job: &Job) -> Result<Error> {
        if steps > self.steps {
            *self = Headway {
                trouble: job.retries.begin(),
                steps,
                fruitless: 0,
            };
        }
        // One that says that it will answer in a while has until the deadline.
        if is_said_to_pass(&error) {
            return Ok(error);
        }
        if self.fruitless == FRUITLESS {
            return Err(self.trouble.give_up(error));
        }
        self.fruitless += 1;
        Ok(error)
    }
}

/// Connects again to a node after an error; gives that back where the node is not what it was. One
/// whose place another may take is tried once, and one that stands alone until the deadline.
fn connect_again(
    node: &mut Node,
    mut error: Error,
    trouble: &mut Trouble,
    job: &Job,
    cancel: &Cancel,
) -> Result<Option<Error>> {
    let replaceable = job.topology.changes();
    loop {
        let brief = error.brief();
        match trouble.wait(error, cancel) {
            Ok(()) => {}
            // Those who look for another node have a deadline of their own.
            Err(error) if replaceable && !error.is_interrupt() => return Ok(Some(error)),
            Err(error) => return Err(error),
        }
        error = match job.topology.come_back(node, cancel) {
            Ok(true) => return Ok(None),
            Ok(false) => Error::TopologyChanged(format!(
                "not the server, or not the slots, that it was, after {brief}"
            ))
            .at(&node.name),
            Err(failed) => failed,
        };
        if !is_passing(&error) {
            return Err(error.at(format!("after {brief}")));
        }
        if replaceable || error.is_topology() {
            return Ok(Some(error));
        }
    }
}

/// What a node gives, over as many connections as that takes.
pub fn ask_on<T>(
    node: &mut Node,
    job: &Job,
    cancel: &Cancel,
    mut ask: impl FnMut(&mut Node) -> Result<T>,
) -> Result<T> {
    let mut trouble = job.retries.begin();
    loop {
        let error = match ask(node) {
            Err(error) if job.may_mend(&error) && is_broken_off(&error) => error,
            given => return given,
        };
        if let Some(error) = connect_again(node, error, &mut trouble, job, cancel)? {
            return Err(error);
        }
    }
}
