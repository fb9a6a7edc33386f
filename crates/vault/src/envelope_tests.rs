//! The envelope against vectors that another implementation made, and against every small change.

use std::collections::HashSet;

use aes_gcm::Aes256Gcm;
use chacha20poly1305::XChaCha20Poly1305;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Cipher, Error,
    envelope::{
        COMMITMENT_LEN, Context, Key, MAGIC, SALT_LEN, VERSION, algorithm, decrypt, derive,
        encrypt, open, seal, seal_from,
    },
};

const CIPHERS: [Cipher; 2] = [Cipher::XChaCha20Poly1305, Cipher::Aes256Gcm];
const PLAINTEXT: &[u8] = br#"{"secrets":{}}"#;

fn key() -> Key {
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
    let mut id = [0; 16];
    id.iter_mut().zip(100..).for_each(|(byte, n)| *byte = n);
    Key { id, label: "resto/record/v1", bytes }
}

fn context() -> Context<'static> {
    Context {
        purpose: "credential",
        tenant: Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        name: "github",
        version: 7,
    }
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn b11_opens_what_another_implementation_sealed() {
    // Made with Python's cryptography package, and HChaCha20 written after draft-irtf-cfrg-xchacha.
    for blob in [
        "5253544501016465666768696a6b6c6d6e6f70717273202122232425262728292a2b2c2d2e2f30313233343536\
         3738393a3b3c3d3e3fc8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfdec55e265e155219b4675d85bd\
         74ba3030fca3749f40f79884883decd389d80fa5433243d69fba6378e140cd12f9e948d4987ed41455d4c1fa414a\
         f93eee",
        "5253544501026465666768696a6b6c6d6e6f70717273202122232425262728292a2b2c2d2e2f30313233343536\
         3738393a3b3c3d3e3fc8c9cacbcccdcecfd0d1d2d3daaa7a518749567878a055838ff410ea8ce0d5237005e9dad3\
         f4d4d6194f20ca5aaaa6469481315edd142d25f4fe40ef258c619ff0ec0c5e7486927e3ab7",
    ] {
        let opened = open(&key(), context(), &unhex(blob)).unwrap();
        assert_eq!(opened.as_slice(), PLAINTEXT);
    }
}

#[test]
fn opens_what_either_cipher_sealed_and_adds_what_the_format_says() {
    for (cipher, overhead) in CIPHERS.into_iter().zip([126, 114]) {
        let blob = seal(&key(), cipher, context(), PLAINTEXT).unwrap();
        assert_eq!(blob.len(), PLAINTEXT.len() + overhead);
        assert_eq!(open(&key(), context(), &blob).unwrap().as_slice(), PLAINTEXT);
    }
}

#[test]
fn b2_refuses_every_flipped_bit_every_truncation_and_added_bytes() {
    for cipher in CIPHERS {
        let blob = seal(&key(), cipher, context(), PLAINTEXT).unwrap();
        for position in 0..blob.len() {
            for bit in 0..8 {
                let mut changed = blob.clone();
                changed[position] ^= 1 << bit;
                let refused = open(&key(), context(), &changed).unwrap_err();
                assert_eq!(refused, Error::CannotOpen, "byte {position}, bit {bit}");
            }
            let refused = open(&key(), context(), &blob[..position]).unwrap_err();
            assert_eq!(refused, Error::CannotOpen, "cut at {position}");
        }
        for added in [[0].as_slice(), &[0; 16], &blob] {
            for longer in [[blob.as_slice(), added].concat(), [added, blob.as_slice()].concat()] {
                assert_eq!(open(&key(), context(), &longer).unwrap_err(), Error::CannotOpen);
            }
        }
    }
}

#[test]
fn b1_refuses_a_blob_in_any_other_place() {
    let here = context();
    for cipher in CIPHERS {
        let blob = seal(&key(), cipher, here, PLAINTEXT).unwrap();
        for elsewhere in [
            Context { purpose: "record", ..here },
            Context { tenant: Uuid::nil(), ..here },
            Context { name: "gitlab", ..here },
            Context { version: 8, ..here },
            // The same bytes in a row, split between the fields elsewhere.
            Context { purpose: "credentia", name: "lgithub", ..here },
        ] {
            assert_eq!(open(&key(), elsewhere, &blob).unwrap_err(), Error::CannotOpen);
        }
    }
}

#[test]
fn b6_refuses_another_key_another_key_id_and_a_key_of_another_purpose() {
    for cipher in CIPHERS {
        let blob = seal(&key(), cipher, context(), PLAINTEXT).unwrap();
        let mut other_bytes = key();
        other_bytes.bytes[31] ^= 1;
        let mut other_id = key();
        other_id.id[0] ^= 1;
        let mut other_label = key();
        other_label.label = "resto/kek-wrap/v1";
        for other in [other_bytes, other_id, other_label] {
            assert_eq!(open(&other, context(), &blob).unwrap_err(), Error::CannotOpen);
        }
    }
}

#[test]
fn b12_refuses_a_ciphertext_whose_commitment_is_to_another_key() {
    // The tag alone does not stop a blob that opens under two keys; here the tag is right and the commitment is not.
    for cipher in CIPHERS {
        let (alg, nonce_len) = algorithm(cipher);
        let context = context();
        let encoded = context.encode();
        let (aead_key, _) = derive(&key(), alg, &[1; SALT_LEN], &encoded).unwrap();
        let nonce = vec![2; nonce_len];
        let mut blob = [MAGIC.as_slice(), &[VERSION, alg], &key().id, &[1; SALT_LEN]].concat();
        blob.extend_from_slice(&nonce);
        blob.extend_from_slice(&[3; COMMITMENT_LEN]);
        let aad = [blob.as_slice(), &encoded].concat();
        let mut body = PLAINTEXT.to_vec();
        let tag = match cipher {
            Cipher::XChaCha20Poly1305 => {
                encrypt::<XChaCha20Poly1305>(&aead_key, &nonce, &aad, &mut body)
            }
            Cipher::Aes256Gcm => encrypt::<Aes256Gcm>(&aead_key, &nonce, &aad, &mut body),
        }
        .unwrap();
        blob.extend_from_slice(&body);
        blob.extend_from_slice(&tag);
        assert_eq!(open(&key(), context, &blob).unwrap_err(), Error::CannotOpen);
    }
}

#[test]
fn b2_refuses_every_other_version_and_algorithm_the_other_ciphers_included() {
    for cipher in CIPHERS {
        let blob = seal(&key(), cipher, context(), PLAINTEXT).unwrap();
        for position in [MAGIC.len(), MAGIC.len() + 1] {
            for byte in (0..=u8::MAX).filter(|byte| *byte != blob[position]) {
                let mut changed = blob.clone();
                changed[position] = byte;
                assert_eq!(open(&key(), context(), &changed).unwrap_err(), Error::CannotOpen);
            }
        }
        // A header that names the other cipher, with a nonce of the length that it wants.
        let (alg, nonce_len) = algorithm(cipher);
        let (other, other_len) = algorithm(CIPHERS.into_iter().find(|one| *one != cipher).unwrap());
        assert_ne!(alg, other);
        let mut nonce = blob[54..54 + nonce_len].to_vec();
        nonce.resize(other_len, 0);
        let changed =
            [&blob[..5], &[other], &blob[6..54], &nonce, &blob[54 + nonce_len..]].concat();
        assert_eq!(open(&key(), context(), &changed).unwrap_err(), Error::CannotOpen);
    }
}

#[test]
fn b12_a_ciphertext_that_decrypts_under_two_keys_opens_under_one() {
    let ours = key();
    let mut theirs = key();
    theirs.bytes[0] ^= 1;
    let (alg, nonce_len) = algorithm(Cipher::Aes256Gcm);
    let place = context().encode();
    let (salt, nonce) = ([1; SALT_LEN], vec![2; nonce_len]);
    let (our_key, commitment) = derive(&ours, alg, &salt, &place).unwrap();
    let (their_key, _) = derive(&theirs, alg, &salt, &place).unwrap();
    let header = [MAGIC.as_slice(), &[VERSION, alg], &ours.id, &salt, &nonce, &commitment].concat();
    let aad = [header.as_slice(), &place].concat();

    // GCM's tag is linear in a block of ciphertext: tag(block) = tag(0) + block * h, in a field of 2^128 elements.
    let tag = |key: &Zeroizing<[u8; 32]>, block: u128| {
        let mut stream = [0; 16];
        encrypt::<Aes256Gcm>(key, &nonce, b"", &mut stream).unwrap();
        let mut body = (block ^ u128::from_be_bytes(stream)).to_be_bytes();
        let tag = encrypt::<Aes256Gcm>(key, &nonce, &aad, &mut body).unwrap();
        assert_eq!(body, block.to_be_bytes());
        u128::from_be_bytes(tag.try_into().unwrap())
    };
    let h = |key| tag(key, 1 << 127) ^ tag(key, 0);
    let block =
        multiply(tag(&our_key, 0) ^ tag(&their_key, 0), inverse(h(&our_key) ^ h(&their_key)));
    let tag_of_both = tag(&our_key, block).to_be_bytes();
    assert_eq!(tag_of_both, tag(&their_key, block).to_be_bytes());
    for key in [&our_key, &their_key] {
        let mut body = block.to_be_bytes();
        decrypt::<Aes256Gcm>(key, &nonce, &aad, &mut body, &tag_of_both).unwrap();
    }

    let blob = [header.as_slice(), &block.to_be_bytes(), &tag_of_both].concat();
    assert!(open(&ours, context(), &blob).is_ok());
    assert_eq!(open(&theirs, context(), &blob).unwrap_err(), Error::CannotOpen);
}

/// GCM's field: the first bit is the coefficient of 1.
fn multiply(x: u128, mut y: u128) -> u128 {
    let mut product = 0;
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= y;
        }
        y = if y & 1 == 1 { (y >> 1) ^ (0xe1 << 120) } else { y >> 1 };
    }
    product
}

fn inverse(x: u128) -> u128 {
    // x to the power of 2^128 - 2.
    let (mut power, mut result) = (x, 1 << 127);
    for _ in 1..128 {
        power = multiply(power, power);
        result = multiply(result, power);
    }
    result
}

#[test]
fn b13_without_randomness_nothing_is_sealed() {
    use std::cell::Cell;
    thread_local! { static LEFT: Cell<u32> = const { Cell::new(0) } }
    for given in 0..2 {
        LEFT.set(given);
        let sealed = seal_from(
            |bytes| {
                bytes.fill(7);
                LEFT.set(LEFT.get().checked_sub(1).ok_or(getrandom::Error::UNSUPPORTED)?);
                Ok(())
            },
            &key(),
            Cipher::default(),
            context(),
            PLAINTEXT,
        );
        assert_eq!(sealed.unwrap_err(), Error::Random, "after {given} answers");
    }
}

#[test]
fn b13_never_repeats_a_salt_or_a_nonce() {
    let full = std::env::var_os("RESTO_TEST_FULL").is_some();
    let seals = if full { 1_000_000 } else { 100_000 };
    let key = key();
    let mut salts = HashSet::new();
    let mut nonces = HashSet::new();
    for cipher in CIPHERS {
        let (_, nonce_len) = algorithm(cipher);
        for _ in 0..seals / 2 {
            let blob = seal(&key, cipher, context(), b"").unwrap();
            assert!(salts.insert(blob[22..54].to_vec()));
            assert!(nonces.insert(blob[54..54 + nonce_len].to_vec()));
        }
    }
    assert_eq!((salts.len(), nonces.len()), (seals, seals));
}
