"""A whole site on one machine: four customers' past told in seconds, then broker, collector and agents that go on."""
