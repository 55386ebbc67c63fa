-- Whom a running period has warned is asked every few seconds; those of past periods are many.
create index warning_running on warning (period_end, contract) where what = 'fired'
