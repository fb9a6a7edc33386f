//! The sealed form of every secret: one derived key per write, the whole context bound, one error for every failure.
//! `"RSTE" | version | algorithm | key id 16 | salt 32 | nonce 24 or 12 | commitment 32 | ciphertext | tag 16`

use aes_gcm::Aes256Gcm;
use chacha20poly1305::{
    XChaCha20Poly1305,
    aead::{AeadInOut, KeyInit, Nonce, common::Key as AeadKey},
};
use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{Cipher, Error, Result};

pub(crate) const MAGIC: &[u8; 4] = b"RSTE";
pub(crate) const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 16;
pub(crate) const SALT_LEN: usize = 32;
pub(crate) const COMMITMENT_LEN: usize = 32;
const TAG_LEN: usize = 16;

/// The id of a root or tenant key.
pub(crate) type KeyId = [u8; KEY_ID_LEN];

/// A key that seals; its label keeps keys of different purposes apart even if their bytes were equal.
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) label: &'static str,
    pub(crate) bytes: Zeroizing<[u8; 32]>,
}

/// Where a sealed value belongs. It is rebuilt from the request and the row's key, and never read from the blob.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) purpose: &'static str,
    pub(crate) tenant: Uuid,
    /// The integration, or the name of a secret, record or operation.
    pub(crate) name: &'a str,
    /// The connection's generation, or the end of a record in milliseconds; 0 where there is neither.
    pub(crate) version: i64,
}

impl Context<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + self.name.len());
        for part in [
            b"resto/ctx/v1".as_slice(),
            self.purpose.as_bytes(),
            self.tenant.as_bytes(),
            self.name.as_bytes(),
            &self.version.to_be_bytes(),
        ] {
            push_prefixed(&mut out, part);
        }
        out
    }
}

/// Appends the length in four bytes, then the bytes, so that neighbouring fields cannot run into each other.
pub(crate) fn push_prefixed(out: &mut Vec<u8>, part: &[u8]) {
    // A length beyond u32 cannot be held in memory together with its blob; it would only make the value unopenable.
    out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(part);
}

/// Fills a new array with random bytes; without randomness there is no fallback.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    random_from(getrandom::fill)
}

/// Where random bytes come from.
type Source = fn(&mut [u8]) -> std::result::Result<(), getrandom::Error>;

fn random_from<const N: usize>(source: Source) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    source(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}

/// The algorithm's byte in the header, and the length of its nonce.
pub(crate) const fn algorithm(cipher: Cipher) -> (u8, usize) {
    match cipher {
        Cipher::XChaCha20Poly1305 => (1, 24),
        Cipher::Aes256Gcm => (2, 12),
    }
}

/// Seals `plaintext` for one place.
pub(crate) fn seal(
    key: &Key,
    cipher: Cipher,
    context: Context<'_>,
    plaintext: &[u8],
) -> Result<Vec<u8>> {
    seal_from(getrandom::fill, key, cipher, context, plaintext)
}

pub(crate) fn seal_from(
    source: Source,
    key: &Key,
    cipher: Cipher,
    context: Context<'_>,
    plaintext: &[u8],
) -> Result<Vec<u8>> {
    let (alg, nonce_len) = algorithm(cipher);
    let salt: [u8; SALT_LEN] = random_from(source)?;
    let nonce: [u8; 24] = random_from(source)?;
    let (nonce, _) = nonce.split_at(nonce_len);
    let context = context.encode();
    let (aead_key, commitment) = derive(key, alg, &salt, &context)?;

    let mut header =
        Vec::with_capacity(6 + KEY_ID_LEN + SALT_LEN + nonce_len + COMMITMENT_LEN + context.len());
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&[VERSION, alg]);
    header.extend_from_slice(&key.id);
    header.extend_from_slice(&salt);
    header.extend_from_slice(nonce);
    header.extend_from_slice(&commitment);

    // The plaintext is copied once, into its final place, and encrypted there: a growing buffer would leave copies behind.
    let mut blob = Vec::with_capacity(header.len() + plaintext.len() + TAG_LEN);
    blob.extend_from_slice(&header);
    blob.extend_from_slice(plaintext);
    let (_, body) = blob.split_at_mut(header.len());
    header.extend_from_slice(&context);
    let tag = match cipher {
        Cipher::XChaCha20Poly1305 => encrypt::<XChaCha20Poly1305>(&aead_key, nonce, &header, body)?,
        Cipher::Aes256Gcm => encrypt::<Aes256Gcm>(&aead_key, nonce, &header, body)?,
    };
    blob.extend_from_slice(&tag);
    Ok(blob)
}

/// Opens a blob that was sealed with this key for this place. Every failure is [`Error::CannotOpen`].
pub(crate) fn open(key: &Key, context: Context<'_>, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    open_checked(key, context, blob).ok_or(Error::CannotOpen)
}

fn open_checked(key: &Key, context: Context<'_>, blob: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let rest = blob.strip_prefix(MAGIC)?.strip_prefix(&[VERSION])?;
    let (&alg, rest) = rest.split_first()?;
    let cipher = [Cipher::XChaCha20Poly1305, Cipher::Aes256Gcm]
        .into_iter()
        .find(|cipher| algorithm(*cipher).0 == alg)?;
    let (key_id, rest) = rest.split_at_checked(KEY_ID_LEN)?;
    let (salt, rest) = rest.split_at_checked(SALT_LEN)?;
    let (nonce, rest) = rest.split_at_checked(algorithm(cipher).1)?;
    let (commitment, rest) = rest.split_at_checked(COMMITMENT_LEN)?;
    let (body, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_LEN)?)?;
    if key_id != key.id {
        return None;
    }
    let context = context.encode();
    let (aead_key, expected) = derive(key, alg, salt, &context).ok()?;
    // Checked before decrypting, so that no blob can be made that opens under two keys.
    if !bool::from(expected.as_slice().ct_eq(commitment)) {
        return None;
    }
    let mut aad = blob.strip_suffix(rest)?.to_vec();
    aad.extend_from_slice(&context);
    let mut plaintext = Zeroizing::new(body.to_vec());
    match cipher {
        Cipher::XChaCha20Poly1305 => {
            decrypt::<XChaCha20Poly1305>(&aead_key, nonce, &aad, &mut plaintext, tag)?;
        }
        Cipher::Aes256Gcm => decrypt::<Aes256Gcm>(&aead_key, nonce, &aad, &mut plaintext, tag)?,
    }
    Some(plaintext)
}

/// The key of this one write, and the commitment to it.
pub(crate) fn derive(
    key: &Key,
    alg: u8,
    salt: &[u8],
    context: &[u8],
) -> Result<(Zeroizing<[u8; 32]>, [u8; COMMITMENT_LEN])> {
    let mut okm = Zeroizing::new([0; 64]);
    Hkdf::<Sha256>::new(Some(salt), key.bytes.as_slice())
        .expand_multi_info(&[key.label.as_bytes(), &[alg], context], okm.as_mut_slice())
        .map_err(|_| Error::CannotOpen)?;
    let mut aead_key = Zeroizing::new([0; 32]);
    let mut commitment = [0; COMMITMENT_LEN];
    let (left, right) = okm.split_at(32);
    aead_key.copy_from_slice(left);
    commitment.copy_from_slice(right);
    Ok((aead_key, commitment))
}

pub(crate) fn encrypt<A: AeadInOut + KeyInit>(
    key: &Zeroizing<[u8; 32]>,
    nonce: &[u8],
    aad: &[u8],
    body: &mut [u8],
) -> Result<Vec<u8>> {
    let (cipher, nonce) = ready::<A>(key, nonce).ok_or(Error::CannotOpen)?;
    let tag = cipher
        .encrypt_inout_detached(nonce, aad, body.into())
        .map_err(|_| Error::Invalid("The value is too large to be sealed.".into()))?;
    Ok(tag.to_vec())
}

pub(crate) fn decrypt<A: AeadInOut + KeyInit>(
    key: &Zeroizing<[u8; 32]>,
    nonce: &[u8],
    aad: &[u8],
    body: &mut [u8],
    tag: &[u8],
) -> Option<()> {
    let (cipher, nonce) = ready::<A>(key, nonce)?;
    cipher.decrypt_inout_detached(nonce, aad, body.into(), tag.try_into().ok()?).ok()
}

fn ready<'a, A: AeadInOut + KeyInit>(
    key: &Zeroizing<[u8; 32]>,
    nonce: &'a [u8],
) -> Option<(A, &'a Nonce<A>)> {
    let key: &AeadKey<A> = key.as_slice().try_into().ok()?;
    Some((A::new(key), nonce.try_into().ok()?))
}
