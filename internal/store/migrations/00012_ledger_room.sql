-- +goose Up

-- Each row of the ledger is written twice more after the freeze, by its intent and its outcome. Where a page has room for all
-- three versions the new ones stand beside the old, and the three indexes do not grow with every message. What is left of an
-- intent could make room for its outcome, but only once nobody can see it any more, and with several batches under way somebody
-- nearly always can. Ledgers that are frozen already stay as they are.
-- +goose StatementBegin
do $$
begin
    for i in 0..15 loop
        execute format('alter table ledger_%s set (fillfactor = 35)', i);
    end loop;
end $$;
-- +goose StatementEnd

-- +goose Down
-- Forward only.
