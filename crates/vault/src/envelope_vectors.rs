//! Row B11: the primitives, as the vault calls them, against the vectors of Project Wycheproof.

use aes_gcm::Aes256Gcm;
use chacha20poly1305::{
    XChaCha20Poly1305,
    aead::{AeadInOut, KeyInit},
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use wycheproof::{aead, hkdf as kdf, mac as macs};
use zeroize::Zeroizing;

use crate::{
    envelope::{decrypt, encrypt},
    keyring::mac,
};

/// Runs the vectors for 256-bit keys; the vault's own nonce length must work and every other be refused.
fn run_aead<A: AeadInOut + KeyInit>(name: aead::TestName, nonce_bits: usize) -> usize {
    let mut ran = 0;
    for group in aead::TestSet::load(name).unwrap().test_groups {
        if group.key_size != 256 {
            continue;
        }
        for test in group.tests {
            let mut key = Zeroizing::new([0; 32]);
            key.copy_from_slice(&test.key);
            let mut body = test.ct.to_vec();
            let opened = decrypt::<A>(&key, &test.nonce, &test.aad, &mut body, &test.tag);
            let fits = group.nonce_size == nonce_bits && !test.result.must_fail();
            assert_eq!(opened.is_some(), fits, "vector {}", test.tc_id);
            if fits {
                assert_eq!(body, test.pt.to_vec(), "vector {}", test.tc_id);
                let tag = encrypt::<A>(&key, &test.nonce, &test.aad, &mut body).unwrap();
                assert_eq!((body, tag), (test.ct.to_vec(), test.tag.to_vec()));
            }
            ran += 1;
        }
    }
    ran
}

#[test]
fn b11_xchacha20_poly1305_does_as_wycheproof_says() {
    assert!(run_aead::<XChaCha20Poly1305>(aead::TestName::XChaCha20Poly1305, 192) >= 300);
}

#[test]
fn b11_aes_256_gcm_does_as_wycheproof_says() {
    assert!(run_aead::<Aes256Gcm>(aead::TestName::AesGcm, 96) >= 60);
}

#[test]
fn b11_hkdf_sha256_does_as_wycheproof_says() {
    let mut ran = 0;
    for group in kdf::TestSet::load(kdf::TestName::HkdfSha256).unwrap().test_groups {
        for test in group.tests {
            let mut okm = vec![0; test.size];
            let derived =
                Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
            assert_eq!(derived.is_err(), test.result.must_fail(), "vector {}", test.tc_id);
            if derived.is_ok() {
                assert_eq!(okm, test.okm.to_vec(), "vector {}", test.tc_id);
            }
            ran += 1;
        }
    }
    assert!(ran >= 80);
}

#[test]
fn b11_hmac_sha256_does_as_wycheproof_says() {
    let (mut ran, mut ours) = (0, 0);
    for group in macs::TestSet::load(macs::TestName::HmacSha256).unwrap().test_groups {
        for test in group.tests {
            let mut hmac = <Hmac<Sha256> as KeyInit>::new_from_slice(&test.key).unwrap();
            hmac.update(&test.msg);
            let computed: [u8; 32] = hmac.finalize().into_bytes().into();
            let same = computed.starts_with(&test.tag);
            assert_eq!(same, !test.result.must_fail(), "vector {}", test.tc_id);
            if let Ok(key) = <[u8; 32]>::try_from(test.key.as_ref()) {
                assert_eq!(mac(&Zeroizing::new(key), &test.msg), computed);
                ours += 1;
            }
            ran += 1;
        }
    }
    assert!(ran >= 170 && ours >= 50, "{ran} {ours}");
}
