"""template.yaml as CloudFormation gets it from the SAM transform."""

from functools import cache
from typing import Any

import boto3
from samtranslator.metrics.metrics import DummyMetricsPublisher, Metrics
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from devkit.localstack.template import code_folders, read

Json = dict[str, Any]


@cache
def transformed(text: str, style: str = "AllAtOnce") -> Json:
    """Return the plain resources that the transform makes of a SAM template, gradual deployment included."""
    template = read(text)
    for name in code_folders(template):
        template["Resources"][name]["Properties"]["ContentUri" if name == "RelayLayer" else "CodeUri"] = "s3://b/k"
    metrics = Metrics("ServerlessTransform", DummyMetricsPublisher())
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"), metrics=metrics)
    found: Json = translator.translate(template, {"DeploymentStyle": style})["Resources"]
    # Unpublished metrics are complained about on standard output.
    metrics.publish()
    return found
