//! Reading all nodes, and again where they changed meanwhile.
//!
//! A pass reads the nodes side by side, and then asks whether what they hold is still the same.
//! If it is, every key that was there throughout was named, once. (Only a slot whose keys went and
//! came back without ever changing hands leaves no trace: a move that was begun and undone, by
//! SETSLOT STABLE and not by a failover, within one pass.) If not, a key may have moved
//! from a node that had not come to it to one that was past it. Then the nodes are found anew for
//! another pass. In a cluster that pass is over the slots in question alone, and lists the keys of
//! each at a moment at which its owner has all of it, or at both ends where it is moving and does so
//! until the pass is over; so it comes to its end while other slots are moving. Elsewhere it is
//! another scan.
//!
//! A pass leaves out what those before it have read. What that is, is known as long as not more
//! keys were named than are remembered; with more, the read fails and says what moved.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use super::Message;
use super::job::{Crew, Job, Progress};
use super::node::read_share;
use crate::connection::{Cancel, pause};
use crate::error::{Error, Result};
use crate::tables::Key;
use crate::topology::{Holding, Node, Role, Slots, is_passing, is_said_to_change, slot_of};
use crate::visit::{Owed, Redirected, Visited};

/// More passes are not made: servers that change all the time are in trouble.
const PASSES: usize = 8;
/// How long to wait before servers that are just changing are looked for again.
const SETTLING: Duration = Duration::from_millis(100);

/// Whether another pass may go better.
fn is_mendable(end: &Visited, job: &Job) -> bool {
    let error = end.outcome.as_ref().err();
    error.is_none_or(|error| job.may_mend(error)) && job.only_scans()
}

/// How a pass over all nodes went.
enum Pass {
    /// All is read.
    Whole,
    /// Something moved, and what of it another pass is to read: these slots, or all.
    Changed(Error, Option<Slots>),
    Failed(Error),
}

/// Reads all that there is to read.
pub fn read(
    job: &Job,
    mut crews: Vec<Crew>,
    sender: &SyncSender<Message>,
    cancel: &Cancel,
) -> Result<()> {
    let mut progress = Progress::default();
    let mut pass = 1;
    loop {
        job.measure(&mut crews);
        let (error, slots) = match read_pass(job, &mut crews, &progress, sender, cancel) {
            Pass::Whole => return job.check_streams(&mut crews, cancel),
            Pass::Failed(error) => return Err(error),
            // Others read the rest, and know nothing of what went from here.
            Pass::Changed(error, _) if job.is_part => {
                return Err(of_change(error, job)
                    .at("divide the read again, which in Spark is to load the table again"));
            }
            Pass::Changed(error, _) if pass == PASSES => return Err(of_change(error, job)),
            Pass::Changed(error, slots) => (error, slots),
        };
        let trouble = of_change(error, job);
        // Slots are listed where they are owned, and replicas own none.
        let clustered = crews.iter().any(|crew| crew.holding.is_some());
        if clustered
            && crews
                .iter()
                .any(|crew| crew.node.state.role == Role::Replica)
        {
            return Err(trouble.at("the cluster changed while its replicas were read; read again"));
        }
        progress.slots = clustered.then(|| slots.unwrap_or_else(Slots::all));
        if !remember(crews, &mut progress) {
            return Err(trouble.at(
                "so many keys were read by then that it is not known of each whether it was; \
                 read again",
            ));
        }
        job.warn(&format!(
            "the servers changed while they were read, and what moved was read once more: {}",
            trouble.brief()
        ));
        crews = find_anew(job, &progress, &trouble, cancel)?;
        pass += 1;
    }
}

fn read_pass(
    job: &Job,
    crews: &mut [Crew],
    progress: &Progress,
    sender: &SyncSender<Message>,
    cancel: &Cancel,
) -> Pass {
    let mut ends = read_nodes(job, crews, sender, cancel);
    // Of a part, the keys that have just come here were read where they come from, or will be refused there.
    if !job.is_part && ends.iter().all(|end| end.outcome.is_ok()) {
        ends.extend(read_arrived(job, crews, sender, cancel));
    }
    let clean = ends.iter().all(|end| end.clean);
    let mends = clean && ends.iter().all(|end| is_mendable(end, job));
    let again = |error| match mends {
        true => Pass::Changed(error, progress.slots.clone()),
        false => Pass::Failed(of_change(error, job)),
    };
    // Those that were only stopped have nothing to say.
    let stopped = |end: &Visited| matches!(&end.outcome, Err(error) if error.is_interrupt());
    ends.sort_by_key(stopped);
    let mut redirected = None;
    for end in ends {
        if let Err(error) = end.outcome {
            return again(error);
        }
        redirected = Redirected::joined(redirected, end.redirected);
    }
    // What was listed was there at one moment, but for slots that were moving by then: those are read
    // at both their ends, one after the other, and keys may have gone back meanwhile.
    let open = progress.slots.as_ref().map(|_| {
        let mut open = Slots::default();
        crews.iter().for_each(|crew| open.extend(&crew.open()));
        open
    });
    let concerned = |crew: &&mut Crew| open.is_none() || !crew.open().is_empty();
    let crews_concerned = crews.iter_mut().filter(concerned);
    let nodes = crews_concerned.map(|crew| &mut crew.node).collect();
    let moved = job.topology.moved(nodes, cancel);
    let mut left = Slots::default();
    for share in crews.iter().flat_map(|crew| &crew.shares) {
        left.extend(&share.work.pending());
    }
    let mut why = (!left.is_empty()).then(|| {
        let what = format!("slots {left} were moving when they were to be listed");
        Error::TopologyChanged(what)
    });
    let changed = match moved {
        Ok(changes) => changes.map(|changes| (Error::TopologyChanged(changes.what), changes.slots)),
        Err(error) if job.may_mend(&error) => Some((error, None)),
        Err(error) => return Pass::Failed(of_change(error, job)),
    };
    let mut everything = false;
    if let Some((error, slots)) = changed {
        match (slots, open) {
            (None, None) => (everything, why) = (true, Some(error)),
            (Some(slots), None) | (None, Some(slots)) => {
                left.extend(&slots);
                why = Some(error);
            }
            (Some(slots), Some(open)) => {
                let again = slots.both(&open);
                if !again.is_empty() {
                    left.extend(&again);
                    why = Some(error);
                }
            }
        }
    }
    if let Some(redirected) = redirected {
        left.extend(&redirected.slots);
        why.get_or_insert(redirected.error);
    }
    match why {
        None => Pass::Whole,
        Some(error) => Pass::Changed(error, (!everything).then_some(left)),
    }
}

/// What a server says while it changes its part is about that.
fn of_change(error: Error, job: &Job) -> Error {
    if !job.topology.changes() {
        error
    } else if is_said_to_change(&error) {
        Error::TopologyChanged(format!("{error}; read again"))
    } else if error.is_unreachable() {
        error.at("a server went away while it was read; read again")
    } else {
        error
    }
}

/// Reads the nodes side by side, a thread each.
fn read_nodes(
    job: &Job,
    crews: &mut [Crew],
    sender: &SyncSender<Message>,
    cancel: &Cancel,
) -> Vec<Visited> {
    // Where one node fails for good, nobody needs what the others still give.
    let failed = Arc::new(AtomicBool::new(false));
    let cancel: Cancel = {
        let (cancel, failed) = (cancel.clone(), failed.clone());
        Arc::new(move || cancel() || failed.load(Relaxed))
    };
    let read_one = |crew: &mut Crew| {
        crew.node.set_cancel(&cancel);
        let mut end = Visited::nothing();
        for share in &mut crew.shares {
            end.add(read_share(&mut crew.node, share, job, sender, &cancel));
            if end.outcome.is_err() {
                let ended = !end.clean || !is_mendable(&end, job);
                failed.fetch_or(ended, Relaxed);
                break;
            }
        }
        end
    };
    if let [only] = crews {
        return vec![read_one(only)];
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = crews
            .iter_mut()
            .map(|crew| {
                std::thread::Builder::new()
                    .name("lakeflow-redis-node".to_owned())
                    .spawn_scoped(scope, || read_one(crew))
            })
            .collect();
        let join = |thread: ScopedJoinHandle<'_, Visited>| {
            let gone = |_| Visited::failed(Error::ReaderGone, false);
            thread.join().unwrap_or_else(gone)
        };
        let ends = threads.into_iter().map(|thread| match thread {
            Ok(thread) => join(thread),
            Err(error) => Visited::failed(Error::NoThread(error), false),
        });
        ends.collect()
    })
}

/// Reads those keys of slots that are being moved which have arrived already. The nodes that they
/// come from are through by now: a key that was there throughout was either read there, or is
/// here.
fn read_arrived(
    job: &Job,
    crews: &mut [Crew],
    sender: &SyncSender<Message>,
    cancel: &Cancel,
) -> Vec<Visited> {
    let mut had: HashSet<Key> = HashSet::new();
    let mut owed: BTreeMap<u32, Owed> = BTreeMap::new();
    for share in crews.iter_mut().flat_map(|crew| &mut crew.shares) {
        had.extend(std::mem::take(&mut share.work.known.leaving));
        let of_db = owed.entry(share.db).or_default();
        of_db.extend(share.work.owed.drain());
    }
    let nodes = crews.len();
    let mut ends = Vec::new();
    for crew in crews.iter_mut() {
        let holding = crew.holding.clone().unwrap_or_default();
        if holding.arriving.is_empty() {
            continue;
        }
        let mut end = Visited::nothing();
        match arrived_at(&crew.node, &holding, job, cancel) {
            Err(error) => end = Visited::failed(error.at(&crew.node.name), true),
            Ok((mut node, keys)) => {
                for share in &mut crew.shares {
                    let known = std::mem::take(&mut share.work.known);
                    let mut arrived = job.share(&node, nodes, share.db, known);
                    let keys = keys.iter().filter(|key| !had.contains(*key));
                    let chosen = arrived.work.only(keys);
                    let here =
                        |(key, _): &(Key, usize)| holding.arriving.contains_key(&slot_of(key));
                    let owed = owed.entry(share.db).or_default();
                    arrived.work.owe(owed.extract_if(here));
                    node.connection.set_asking();
                    match chosen {
                        Ok(()) => end.add(read_share(&mut node, &mut arrived, job, sender, cancel)),
                        Err(error) => end = Visited::failed(error, true),
                    }
                    share.work.owed = arrived.work.take_owed();
                    share.work.known = arrived.work.known;
                }
            }
        }
        ends.push(end);
    }
    // What is at no other node yet is looked for in another pass, if there is one.
    for share in crews.iter_mut().flat_map(|crew| &mut crew.shares) {
        if let Some(left) = owed.remove(&share.db) {
            share.work.owed.extend(left);
        }
    }
    ends
}

/// The keys that have come to a node of slots that it does not own yet, and a connection to read
/// them by.
fn arrived_at(
    node: &Node,
    holding: &Holding,
    job: &Job,
    cancel: &Cancel,
) -> Result<(Node, Vec<Key>)> {
    let mut node = node.open_again(job.topology.dialer(), cancel)?;
    let mut keys = Vec::new();
    for slot in holding.arriving.keys() {
        keys.extend(node.keys_in_slot(*slot)?);
    }
    let now = job
        .topology
        .state(&mut node, cancel)?
        .holding
        .unwrap_or_default();
    let still = |slot: &u16| now.arriving.contains_key(slot) || now.owned.contains(*slot);
    if let Some(slot) = holding.arriving.keys().find(|slot| !still(slot)) {
        let what = format!("slot {slot} ceased to move before it had come");
        return Err(Error::TopologyChanged(what));
    }
    Ok((node, keys))
}

/// Keeps what was read from being read again; false where not all of it is remembered.
fn remember(crews: Vec<Crew>, progress: &mut Progress) -> bool {
    progress.owed.clear();
    let mut seen = Vec::new();
    for mut share in crews.into_iter().flat_map(|crew| crew.shares) {
        let owed = progress.owed.entry(share.db).or_default();
        owed.extend(share.work.take_owed());
        seen.push((share.db, share.work.known.seen));
    }
    let whole = seen.iter().all(|(_, seen)| seen.is_whole());
    for (db, seen) in seen {
        // The last pass had it in common with nobody else, and is over.
        Arc::make_mut(progress.earlier.entry(db).or_default()).push(Arc::new(seen));
    }
    whole
}

/// Looks for the servers until they can be found again.
fn find_anew(
    job: &Job,
    progress: &Progress,
    trouble: &Error,
    cancel: &Cancel,
) -> Result<Vec<Crew>> {
    // What moved is on its way by now, and not there yet.
    pause(SETTLING, cancel)?;
    let found = job.retries.begin().patiently(cancel, is_passing, || {
        let nodes = job.topology.nodes(cancel)?;
        let count = nodes.len();
        let crews = nodes
            .into_iter()
            .map(|node| job.crew(node, count, progress));
        crews.collect()
    });
    found.map_err(|error| match is_passing(&error) {
        true => of_change(error, job).at(format!(
            "after {trouble}, the servers were looked for in vain"
        )),
        false => error,
    })
}
