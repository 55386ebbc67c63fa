-- name: trail_add
insert into trail (at, who, role, means, deed, what, account) values (?, ?, ?, ?, ?, ?, ?)

-- name: trail
select at, who, role, means, deed, what, account from trail
where (cast(? as text) is null or account = ?) and (cast(? as text) is null or who = ?) and at >= ?
order by id desc limit ?
