//! The envelope against vectors that another implementation made, and against every small change.

use std::collections::HashSet;

use aes_gcm::Aes256Gcm;
use chacha20poly1305::XChaCha20Poly1305;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Cipher, Error,
    envelope::{
        COMMITMENT_LEN, Context, Key, MAGIC, SALT_LEN, VERSION, algorithm, derive, encrypt, open,
        seal,
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
fn opens_what_another_implementation_sealed() {
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
fn refuses_every_flipped_bit_every_truncation_and_an_added_byte() {
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
        let longer = [blob.as_slice(), &[0]].concat();
        assert_eq!(open(&key(), context(), &longer).unwrap_err(), Error::CannotOpen);
    }
}

#[test]
fn refuses_a_blob_in_any_other_place() {
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
fn refuses_another_key_another_key_id_and_a_key_of_another_purpose() {
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
fn refuses_a_ciphertext_whose_commitment_is_to_another_key() {
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
fn never_repeats_a_salt_or_a_nonce() {
    for (cipher, nonce_len) in [(Cipher::XChaCha20Poly1305, 24), (Cipher::Aes256Gcm, 12)] {
        let mut salts = HashSet::new();
        let mut nonces = HashSet::new();
        for _ in 0..2000 {
            let blob = seal(&key(), cipher, context(), PLAINTEXT).unwrap();
            assert!(salts.insert(blob[22..54].to_vec()));
            assert!(nonces.insert(blob[54..54 + nonce_len].to_vec()));
        }
    }
}
