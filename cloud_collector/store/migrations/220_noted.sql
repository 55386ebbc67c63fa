-- Lines that note something of an interval, such as a counter that began again: a device's timeline names those, and no
-- other line is read for it. Notes stand behind the deltas, and nothing else is spelled `],{"`.
create index line_noted on line (chain, seq) where instr(raw, x'5d2c7b22') > 0
