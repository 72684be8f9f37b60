-- How often a job's message was given whole to a next hop that did not answer: each may be a copy at its recipient.

alter table job add column unanswered bigint not null default 0;
