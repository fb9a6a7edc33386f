-- Run by the owner, on PostgreSQL 15 or newer. The program itself runs as a login role that is a member of resto_app:
--   CREATE ROLE resto_serve LOGIN PASSWORD '...'; GRANT resto_app TO resto_serve;
-- Times in BIGINT columns are milliseconds since 1970, by the database's clock.
DO $$
DECLARE
    role TEXT;
BEGIN
    FOREACH role IN ARRAY ARRAY['resto_app', 'resto_lookup', 'resto_audit'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- Another database of this cluster is being migrated too.
            END;
        END IF;
        -- The owner hands functions to two of them below, and may itself run the program on a small installation.
        IF NOT pg_has_role(current_user, role, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', role);
        END IF;
    END LOOP;
END
$$;

CREATE VIEW clock AS SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT AS now_ms;

-- The tenant of the present transaction; NULL outside one, so that nothing is found.
CREATE FUNCTION current_tenant() RETURNS UUID LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT NULLIF(current_setting('resto.tenant', true), '')::UUID $$;

-- One row for each root key that was ever current. The sentinel tells a wrong key at once, and holds what must outlive the
-- root key: it is sealed with the root key that wrapped_by names, in the end another one.
CREATE TABLE installation (
    root_id    BYTEA PRIMARY KEY,
    wrapped_by BYTEA NOT NULL,
    sentinel   BYTEA NOT NULL,
    checked_at BIGINT
);

CREATE TABLE tenants (
    id          UUID PRIMARY KEY,
    external_id TEXT COLLATE "C" NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);

-- Keys of the tenants, wrapped by a root key. A destroyed key keeps its row, without its bytes.
CREATE TABLE tenant_keys (
    tenant_id    UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    kek_id       BYTEA NOT NULL,
    root_id      BYTEA NOT NULL,
    wrapped      BYTEA,
    state        TEXT NOT NULL CHECK (state IN ('active', 'read', 'destroyed')),
    created_at   BIGINT NOT NULL,
    destroyed_at BIGINT,
    PRIMARY KEY (tenant_id, kek_id),
    CHECK ((state = 'destroyed') = (wrapped IS NULL))
);
CREATE UNIQUE INDEX tenant_keys_active ON tenant_keys (tenant_id) WHERE state = 'active';
CREATE INDEX tenant_keys_root ON tenant_keys (root_id) WHERE wrapped IS NOT NULL;

CREATE TABLE principals (
    id         UUID PRIMARY KEY,
    tenant_id  UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant_id, issuer, subject),
    UNIQUE (tenant_id, id)
);

-- Keyed hashes; the tokens themselves are stored nowhere. bounds holds the hash together with the tenant, the principal, the
-- name, the scopes and the expiry, so that none of them can be edited.
CREATE TABLE access_tokens (
    hash         BYTEA PRIMARY KEY,
    tenant_id    UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    principal_id UUID NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    scopes       TEXT NOT NULL,
    bounds       BYTEA NOT NULL,
    root_id      BYTEA NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    expires_at   BIGINT,
    UNIQUE (tenant_id, name),
    FOREIGN KEY (tenant_id, principal_id) REFERENCES principals (tenant_id, id) ON DELETE CASCADE
);

-- What a person must look at. What concerns no tenant but the whole vault has the tenant of zeros.
CREATE TABLE alerts (
    id              UUID PRIMARY KEY,
    tenant_id       UUID NOT NULL,
    kind            TEXT NOT NULL,
    subject         TEXT NOT NULL,
    -- What is known of this one beyond its kind and subject, in words.
    detail          TEXT,
    raised_at       BIGINT NOT NULL,
    acknowledged_at BIGINT,
    acknowledged_by TEXT,
    -- How it stands with the webhook, if there was one when it was raised.
    delivery        TEXT CHECK (delivery IN ('due', 'done', 'given_up')),
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
);
CREATE INDEX alerts_of_tenant ON alerts (tenant_id, raised_at);
CREATE INDEX alerts_open ON alerts (tenant_id, raised_at) WHERE acknowledged_at IS NULL;

CREATE TABLE integration_credentials (
    id                    UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id             UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    integration_id        VARCHAR(50) COLLATE "C" NOT NULL,
    auth_type             VARCHAR(20) NOT NULL,
    encrypted_credentials BYTEA NOT NULL,
    permissions_granted   JSONB,
    connected_at          TIMESTAMPTZ DEFAULT NOW(),
    last_used_at          TIMESTAMPTZ,
    expires_at            TIMESTAMPTZ,
    status                VARCHAR(20) DEFAULT 'active' CHECK (status IN ('active', 'frozen', 'needs_reauth', 'revocation_pending')),
    reauthorize_by        TIMESTAMPTZ,
    provider              TEXT NOT NULL,
    host                  TEXT NOT NULL,
    account_id            TEXT NOT NULL,
    account_name          TEXT NOT NULL,
    mode                  TEXT,
    rate_limits           JSONB,
    generation            BIGINT NOT NULL,
    key_id                BYTEA NOT NULL,
    renewed_at            TIMESTAMPTZ,
    -- The credential that was renewed, until the new one has worked.
    former                BYTEA,
    former_key_id         BYTEA,
    former_until          BIGINT,
    UNIQUE (tenant_id, integration_id),
    CHECK ((former IS NULL) = (former_key_id IS NULL)),
    CHECK ((former IS NULL) = (former_until IS NULL))
);
CREATE INDEX integration_credentials_former ON integration_credentials (former_until) WHERE former_until IS NOT NULL;
CREATE INDEX integration_credentials_account ON integration_credentials (account_id);

-- Append-only. Each entry's mac covers the entry and the mac before it. The entries of a deleted tenant stay.
CREATE TABLE integration_audit_log (
    id             UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id      UUID NOT NULL,
    integration_id VARCHAR(50) NOT NULL,
    action         VARCHAR(100) NOT NULL,
    params_hash    VARCHAR(64),
    result_status  VARCHAR(20) CHECK (result_status IN ('success', 'error', 'denied', 'unknown')),
    executed_at    TIMESTAMPTZ DEFAULT NOW(),
    duration_ms    INTEGER,
    error_message  TEXT,
    seq            BIGINT NOT NULL,
    phase          TEXT NOT NULL CHECK (phase IN ('intent', 'result', 'reconciled')),
    intent_id      UUID,
    actor          TEXT NOT NULL,
    op_id          UUID,
    generation     BIGINT,
    key_id         TEXT NOT NULL,
    prev_mac       BYTEA NOT NULL,
    mac            BYTEA NOT NULL,
    UNIQUE (tenant_id, seq),
    CHECK ((phase = 'intent') = (intent_id IS NULL)),
    CHECK ((phase = 'intent') = (result_status IS NULL))
);
CREATE INDEX integration_audit_log_results ON integration_audit_log (intent_id) WHERE intent_id IS NOT NULL;

CREATE FUNCTION refuse_audit_change() RETURNS TRIGGER LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;
CREATE TRIGGER integration_audit_log_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON integration_audit_log
FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

-- One row for each action, with its latest result. As invoker: the owner's rights must not widen the view.
CREATE VIEW integration_actions WITH (security_invoker = true) AS
SELECT i.id, i.tenant_id, i.integration_id, i.action, i.params_hash, r.result_status, i.executed_at, r.duration_ms,
       r.error_message, i.actor, i.op_id, i.seq
FROM integration_audit_log i
LEFT JOIN integration_audit_log r ON r.tenant_id = i.tenant_id AND r.intent_id = i.id
    AND r.seq = (SELECT max(l.seq) FILTER (WHERE l.tenant_id = i.tenant_id)
        FROM integration_audit_log l WHERE l.intent_id = i.id)
WHERE i.phase = 'intent';

-- Intents that have no result yet, so that nobody needs to search the whole log for them.
CREATE TABLE open_intents (
    intent_id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    -- When its process last said that it is under way.
    alive_at  BIGINT NOT NULL
);
CREATE INDEX open_intents_alive ON open_intents (alive_at);

-- Actions that must not happen twice, by the id that the caller repeats.
CREATE TABLE integration_operations (
    tenant_id      UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    op_id          UUID NOT NULL,
    integration_id TEXT NOT NULL,
    action         TEXT NOT NULL,
    params_hash    TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN
        ('prepared', 'approved', 'executing', 'succeeded', 'failed', 'unknown', 'reconciled')),
    outcome        BYTEA,
    key_id         BYTEA,
    started_at     BIGINT NOT NULL,
    expires_at     BIGINT,
    PRIMARY KEY (tenant_id, op_id),
    CHECK ((outcome IS NULL) = (key_id IS NULL))
);
CREATE INDEX integration_operations_expiry ON integration_operations (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE tenant_secrets (
    tenant_id  UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name       TEXT COLLATE "C" NOT NULL,
    sealed     BYTEA NOT NULL,
    key_id     BYTEA NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

CREATE TABLE records (
    tenant_id  UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    collection TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    sealed     BYTEA NOT NULL,
    key_id     BYTEA NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (tenant_id, collection, id)
);
CREATE INDEX records_expiry ON records (expires_at) WHERE expires_at IS NOT NULL;

-- What is to be done for a tenant at a time, whether or not anybody calls. Whoever holds a job does it. What is done for no
-- tenant but the whole vault has the tenant of zeros.
CREATE TABLE jobs (
    tenant_id  UUID NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    subject    TEXT COLLATE "C" NOT NULL,
    due_at     BIGINT NOT NULL,
    -- How often it was begun since it last succeeded.
    attempts   BIGINT NOT NULL,
    holder     UUID,
    held_until BIGINT,
    of_tenant  UUID GENERATED ALWAYS AS (nullif(tenant_id, '00000000-0000-0000-0000-000000000000')) STORED REFERENCES tenants (id) ON DELETE CASCADE,
    PRIMARY KEY (tenant_id, kind, subject),
    CHECK ((holder IS NULL) = (held_until IS NULL))
);
CREATE INDEX jobs_due ON jobs (due_at);

-- How many requests may still be made, for a tenant or (the tenant of zeros) for all together.
CREATE TABLE budgets (
    tenant_id UUID NOT NULL,
    name      TEXT COLLATE "C" NOT NULL,
    -- When it will be unused again, in microseconds since 1970.
    full_at   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- A transaction sees and writes the rows of its tenant only, whoever runs it, the owner included.
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['tenant_keys', 'principals', 'access_tokens', 'integration_credentials',
        'integration_audit_log', 'open_intents', 'integration_operations', 'tenant_secrets', 'records', 'alerts', 'jobs', 'budgets'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY of_tenant ON %I USING (tenant_id = current_tenant())', name);
    END LOOP;
END
$$;
-- The list of tenants may be read: it is how a verified token finds its tenant. It is written within the tenant only.
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY directory ON tenants FOR SELECT USING (true);
CREATE POLICY creation ON tenants FOR INSERT WITH CHECK (id = current_tenant());
CREATE POLICY deletion ON tenants FOR DELETE USING (id = current_tenant());

GRANT SELECT ON clock, integration_actions, _sqlx_migrations TO resto_app;
GRANT SELECT, INSERT ON installation, alerts TO resto_app;
GRANT SELECT ON integration_audit_log TO resto_app;
GRANT UPDATE (wrapped_by, sentinel, checked_at) ON installation TO resto_app;
GRANT SELECT, INSERT, DELETE ON tenants, open_intents TO resto_app;
GRANT UPDATE (alive_at) ON open_intents TO resto_app;
GRANT UPDATE (acknowledged_at, acknowledged_by, delivery) ON alerts TO resto_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_keys, principals, access_tokens, integration_credentials,
    integration_operations, tenant_secrets, records, jobs, budgets TO resto_app;

-- What is found or done beyond one tenant, and nothing more: functions of a role without login.
GRANT SELECT ON clock, tenants TO resto_lookup;
GRANT SELECT (id, tenant_id, issuer, subject) ON principals TO resto_lookup;
GRANT SELECT (hash, tenant_id, principal_id, name, scopes, bounds, last_used_at, expires_at) ON access_tokens TO resto_lookup;
GRANT SELECT (tenant_id, alive_at) ON open_intents TO resto_lookup;
GRANT SELECT (tenant_id, expires_at) ON integration_operations TO resto_lookup;
GRANT SELECT (tenant_id, expires_at) ON records TO resto_lookup;
GRANT SELECT, UPDATE (attempts, holder, held_until) ON jobs TO resto_lookup;
GRANT SELECT (tenant_id, integration_id, provider, account_id, auth_type, status, former_until) ON integration_credentials
    TO resto_lookup;
GRANT SELECT (tenant_id, kek_id, root_id, wrapped), UPDATE (root_id, wrapped) ON tenant_keys TO resto_lookup;
CREATE POLICY lookup ON tenant_keys FOR SELECT TO resto_lookup USING (true);
CREATE POLICY rewrap ON tenant_keys FOR UPDATE TO resto_lookup USING (wrapped IS NOT NULL) WITH CHECK (wrapped IS NOT NULL);
CREATE POLICY lookup ON principals FOR SELECT TO resto_lookup USING (true);
CREATE POLICY lookup ON access_tokens FOR SELECT TO resto_lookup USING (true);
CREATE POLICY lookup ON open_intents FOR SELECT TO resto_lookup USING (true);
CREATE POLICY lookup ON integration_operations FOR SELECT TO resto_lookup USING (true);
CREATE POLICY lookup ON records FOR SELECT TO resto_lookup USING (true);
CREATE POLICY lookup ON jobs FOR SELECT TO resto_lookup USING (true);
CREATE POLICY lookup ON integration_credentials FOR SELECT TO resto_lookup USING (true);
CREATE POLICY claim ON jobs FOR UPDATE TO resto_lookup USING (true);

-- Whose tokens have these keyed hashes, hexadecimal digits in a JSON list.
CREATE FUNCTION find_access_tokens(asked TEXT)
RETURNS TABLE (hash BYTEA, tenant_id UUID, external_id TEXT, name TEXT, created_at BIGINT, principal_id UUID, issuer TEXT,
    subject TEXT, token TEXT, scopes TEXT, bounds BYTEA, expires_at BIGINT, last_used_at BIGINT, now_ms BIGINT)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET join_collapse_limit = 1 SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT a.hash, t.id, t.external_id, t.name, t.created_at, p.id, p.issuer, p.subject, a.name, a.scopes, a.bounds,
        a.expires_at, a.last_used_at, c.now_ms
    FROM json_array_elements_text(asked::JSON) AS w(digits)
    CROSS JOIN public.clock c
    JOIN public.access_tokens a ON a.hash = decode(w.digits, 'hex')
    JOIN public.tenants t ON t.id = a.tenant_id
    JOIN public.principals p ON p.tenant_id = a.tenant_id AND p.id = a.principal_id
    WHERE a.expires_at IS NULL OR a.expires_at > c.now_ms;
END
$$;

-- Which tenants have intents that began before `cutoff`, or rows that expired before `now`.
CREATE FUNCTION due_tenants(cutoff BIGINT, now BIGINT) RETURNS SETOF UUID
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT tenant_id FROM public.open_intents WHERE alive_at <= cutoff
    UNION SELECT tenant_id FROM public.integration_operations WHERE expires_at <= now
    UNION SELECT tenant_id FROM public.records WHERE expires_at <= now
    UNION SELECT tenant_id FROM public.integration_credentials WHERE former_until <= now
$$;

-- Whether a job is due that nobody holds.
CREATE FUNCTION is_work_due() RETURNS BOOLEAN
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT 1 FROM public.jobs CROSS JOIN public.clock
        WHERE due_at <= now_ms AND (held_until IS NULL OR held_until <= now_ms))
$$;

-- Holds jobs that are due and that nobody holds.
CREATE FUNCTION claim_jobs(new_holder UUID, at_most BIGINT, hold_ms BIGINT)
RETURNS TABLE (tenant_id UUID, kind TEXT, subject TEXT, attempts BIGINT, due_at BIGINT)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE public.jobs j SET holder = new_holder, held_until = c.now_ms + hold_ms, attempts = j.attempts + 1
    FROM public.clock c
    WHERE (j.tenant_id, j.kind, j.subject) IN (
        SELECT d.tenant_id, d.kind, d.subject FROM public.jobs d CROSS JOIN public.clock k
        WHERE d.due_at <= k.now_ms AND (d.held_until IS NULL OR d.held_until <= k.now_ms)
        ORDER BY d.due_at LIMIT at_most FOR UPDATE OF d SKIP LOCKED)
    RETURNING j.tenant_id, j.kind, j.subject, j.attempts, j.due_at
$$;

-- Which consents open this account of a provider: it, and not a tenant, is what the provider speaks of.
CREATE FUNCTION consents_of_account(wanted_provider TEXT, wanted_account TEXT)
RETURNS TABLE (tenant_id UUID, integration_id TEXT)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.tenant_id, c.integration_id::TEXT FROM public.integration_credentials c
    WHERE c.provider = wanted_provider AND c.account_id = wanted_account AND c.auth_type = 'oauth2'
        AND c.status <> 'revocation_pending' ORDER BY c.tenant_id, c.integration_id
$$;

-- How many tenant keys each root key wraps.
CREATE FUNCTION root_keys_in_use() RETURNS TABLE (root_id BYTEA, tenant_keys BIGINT)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT k.root_id, count(*) FROM public.tenant_keys k WHERE k.wrapped IS NOT NULL GROUP BY k.root_id $$;

-- Tenant keys that another root key than this wraps, in their order. What is wrapped is worth nothing without its root key.
CREATE FUNCTION tenant_keys_to_rewrap(current_root BYTEA, after_tenant UUID, after_key BYTEA, at_most BIGINT)
RETURNS TABLE (tenant_id UUID, kek_id BYTEA, root_id BYTEA, wrapped BYTEA)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT k.tenant_id, k.kek_id, k.root_id, k.wrapped FROM public.tenant_keys k
    WHERE k.wrapped IS NOT NULL AND k.root_id <> current_root AND (k.tenant_id, k.kek_id) > (after_tenant, after_key)
    ORDER BY k.tenant_id, k.kek_id LIMIT at_most
$$;

-- Stores tenant keys under another root key, each only if it still is under the one that it was read under.
CREATE FUNCTION rewrap_tenant_keys(current_root BYTEA, keys JSONB) RETURNS SETOF INTEGER
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE public.tenant_keys k SET root_id = current_root, wrapped = decode(j.wrapped, 'hex')
    FROM jsonb_to_recordset(keys) AS j (tenant UUID, key TEXT, "from" TEXT, wrapped TEXT)
    WHERE k.tenant_id = j.tenant AND k.kek_id = decode(j.key, 'hex') AND k.root_id = decode(j."from", 'hex')
        AND k.wrapped IS NOT NULL
    RETURNING 1
$$;

REVOKE ALL ON FUNCTION find_access_tokens(TEXT), due_tenants(BIGINT, BIGINT), is_work_due(),
    claim_jobs(UUID, BIGINT, BIGINT), consents_of_account(TEXT, TEXT), root_keys_in_use(),
    tenant_keys_to_rewrap(BYTEA, UUID, BYTEA, BIGINT), rewrap_tenant_keys(BYTEA, JSONB) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_access_tokens(TEXT), due_tenants(BIGINT, BIGINT), is_work_due(),
    claim_jobs(UUID, BIGINT, BIGINT), consents_of_account(TEXT, TEXT), root_keys_in_use(),
    tenant_keys_to_rewrap(BYTEA, UUID, BYTEA, BIGINT), rewrap_tenant_keys(BYTEA, JSONB) TO resto_app;
-- A function's new owner must be able to create in the schema, for as long as this takes.
GRANT CREATE ON SCHEMA public TO resto_lookup;
ALTER FUNCTION find_access_tokens(TEXT) OWNER TO resto_lookup;
ALTER FUNCTION due_tenants(BIGINT, BIGINT) OWNER TO resto_lookup;
ALTER FUNCTION is_work_due() OWNER TO resto_lookup;
ALTER FUNCTION claim_jobs(UUID, BIGINT, BIGINT) OWNER TO resto_lookup;
ALTER FUNCTION consents_of_account(TEXT, TEXT) OWNER TO resto_lookup;
ALTER FUNCTION root_keys_in_use() OWNER TO resto_lookup;
ALTER FUNCTION tenant_keys_to_rewrap(BYTEA, UUID, BYTEA, BIGINT) OWNER TO resto_lookup;
ALTER FUNCTION rewrap_tenant_keys(BYTEA, JSONB) OWNER TO resto_lookup;
REVOKE CREATE ON SCHEMA public FROM resto_lookup;

-- A tenant's connections, or the one to an integration, in one round trip. It runs as whoever calls it, so that it shows the
-- rows of that tenant only.
CREATE FUNCTION connections_of(wanted UUID, integration TEXT) RETURNS SETOF integration_credentials
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM set_config('resto.tenant', wanted::TEXT, true);
    RETURN QUERY SELECT * FROM integration_credentials c WHERE c.tenant_id = wanted
        AND (integration IS NULL OR c.integration_id = integration) ORDER BY c.integration_id;
END
$$;
REVOKE ALL ON FUNCTION connections_of(UUID, TEXT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION connections_of(UUID, TEXT) TO resto_app;

-- The audit trail is written through two functions of another role without login, because one transaction carries the
-- calls of many tenants: what each call depends on, and what all of them add.
GRANT SELECT ON clock, tenant_keys TO resto_audit;
GRANT SELECT, INSERT ON integration_audit_log TO resto_audit;
GRANT SELECT, INSERT, DELETE ON open_intents TO resto_audit;
GRANT SELECT, INSERT, UPDATE, DELETE ON integration_operations TO resto_audit;
GRANT SELECT, UPDATE (last_used_at, rate_limits, permissions_granted, encrypted_credentials) ON integration_credentials
    TO resto_audit;
CREATE POLICY audit ON tenant_keys FOR SELECT TO resto_audit USING (true);
CREATE POLICY audit ON integration_audit_log TO resto_audit USING (true);
CREATE POLICY audit ON open_intents TO resto_audit USING (true);
CREATE POLICY audit ON integration_operations TO resto_audit USING (true);
CREATE POLICY audit ON integration_credentials TO resto_audit USING (true);

-- Answers each call. Whoever keeps the tenants locks them first, in their order, until the transaction ends; a tenant that
-- stays locked by another writer for more than 300 ms in all is left out then. Each statement sees what was committed before
-- it, the locks included. Whoever keeps none has what was true a moment ago, and append_audit() holds it against what is.
-- Whatever the statistics of a young database say, every join is a look-up of one row in an index: where two indexes would
-- do, the join names the columns of one.
CREATE FUNCTION look_up_calls(asked TEXT, keeping BOOLEAN)
RETURNS TABLE (n INTEGER, now_ms BIGINT, seq BIGINT, mac BYTEA, is_open BOOLEAN, is_written BOOLEAN,
    active_id BYTEA, active_wrapped BYTEA,
    id UUID, integration_id VARCHAR, auth_type VARCHAR, provider TEXT, host TEXT, account_id TEXT, account_name TEXT,
    mode TEXT, status VARCHAR, permissions_granted JSONB, rate_limits JSONB, generation BIGINT, connected_at TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ, expires_at TIMESTAMPTZ, reauthorize_by TIMESTAMPTZ, renewed_at TIMESTAMPTZ,
    former_until BIGINT, encrypted_credentials BYTEA, version BIGINT, key_id BYTEA, wrapped BYTEA, key_version BIGINT,
    op_integration TEXT, op_action TEXT, op_params_hash TEXT, op_state TEXT, op_outcome BYTEA, op_key_id BYTEA,
    op_wrapped BYTEA)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET join_collapse_limit = 1 SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    wanted UUID;
    lock_id BIGINT;
    locked UUID[] := '{}';
    until TIMESTAMPTZ := clock_timestamp() + interval '300 ms';
BEGIN
    FOR wanted IN SELECT DISTINCT a.tenant FROM json_to_recordset(asked::JSON) AS a(tenant UUID) WHERE keeping
        ORDER BY a.tenant LOOP
        lock_id := hashtextextended(wanted::TEXT, 0);
        IF NOT pg_try_advisory_xact_lock(lock_id) THEN
            BEGIN
                PERFORM set_config('lock_timeout',
                    greatest(1, round(extract(epoch FROM until - clock_timestamp()) * 1000))::TEXT, true);
                PERFORM pg_advisory_xact_lock(lock_id);
            EXCEPTION WHEN lock_not_available THEN
                CONTINUE;
            END;
        END IF;
        locked := locked || wanted;
    END LOOP;
    RETURN QUERY
    SELECT a.n, t.now_ms, h.seq, h.mac, coalesce(i.tenant_id = a.tenant, false),
        coalesce(w.tenant_id = a.tenant, false), s.kek_id, s.wrapped,
        c.id, c.integration_id, c.auth_type, c.provider, c.host, c.account_id, c.account_name, c.mode, c.status,
        c.permissions_granted, c.rate_limits, c.generation, c.connected_at, c.last_used_at, c.expires_at,
        c.reauthorize_by, c.renewed_at, c.former_until, c.encrypted_credentials, c.xmin::TEXT::BIGINT, c.key_id, k.wrapped, k.xmin::TEXT::BIGINT,
        o.integration_id, o.action, o.params_hash, o.state, o.outcome, o.key_id, q.wrapped
    FROM json_to_recordset(asked::JSON)
        AS a(n INTEGER, tenant UUID, integration TEXT, intent UUID, result UUID, op UUID)
    CROSS JOIN public.clock t
    LEFT JOIN LATERAL (SELECT l.seq, l.mac FROM public.integration_audit_log l WHERE l.tenant_id = a.tenant
        ORDER BY l.seq DESC LIMIT 1) h ON true
    LEFT JOIN public.open_intents i ON i.intent_id = a.intent
    LEFT JOIN public.integration_audit_log w ON w.id = a.result
    LEFT JOIN public.tenant_keys s ON s.tenant_id = a.tenant AND s.state = 'active' AND a.op IS NOT NULL
    LEFT JOIN public.integration_credentials c ON c.tenant_id = a.tenant AND c.integration_id = a.integration
    LEFT JOIN public.tenant_keys k ON k.tenant_id = c.tenant_id AND k.kek_id = c.key_id
    LEFT JOIN public.integration_operations o ON o.tenant_id = a.tenant AND o.op_id = a.op
    LEFT JOIN public.tenant_keys q ON q.tenant_id = o.tenant_id AND q.kek_id = o.key_id
    WHERE NOT keeping OR a.tenant = ANY (locked);
END
$$;

-- Appends the entries, whose chain the program has computed, and changes what hangs on them; the time by this clock. Where the
-- program does not keep the tenants, it names the ends of their trails, the time that it goes by, and the connections on which
-- it relied; what is no longer so, or may change in another transaction, makes this NULL, and nothing is written.
CREATE FUNCTION append_audit(closed TEXT, opened TEXT, entered TEXT, ended TEXT, withdrawn TEXT, used TEXT, entries TEXT,
    heads TEXT, relied TEXT)
RETURNS BIGINT LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET join_collapse_limit = 1 SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    now BIGINT := (SELECT c.now_ms FROM public.clock c);
BEGIN
    IF heads <> '[]' THEN
        IF EXISTS (SELECT FROM json_to_recordset(heads::JSON) AS h(tenant UUID, now_ms BIGINT)
            WHERE abs(h.now_ms - now) > 1000 OR NOT pg_try_advisory_xact_lock(hashtextextended(h.tenant::TEXT, 0)))
        THEN
            RETURN NULL;
        END IF;
        -- A statement of its own: it sees what was committed before the locks were taken.
        IF EXISTS (
            SELECT FROM json_to_recordset(heads::JSON) AS h(tenant UUID, seq BIGINT)
            LEFT JOIN LATERAL (SELECT l.seq FROM public.integration_audit_log l WHERE l.tenant_id = h.tenant
                ORDER BY l.seq DESC LIMIT 1) l ON true
            WHERE coalesce(l.seq, 0) <> h.seq
            UNION ALL
            SELECT FROM json_to_recordset(relied::JSON)
                AS r(tenant UUID, id UUID, version BIGINT, key_version BIGINT)
            LEFT JOIN public.integration_credentials c ON c.id = r.id
            LEFT JOIN public.tenant_keys k ON k.tenant_id = c.tenant_id AND k.kek_id = c.key_id
            WHERE c.tenant_id IS DISTINCT FROM r.tenant OR c.xmin::TEXT::BIGINT <> r.version
                OR k.xmin::TEXT::BIGINT IS DISTINCT FROM r.key_version
            UNION ALL
            SELECT FROM json_to_recordset(closed::JSON) AS c(intent UUID, tenant UUID, is_open BOOLEAN)
            LEFT JOIN public.open_intents i ON i.intent_id = c.intent
            WHERE coalesce(i.tenant_id = c.tenant, false) <> c.is_open
            UNION ALL
            SELECT FROM json_to_recordset(entered::JSON) AS e(tenant UUID, op UUID)
            JOIN public.integration_operations o ON o.tenant_id = e.tenant AND o.op_id = e.op
            UNION ALL
            SELECT FROM json_to_recordset(ended::JSON) AS e(tenant UUID, key_id TEXT)
            LEFT JOIN public.tenant_keys k ON k.tenant_id = e.tenant AND k.kek_id = decode(e.key_id, 'hex')
            WHERE k.state IS DISTINCT FROM 'active')
        THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO public.integration_audit_log (id, tenant_id, integration_id, action, params_hash, result_status, executed_at,
        duration_ms, error_message, seq, phase, intent_id, actor, op_id, generation, key_id, prev_mac, mac)
    SELECT e.id, e.tenant, e.integration, e.action, e.params_hash, e.status, e.executed_at, e.duration_ms, e.error, e.seq,
        e.phase, e.intent, e.actor, e.op, e.generation, e.key_id, decode(e.prev_mac, 'hex'), decode(e.mac, 'hex')
    FROM json_to_recordset(entries::JSON) AS e(id UUID, tenant UUID, integration TEXT, action TEXT, params_hash TEXT,
        status TEXT, executed_at TIMESTAMPTZ, duration_ms INTEGER, error TEXT, seq BIGINT, phase TEXT, intent UUID,
        actor TEXT, op UUID, generation BIGINT, key_id TEXT, prev_mac TEXT, mac TEXT);
    IF closed <> '[]' THEN
        DELETE FROM public.open_intents i USING json_to_recordset(closed::JSON) AS c(intent UUID)
        WHERE i.intent_id = c.intent;
    END IF;
    IF opened <> '[]' THEN
        INSERT INTO public.open_intents (intent_id, tenant_id, alive_at)
        SELECT o.intent, o.tenant, o.alive_at
        FROM json_to_recordset(opened::JSON) AS o(intent UUID, tenant UUID, alive_at BIGINT);
    END IF;
    IF entered <> '[]' THEN
        INSERT INTO public.integration_operations (tenant_id, op_id, integration_id, action, params_hash, state, started_at)
        SELECT e.tenant, e.op, e.integration, e.action, e.params_hash, 'executing', e.started_at
        FROM json_to_recordset(entered::JSON)
            AS e(tenant UUID, op UUID, integration TEXT, action TEXT, params_hash TEXT, started_at BIGINT);
    END IF;
    IF ended <> '[]' THEN
        UPDATE public.integration_operations o
        SET state = e.state, outcome = decode(e.outcome, 'hex'), key_id = decode(e.key_id, 'hex'), expires_at = e.expires_at
        FROM json_to_recordset(ended::JSON)
            AS e(tenant UUID, op UUID, state TEXT, outcome TEXT, key_id TEXT, expires_at BIGINT)
        WHERE o.tenant_id = e.tenant AND o.op_id = e.op;
    END IF;
    IF withdrawn <> '[]' THEN
        DELETE FROM public.integration_operations o
        USING json_to_recordset(withdrawn::JSON) AS w(tenant UUID, op UUID)
        WHERE o.tenant_id = w.tenant AND o.op_id = w.op;
    END IF;
    IF used <> '[]' THEN
        UPDATE public.integration_credentials c
        SET last_used_at = u.used_at,
            rate_limits = coalesce(c.rate_limits || u.rate_limits::JSONB, u.rate_limits::JSONB, c.rate_limits),
            permissions_granted = coalesce(u.permissions::JSONB, c.permissions_granted),
            encrypted_credentials = coalesce(decode(u.sealed, 'hex'), c.encrypted_credentials)
        FROM json_to_recordset(used::JSON) AS u(tenant UUID, id UUID, generation BIGINT, used_at TIMESTAMPTZ,
            stale_at TIMESTAMPTZ, rate_limits TEXT, permissions TEXT, sealed TEXT)
        WHERE c.id = u.id AND c.tenant_id = u.tenant AND c.generation = u.generation
            AND (c.last_used_at IS NULL OR c.last_used_at <= u.stale_at OR u.rate_limits IS NOT NULL
                OR u.sealed IS NOT NULL);
    END IF;
    RETURN now;
END
$$;

REVOKE ALL ON FUNCTION look_up_calls(TEXT, BOOLEAN), append_audit(TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION look_up_calls(TEXT, BOOLEAN), append_audit(TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT) TO resto_app;
GRANT CREATE ON SCHEMA public TO resto_audit;
ALTER FUNCTION look_up_calls(TEXT, BOOLEAN) OWNER TO resto_audit;
ALTER FUNCTION append_audit(TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT) OWNER TO resto_audit;
REVOKE CREATE ON SCHEMA public FROM resto_audit;
