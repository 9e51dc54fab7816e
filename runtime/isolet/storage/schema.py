"""The schema of the keeper's database, step by step.

Law: each step runs once, in a transaction of its own, and is never changed afterwards. What is in a table is said where
it is used: registry.py, queue.py, logs.py, ledger.py, kv.py …
"""

from __future__ import annotations

MIGRATIONS = (
    """
    CREATE TABLE functions (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        revision TEXT NOT NULL,
        function TEXT NOT NULL,
        target TEXT,
        previous TEXT,
        PRIMARY KEY (tenant, name)
    ) WITHOUT ROWID;

    CREATE TABLE log_segments (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        worker TEXT NOT NULL,
        memory_mb INTEGER NOT NULL,
        step_ms INTEGER NOT NULL,
        first_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        records BLOB NOT NULL
    );
    CREATE INDEX log_segments_by_function ON log_segments (tenant, name, id);
    CREATE TABLE log_sizes (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        PRIMARY KEY (tenant, name)
    ) WITHOUT ROWID;

    CREATE TABLE usage (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        hour INTEGER NOT NULL,
        invocations INTEGER NOT NULL,
        errors INTEGER NOT NULL,
        throttles INTEGER NOT NULL,
        duration_ns INTEGER NOT NULL,
        billed_ms INTEGER NOT NULL,
        cpu_ns INTEGER NOT NULL,
        fuel INTEGER NOT NULL,
        mb_ms INTEGER NOT NULL,
        PRIMARY KEY (tenant, name, hour)
    ) WITHOUT ROWID;
    CREATE TABLE usage_errors (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        hour INTEGER NOT NULL,
        class TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (tenant, name, hour, class)
    ) WITHOUT ROWID;
    CREATE TABLE recorders (
        worker TEXT PRIMARY KEY,
        sequence INTEGER NOT NULL,
        seen_s INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
    # With a rowid: a value may be a mebibyte, and an index has none of it.
    """
    CREATE TABLE kv (
        id INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        namespace TEXT NOT NULL,
        key BLOB NOT NULL,
        version INTEGER NOT NULL,
        expires_ms INTEGER,
        bytes INTEGER NOT NULL,
        value BLOB NOT NULL
    );
    CREATE UNIQUE INDEX kv_by_key ON kv (tenant, namespace, key);
    CREATE INDEX kv_by_end ON kv (expires_ms) WHERE expires_ms IS NOT NULL;
    CREATE TABLE kv_tenants (
        tenant TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        entries INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE secrets (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        suffix TEXT NOT NULL,
        description TEXT NOT NULL,
        tags TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        changed_ms INTEGER NOT NULL,
        deleted_ms INTEGER,
        current TEXT,
        previous TEXT,
        PRIMARY KEY (tenant, name)
    ) WITHOUT ROWID;
    CREATE TABLE secret_versions (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        sealed BLOB NOT NULL,
        PRIMARY KEY (tenant, name, version)
    );
    """,
    """
    CREATE TABLE versions (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        function TEXT NOT NULL,
        target TEXT,
        PRIMARY KEY (tenant, name, version)
    ) WITHOUT ROWID;
    CREATE TABLE version_numbers (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (tenant, name)
    ) WITHOUT ROWID;
    CREATE TABLE aliases (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        alias TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (tenant, name, alias)
    ) WITHOUT ROWID;
    CREATE TABLE attachments (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        qualifier TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (tenant, name, kind, qualifier)
    ) WITHOUT ROWID;
    CREATE TABLE layers (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        document TEXT,
        PRIMARY KEY (tenant, name, version)
    ) WITHOUT ROWID;
    CREATE TABLE mappings (
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (tenant, id)
    ) WITHOUT ROWID;
    """,
    # Log groups and streams of their own, and by which settings a segment's lines are made.
    """
    CREATE TABLE log_groups (
        id INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        retention_days INTEGER,
        tags TEXT NOT NULL,
        UNIQUE (tenant, name)
    );
    CREATE TABLE log_streams (
        id INTEGER PRIMARY KEY,
        group_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        made INTEGER NOT NULL,
        first_ms INTEGER,
        last_ms INTEGER,
        taken_ms INTEGER,
        bytes INTEGER NOT NULL,
        UNIQUE (group_id, name)
    );
    INSERT INTO log_groups (tenant, name, created_ms, bytes, tags)
        SELECT tenant, '/aws/lambda/' || name, created_ms, bytes, '{}' FROM log_sizes;
    INSERT INTO log_streams (group_id, name, created_ms, made, first_ms, last_ms, taken_ms, bytes)
        SELECT g.id, strftime('%Y/%m/%d', s.last_ms / 1000, 'unixepoch') || '/[' || s.version || ']' || s.worker,
            min(s.first_ms), 0, min(s.first_ms), max(s.last_ms), max(s.last_ms), sum(s.bytes)
        FROM log_segments s JOIN log_groups g ON g.tenant = s.tenant AND g.name = '/aws/lambda/' || s.name
        GROUP BY 1, 2;
    ALTER TABLE log_segments RENAME TO log_segments_before;
    CREATE TABLE log_segments (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        group_id INTEGER NOT NULL,
        stream_id INTEGER NOT NULL,
        version TEXT NOT NULL,
        memory_mb INTEGER NOT NULL,
        step_ms INTEGER NOT NULL,
        form TEXT NOT NULL,
        first_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        records BLOB NOT NULL
    );
    INSERT INTO log_segments
        (id, group_id, stream_id, version, memory_mb, step_ms, form, first_ms, last_ms, bytes, records)
        SELECT s.id, g.id, t.id, s.version, s.memory_mb, s.step_ms, 'Text', s.first_ms, s.last_ms, s.bytes, s.records
        FROM log_segments_before s JOIN log_groups g ON g.tenant = s.tenant AND g.name = '/aws/lambda/' || s.name
        JOIN log_streams t ON t.group_id = g.id AND t.name =
            strftime('%Y/%m/%d', s.last_ms / 1000, 'unixepoch') || '/[' || s.version || ']' || s.worker
        ORDER BY s.id;
    DROP TABLE log_segments_before;
    DROP TABLE log_sizes;
    CREATE INDEX log_segments_by_group ON log_segments (group_id, id);
    CREATE INDEX log_segments_by_stream ON log_segments (stream_id, id);

    CREATE TABLE metrics (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        start_s INTEGER NOT NULL,
        period_s INTEGER NOT NULL,
        qualifier TEXT NOT NULL,
        version TEXT NOT NULL,
        sums BLOB NOT NULL,
        UNIQUE (tenant, name, start_s, period_s, qualifier, version)
    );
    CREATE INDEX metrics_by_age ON metrics (period_s, start_s);
    """,
    # Asynchronous invocations: what is accepted, what is to be told of those that ended, and the books of both.
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        request_id TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        qualifier TEXT NOT NULL,
        client_context BLOB NOT NULL,
        trace_id TEXT NOT NULL,
        depth INTEGER NOT NULL,
        accepted_ms INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        losses INTEGER NOT NULL,
        throttles INTEGER NOT NULL,
        due_ms INTEGER NOT NULL,
        leased INTEGER NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        destination TEXT NOT NULL,
        request_id TEXT NOT NULL,
        attributes TEXT NOT NULL,
        trace_id TEXT NOT NULL,
        depth INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        due_ms INTEGER NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE books (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        accepted INTEGER NOT NULL,
        succeeded INTEGER NOT NULL,
        dead_lettered INTEGER NOT NULL,
        expired INTEGER NOT NULL,
        PRIMARY KEY (tenant, name)
    ) WITHOUT ROWID;
    """,
    """
    CREATE INDEX deliveries_by_due ON deliveries (due_ms);
    CREATE INDEX deliveries_by_destination ON deliveries (destination, due_ms);
    """,
    # Rules that fire by the clock, and what they invoke.
    """
    CREATE TABLE schedule_rules (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        expression TEXT NOT NULL,
        enabled INTEGER NOT NULL,
        description TEXT NOT NULL,
        role TEXT NOT NULL,
        revision TEXT NOT NULL,
        anchor_s INTEGER NOT NULL,
        done_s INTEGER NOT NULL,
        last_s INTEGER NOT NULL,
        tags TEXT NOT NULL,
        PRIMARY KEY (tenant, name)
    ) WITHOUT ROWID;
    CREATE TABLE schedule_targets (
        tenant TEXT NOT NULL,
        rule TEXT NOT NULL,
        id TEXT NOT NULL,
        arn TEXT NOT NULL,
        input TEXT,
        role TEXT NOT NULL,
        PRIMARY KEY (tenant, rule, id)
    ) WITHOUT ROWID;
    CREATE INDEX schedule_targets_by_arn ON schedule_targets (tenant, arn);
    """,
    """
    CREATE TABLE departed (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        qualifier TEXT NOT NULL,
        on_failure TEXT NOT NULL,
        dead_letter TEXT NOT NULL,
        PRIMARY KEY (tenant, name, qualifier)
    ) WITHOUT ROWID;
    """,
    # Access keys; a revoked one has no secret any more.
    """
    CREATE TABLE access_keys (
        id TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        secret BLOB,
        description TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        revoked_ms INTEGER
    ) WITHOUT ROWID;
    """,
    # What the operator set for tenants: whose isolates they share a process with, and limits that are not the default.
    """
    CREATE TABLE tenants (
        account TEXT PRIMARY KEY,
        tier TEXT NOT NULL DEFAULT 'standard',
        own INTEGER NOT NULL DEFAULT 0,
        limits TEXT NOT NULL DEFAULT '{}'
    ) WITHOUT ROWID;
    """,
    # How large packages are, where it can be summed without reading documents.
    """
    ALTER TABLE functions ADD COLUMN code_bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE versions ADD COLUMN code_bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE layers ADD COLUMN code_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE functions SET code_bytes = coalesce(json_extract(function, '$.code_bytes'), 0);
    UPDATE versions SET code_bytes = coalesce(json_extract(function, '$.code_bytes'), 0);
    UPDATE layers SET code_bytes = coalesce(json_extract(document, '$.code_bytes'), 0);
    CREATE INDEX functions_by_size ON functions (tenant, code_bytes);
    CREATE INDEX versions_by_size ON versions (tenant, code_bytes);
    CREATE INDEX layers_by_size ON layers (tenant, code_bytes) WHERE document IS NOT NULL;
    """,
    # Builds that were refused: of a tenant, by what they depend on.
    """
    CREATE TABLE refusals (
        tenant TEXT NOT NULL,
        key BLOB NOT NULL,
        error BLOB NOT NULL,
        until_s INTEGER NOT NULL,
        PRIMARY KEY (tenant, key)
    ) WITHOUT ROWID;
    """,
)
