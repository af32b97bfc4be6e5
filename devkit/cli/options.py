"""The options that every command shares, and how a command's errors become an exit status."""

from __future__ import annotations

import errno
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from devkit.cli.output import CommandError, show_error
from loyalty_relay.model.errors import RelayError
from loyalty_relay.runtime.settings import SettingMissing

StackName = Annotated[
    str | None,
    typer.Option("--stack", help="A deployed stack; 'local' is that of relay dev. [RELAY_STACK]", show_default=False),
]


def _remember(context: typer.Context, value: bool) -> bool:
    context.meta[JSON_ASKED] = value
    return value


JSON_ASKED = "devkit.cli.json"
"""Where a context remembers --json, so that errors are JSON then, too."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.", callback=_remember)]
Wait = Annotated[float, typer.Option("--wait", help="Seconds to follow the event to its outcome; 0: do not.", min=0)]


class Commands(TyperGroup):
    """A group of commands whose failures report what is wrong, where, and what to do, and exit with status 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; errors that are meant for people become text or, with --json, JSON on standard error."""
        try:
            return super().invoke(ctx)
        except CommandError as error:
            problem = error
        except RelayError as error:
            problem = from_relay_error(error)
        except SettingMissing as error:
            problem = CommandError(str(error), do="use --stack NAME, or set the variable")
        except OSError as error:
            if error.filename is None:
                # Of a pipe whose reader has ended, which Click handles, or of a connection.
                raise
            problem = from_file_error(error)
        except Exception as error:
            found = from_aws_error(error)
            if found is None:
                raise
            problem = found
        show_error(problem, as_json=bool(ctx.meta.get(JSON_ASKED)))
        raise typer.Exit(1)


def from_relay_error(error: RelayError) -> CommandError:
    """Return an error of the relay itself as a command's error."""
    from devkit.cli.hints import hint

    details = [problem.to_dict() for problem in getattr(error, "problems", ())]
    where = " ".join(
        text for text in (f"vendor code {error.code}" if error.code else "", _request(error.request_id)) if text
    )
    return CommandError(f"{error} ({error.reason})", where=where, do=hint(error.reason), details=details)


def _request(request_id: str | None) -> str:
    return f"vendor request {request_id}" if request_id else ""


def from_file_error(error: OSError) -> CommandError:
    """Return what a file could not be used for as a command's error."""
    refused = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
    return CommandError(
        f"a file cannot be used: {(error.strerror or 'unknown').lower()}",
        where=str(error.filename),
        do="take a checkout that may be written to; RELAY_LOCAL_STATE names another state file" if refused else "",
    )


def from_aws_error(error: BaseException) -> CommandError | None:
    """Return an error of boto3 as a command's error; None when it is not one."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

    if isinstance(error, NoCredentialsError):
        return CommandError("AWS credentials were not found", do="set AWS_PROFILE, or use --stack local")
    if isinstance(error, NoRegionError):
        return CommandError("no AWS region is set", do="set AWS_DEFAULT_REGION or the profile's region")
    if isinstance(error, ClientError):
        said = error.response.get("Error", {})
        return CommandError(
            f"AWS refused: {said.get('Code', '?')}: {said.get('Message', '')}",
            where=error.operation_name,
            do="check that this profile may do it, and that the stack is the right one",
        )
    if isinstance(error, BotoCoreError):
        return CommandError(f"AWS cannot be reached: {error}", do="check AWS_ENDPOINT_URL, AWS_PROFILE and the network")
    return None


def group(help: str) -> typer.Typer:
    """Return a group of commands."""
    return typer.Typer(help=help, no_args_is_help=True, cls=Commands, pretty_exceptions_enable=False)
