-- Which operation a call without an id of its own is: the same call again, soon, is the same operation.
CREATE TABLE recent_calls (
    tenant_id BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    call_hash TEXT NOT NULL CHECK (length(call_hash) <= 64),
    op_id     BLOB NOT NULL,
    called_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, call_hash)
) STRICT;

-- Money that operations have spent, or may have, in the smallest unit of its currency.
CREATE TABLE spending (
    tenant_id      BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    op_id          BLOB NOT NULL,
    currency       TEXT NOT NULL CHECK (length(currency) <= 8),
    minor          INTEGER NOT NULL CHECK (minor >= 0),
    integration_id TEXT NOT NULL CHECK (length(integration_id) <= 50),
    action         TEXT NOT NULL CHECK (length(action) <= 100),
    spent_at       INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, op_id, currency)
) STRICT;
CREATE INDEX spending_of_a_day ON spending (tenant_id, currency, spent_at);
