"""Every bound of the collector, in one place, each with its unit (P9). The wire's own are in `shared.limits`."""

from typing import Final

BATCH_MESSAGES_MAX: Final = 256
"""Messages in one transaction."""
BATCH_BYTES_MAX: Final = 256 * 1024
"""Payload in one transaction, as it travelled: about as many lines of a backlog as BATCH_MESSAGES_MAX are live."""
STORE_LOG_PAGES: Final = 16_000
"""Pages of SQLite's write-ahead log, 64 MiB, before they go to their places: a batch touches two thousand, and most
of them again in the next batch. Each commit is durable in the log."""
QUEUE_MESSAGES_MAX: Final = 512
"""Messages received and not yet committed; beyond it the collector stops receiving, and the broker waits."""
GATEWAY_WAITING_MAX: Final = 384
"""Messages of one gateway among them, where there are others: a dozen of the windows that an agent ever sends."""
SHARES_MIN: Final = 4
"""Into so many shares a batch is parted at least, where several gateways send."""
ASIDE_LINES_MAX: Final = 1_024
"""Lines kept aside for each chain; what comes beyond is refused."""
UNMATCHED_ROWS_MAX: Final = 1_000
"""Kinds of unmatched messages that are kept, the newest; each has its count and one sample."""
BLOCKS_MAX: Final = 1_000
"""Names that an operator may have silenced at a time."""
SAMPLE_BYTES_MAX: Final = 4_096
"""What is kept of an unmatched or refused message."""
TOPIC_CHARS_MAX: Final = 256
"""What is kept of the topic of an unmatched message."""
GATEWAY_KEYS_MAX: Final = 16
"""Keys enrolled for one gateway."""
GATEWAY_ROTATIONS_MAX: Final = 4_096
"""`rotate` lines of one gateway that are followed; a year of daily rotations in ten logs."""
PUBLISH_AT_ONCE_MAX: Final = 32
"""Receipts on their way to the broker at the same time."""
OUTBOX_RECEIPTS_MAX: Final = 10_000
"""Receipts that wait for the broker."""
COMMANDS_AT_ONCE_MAX: Final = 256
"""Commands that are sent with one tick."""
COMMANDS_OPEN_MAX: Final = 64
"""Commands of one gateway without an answer; what comes beyond is refused to its giver."""
COMMAND_SENDINGS_MAX: Final = 40
"""How often a command is sent before it is given up: about a week and a half."""
COMMAND_BACKOFF_SECONDS_MIN: Final = 30
"""How long a command's first sending may wait for its answer; doubled each time."""
COMMAND_BACKOFF_SECONDS_MAX: Final = 21_600
BUSY_RETRIES_MAX: Final = 60
"""How often a batch waits for another process to let go of the database, a second each time."""
CACHED_CHANNELS_MAX: Final = 200_000
"""Register ends kept in memory; beyond it the cache starts anew."""
LATE_WALK_ROWS: Final = 512
"""Rows that are read at once when a late line changes what follows it."""
HOLES_AT_ONCE_MAX: Final = 1_000
"""Chains whose holes are asked for again in one tick."""
INVITATION_HOURS_MAX: Final = 30 * 24
"""How long a claim code may stay valid."""
ENROLMENT_FAILURES_MAX: Final = 10
"""Requests to enrol or renew that one address may make in vain at once; after that one in the next time."""
ENROLMENT_FAILURE_SECONDS: Final = 6
ENROLMENT_ADDRESSES_MAX: Final = 10_000
"""Addresses whose failures are counted; beyond it the longest silent is forgotten."""
ENROLMENT_CONNECTIONS_MAX: Final = 64
"""Gateways that enrol or renew at the same time; further ones are told to come again."""
GATHER_LOOKS: Final = 10
"""While a batch fills, it is looked so often whether anything still comes."""
TOKENS_MAX: Final = 10_000
"""API tokens that are not revoked."""
TOKEN_DAYS_MAX: Final = 1_096
"""How long a token may be valid."""
PEOPLE_MAX: Final = 100_000
"""People who can sign in."""
NAMES_PACED_MAX: Final = 10_000
"""Addresses, tokens and people whose requests are counted; beyond it the longest silent is forgotten."""
SIGN_INS_AT_ONCE_MAX: Final = 10
"""Sign-ins that one address may try at once; after that one in the next time."""
SIGN_IN_SECONDS: Final = 30
LINKS_AT_ONCE_MAX: Final = 3
"""Links that are mailed to one person at once; after that one in the next time."""
LINK_SECONDS: Final = 300
OIDC_TRIES_MAX: Final = 10_000
"""Sign-ins that wait for an OpenID provider."""
REQUESTS_OF_ADDRESS_AT_ONCE_MAX: Final = 1_200
"""Requests to the pages that one address may make at once; after that so many a second."""
REQUESTS_OF_ADDRESS_SECOND_MAX: Final = 40
REQUESTS_OF_ONE_AT_ONCE_MAX: Final = 600
"""Requests of one token or one person, from wherever; after that so many a second."""
REQUESTS_OF_ONE_SECOND_MAX: Final = 20
GUESSES_AT_ONCE_MAX: Final = 20
"""Tokens that are none which one address may show at once; after that one in the next time."""
GUESS_SECONDS: Final = 5
WEB_CONNECTIONS_MAX: Final = 1_024
"""Browsers and programs at the pages at the same time; further ones are told to come again."""
INGEST_EVENTS_MAX: Final = 1_000
"""Events of usage in one request."""
INGEST_NAME_CHARS_MAX: Final = 200
"""Characters of an event's id, source and other attributes."""
INGEST_NUMBER_CHARS_MAX: Final = 32
"""Characters of a number in a request with events."""
INGEST_STEP_SECONDS: Final = 60
"""The intervals into which events are counted."""
INGEST_STEPS: Final = 5
"""Intervals in one sealed line."""
INGEST_WAIT_SECONDS: Final = 60
"""How long after its end a window waits for events that are on their way."""
INGEST_LATE_SECONDS_MAX: Final = 31 * 86_400
"""How late an event may come; what is older is refused."""
INGEST_CHANNELS_MAX: Final = 256
"""Devices times meters of one log of events."""
INGEST_METERS_MAX: Final = 64
"""Meters of one log of events."""
INGEST_WAITING_MAX: Final = 1_000_000
"""Events of one log that wait to be sealed; with more, senders are told to come again."""
INGEST_LINES_MAX: Final = 32
"""Lines of one log that are sealed in one tick."""
WEBHOOKS_OF_ACCOUNT_MAX: Final = 20
"""Webhooks of one account, made over HTTP, to which something is sent."""
WEBHOOKS_EVER_OF_ACCOUNT_MAX: Final = 500
"""With those that were stopped."""
