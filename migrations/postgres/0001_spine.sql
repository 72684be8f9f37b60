-- Messages, jobs, bodies, evidence, the audit chain, and the keys that seal them.
-- Times are integer milliseconds, ids are text; 0 and '' stand for "none" where null would only cost a branch.

create table node (
    id text primary key not null,
    boot bigint not null,
    seed bytea not null,
    public_key text not null
);

create table epoch (
    id bigint primary key not null,
    purpose text not null,
    wrapped bytea not null,
    started bigint not null
);

create table event (
    node text not null,
    seq bigint not null,
    time text not null,
    actor text not null,
    event text not null,
    hash bytea not null,
    message text,
    primary key (node, seq)
);
create index event_message on event (message) where message is not null;

create table message (
    id text primary key not null,
    accepted bigint not null,
    bytes bigint not null,
    jobs bigint not null,
    content text not null,
    client text,
    body_at text not null,
    erased bigint
);
create index message_unerased on message (id) where erased is null;
create index message_client on message (client, accepted);

create table body (
    message text primary key not null references message (id),
    sealed bytea not null
);

create table job (
    id text primary key not null,
    message text not null references message (id),
    accepted bigint not null,
    content text not null,
    owes text not null,
    client text,
    domain text not null,
    epoch bigint not null,
    envelope bytea,
    wrapped_key bytea,
    methods text not null,
    last text not null,
    state text not null,
    cause text not null,
    ended_as text not null,
    due bigint not null,
    wake bigint not null,
    expires bigint not null,
    attempts bigint not null,
    floor_since bigint,
    delay_told bigint not null,
    lease_node text not null,
    lease_boot bigint not null,
    fence bigint not null,
    owed text,
    moved bigint not null
);
create index job_message on job (message);
create index job_wake on job (wake) where state = 'queued';
create index job_expires on job (expires) where state <> 'ended';
create index job_owed on job (moved) where owed is not null;
create index job_state on job (state, ended_as);
create index job_sealed on job (epoch) where wrapped_key is not null;

create table evidence (
    message text primary key not null references message (id),
    epoch bigint not null,
    sealed bytea not null,
    commitment bytea not null,
    message_id bytea,
    content bytea not null,
    kept bigint not null
);
create index evidence_message_id on evidence (message_id) where message_id is not null;
create index evidence_content on evidence (content);
create index evidence_kept on evidence (kept);
create index evidence_epoch on evidence (epoch);

create table person (
    hash bytea not null,
    message text not null references message (id),
    primary key (hash, message)
);
create index person_message on person (message);

create table attempt (
    job text not null references job (id),
    number bigint not null,
    message text not null,
    at bigint not null,
    epoch bigint not null,
    sealed bytea not null,
    commitment bytea not null,
    primary key (job, number)
);
create index attempt_message on attempt (message);
create index attempt_epoch on attempt (epoch);

create table config_text (
    digest bytea primary key not null,
    epoch bigint not null,
    sealed bytea not null,
    loaded bigint not null
);

-- `known` is the JSON of store::Destination: it is read and written whole, by its key.
create table destination (
    domain text primary key not null,
    known text not null
);
