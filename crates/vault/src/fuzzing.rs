//! What must hold for any bytes whatever; the fuzzer of tests/fuzz calls these. Compiled for it and the tests alone.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a broken promise must stop the fuzzer"
)]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Cipher, Error, Keyring,
    chain::Covered,
    envelope::{self, Context, Key},
    timestamp::{Timestamp, from_millis},
};

const TENANT: Uuid = Uuid::from_u128(7);

fn key() -> Key {
    Key { id: [1; 16], label: "resto/fuzz/v1", bytes: Zeroizing::new([2; 32]) }
}

/// Bytes that repeat from run to run, so that the fuzzer finds its way.
#[expect(clippy::unnecessary_wraps, reason = "it stands for the system's, which may fail")]
fn steady(bytes: &mut [u8]) -> Result<(), getrandom::Error> {
    bytes.fill(3);
    Ok(())
}

/// A sealed value opens unchanged in its own place, and nothing else opens: `data` is a plaintext and changes to its blob.
pub fn envelope(data: &[u8]) {
    let context = Context { purpose: "record", tenant: TENANT, name: "fuzz", version: 4 };
    assert_eq!(envelope::open(&key(), context, data).err(), Some(Error::CannotOpen));
    let Some((&[mode, size], rest)) = data.split_first_chunk() else { return };
    let cipher = if mode & 1 == 0 { Cipher::XChaCha20Poly1305 } else { Cipher::Aes256Gcm };
    let (plaintext, changes) = rest.split_at(rest.len().min(size.into()));
    let sealed = envelope::seal_from(steady, &key(), cipher, context, plaintext).expect("seals");
    let mut changed = sealed.clone();
    for change in changes.chunks_exact(3) {
        let &[high, low, flip] = change else { continue };
        match changed.get_mut(usize::from(u16::from_be_bytes([high, low]))) {
            Some(byte) => *byte ^= flip,
            // Beyond its end it is cut or gets longer.
            None if flip & 1 == 0 => changed.truncate(usize::from(low)),
            None => changed.push(flip),
        }
    }
    let opened = envelope::open(&key(), context, &changed);
    if changed == sealed {
        assert_eq!(opened.expect("opens").as_slice(), plaintext);
    } else {
        assert_eq!(opened.err(), Some(Error::CannotOpen));
    }
}

/// Whatever a key source gives is a key or is refused, and a key is the same key when it is written down again.
pub fn keyring(data: &[u8]) {
    let Ok(mut ring) = Keyring::parse(data) else { return };
    let id = ring.id();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let with_line_ends = [data.trim_ascii_end(), b"\r\n"].concat();
    assert_eq!(Keyring::parse(&with_line_ends).map(|again| again.id()), Ok(id));
    // What it is asked to unwrap names another key, or is of its own making.
    assert!(ring.unwrapping_key(data).is_err());
    let own = ring.raw_id();
    assert!(!ring.admit(&own, data));
    assert!(!format!("{ring:?}").contains(&*String::from_utf8_lossy(data.trim_ascii_end())));
}

/// Two entries of the trail that differ have different macs.
pub fn audit(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // The same bytes, cut at two places: wherever a value ends, the mac tells.
    let mut parts = text.splitn(4, '|');
    let mut next = || parts.next().unwrap_or_default();
    let (one, two, moved) = (next(), next(), next());
    let macs = [(one, two), (two, one), (moved, two), (one, moved)]
        .map(|(action, actor)| ((action, actor), told(action, actor)));
    for (left, left_mac) in &macs {
        for (right, right_mac) in &macs {
            assert_eq!(left == right, left_mac == right_mac, "{left:?} {right:?}");
        }
    }
    let joined = [one, two].concat();
    if !two.is_empty() {
        assert!(told(&joined, "") != told(one, two), "{one:?} {two:?}");
    }
}

fn told(action: &str, actor: &str) -> [u8; 32] {
    let ring = Keyring::parse(STANDARD.encode([2; 32]).as_bytes()).expect("a key");
    let key = ring.audit_key(TENANT).expect("a key for the trail");
    let entry = Covered {
        prev_mac: &[5; 32],
        seq: 6,
        id: TENANT,
        phase: "intent",
        intent_id: None,
        integration_id: "fuzz",
        action,
        params_hash: "",
        result_status: None,
        executed_at: Timestamp::new(from_millis(0)),
        duration_ms: None,
        error_message: None,
        actor,
        op_id: None,
        generation: None,
        key_id: "",
    };
    entry.mac(TENANT, &key, &mut Vec::new())
}

/// The fuzzer runs for hours and seldom; what it begins with is held here each time.
#[cfg(test)]
#[test]
fn what_the_fuzzer_begins_with_holds() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds");
    for (target, holds) in
        [("envelope", envelope as fn(&[u8])), ("keyring", keyring), ("audit", audit)]
    {
        let files = std::fs::read_dir(seeds.join(target)).expect("seeds");
        let mut held = 0;
        for file in files {
            holds(&std::fs::read(file.expect("a seed").path()).expect("a seed"));
            held += 1;
        }
        assert!(held > 0, "{target}");
        holds(b"");
    }
}
