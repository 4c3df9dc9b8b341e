-- The one schema. Versions are only ever added; `cur` and `ix` follow in the same transaction.

-- Every version of every resource. A deletion is a version without a body.
CREATE TABLE IF NOT EXISTS res (
    type      TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    vid       INTEGER NOT NULL,
    deleted   INTEGER NOT NULL,
    updated   TEXT    NOT NULL,
    body      TEXT    NOT NULL,
    hash      TEXT    NOT NULL,
    prev_hash TEXT    NOT NULL,
    PRIMARY KEY (type, id, vid)
);

-- The current version of every resource that is not deleted.
CREATE TABLE IF NOT EXISTS cur (
    type    TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    vid     INTEGER NOT NULL,
    updated TEXT    NOT NULL,
    PRIMARY KEY (type, id)
);
CREATE INDEX IF NOT EXISTS cur_updated ON cur (type, updated, id);

-- What the current versions can be found by; what sys and val hold depends on the parameter's kind.
CREATE TABLE IF NOT EXISTS ix (
    type  TEXT NOT NULL,
    param TEXT NOT NULL,
    sys   TEXT NOT NULL,
    val   TEXT NOT NULL,
    id    TEXT NOT NULL,
    PRIMARY KEY (type, param, val, sys, id)
);
CREATE INDEX IF NOT EXISTS ix_sys ON ix (type, param, sys, id);
CREATE INDEX IF NOT EXISTS ix_id ON ix (type, id);

-- What all processes over one store must agree on.
CREATE TABLE IF NOT EXISTS fact (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
