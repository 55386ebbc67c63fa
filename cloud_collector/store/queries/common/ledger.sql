-- name: invoices_page
select i.id, i.number, i.account, i.contract, i.period_start, i.period_end, i.kind, i.revision, i.total, i.currency,
    i.issued_at
from invoice i
where i.id < ? and (cast(? as text) = '' or i.account = ?) and (cast(? as text) = '' or i.contract = ?)
    and i.number like ? escape '\'
order by i.id desc limit ?;
