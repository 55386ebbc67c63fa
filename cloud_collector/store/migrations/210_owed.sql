-- What accounts owe is summed without reading what was sealed, which is a thousand times longer.
create index invoice_owed on invoice (account, currency, kind, total, id)
