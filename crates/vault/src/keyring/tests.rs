//! What the sources of a root key refuse, and the derived values against another implementation.

use std::{
    fs,
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    process::Command as Process,
    sync::Barrier,
    thread,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use rustix::process::geteuid;
use tokio::sync::oneshot;

use super::*;
use crate::envelope::{self, Context};

const TENANT: Uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);

fn ring() -> Keyring {
    let mut root = Zeroizing::new([0; 32]);
    root.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
    Keyring::new(&root).unwrap()
}

#[test]
fn derives_what_another_implementation_derives() {
    // Made with Python's cryptography and hmac packages.
    assert_eq!(ring().id(), "56d543bbe0ced624bf4b685d422a9d74");
    assert_eq!(
        hex(&ring().audit_key(TENANT).unwrap().mac(b"message")),
        "d3364b41963a5f2421be9bc9ec900b2d87ae003ab2211324cc98d34d764f4d09"
    );
    assert_eq!(
        hex(&ring().params_macs(TENANT, b"message").unwrap()[0]),
        "68a7dcca5106fab64fc3c1ab5bead2860f9bfb80b0c1fdf47317cd716243a135"
    );
    // Of the token in a block of 64 bytes, with zeros behind it.
    assert_eq!(
        hex(&ring().token_macs("resto_x").unwrap()[0]),
        "8bdcdb7f516ac5098f0d0ee7a629bde7bade62670e84b7640f2b6aee2561f9d9"
    );
}

#[test]
fn every_root_key_that_was_retired_is_remembered_once() {
    let mut ring = ring();
    for (root_id, bytes) in [([1; 16], [7; 32]), ([2; 16], [8; 32]), ([1; 16], [7; 32])] {
        assert!(ring.admit(&root_id, &bytes));
    }
    assert_eq!(ring.params_macs(TENANT, b"message").unwrap().len(), 3);
    for root_id in [[1; 16], [2; 16]] {
        assert!(ring.audit_key_by(&hex(&root_id), TENANT).unwrap().is_some());
    }
    assert!(!ring.admit(&[3; 15], &[7; 32]) && !ring.admit(&[3; 16], &[7; 31]));
    // Of one that is in the ring, only its own sentinel is.
    let (own, sentinel) = (ring.raw_id(), ring.sentinel().to_vec());
    assert!(ring.admit(&own, &sentinel) && !ring.admit(&own, &[7; 32]));
}

#[test]
fn b6_keeps_the_keys_of_tenants_and_purposes_apart() {
    let macs = [
        ring().audit_key(TENANT).unwrap().mac(b"resto_x"),
        ring().audit_key(Uuid::nil()).unwrap().mac(b"resto_x"),
        ring().params_macs(TENANT, b"resto_x").unwrap()[0],
        ring().token_macs("resto_x").unwrap()[0],
        ring().token_bounds(TENANT, b"resto_x").unwrap()[0],
        ring().handle_macs(TENANT, "resto_x").unwrap()[0],
        ring().handle_macs(TENANT, "resto_y").unwrap()[0],
        ring().handle_macs(Uuid::nil(), "resto_x").unwrap()[0],
    ];
    for (n, mac) in macs.iter().enumerate() {
        assert!(!macs[n + 1..].contains(mac));
    }
}

#[test]
fn f4_another_root_key_makes_other_hashes_of_parameters() {
    let other = Keyring::new(&Zeroizing::new([7; 32])).unwrap();
    let [hash, of_other] =
        [ring(), other].map(|ring| ring.params_macs(TENANT, b"amount").unwrap()[0]);
    assert_ne!(hash, of_other);
}

#[test]
fn reads_back_the_file_that_it_created() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys/root.key");
    let created = Keyring::create_file(&path).unwrap();
    assert_eq!(Keyring::from_file(&path, None).unwrap().id(), created.id());
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(Keyring::from_file(&path, None).unwrap().id(), created.id());
}

#[test]
fn does_not_overwrite_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    let first = Keyring::create_file(&path).unwrap();
    let refused = Keyring::create_file(&path).unwrap_err();
    assert!(refused.to_string().contains("exists already"), "{refused}");
    assert_eq!(Keyring::from_file(&path, None).unwrap().id(), first.id());
}

#[test]
fn of_many_that_create_a_key_file_at_once_one_does_and_all_read_its_key() {
    const STARTS: usize = 8;
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        let together = Barrier::new(STARTS);
        let start = || {
            together.wait();
            let created = Keyring::create_file(&path);
            (created.is_ok(), Keyring::from_file(&path, None).unwrap().id())
        };
        let started = thread::scope(|scope| {
            let starts: Vec<_> = (0..STARTS).map(|_| scope.spawn(start)).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(started.iter().filter(|(created, _)| *created).count(), 1);
        assert!(started.iter().all(|(_, id)| *id == started[0].1));
        // Nor does any of them leave its draft.
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn b4_names_the_one_reason_for_refusing_a_key_file() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let good = BASE64.encode([7; 32]);
    let link = dir.path().join("link");
    symlink(write("target", &good, 0o600), &link).unwrap();
    symlink(&data, dir.path().join("elsewhere")).unwrap();
    let mut table = vec![
        (dir.path().join("nowhere"), "does not exist"),
        (link, "is a symbolic link"),
        (dir.path().to_owned(), "is not a regular file"),
        (write("group", &good, 0o640), "can be used by others"),
        (write("world", &good, 0o604), "can be used by others"),
        (write("data/key", &good, 0o600), "is inside the data folder"),
        (write("data/../data/key", &good, 0o600), "is inside the data folder"),
        (write("elsewhere/key", &good, 0o600), "is inside the data folder"),
        (write("raw", "not base64 at all!", 0o600), "is not one line of base64"),
        (write("short", &BASE64.encode([7; 31]), 0o600), "32 bytes"),
        (write("long", &BASE64.encode([7; 33]), 0o600), "32 bytes"),
        (write("empty", "", 0o600), "32 bytes"),
        (write("zeros", &BASE64.encode([0; 32]), 0o600), "all zeros"),
    ];
    if geteuid().is_root() {
        let path = write("foreign", &good, 0o600);
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        table.push((path, "belongs to another user"));
    }
    for (path, reason) in table {
        let refused = Keyring::from_file(&path, Some(&data)).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
        assert!(!refused.contains(&good));
    }
}

#[test]
fn b4_shows_its_id_and_no_bytes_of_the_key() {
    let shown = format!("{:?}", ring());
    assert!(shown.contains("56d543bbe0ced624bf4b685d422a9d74"));
    assert!(!shown.contains("00, 1, 2") && !shown.contains("000102"));
}

#[test]
fn names_the_ciphers_as_the_configuration_does() {
    let name = |cipher| serde_json::to_value(cipher).unwrap();
    assert_eq!(name(Cipher::default()), "xchacha20-poly1305");
    assert_eq!(name(Cipher::Aes256Gcm), "aes-256-gcm");
}

fn other_ring(byte: u8) -> Keyring {
    Keyring::new(&Zeroizing::new([byte; 32])).unwrap()
}

#[test]
fn b6_no_key_of_one_purpose_opens_or_signs_for_another() {
    let ring = ring();
    let bytes = Zeroizing::new([9; 32]);
    let tenant_key = |label| Key { id: [7; 16], label, bytes: bytes.clone() };
    let wrapping =
        |label| Key { id: ring.raw_id(), label, bytes: ring.wrapping_key().bytes.clone() };
    // The same bytes and id under the labels of the two purposes, and the two keys as they are.
    let keys = [
        tenant_key("resto/record/v1"),
        tenant_key("resto/kek-wrap/v1"),
        wrapping("resto/kek-wrap/v1"),
        wrapping("resto/record/v1"),
    ];
    // Every purpose that values are sealed for.
    let purposes = ["credential", "tenant-secret", "record", "outcome", "tenant-key", "sentinel"];
    let places = purposes.map(|purpose| Context { purpose, tenant: TENANT, name: "n", version: 0 });
    let mut opened = 0;
    for (sealing, sealer) in keys.iter().enumerate() {
        for (here, place) in places.iter().enumerate() {
            let blob = envelope::seal(sealer, Cipher::default(), *place, b"x").unwrap();
            for (opening, opener) in keys.iter().enumerate() {
                for (there, elsewhere) in places.iter().enumerate() {
                    match envelope::open(opener, *elsewhere, &blob) {
                        Ok(_) => {
                            assert_eq!((sealing, here), (opening, there));
                            opened += 1;
                        }
                        Err(error) => assert_eq!(error, Error::CannotOpen),
                    }
                }
            }
        }
    }
    assert_eq!(opened, keys.len() * places.len());
}

#[test]
fn b7_a_ring_opens_what_its_accepted_keys_wrapped_and_nothing_else() {
    let place = Context { purpose: "tenant-key", tenant: TENANT, name: "n", version: 0 };
    let blob = envelope::seal(ring().wrapping_key(), Cipher::default(), place, b"x").unwrap();
    let both = other_ring(1).accepting(ring()).accepting(ring());
    assert_eq!(both.accepted_ids(), [ring().id()]);
    assert_eq!(both.id(), other_ring(1).id());
    let key = both.unwrapping_key(&blob).unwrap();
    assert_eq!(envelope::open(key, place, &blob).unwrap().as_slice(), b"x");
    for stranger in [other_ring(1), other_ring(1).accepting(other_ring(2))] {
        assert_eq!(stranger.unwrapping_key(&blob).err(), Some(Error::CannotOpen));
    }
    assert_eq!(both.unwrapping_key(&blob[..21]).err(), Some(Error::CannotOpen));
    let current = both.token_macs("resto_x").unwrap();
    assert_eq!(current.len(), 2);
    assert_eq!(current[1], ring().token_macs("resto_x").unwrap()[0]);
    assert_eq!(both.clone().accepting(both).accepted_ids().len(), 1);
}

async fn from(argv: &[&str]) -> Result<Keyring> {
    let argv = argv.iter().map(|&part| part.to_owned()).collect();
    Keyring::from_source(&KeySource::Command(argv), None).await
}

#[tokio::test]
async fn b4_reads_a_root_key_from_the_output_of_a_command_without_a_shell() {
    let key = BASE64.encode([7; 32]);
    let wanted = other_ring(7).id();
    assert_eq!(from(&["printf", "%s\\n", &key]).await.unwrap().id(), wanted);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a file; with $(odd) \"name\"");
    fs::write(&file, &key).unwrap();
    assert_eq!(from(&["cat", file.to_str().unwrap()]).await.unwrap().id(), wanted);
    // A shell would run these and find the key.
    for argv in [["echo", "$(cat key)"], ["echo", "`cat key`"], ["printf %s key", ""]] {
        assert!(matches!(from(&argv).await, Err(Error::RootKey(_))));
    }
}

#[tokio::test]
async fn b4_names_the_one_reason_for_refusing_a_command() {
    let key = BASE64.encode([7; 32]);
    let short = BASE64.encode([7; 31]);
    let long = "A".repeat(10_000);
    for (argv, reason) in [
        (vec![], "is empty"),
        (vec!["/nowhere/kms", "decrypt"], "does not start"),
        (vec!["false"], "failed: exit status: 1"),
        (vec!["sh", "-c", "echo $0; exit 3", &key], "failed: exit status: 3"),
        (vec!["sh", "-c", "echo $0; kill -9 $$", &key], "signal: 9"),
        (vec!["true"], "32 bytes"),
        (vec!["echo", &short], "32 bytes"),
        (vec!["echo", "no key", &key], "is not one line of base64"),
        (vec!["sh", "-c", "echo $0; echo $0", &key], "is not one line of base64"),
        (vec!["sh", "-c", "trap '' PIPE; echo $0", &long], "32 bytes"),
    ] {
        let refused = from(&argv).await.unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
        assert!(!refused.contains(&key) && !refused.contains(&short), "{refused}");
    }
}

#[tokio::test]
async fn b4_kills_a_command_that_does_not_answer_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Process::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = pipe.to_str().unwrap().to_owned();
    // The command holds the pipe open for as long as it lives; the time is over as soon as it runs.
    let argv = ["sh", "-c", "exec 3>\"$0\"; exec sleep 600", &pipe].map(str::to_owned);
    let (running, runs) = oneshot::channel();
    let ended = tokio::task::spawn_blocking(move || {
        let mut pipe = fs::File::open(pipe).unwrap();
        running.send(()).unwrap();
        pipe.read_to_end(&mut Vec::new()).unwrap()
    });
    let refused = Keyring::from_command(&argv, async { runs.await.unwrap() }).await.unwrap_err();
    assert!(refused.to_string().contains("did not end within 10 s"), "{refused}");
    assert_eq!(tokio::time::timeout(Duration::from_mins(1), ended).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn b4_reads_a_root_key_from_an_environment_variable_and_names_it_when_it_is_missing() {
    let source = |name: &str| KeySource::Env(name.to_owned());
    // What every test process has is set, and is no key.
    let refused = Keyring::from_source(&source("PATH"), None).await.unwrap_err().to_string();
    assert!(
        refused.contains("The environment variable PATH is not one line of base64"),
        "{refused}"
    );
    let missing = Keyring::from_source(&source("RESTO_NO_SUCH_KEY"), None).await.unwrap_err();
    assert!(missing.to_string().contains("RESTO_NO_SUCH_KEY is not set"), "{missing}");
}

#[test]
fn names_the_sources_as_the_configuration_does() {
    for (source, text) in [
        (KeySource::File("/k".into()), r#"{"file":"/k"}"#),
        (KeySource::Env("K".into()), r#"{"env":"K"}"#),
        (KeySource::Command(vec!["op".into(), "read".into()]), r#"{"command":["op","read"]}"#),
    ] {
        assert_eq!(serde_json::from_str::<KeySource>(text).unwrap(), source);
    }
}
