"""Errors of the relay, of files and of AWS as the error that tools show."""

from __future__ import annotations

import errno

from devkit.queries.hints import hint
from devkit.stacks.errors import CommandError
from loyalty_relay.model.errors import RelayError
from loyalty_relay.runtime.settings import SettingMissing


def problem_of(error: BaseException) -> CommandError | None:
    """Return an error as the one that is meant for people; None where it is a defect, which keeps its traceback."""
    if isinstance(error, CommandError):
        return error
    if isinstance(error, RelayError):
        return _from_relay_error(error)
    if isinstance(error, SettingMissing):
        return CommandError(str(error), do="use --stack NAME, or set the variable")
    if isinstance(error, OSError):
        # One without a file is of a pipe whose reader has ended, or of a connection.
        return _from_file_error(error) if error.filename is not None else None
    return _from_aws_error(error)


def _from_relay_error(error: RelayError) -> CommandError:
    """Return an error of the relay itself as a command's error."""
    details = [problem.to_dict() for problem in getattr(error, "problems", ())]
    where = " ".join(
        text for text in (f"vendor code {error.code}" if error.code else "", _request(error.request_id)) if text
    )
    return CommandError(f"{error} ({error.reason})", where=where, do=hint(error.reason), details=details)


def _request(request_id: str | None) -> str:
    return f"vendor request {request_id}" if request_id else ""


def _from_file_error(error: OSError) -> CommandError:
    """Return what a file could not be used for as a command's error."""
    refused = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
    return CommandError(
        f"a file cannot be used: {(error.strerror or 'unknown').lower()}",
        where=str(error.filename),
        do="take a checkout that may be written to; RELAY_LOCAL_STATE names another state file" if refused else "",
    )


def _from_aws_error(error: BaseException) -> CommandError | None:
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
