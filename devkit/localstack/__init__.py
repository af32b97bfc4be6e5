"""The local stack: `template.yaml` itself, deployed on embedded AWS services, without Docker or an account."""

from devkit.localstack.server import LocalStackError
from devkit.localstack.stack import LocalStack, LogLine

__all__ = ["LocalStack", "LocalStackError", "LogLine"]
