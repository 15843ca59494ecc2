//! A process that is killed at any moment loses nothing that it acknowledged.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

const DIRECTORY: &str = "CONSENTRY_TEST_JOURNAL";
const ROUNDS: u64 = 30;

/// Records until it is killed, and says of each that it is on disk.
fn record_for_ever(directory: PathBuf) -> ! {
    let options = House::new().options(64, Pressure::Refuse);
    let checkpoints = Some(directory.join("checkpoints.jsonl"));
    let options = JournalOptions { checkpoints, checkpoint_every_ms: 0, ..options };
    let journal = Journal::open(&directory.join("trail.db"), options, 0).unwrap();
    let last = journal.status().last;
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let journal = &journal;
            scope.spawn(move || {
                for i in 0.. {
                    let name = (last << 32) | (thread << 24) | i;
                    let position = wait(journal.record(visit(1, name))).unwrap();
                    println!("\nacknowledged {} {name}", position.seq);
                }
            });
        }
    });
    unreachable!()
}

#[test]
fn what_is_acknowledged_survives_a_kill() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        record_for_ever(directory.into());
    }
    let house = House::new();
    let mut acknowledged: HashMap<u64, u64> = HashMap::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ledger::journal::tests::crash::what_is_acknowledged_survives_a_kill", "--nocapture"])
            .env(DIRECTORY, house.directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Kills while it writes, after another number of records each time.
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(60 + round * 37 % 101));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        for line in lines {
            let line = line.unwrap();
            if let ["acknowledged", seq, name] = line.split(' ').collect::<Vec<_>>()[..]
                && let (Ok(seq), Ok(name)) = (seq.parse(), name.parse())
            {
                assert_eq!(acknowledged.insert(seq, name), None, "record {seq} twice");
            }
        }
        killer.join().unwrap();
        if !house.path().exists() {
            continue;
        }
        let connection = Connection::open(house.path()).unwrap();
        let found =
            connection.prepare("SELECT seq, link FROM record WHERE event = 'open'").and_then(|mut statement| {
                let rows = statement.query_map([], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, [u8; 16]>(1)?)))?;
                rows.collect::<Result<HashMap<_, _>, _>>()
            });
        for (seq, name) in &acknowledged {
            let link = found.as_ref().unwrap().get(seq).unwrap();
            assert_eq!(link[..8], name.to_be_bytes(), "record {seq} in round {round}");
        }
        if !acknowledged.is_empty() {
            assert_eq!(house.verify().problems, [], "round {round}");
        }
    }
    assert!(acknowledged.len() as u64 > ROUNDS, "too few records to say anything: {}", acknowledged.len());
}
