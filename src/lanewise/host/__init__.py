"""Facts about this interpreter and machine: the only place that asks for them."""
