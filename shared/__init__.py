"""What both sides speak: lines, reports, receipts, keys, topics, bounds."""
