"""Detail goes when it was agreed that it goes; what invoices rest on stays (`keep_detail`)."""
