//! Who can get at the memory of a proxy that keeps a ledger: no core dump is written, and no other process of the same
//! user may look. What root would find there of requests that have ended is nothing.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::eventually;
use crate::support::ledger::Place;
use crate::support::markers::{self, Markers};

/// A user who owns nothing.
const NOBODY: &str = "65534";

/// What `sh` does with `script` in the place, at best as an ordinary user: root may look into everything.
fn shell(place: &Place, script: &str, as_nobody: bool) -> Command {
    let user = format!("--reuid={NOBODY}");
    let group = format!("--regid={NOBODY}");
    let sh = ["sh", "-c", script];
    let mut command = if as_nobody {
        let mut command = Command::new("setpriv");
        command.args([&*user, &*group, "--clear-groups"]).args(sh);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(&sh[1..]);
        command
    };
    command.current_dir(place.directory.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs `script`, which becomes a proxy, until it records.
fn proxy(place: &Place, before: &str, as_nobody: bool) -> Child {
    let script = format!("{before} exec {} run --config c.toml", env!("CARGO_BIN_EXE_consentry"));
    let process = shell(place, &script, as_nobody).spawn().unwrap();
    let journal = place.directory.path().join("data/ledger.sqlite");
    eventually("it keeps a journal", || std::fs::metadata(&journal).is_ok_and(|file| file.len() > 0));
    process
}

#[test]
fn an_abort_leaves_no_core_dump() {
    let place = Place::new();
    let control = shell(&place, "ulimit -c unlimited && kill -ABRT $$", false).status().unwrap();
    if !control.core_dumped() {
        eprintln!("skipped: no program leaves a core dump here (ulimit, or kernel.core_pattern)");
        return;
    }
    let mut process = proxy(&place, "ulimit -c unlimited &&", false);
    assert!(Command::new("kill").args(["-ABRT", &process.id().to_string()]).status().unwrap().success());
    let status = process.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}

/// Whether an ordinary user may read the layout and the memory of their own process `pid`.
fn can_look(place: &Place, pid: u32, as_nobody: bool) -> bool {
    let look = format!("head -c 1 /proc/{pid}/maps | grep -q . && head -c 1 /proc/{pid}/environ > /dev/null");
    shell(place, &look, as_nobody).status().unwrap().success()
}

#[test]
fn another_process_of_the_same_user_may_not_look_into_the_memory() {
    let place = Place::new();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        let given = Command::new("chown").args(["-R", NOBODY]).arg(place.directory.path()).status().unwrap();
        let runs = shell(&place, &format!("{} --version", env!("CARGO_BIN_EXE_consentry")), true).status();
        if !given.success() || !runs.is_ok_and(|status| status.success()) {
            eprintln!("skipped: root may look into everything, and no other user can run the program here");
            return;
        }
    }
    let mut control = shell(&place, "exec sleep 60", is_root).spawn().unwrap();
    let is_asleep = |path: &Path| std::fs::read_to_string(path).is_ok_and(|name| name.trim() == "sleep");
    eventually("it sleeps", || is_asleep(format!("/proc/{}/comm", control.id()).as_ref()));
    assert!(can_look(&place, control.id(), is_root), "into other programs, they may");
    let mut process = proxy(&place, "", is_root);
    std::thread::sleep(Duration::from_millis(200));
    assert!(process.try_wait().unwrap().is_none(), "it runs");
    assert!(!can_look(&place, process.id(), is_root));
    for child in [&mut control, &mut process] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// What a core dump would hold: all that the process can write to, a mapping each.
fn writable_memory(pid: u32) -> Option<Vec<Vec<u8>>> {
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mappings = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|may| may.starts_with("rw")));
    let read = |line: &str| {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        memory.read_exact_at(&mut bytes, from).ok().map(|()| bytes)
    };
    Some(mappings.filter_map(read).collect())
}

/// Four bytes of an address come about by chance among so many; and the stack of a worker may hold those of the last
/// peer, until the next comes.
#[test]
fn at_14_memory_of_requests_that_have_ended_holds_no_marker() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can look into the memory");
        return;
    }
    let place = markers::place("");
    let proxy = place.start();
    markers::plant(proxy.address);
    let markers = Markers::new(8);
    let found = || {
        let memory = writable_memory(proxy.process.id()).unwrap();
        assert!(memory.iter().map(Vec::len).sum::<usize>() > 1 << 20, "it has memory");
        memory.iter().flat_map(|mapping| markers.found(mapping)).collect::<Vec<_>>()
    };
    // Connections end by and by, and the log is written behind.
    for _ in 0..20 {
        if found().is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let found = found();
    assert!(found.is_empty(), "{} in all, among them {:#?}", found.len(), found.iter().take(5).collect::<Vec<_>>());
    // The same look finds what is there.
    let mut held = crate::support::Client::connect(proxy.address);
    held.write(format!("GET /held?{} HTTP/1.1\r\nHost: shop.example\r\n", markers::E_MAIL));
    eventually("a request that goes on is in memory", || {
        let memory = writable_memory(proxy.process.id()).unwrap();
        memory.iter().any(|mapping| !markers.found(mapping).is_empty())
    });
}
