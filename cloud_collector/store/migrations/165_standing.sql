-- How each gateway stands, as the collector's last look found it: for lists of thousands that are there at once. A
-- projection of its newest lines; a row changes only when what it says does.
create table gateway_standing (
    gateway text primary key references gateway (name),
    standing text not null check (standing in ('online', 'late', 'silent', 'clock')),
    every_seconds integer not null, -- how long its windows are
    since integer not null -- Unix milliseconds
)
--;
create index gateway_standing_kinds on gateway_standing (standing, gateway)
--;
create index incident_of_gateway on incident (gateway) where ended_at is null
