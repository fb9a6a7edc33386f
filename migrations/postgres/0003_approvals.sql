-- Which operation a call without an id of its own is: the same call again, soon, is the same operation.
CREATE TABLE recent_calls (
    tenant_id UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    call_hash TEXT NOT NULL CHECK (length(call_hash) <= 64),
    op_id     UUID NOT NULL,
    called_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, call_hash)
);

-- Money that operations have spent, or may have, in the smallest unit of its currency.
CREATE TABLE spending (
    tenant_id      UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    op_id          UUID NOT NULL,
    currency       TEXT NOT NULL CHECK (length(currency) <= 8),
    minor          BIGINT NOT NULL CHECK (minor >= 0),
    integration_id TEXT NOT NULL CHECK (length(integration_id) <= 50),
    action         TEXT NOT NULL CHECK (length(action) <= 100),
    spent_at       BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, op_id, currency)
);
CREATE INDEX spending_of_a_day ON spending (tenant_id, currency, spent_at);

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['recent_calls', 'spending'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY of_tenant ON %I USING (tenant_id = current_tenant())', name);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE, DELETE ON recent_calls, spending TO resto_app;
