use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn sites() -> Vec<SiteKeys> {
    let site = |name: &str, zone: &str| SiteKeys {
        site: name.into(),
        time_zone: TimeZone::get(zone).unwrap(),
        retention_max_months: 6,
        retention_min_months: 0,
    };
    vec![site("dam", "Asia/Shanghai"), site("shop.example", "America/New_York")]
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ms(text: &str) -> u64 {
    time(text).as_millisecond() as u64
}

fn address(text: &str) -> ClientAddress {
    ClientAddress::new(text.parse().unwrap())
}

const NOVEMBER: &str = "2026-11-15T12:00:00Z";

/// A ring with the keys of November and December.
fn ring() -> (tempfile::TempDir, KeyRing) {
    let directory = tempfile::tempdir().unwrap();
    let mut ring = KeyRing::open(&directory.path().join("keys"), &sites()).unwrap();
    ring.rotate(time(NOVEMBER)).unwrap();
    (directory, ring)
}

fn open(directory: &tempfile::TempDir) -> Result<KeyRing, KeyError> {
    KeyRing::open(&directory.path().join("keys"), &sites())
}

fn seen(ring: &KeyRing, site: &str, at: &str, who: &str) -> (String, [u8; 16]) {
    let (epoch, pseudonym) = ring.visitor(site, ms(at), &address(who)).unwrap();
    (epoch.to_string(), pseudonym.0)
}

fn kid(ring: &KeyRing, site: &str, epoch: &str) -> Box<str> {
    let of = |status: &KeyStatus| *status.key.site == *site && status.key.epoch == epoch.parse().ok();
    ring.status(time(NOVEMBER)).into_iter().find(of).unwrap().key.kid
}

#[test]
fn at_16_one_visitor_in_one_site_and_month() {
    let (_directory, ring) = ring();
    let known = seen(&ring, "dam", NOVEMBER, "203.0.113.7");
    assert_eq!(known.0, "2026-11");
    assert_eq!(known, seen(&ring, "dam", "2026-11-01T00:00:00Z", "::ffff:203.0.113.7"));
    assert_ne!(known.1, seen(&ring, "dam", "2026-12-01T00:00:00Z", "203.0.113.7").1, "the next month");
    assert_ne!(known.1, seen(&ring, "shop.example", NOVEMBER, "203.0.113.7").1, "another site");
    let v6 = seen(&ring, "dam", NOVEMBER, "2001:db8::1");
    assert_eq!(v6, seen(&ring, "dam", NOVEMBER, "2001:db8::ffff:1"));
    assert_ne!(v6, seen(&ring, "dam", NOVEMBER, "2001:db8:0:1::1"));
    assert_ne!(ring.link("dam", b"a").unwrap().0, ring.object("dam", b"a").unwrap().0, "another purpose");
    assert_eq!(
        ring.link("dam", b"a").unwrap().to_hex(),
        open(&_directory).unwrap().link("dam", b"a").unwrap().to_hex()
    );
    assert!(ring.link("nowhere", b"a").is_none() && ring.object("nowhere", b"a").is_none());
}

#[test]
fn a_consent_id_leads_no_further_than_a_month() {
    let (_directory, mut ring) = ring();
    let consent = |ring: &KeyRing, site, at| ring.consent(site, ms(at), b"k3f9q2").map(|digest| digest.0);
    let november = consent(&ring, "dam", NOVEMBER).ok().unwrap();
    assert!(consent(&ring, "dam", "2026-12-15T00:00:00Z").is_ok_and(|december| december != november));
    assert!(consent(&ring, "shop.example", NOVEMBER).is_ok_and(|other| other != november));
    assert_ne!(november, ring.link("dam", b"k3f9q2").unwrap().0, "another purpose");
    let all = |ring: &KeyRing| -> Vec<_> {
        ring.consents("dam", b"k3f9q2").into_iter().map(|(epoch, digest)| (epoch.to_string(), digest.0)).collect()
    };
    assert_eq!(all(&ring)[0], ("2026-11".to_owned(), november));
    assert_eq!(all(&ring).len(), 2);
    ring.destroy(&kid(&ring, "dam", "2026-11"), time(NOVEMBER), "officer", "due").unwrap();
    assert!(consent(&ring, "dam", NOVEMBER).is_err_and(|why| why == NoPseudonym::Destroyed));
    assert_eq!(all(&ring).len(), 1);
}

#[test]
fn without_a_key_there_is_no_pseudonym() {
    let (directory, ring) = ring();
    let who = address("203.0.113.7");
    for (site, at) in [("dam", ms("2026-09-01T00:00:00Z")), ("dam", u64::MAX), ("nowhere", ms(NOVEMBER))] {
        assert!(ring.visitor(site, at, &who).is_err_and(|reason| reason == NoPseudonym::NoKey));
    }
    fs::remove_file(directory.path().join("keys/dam.visitor.2026-11.key")).unwrap();
    let mut ring = open(&directory).unwrap();
    ring.rotate(time(NOVEMBER)).unwrap();
    assert!(ring.visitor("dam", ms(NOVEMBER), &who).is_err_and(|reason| reason == NoPseudonym::NoKey), "never anew");
    assert!(ring.visitor("dam", ms("2026-12-15T00:00:00Z"), &who).is_ok());
    assert_eq!(ring.status(time(NOVEMBER)).iter().filter(|status| !status.loaded).count(), 1);
}

#[test]
fn rotation_keeps_a_key_ahead() {
    let (directory, mut ring) = ring();
    let before = seen(&ring, "dam", "2026-12-02T00:00:00Z", "203.0.113.7");
    assert!(ring.rotate(time("2026-11-30T15:59:59Z")).unwrap().is_empty());
    // December has begun in Shanghai, not yet in New York.
    let events = ring.rotate(time("2026-11-30T16:00:00Z")).unwrap();
    let made: Vec<_> = events.iter().map(|event| (event.name(), &*event.key.site, event.key.epoch.unwrap())).collect();
    assert_eq!(made, [("key.made", "dam", "2027-01".parse().unwrap())]);
    let state = |ring: &KeyRing, file: &str, at: &str| {
        ring.status(time(at)).into_iter().find(|status| status.key.file_name() == file).unwrap()
    };
    let at = "2026-11-30T16:00:00Z";
    for (file, expected) in [
        ("dam.visitor.2026-11.key", KeyState::Kept),
        ("dam.visitor.2026-12.key", KeyState::Active),
        ("dam.visitor.2027-01.key", KeyState::Next),
        ("shop.example.visitor.2026-11.key", KeyState::Active),
        ("dam.link.key", KeyState::Active),
    ] {
        assert_eq!(state(&ring, file, at).key.state, expected, "{file}");
    }
    let november = state(&ring, "dam.visitor.2026-11.key", NOVEMBER);
    assert_eq!(november.key.state, KeyState::Kept, "never back");
    assert_eq!(november.key.destroy_after, Some(time("2027-05-31T16:00:00Z")));
    assert!(!november.due && state(&ring, "dam.visitor.2026-11.key", "2027-05-31T16:00:00Z").due);
    assert_eq!(seen(&open(&directory).unwrap(), "dam", "2026-12-02T00:00:00Z", "203.0.113.7"), before);
}

#[test]
fn what_was_destroyed_stays_so() {
    let (directory, mut ring) = ring();
    let file = directory.path().join("keys/dam.visitor.2026-11.key");
    let backup = fs::read(&file).unwrap();
    let kid = kid(&ring, "dam", "2026-11");
    let event = ring.destroy(&kid, time(NOVEMBER), "custodian", "due").unwrap();
    assert_eq!(event.name(), "key.destroyed");
    let detail = event.detail();
    assert!(detail["kid"] == *kid && detail["by"] == "custodian" && detail["because"] == "due");
    assert!(!file.exists());
    assert!(matches!(ring.destroy(&kid, time(NOVEMBER), "x", "y"), Err(KeyError::Gone { .. })));
    assert!(matches!(ring.destroy("dam-visitor", time(NOVEMBER), "x", "y"), Err(KeyError::Unknown { .. })));
    assert!(ring.rotate(time(NOVEMBER)).unwrap().is_empty(), "nothing takes its place");
    let who = address("203.0.113.7");
    for ring in [&ring, &open(&directory).unwrap()] {
        assert!(ring.visitor("dam", ms(NOVEMBER), &who).is_err_and(|reason| reason == NoPseudonym::Destroyed));
        let found = ring.check("dam", &who, ms("2026-09-30T16:00:00Z"), ms("2026-12-01T00:00:00Z"));
        let found: Vec<_> = found.into_iter().map(|(epoch, result)| (epoch.to_string(), result.err())).collect();
        let expected =
            [("2026-10", Some(NoPseudonym::NoKey)), ("2026-11", Some(NoPseudonym::Destroyed)), ("2026-12", None)];
        assert_eq!(found, expected.map(|(epoch, result)| (epoch.to_owned(), result)));
    }
    fs::write(&file, backup).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(matches!(open(&directory), Err(KeyError::Restored { kid: back, .. }) if back == kid));
    assert!(ring.rotate(time(NOVEMBER)).is_err());
    assert!(ring.visitor("dam", ms(NOVEMBER), &who).is_err(), "nor is it loaded by a ring that was there");
}

#[test]
fn a_restored_directory_is_found_out_by_the_ledger() {
    let (directory, mut ring) = ring();
    let keys = directory.path().join("keys");
    let restored = ["manifest.json", "dam.visitor.2026-11.key"].map(|name| (name, fs::read(keys.join(name)).unwrap()));
    let kid = kid(&ring, "dam", "2026-11");
    ring.destroy(&kid, time(NOVEMBER), "custodian", "due").unwrap();
    assert!(ring.refuse_restored([&*kid, "of-another-time"]).is_ok());
    for (name, bytes) in restored {
        fs::write(keys.join(name), bytes).unwrap();
        fs::set_permissions(keys.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let error = open(&directory).unwrap().refuse_restored(["of-another-time", &*kid]);
    assert!(matches!(error, Err(KeyError::Restored { kid: back, .. }) if back == kid));
}

#[test]
fn a_key_left_without_its_entry_is_found_again() {
    let (directory, ring) = ring();
    let before = seen(&ring, "dam", NOVEMBER, "203.0.113.7");
    fs::remove_file(directory.path().join("keys/manifest.json")).unwrap();
    fs::write(directory.path().join("keys/.manifest.json.new"), "torn").unwrap();
    let mut ring = open(&directory).unwrap();
    assert!(ring.visitor("dam", ms(NOVEMBER), &address("203.0.113.7")).is_err());
    assert_eq!(ring.rotate(time(NOVEMBER)).unwrap().len(), 8);
    assert_eq!(seen(&ring, "dam", NOVEMBER, "203.0.113.7"), before);
}

#[test]
fn rings_of_two_processes_agree() {
    let (directory, first) = ring();
    let make = || {
        let mut ring = open(&directory).unwrap();
        ring.rotate(time("2026-12-15T00:00:00Z")).unwrap();
        seen(&ring, "dam", "2027-01-15T00:00:00Z", "203.0.113.7")
    };
    let pseudonyms = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(pseudonyms.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(first.visitor("dam", ms("2027-01-15T00:00:00Z"), &address("203.0.113.7")).is_err(), "not yet loaded");
}

#[test]
fn what_others_could_read_or_swap_is_refused() {
    type Damage = fn(&Path);
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let cases: [(Damage, &str); 11] = [
        (|keys| fs::set_permissions(keys, fs::Permissions::from_mode(0o750)).unwrap(), "mode 0750"),
        (
            |keys| fs::set_permissions(keys.join("dam.link.key"), fs::Permissions::from_mode(0o440)).unwrap(),
            "mode 0440",
        ),
        (
            |keys| fs::set_permissions(keys.join("manifest.json"), fs::Permissions::from_mode(0o604)).unwrap(),
            "mode 0604",
        ),
        (
            |keys| {
                fs::rename(keys.join("dam.link.key"), keys.with_file_name("moved")).unwrap();
                symlink(keys.with_file_name("moved"), keys.join("dam.link.key")).unwrap();
            },
            "leads out of the key directory",
        ),
        (
            |keys| {
                fs::remove_file(keys.join("dam.link.key")).unwrap();
                symlink("nowhere", keys.join("dam.link.key")).unwrap();
            },
            "No such file",
        ),
        (
            |keys| {
                fs::remove_file(keys.join("dam.link.key")).unwrap();
                DirBuilder::new().mode(0o700).create(keys.join("dam.link.key")).unwrap();
            },
            "is no file",
        ),
        (|keys| fs::rename(keys.join("dam.link.key"), keys.join("dam.object.key")).unwrap(), "holds another key"),
        (|keys| rewrite(&keys.join("dam.link.key"), |text| text.split_at(40).0.to_owned()), "check value does not fit"),
        (|keys| rewrite(&keys.join("dam.link.key"), |text| text.replacen("-link-", "-knil-", 1)), "does not fit"),
        (
            |keys| rewrite(&keys.join("manifest.json"), |text| text.replacen("\"dam\"", "\"../dam\"", 1)),
            "impossible site",
        ),
        (|keys| rewrite(&keys.join("manifest.json"), |text| text.replacen("\"link\"", "\"object\"", 1)), "there twice"),
    ];
    for (damage, said) in cases {
        let (directory, _) = ring();
        let keys = directory.path().join("keys");
        damage(&keys);
        let error = open(&directory).err().unwrap_or_else(|| panic!("{said} was not noticed")).to_string();
        assert!(error.contains(said), "{error}");
        chmod(&keys, 0o700);
    }
}

fn rewrite(path: &Path, change: fn(&str) -> String) {
    let text = change(&fs::read_to_string(path).unwrap());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_link_inside_the_directory_is_how_secrets_are_mounted() {
    let (directory, ring) = ring();
    let keys = directory.path().join("keys");
    fs::rename(keys.join("dam.link.key"), keys.join("..data.key")).unwrap();
    symlink("..data.key", keys.join("dam.link.key")).unwrap();
    assert!(open(&directory).unwrap().link("dam", b"a") == ring.link("dam", b"a"));
}

#[test]
fn files_are_for_the_owner_and_the_manifest_tells_no_key() {
    let (directory, _ring) = ring();
    let keys = directory.path().join("keys");
    let manifest = fs::read_to_string(keys.join("manifest.json")).unwrap();
    let mut count = 0;
    for entry in fs::read_dir(&keys).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
        if path.extension().is_some_and(|extension| extension == "key") {
            let text = fs::read_to_string(&path).unwrap();
            let secret = text.rsplit('.').nth(1).unwrap();
            assert!(secret.len() == 43 && !manifest.contains(secret));
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o400);
            count += 1;
        }
    }
    assert_eq!(count, 8);
}
