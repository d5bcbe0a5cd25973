//! Inputs go to the targets, whose memory is counted.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::inputs::Inputs;
use crate::targets::{TARGETS, Target};

/// A second or two for each target, where nothing is optimised.
const RUNS: u64 = 1_000;

/// A number that the environment may give.
fn given(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

/// The inputs of a target that are kept, by name.
fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// Runs a target on one input; gives the memory that it took more than it may for its length.
fn run(target: &Target, input: &[u8]) -> Result<u64, String> {
    let mut run = Ok(());
    let memory = allocation_counter::measure(|| {
        run = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    });
    if run.is_err() {
        return Err("it panics, as is said above".to_owned());
    }
    let may = target.at_least + target.per_byte * input.len() as u64;
    match memory.bytes_max {
        most if most > may => Err(format!(
            "it takes {most} bytes of memory, and may take {may}"
        )),
        most => Ok(most),
    }
}

/// Keeps an input that fails, and says how to come back to it.
fn fail(target: &Target, input: &[u8], seed: u64, why: &str) -> ! {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-failed", target.name));
    fs::write(&path, input).unwrap();
    panic!(
        "target {} with {} bytes (FUZZ_SEED={seed}, kept as {}): {why}; when it is mended, the input \
         belongs into fuzz/corpus/{}\n{}",
        target.name,
        input.len(),
        path.display(),
        target.name,
        input.escape_ascii()
    );
}

fn fuzz(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seed = given("FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    let runs = given("FUZZ_RUNS").unwrap_or(RUNS);
    // What is made once and kept is nobody's.
    (target.run)(b"");
    let corpus = corpus(target);
    for (path, input) in &corpus {
        if let Err(why) = run(target, input) {
            panic!("{}: {why}", path.display());
        }
    }
    let seeds = corpus.into_iter().map(|(_, input)| input).collect();
    let mut inputs = Inputs::new(seed, seeds);
    let began = Instant::now();
    let mut most = 0;
    for _ in 0..runs {
        let input = inputs.next();
        match run(target, input) {
            Ok(memory) => most = most.max(memory),
            Err(why) => fail(target, input, seed, &why),
        }
    }
    println!(
        "{name}: {runs} inputs in {:.1} s, at most {most} bytes of memory, FUZZ_SEED={seed}",
        began.elapsed().as_secs_f64()
    );
}

macro_rules! fuzz {
    ($($target:ident)*) => {
        $(#[test] fn $target() { fuzz(stringify!($target)); })*

        #[test]
        fn every_target_is_here() {
            let here = [$(stringify!($target)),*];
            assert_eq!(here[..], TARGETS.iter().map(|target| target.name).collect::<Vec<_>>());
        }
    };
}

fuzz!(cluster decoder ids info offsets options replies rules scans tables urls);

/// A target may take only so much: a test of the test.
#[test]
#[should_panic(expected = "bytes of memory")]
fn a_target_that_believes_a_length_is_noticed() {
    fn believe(input: &[u8]) {
        let announced: usize = String::from_utf8_lossy(input).parse().unwrap();
        drop(std::hint::black_box(Vec::<u8>::with_capacity(announced)));
    }
    let target = Target {
        name: "ids",
        run: believe,
        at_least: 1_000,
        per_byte: 16,
    };
    if let Err(why) = run(&target, b"1000000000") {
        panic!("{why}");
    }
}
