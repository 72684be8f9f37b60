-- Notices that are owed to those whom a rule names, about a message that it matched.

alter table job add column rule_notice bigint not null default 0;
create index job_rule_notice on job (moved) where rule_notice = 1;
