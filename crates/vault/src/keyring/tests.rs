//! The key file's refusals, and the derived values against another implementation.

use std::{fs, os::unix::fs::PermissionsExt, os::unix::fs::symlink};

use super::*;

const TENANT: Uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);

fn ring() -> Keyring {
    let mut root = Zeroizing::new([0; 32]);
    root.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
    Keyring::new(root).unwrap()
}

#[test]
fn derives_what_another_implementation_derives() {
    // Made with Python's cryptography and hmac packages.
    assert_eq!(ring().id(), "56d543bbe0ced624bf4b685d422a9d74");
    assert_eq!(
        hex(&ring().audit_mac(TENANT, b"message").unwrap()),
        "d395f127e9f28383b94ba14ef29fa658bb25eef825d35ab88112c1bca37d6b33"
    );
    assert_eq!(
        hex(&ring().params_mac(TENANT, b"message").unwrap()),
        "3a895ea769b21e0db58f1d9d33b41bd46f52968f8a2cf07241fc3760e5398476"
    );
    assert_eq!(
        hex(&ring().token_mac("resto_x").unwrap()),
        "6be758f775cfdfffde785ddcfcb21f6237ddcc7caaa7d8cdf5390d4256ef0614"
    );
}

#[test]
fn keeps_the_keys_of_tenants_and_purposes_apart() {
    let macs = [
        ring().audit_mac(TENANT, b"resto_x").unwrap(),
        ring().audit_mac(Uuid::nil(), b"resto_x").unwrap(),
        ring().params_mac(TENANT, b"resto_x").unwrap(),
        ring().token_mac("resto_x").unwrap(),
    ];
    for (n, mac) in macs.iter().enumerate() {
        assert!(!macs[n + 1..].contains(mac));
    }
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
fn names_the_one_reason_for_refusing_a_key_file() {
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
    let mut table = vec![
        (dir.path().join("nowhere"), "does not exist"),
        (link, "is a symbolic link"),
        (dir.path().to_owned(), "is not a regular file"),
        (write("group", &good, 0o640), "can be used by others"),
        (write("world", &good, 0o604), "can be used by others"),
        (write("data/key", &good, 0o600), "is inside the data folder"),
        (write("data/../data/key", &good, 0o600), "is inside the data folder"),
        (write("raw", "not base64 at all!", 0o600), "is not one line of base64"),
        (write("short", &BASE64.encode([7; 31]), 0o600), "32 bytes"),
        (write("long", &BASE64.encode([7; 33]), 0o600), "32 bytes"),
        (write("empty", "", 0o600), "32 bytes"),
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
fn shows_its_id_and_no_bytes_of_the_key() {
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
