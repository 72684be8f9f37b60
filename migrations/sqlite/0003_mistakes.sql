-- Receipts that are owed, what a message is alike to, and to whom a client has written.

alter table job add column receipt bigint not null default 0;
create index job_receipt on job (moved) where receipt = 1;

-- Keyed digest of what a message says and to whom; the same for a copy that was sent again under another Message-ID.
alter table evidence add column likeness blob;
create index evidence_likeness on evidence (likeness, kept) where likeness is not null;

-- How often a client's mail reached somebody, found by a keyed hash, and a domain.
create table written_to (
    client text not null,
    person blob not null,
    times bigint not null,
    last bigint not null,
    primary key (client, person)
);
create table written_domain (
    client text not null,
    domain text not null,
    times bigint not null,
    last bigint not null,
    primary key (client, domain)
);
create index written_domain_times on written_domain (client, times);
