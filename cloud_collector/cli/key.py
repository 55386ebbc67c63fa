"""`cloud-collector key`: the operator's receipt key."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from cloud_collector.cli.opened import Json, ending, say, settings
from shared.errors import InvalidRecord
from shared.key import PublicKey, SigningKey

app = typer.Typer(no_args_is_help=True, help="The receipt key: it signs receipts, invoices and checkpoints.")

File = Annotated[Path | None, typer.Argument(help="Default: key_file of the configuration.")]


@app.command()
@ending
def new(file: File = None) -> None:
    """Example: `cloud-collector key new receipt-key.pem`.

    Make a key, readable by its owner alone; a file that is there is never replaced (4).
    """
    path = file or settings().key_file
    key = SigningKey(os.urandom(32))
    write_new(path, key)
    say(f"{path}: key {key.public.id}")
    print(key.public.words)


@app.command()
@ending
def show(
    file: File = None,
    pem: Annotated[bool, typer.Option("--pem", help="Print the public half as PEM, for the gateways.")] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector key show --pem > receipt-key.pub`.

    Show the public half: its id, full fingerprint and words.
    """
    public = read_public(file or settings().key_file)
    if pem:
        print(public.pem, end="")
    elif json_:
        print(json.dumps({"key": public.id, "sha256": public.sha256, "words": public.words, "pem": public.pem}))
    else:
        print(f"key     {public.id}\nsha256  {public.sha256}\nwords   {public.words}")


def write_new(path: Path, key: SigningKey) -> None:
    """The key lies in the file, readable by its owner alone; ends the command with 4 where one lies there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        say(f"{path} is there already; a key is never replaced: `cloud-collector key show` shows it")
        raise typer.Exit(4) from None
    except OSError as error:
        raise _unwritten(path, error) from None
    try:
        with os.fdopen(handle, "w", encoding="ascii") as out:
            out.write(key.pem)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)  # Half a key would stand in the way of a whole one.
        raise _unwritten(path, error) from None


def _unwritten(path: Path, error: OSError) -> typer.Exit:
    """The exit of a command whose key has no place, once that is said."""
    advice = "run it as root, with sudo" if isinstance(error, PermissionError) else "name another file"
    say(f"{path} cannot be written: {error.strerror}; {advice}")
    return typer.Exit(1)


def read_public(path: Path) -> PublicKey:
    """The public key, or the public half, in a PEM file; ends the command with 3 or 2."""
    try:
        return PublicKey.from_pem(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        say(f"there is no {path}: `edge-agent key show > FILE` on the gateway writes its public key")
        raise typer.Exit(3) from None
    except OSError as error:
        say(f"{path} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        say(f"{path}: this is no PEM file")
    except InvalidRecord as error:
        say(f"{path}: {error}")
    raise typer.Exit(2)
