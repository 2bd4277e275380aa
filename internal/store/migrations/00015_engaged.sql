-- +goose Up

-- Who opened and clicked before there was the table of them. The trigger keeps it since, so nothing waits for this statement.
insert into engaged (contact_id, send_id, what, at)
select l.contact_id, e.send_id, e.what, min(e.at)
from engagement e join ledger l on l.send_id = e.send_id and l.seq = e.seq
where e.what in ('opened', 'clicked') and l.contact_id is not null
group by 1, 2, 3 order by 1, 2, 3
on conflict (contact_id, send_id, what) do update set at = excluded.at where excluded.at < engaged.at;

-- +goose Down
-- Forward only.
