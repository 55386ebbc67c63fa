-- Lines that may tell of a counter that began again, rolled over, went back, jumped, or of another meter: a device's
-- timeline names them, and no line beside them is read. The words as they stand in a line, with their quotes.
create index line_noted on line (chain, seq)
where instr(raw, x'22726573657422') > 0
   or instr(raw, x'22726f6c6c6f76657222') > 0
   or instr(raw, x'22726f6c6c6261636b22') > 0
   or instr(raw, x'22676c6974636822') > 0
   or instr(raw, x'2265786368616e676522') > 0
