-- Whether a channel has a bridge at all, and which: what an invoice must explain, however many plain rows it has.
create index span_bridge on span (channel, chain, seq) where kind >= 5
--;
create index activation_used_by_contract on activation_used (contract, invoice)
