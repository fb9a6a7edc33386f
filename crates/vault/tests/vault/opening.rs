//! Which databases, keys and roles the vault opens with, and which it refuses.

use std::{os::unix::fs::MetadataExt, time::Duration};

use resto_vault::{Cipher, Error, Keyring, Vault};
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};

use crate::store::{
    Store, canary, intent, new_connection, new_tenant, on_both, outcome, sqlite_tables, tables,
};

on_both! {
    b4_a_database_is_sealed_from_its_first_key_on
    b4_refuses_another_key_and_says_so
    refuses_a_database_that_a_newer_program_migrated
    two_vaults_work_on_one_database
    programs_that_start_together_on_a_new_database_all_open_it
    of_programs_that_start_together_with_different_keys_one_opens_it
    a_vault_keeps_what_it_stored_when_it_is_opened_again
    opens_what_was_sealed_with_the_other_cipher
    proves_that_the_database_takes_a_write
}

async fn b4_refuses_another_key_and_says_so(store: Store) {
    drop(store.open().await);
    let other = Keyring::create_file(&store.dir.path().join("keys/other.key")).unwrap();
    let key_id = other.id();
    let refused = Vault::open(&store.url, other, Cipher::default()).await.unwrap_err();
    assert_eq!(refused, Error::WrongKey { key_id });
    assert!(refused.to_string().contains("Use the root key that belongs to this database"));
    store.open().await;
}

async fn refuses_a_database_that_a_newer_program_migrated(store: Store) {
    let vault = store.open().await;
    store
        .tamper(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             SELECT 99990101, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        )
        .await;
    let refused = Vault::open(&store.url, store.keyring(), Cipher::default()).await;
    assert_eq!(refused.unwrap_err(), Error::NewerDatabase);
    assert_eq!(vault.check().await.unwrap_err(), Error::NewerDatabase);
}

async fn two_vaults_work_on_one_database(store: Store) {
    let (_, first) = store.tenant().await;
    let second = store.open().await;
    let second = second.scope(first.tenant());
    let params = json!({});
    first.connect(new_connection("github", &canary())).await.unwrap();
    let work = |scope: resto_vault::TenantScope| {
        let params = params.clone();
        async move {
            for _ in 0..10 {
                let begun = scope.begin(intent("list_repos", &params)).await.unwrap();
                begun.connection.unwrap().1.open().unwrap();
                scope
                    .finish(begun.ticket, outcome(resto_vault::ResultStatus::Success))
                    .await
                    .unwrap();
            }
        }
    };
    tokio::join!(work(first.clone()), work(second.clone()), work(first.clone()), work(second));
    let verified = first.verify_audit().await.unwrap();
    assert_eq!((verified.events, verified.problems.len()), (80, 0));
}

async fn programs_that_start_together_on_a_new_database_all_open_it(store: Store) {
    let keyring = store.keyring();
    let opening = (0..4).map(|_| {
        let (url, keyring) = (store.url.clone(), keyring.clone());
        tokio::spawn(async move { Vault::open(&url, keyring, Cipher::default()).await })
    });
    for opened in opening.collect::<Vec<_>>() {
        opened.await.unwrap().unwrap().check().await.unwrap();
    }
    assert_eq!(store.number("SELECT count(*) FROM installation").await, 1);
}

async fn of_programs_that_start_together_with_different_keys_one_opens_it(store: Store) {
    let opening = (0..4).map(|n| {
        let key_file = store.dir.path().join(format!("keys/{n}.key"));
        let (url, keyring) = (store.url.clone(), Keyring::create_file(&key_file).unwrap());
        tokio::spawn(async move { Vault::open(&url, keyring, Cipher::default()).await })
    });
    let mut opened = 0;
    for vault in opening.collect::<Vec<_>>() {
        match vault.await.unwrap() {
            Ok(_) => opened += 1,
            Err(error) => assert!(matches!(error, Error::WrongKey { .. }), "{error}"),
        }
    }
    assert_eq!(opened, 1);
}

async fn a_vault_keeps_what_it_stored_when_it_is_opened_again(store: Store) {
    let token = canary();
    let (vault, scope) = store.tenant().await;
    scope.connect(new_connection("github", &token)).await.unwrap();
    drop(vault);
    let again = store.open().await;
    let tenant = again.tenant("acme").await.unwrap().unwrap();
    assert_eq!(tenant.id, scope.tenant());
    assert_eq!(crate::connections::token(&again.scope(tenant.id), "github").await, token);
}

async fn opens_what_was_sealed_with_the_other_cipher(store: Store) {
    let token = canary();
    let (_, scope) = store.tenant().await;
    scope.connect(new_connection("github", &token)).await.unwrap();
    let other = Vault::open(&store.url, store.keyring(), Cipher::Aes256Gcm).await.unwrap();
    let other = other.scope(scope.tenant());
    assert_eq!(crate::connections::token(&other, "github").await, token);
    let token = canary();
    other.connect(new_connection("vercel", &token)).await.unwrap();
    assert_eq!(crate::connections::token(&scope, "vercel").await, token);
    let algorithm = |blob: Vec<u8>| blob[5];
    let blob = "SELECT encrypted_credentials FROM integration_credentials WHERE integration_id = ";
    assert_eq!(algorithm(store.bytes(&format!("{blob}'github'")).await), 1);
    assert_eq!(algorithm(store.bytes(&format!("{blob}'vercel'")).await), 2);
}

async fn proves_that_the_database_takes_a_write(store: Store) {
    let vault = store.open().await;
    vault.check().await.unwrap();
    assert!(store.number("SELECT checked_at FROM installation").await > 0);
    if store.is_postgres() {
        store.tamper("REVOKE UPDATE (checked_at) ON installation FROM resto_app").await;
    } else {
        store
            .tamper(
                "CREATE TRIGGER full BEFORE UPDATE ON installation
                 BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
            )
            .await;
    }
    assert!(matches!(vault.check().await.unwrap_err(), Error::Database { .. }));
}

#[tokio::test]
async fn waits_for_another_program_that_sets_up_the_same_new_sqlite_file() {
    let store = Store::sqlite();
    std::fs::create_dir(store.dir.path().join("data")).unwrap();
    let options = store.sqlite_options().create_if_missing(true);
    let mut other = options.connect().await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let (url, keyring) = (store.url.clone(), store.keyring());
    let mut opening =
        tokio::spawn(async move { Vault::open(&url, keyring, Cipher::default()).await });
    // A refusal would come at once; while the other one writes, there is nothing else to wait for.
    let early = tokio::time::timeout(Duration::from_millis(300), &mut opening).await;
    assert!(early.is_err(), "{early:?}");
    other.execute("COMMIT").await.unwrap();
    opening.await.unwrap().unwrap().check().await.unwrap();
    assert_eq!(other.fetch_one("PRAGMA journal_mode").await.unwrap().get::<String, _>(0), "wal");
}

#[tokio::test]
async fn guards_the_sqlite_files() {
    let store = Store::sqlite();
    let (_, scope) = store.tenant().await;
    scope.put_secret("dns", &canary().into()).await.unwrap();
    let data = store.dir.path().join("data");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = std::fs::read_dir(&data).unwrap().collect();
    assert!(files.len() >= 2, "the log lies beside the file");
    for file in files {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn refuses_a_url_without_repeating_its_password() {
    for url in [
        "mysql://root:hunter2@localhost/x",
        "sqlite://relative/hunter2.db",
        "sqlite:///tmp/x.db?mode=hunter2",
        "postgres://user:hunter2@host:not-a-port/x",
    ] {
        let store = Store::sqlite();
        let refused = Vault::open(url, store.keyring(), Cipher::default()).await.unwrap_err();
        assert!(matches!(refused, Error::Invalid(_)), "{url}");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
}

#[tokio::test]
async fn says_that_postgres_cannot_be_reached() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://user:hunter2@{nobody}/x");
    let refused = Vault::open(&url, Store::sqlite().keyring(), Cipher::default()).await;
    let told = refused.unwrap_err().to_string();
    assert!(told.contains(&format!("{nobody} cannot be reached")), "{told}");
    assert!(told.contains("refused") && !told.contains("hunter2"), "{told}");
    assert_eq!(Vault::migrate(&url).await.unwrap_err().to_string(), told);
}

#[tokio::test]
async fn g2_refuses_a_postgres_that_was_never_migrated_and_a_role_that_sees_all_tenants() {
    let Some(store) = Store::postgres().await else {
        return;
    };
    let superuser = store.admin_options().to_url_lossy();
    let refused =
        Vault::open(superuser.as_str(), store.keyring(), Cipher::default()).await.unwrap_err();
    assert!(refused.to_string().contains("bypasses row-level security"), "{refused}");

    store.tamper("DROP TABLE _sqlx_migrations").await;
    let refused = Vault::open(&store.url, store.keyring(), Cipher::default()).await;
    assert_eq!(refused.unwrap_err(), Error::OlderDatabase);
}

#[tokio::test]
async fn g2_refuses_a_postgres_that_reports_commits_before_they_are_durable() {
    let Some(store) = Store::postgres().await else {
        return;
    };
    let role = store.role();
    store.tamper(&format!("ALTER ROLE {role} SET synchronous_commit = off")).await;
    let refused = Vault::open(&store.url, store.keyring(), Cipher::default()).await.unwrap_err();
    assert!(refused.to_string().contains("synchronous_commit"), "{refused}");
}

#[tokio::test]
async fn g2_refuses_a_line_to_postgres_that_others_could_read() {
    let store = Store::sqlite();
    for line in ["", "?sslmode=disable", "?sslmode=allow", "?sslmode=prefer"] {
        for host in ["192.0.2.1", "[2001:db8::1]", "db.invalid"] {
            let url = format!("postgres://resto:hunter2@{host}:5432/resto{line}");
            for refused in [
                Vault::open(&url, store.keyring(), Cipher::default()).await.map(drop),
                Vault::migrate(&url).await,
            ] {
                let refused = refused.unwrap_err().to_string();
                assert!(refused.contains("does not insist on TLS"), "{url}: {refused}");
                assert!(refused.contains(host.trim_matches(['[', ']'])), "{refused}");
                assert!(!refused.contains("hunter2"), "{refused}");
            }
        }
    }
    // Nothing listens there: what insists on TLS, or goes nowhere, is not refused for its line.
    for line in ["", "?sslmode=require"] {
        let url = format!("postgres://resto@127.0.0.1:1/x{line}");
        let failed = Vault::open(&url, store.keyring(), Cipher::default()).await.unwrap_err();
        assert!(failed.to_string().contains("cannot be reached"), "{failed}");
    }
}

#[tokio::test]
async fn g2_refuses_a_postgres_role_that_owns_the_tables() {
    let Some(store) = Store::postgres().await else {
        return;
    };
    let role = store.role();
    store.tamper(&format!("ALTER TABLE integration_audit_log OWNER TO {role}")).await;
    let refused = Vault::open(&store.url, store.keyring(), Cipher::default()).await.unwrap_err();
    assert!(refused.to_string().contains("owns the tables"), "{refused}");
}

#[tokio::test]
async fn a2_on_postgres_every_table_with_a_tenant_forces_row_level_security() {
    let Some(store) = Store::postgres().await else {
        return;
    };
    let (vault, scope) = store.tenant().await;
    scope.connect(new_connection("github", &canary())).await.unwrap();
    scope.put_secret("dns", &canary().into()).await.unwrap();
    let params = json!({});
    let begun = scope.begin(intent("list_repos", &params)).await.unwrap();
    drop(begun);
    new_tenant(&vault, "other").await;

    let mut admin = store.admin_options().connect().await.unwrap();
    let unforced: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::TEXT FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relkind = 'r' AND a.attname = 'tenant_id' AND c.relnamespace = 'public'::regnamespace
           AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(unforced, Vec::<String>::new());
    let guarded: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::TEXT FROM information_schema.columns WHERE column_name = 'tenant_id' AND table_schema = 'public'",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert!(guarded.len() >= 9);

    // The program's own role, outside a tenant's scope and then inside another tenant's.
    let options: sqlx::postgres::PgConnectOptions = store.url.parse().unwrap();
    let mut app = options.connect().await.unwrap();
    for scope in ["", "00000000-0000-0000-0000-000000000000"] {
        app.execute(sqlx::raw_sql(AssertSqlSafe(format!("SET resto.tenant = '{scope}'"))))
            .await
            .unwrap();
        for table in &guarded {
            let count: i64 =
                sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
                    .fetch_one(&mut app)
                    .await
                    .unwrap();
            assert_eq!(count, 0, "{table} in scope '{scope}'");
        }
    }
    for forbidden in [
        "UPDATE integration_audit_log SET actor = 'nobody'",
        "DELETE FROM integration_audit_log",
        "TRUNCATE integration_audit_log",
        "ALTER TABLE records DISABLE ROW LEVEL SECURITY",
        "SET ROLE resto_lookup",
        "SET ROLE resto_audit",
        "INSERT INTO integration_audit_log (tenant_id) VALUES (gen_random_uuid())",
    ] {
        let refused = app.execute(sqlx::raw_sql(forbidden)).await.unwrap_err();
        assert_eq!(refused.into_database_error().unwrap().code().unwrap(), "42501", "{forbidden}");
    }
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let Some(postgres) = Store::postgres().await else {
        return;
    };
    let sqlite = Store::sqlite();
    drop(sqlite.open().await);
    let mut pg = postgres.admin_options().connect().await.unwrap();
    let mut lite = sqlite.sqlite_options().connect().await.unwrap();
    let names = tables(&mut pg).await;
    assert_eq!(names, sqlite_tables(&mut lite).await);
    for table in names {
        let of_pg = postgres.columns(&table).await;
        let of_pg: Vec<_> = of_pg.iter().filter_map(|column| column.split(' ').next()).collect();
        let of_lite = sqlite.columns(&table).await;
        assert_eq!(of_pg, of_lite, "{table}");
    }
    pg.close().await.unwrap();
}

#[tokio::test]
async fn an_owner_who_is_no_superuser_migrates_postgres() {
    let Some(store) = Store::postgres().await else {
        return;
    };
    // Another role becomes the owner of the store's database, which is emptied again.
    let name = store.role();
    let owner = format!("{name}_owner");
    for sql in [
        format!("CREATE ROLE {owner} LOGIN PASSWORD '{owner}'"),
        format!("GRANT resto_app, resto_lookup, resto_audit TO {owner}"),
        format!("ALTER DATABASE {name} OWNER TO {owner}"),
        "DROP SCHEMA public CASCADE".to_owned(),
        format!("CREATE SCHEMA public AUTHORIZATION {owner}"),
        "GRANT USAGE ON SCHEMA public TO PUBLIC".to_owned(),
    ] {
        store.tamper(&sql).await;
    }
    let url = store.admin_options().username(&owner).password(&owner).to_url_lossy();
    Vault::migrate(url.as_str()).await.unwrap();
    let (vault, scope) = store.tenant().await;
    let params = json!({});
    scope
        .record_event(intent("connect", &params), outcome(resto_vault::ResultStatus::Success))
        .await
        .unwrap();
    let principal = scope.principal("local", "owner").await.unwrap();
    let (_, token) = scope.create_token(principal.id, "laptop", "spend", None).await.unwrap();
    let caller = vault.authenticate(secrecy::ExposeSecret::expose_secret(&token)).await.unwrap();
    assert_eq!(caller.unwrap().principal, principal);
    vault.sweep_unfinished(Duration::ZERO).await.unwrap();
    store
        .tamper(&format!("REASSIGN OWNED BY {owner} TO CURRENT_USER; DROP OWNED BY {owner}"))
        .await;
    store.tamper(&format!("DROP ROLE {owner}")).await;
}

async fn b4_a_database_is_sealed_from_its_first_key_on(store: Store) {
    assert!(!Vault::is_sealed(&store.url).await.unwrap());
    store.open().await;
    assert!(Vault::is_sealed(&store.url).await.unwrap());
}
