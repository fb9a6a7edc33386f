-- Times in BIGINT columns are milliseconds since 1970, by the database's clock.
-- Times in TEXT columns are UTC with microseconds, in one width, so that they sort.
CREATE VIEW clock AS SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) AS now_ms;

-- One row for each root key that was ever current. The sentinel tells a wrong key at once, and holds what must outlive the
-- root key: it is sealed with the root key that wrapped_by names, in the end another one.
CREATE TABLE installation (
    root_id    BLOB PRIMARY KEY,
    wrapped_by BLOB NOT NULL,
    sentinel   BLOB NOT NULL,
    checked_at INTEGER
) STRICT;

CREATE TABLE tenants (
    id          BLOB PRIMARY KEY,
    external_id TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

-- Keys of the tenants, wrapped by a root key. A destroyed key keeps its row, without its bytes.
CREATE TABLE tenant_keys (
    tenant_id    BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    kek_id       BLOB NOT NULL,
    root_id      BLOB NOT NULL,
    wrapped      BLOB,
    state        TEXT NOT NULL CHECK (state IN ('active', 'read', 'destroyed')),
    created_at   INTEGER NOT NULL,
    destroyed_at INTEGER,
    PRIMARY KEY (tenant_id, kek_id),
    CHECK ((state = 'destroyed') = (wrapped IS NULL))
) STRICT;
CREATE UNIQUE INDEX tenant_keys_active ON tenant_keys (tenant_id) WHERE state = 'active';
CREATE INDEX tenant_keys_root ON tenant_keys (root_id) WHERE wrapped IS NOT NULL;

CREATE TABLE principals (
    id         BLOB PRIMARY KEY,
    tenant_id  BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (tenant_id, issuer, subject),
    UNIQUE (tenant_id, id)
) STRICT;

-- Keyed hashes; the tokens themselves are stored nowhere. bounds holds the hash together with the tenant, the principal, the
-- name, the scopes and the expiry, so that none of them can be edited.
CREATE TABLE access_tokens (
    hash         BLOB PRIMARY KEY,
    tenant_id    BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    principal_id BLOB NOT NULL,
    name         TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    bounds       BLOB NOT NULL,
    root_id      BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at   INTEGER,
    UNIQUE (tenant_id, name),
    FOREIGN KEY (tenant_id, principal_id) REFERENCES principals (tenant_id, id) ON DELETE CASCADE
) STRICT;

-- What a person must look at. What concerns no tenant but the whole vault has the tenant of zeros.
CREATE TABLE alerts (
    id              BLOB PRIMARY KEY,
    tenant_id       BLOB NOT NULL,
    kind            TEXT NOT NULL,
    subject         TEXT NOT NULL,
    -- What is known of this one beyond its kind and subject, in words.
    detail          TEXT,
    raised_at       INTEGER NOT NULL,
    acknowledged_at INTEGER,
    acknowledged_by TEXT,
    -- How it stands with the webhook, if there was one when it was raised.
    delivery        TEXT CHECK (delivery IN ('due', 'done', 'given_up')),
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
) STRICT;
CREATE INDEX alerts_of_tenant ON alerts (tenant_id, raised_at);
CREATE INDEX alerts_open ON alerts (tenant_id, raised_at) WHERE acknowledged_at IS NULL;

CREATE TABLE integration_credentials (
    id                    BLOB PRIMARY KEY,
    tenant_id             BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    integration_id        TEXT NOT NULL CHECK (length(integration_id) <= 50),
    auth_type             TEXT NOT NULL CHECK (length(auth_type) <= 20),
    encrypted_credentials BLOB NOT NULL,
    permissions_granted   TEXT,
    connected_at          TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'),
    last_used_at          TEXT,
    expires_at            TEXT,
    status                TEXT DEFAULT 'active' CHECK (status IN ('active', 'frozen', 'needs_reauth', 'revocation_pending')),
    reauthorize_by        TEXT,
    provider              TEXT NOT NULL,
    host                  TEXT NOT NULL,
    account_id            TEXT NOT NULL,
    account_name          TEXT NOT NULL,
    mode                  TEXT,
    rate_limits           TEXT,
    generation            INTEGER NOT NULL,
    key_id                BLOB NOT NULL,
    renewed_at            TEXT,
    -- The credential that was renewed, until the new one has worked.
    former                BLOB,
    former_key_id         BLOB,
    former_until          INTEGER,
    UNIQUE (tenant_id, integration_id),
    CHECK ((former IS NULL) = (former_key_id IS NULL)),
    CHECK ((former IS NULL) = (former_until IS NULL))
) STRICT;
CREATE INDEX integration_credentials_former ON integration_credentials (former_until) WHERE former_until IS NOT NULL;
CREATE INDEX integration_credentials_account ON integration_credentials (account_id);

-- Append-only. Each entry's mac covers the entry and the mac before it. The entries of a deleted tenant stay.
CREATE TABLE integration_audit_log (
    id             BLOB PRIMARY KEY,
    tenant_id      BLOB NOT NULL,
    integration_id TEXT NOT NULL CHECK (length(integration_id) <= 50),
    action         TEXT NOT NULL CHECK (length(action) <= 100),
    params_hash    TEXT CHECK (length(params_hash) <= 64),
    result_status  TEXT CHECK (result_status IN ('success', 'error', 'denied', 'unknown')),
    executed_at    TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'),
    duration_ms    INTEGER,
    error_message  TEXT,
    seq            INTEGER NOT NULL,
    phase          TEXT NOT NULL CHECK (phase IN ('intent', 'result', 'reconciled')),
    intent_id      BLOB,
    actor          TEXT NOT NULL,
    op_id          BLOB,
    generation     INTEGER,
    key_id         TEXT NOT NULL,
    prev_mac       BLOB NOT NULL,
    mac            BLOB NOT NULL,
    UNIQUE (tenant_id, seq),
    CHECK ((phase = 'intent') = (intent_id IS NULL)),
    CHECK ((phase = 'intent') = (result_status IS NULL))
) STRICT;
CREATE INDEX integration_audit_log_results ON integration_audit_log (intent_id) WHERE intent_id IS NOT NULL;

CREATE TRIGGER integration_audit_log_no_update BEFORE UPDATE ON integration_audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER integration_audit_log_no_delete BEFORE DELETE ON integration_audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- One row for each action, with its latest result.
CREATE VIEW integration_actions AS
SELECT i.id, i.tenant_id, i.integration_id, i.action, i.params_hash, r.result_status, i.executed_at, r.duration_ms,
       r.error_message, i.actor, i.op_id, i.seq
FROM integration_audit_log i
LEFT JOIN integration_audit_log r ON r.tenant_id = i.tenant_id AND r.intent_id = i.id
    AND r.seq = (SELECT max(l.seq) FILTER (WHERE l.tenant_id = i.tenant_id)
        FROM integration_audit_log l WHERE l.intent_id = i.id)
WHERE i.phase = 'intent';

-- Intents that have no result yet, so that nobody needs to search the whole log for them.
CREATE TABLE open_intents (
    intent_id BLOB PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    -- When its process last said that it is under way.
    alive_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Actions that must not happen twice, by the id that the caller repeats.
CREATE TABLE integration_operations (
    tenant_id      BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    op_id          BLOB NOT NULL,
    integration_id TEXT NOT NULL,
    action         TEXT NOT NULL,
    params_hash    TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN
        ('prepared', 'approved', 'executing', 'succeeded', 'failed', 'unknown', 'reconciled')),
    outcome        BLOB,
    key_id         BLOB,
    started_at     INTEGER NOT NULL,
    expires_at     INTEGER,
    PRIMARY KEY (tenant_id, op_id),
    CHECK ((outcome IS NULL) = (key_id IS NULL))
) STRICT;
CREATE INDEX integration_operations_expiry ON integration_operations (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE tenant_secrets (
    tenant_id  BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    key_id     BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT;

CREATE TABLE records (
    tenant_id  BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    collection TEXT NOT NULL,
    id         TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    key_id     BLOB NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (tenant_id, collection, id)
) STRICT;
CREATE INDEX records_expiry ON records (expires_at) WHERE expires_at IS NOT NULL;

-- What is to be done for a tenant at a time, whether or not anybody calls. Whoever holds a job does it. What is done for no
-- tenant but the whole vault has the tenant of zeros.
CREATE TABLE jobs (
    tenant_id  BLOB NOT NULL,
    kind       TEXT NOT NULL,
    subject    TEXT NOT NULL,
    due_at     INTEGER NOT NULL,
    -- How often it was begun since it last succeeded.
    attempts   INTEGER NOT NULL,
    holder     BLOB,
    held_until INTEGER,
    of_tenant  BLOB GENERATED ALWAYS AS (nullif(tenant_id, zeroblob(16))) STORED REFERENCES tenants (id) ON DELETE CASCADE,
    PRIMARY KEY (tenant_id, kind, subject),
    CHECK ((holder IS NULL) = (held_until IS NULL))
) STRICT;
CREATE INDEX jobs_due ON jobs (due_at);

-- How many requests may still be made, for a tenant or (the tenant of zeros) for all together.
CREATE TABLE budgets (
    tenant_id BLOB NOT NULL,
    name      TEXT NOT NULL,
    -- When it will be unused again, in microseconds since 1970.
    full_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT;
