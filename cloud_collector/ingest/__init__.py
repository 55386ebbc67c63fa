"""Usage without a gateway: CloudEvents sent over HTTP, sealed into logs whose keys the operator holds."""
