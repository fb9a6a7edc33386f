//! What the vault costs: sealing and opening a credential of 2 KiB, the two durable halves of an action, and moving 100,000
//! tenant keys to another root key, on SQLite.

// The envelope is private to the vault, so it is compiled in here to be measured without a database around it.
#[path = "../src/envelope.rs"]
mod envelope;

use std::{
    collections::BTreeMap,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use divan::Bencher;
use envelope::{Context, Key};
use resto_vault::{
    AuthType, Cipher, Credential, Error, Intent, Keyring, NewConnection, Outcome, Result,
    ResultStatus, Sealed, TenantScope, Ticket, Vault,
};
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;
use zeroize::Zeroizing;

const CIPHERS: [Cipher; 2] = [Cipher::XChaCha20Poly1305, Cipher::Aes256Gcm];
const CONTEXT: Context<'static> =
    Context { purpose: "credential", tenant: Uuid::nil(), name: "github", version: 1 };

fn main() {
    divan::main();
}

fn key() -> Key {
    let bytes = envelope::random().unwrap_or_default();
    Key { id: [1; 16], label: "resto/record/v1", bytes: Zeroizing::new(bytes) }
}

#[divan::bench(args = CIPHERS)]
fn seal(bencher: Bencher<'_, '_>, cipher: Cipher) {
    let (key, plaintext) = (key(), [b'x'; 2048]);
    bencher.bench(|| envelope::seal(&key, cipher, CONTEXT, &plaintext));
}

#[divan::bench(args = CIPHERS)]
fn open(bencher: Bencher<'_, '_>, cipher: Cipher) {
    let key = key();
    let sealed = envelope::seal(&key, cipher, CONTEXT, &[b'x'; 2048]).unwrap_or_default();
    bencher.bench(|| envelope::open(&key, CONTEXT, &sealed));
}

/// From the stored row to the usable credential: the tenant key, the envelope, the comparison with the columns.
#[divan::bench(args = CIPHERS)]
fn reveal(bencher: Bencher<'_, '_>, cipher: Cipher) {
    let store = Store::new(cipher);
    let (_ticket, sealed) = store.begin();
    bencher.bench(|| sealed.open());
}

/// The intent and the result of one action, each durable: two flushes of the disk.
#[divan::bench(sample_count = 200)]
fn begin_and_finish(bencher: Bencher<'_, '_>) {
    let store = Store::new(Cipher::default());
    bencher.bench_local(|| {
        let (ticket, _) = store.begin();
        store.finish(ticket);
    });
}

/// Wrapping all tenant keys with another root key, in durable transactions: there and back in turns.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn rewrap_100_000_tenant_keys(bencher: Bencher<'_, '_>) {
    let rings = RINGS.get_or_init(Rings::new);
    bencher.bench_local(|| rings.rewrap());
}

const TENANTS: u64 = 100_000;
static RINGS: OnceLock<Rings> = OnceLock::new();

/// Two servers with the same two root keys, each with another one as the current.
struct Rings {
    runtime: Runtime,
    vaults: [Vault; 2],
    next: AtomicUsize,
    _dir: TempDir,
}

#[expect(clippy::unwrap_used, reason = "a benchmark has nobody to report to")]
impl Rings {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let ring = |name| Keyring::create_file(&dir.path().join("keys").join(name)).unwrap();
        let (one, two) = (ring("one"), ring("two"));
        let url = format!("sqlite://{}/data/vault.db", dir.path().display());
        let vaults = runtime.block_on(async {
            let open = async |ring| Vault::open(&url, ring, Cipher::default()).await.unwrap();
            let first = open(one.clone().accepting(two.clone())).await;
            for n in 0..TENANTS {
                first.create_tenant(&n.to_string(), "Acme Ltd").await.unwrap();
            }
            [open(two.accepting(one)).await, first]
        });
        Self { runtime, vaults, next: AtomicUsize::new(0), _dir: dir }
    }

    fn rewrap(&self) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % 2;
        let vault = self.vaults.get(turn).unwrap();
        let done = self.runtime.block_on(vault.rewrap_keys(|_| ())).unwrap();
        assert_eq!(done.rewrapped, TENANTS);
    }
}

/// A tenant on a new SQLite file, connected with a credential of 2 KiB.
struct Store {
    runtime: Runtime,
    scope: TenantScope,
    _dir: TempDir,
}

#[expect(clippy::unwrap_used, reason = "a benchmark has nobody to report to")]
impl Store {
    fn new(cipher: Cipher) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let scope = runtime.block_on(async {
            let keyring = Keyring::create_file(&dir.path().join("keys/root.key")).unwrap();
            let url = format!("sqlite://{}/data/vault.db", dir.path().display());
            let vault = Vault::open(&url, keyring, cipher).await.unwrap();
            let tenant = vault.create_tenant("acme", "Acme Ltd").await.unwrap();
            let scope = vault.scope(tenant.id);
            scope.connect(connection()).await.unwrap();
            scope
        });
        Self { runtime, scope, _dir: dir }
    }

    fn begin(&self) -> (Ticket, Sealed) {
        let params = json!({ "owner": "octocat", "repo": "hello" });
        let intent = Intent {
            integration_id: "github",
            action: "get_repository",
            params: &params,
            actor: "benchmark",
            op_id: None,
            unsafe_: false,
            connection: resto_vault::Needs::Active,
        };
        let begun = self.runtime.block_on(self.scope.begin(intent)).unwrap();
        (begun.ticket, begun.connection.unwrap().1)
    }

    fn finish(&self, ticket: Ticket) {
        let outcome = Outcome::of(ResultStatus::Success);
        self.runtime.block_on(self.scope.finish(ticket, outcome)).unwrap();
    }
}

fn connection() -> NewConnection {
    NewConnection {
        integration_id: "github".into(),
        credential: Credential {
            auth_type: AuthType::OAuth2,
            provider: "github".into(),
            host: "api.github.com".into(),
            account_id: "583231".into(),
            account_name: "octocat".into(),
            mode: None,
            permissions: json!({ "contents": "granted" }),
            secrets: BTreeMap::from([("token".to_owned(), SecretString::from("x".repeat(2048)))]),
        },
        expires_at: None,
        reauthorize_by: None,
        jobs: Vec::new(),
        replaces_account: false,
    }
}
