"""From a payload to a committed fact and its receipt."""
