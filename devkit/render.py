"""template.yaml with its loops written out, as SAM, the checks and AWS get it: `.local/template/template.json`.

SAM builds from the copy, so that no loop reaches AWS: AWS::LanguageExtensions also replaces references to parameters
by their values before SAM's transform sees them, which cannot be rehearsed without an account.
"""

import json
import os
import re
from pathlib import Path

from devkit.localstack.template import Json, read

RENDERED = Path(".local/template/template.json")


def rendered(text: str, *, checkout: Path, folder: Path) -> Json:
    """Return the template for a file in `folder`: nested templates are named by their path from there."""
    template = read(text)
    used = set(re.findall(r'"Fn::FindInMap": \["(\w+)"', json.dumps(template)))
    template["Mappings"] = {name: mapping for name, mapping in template["Mappings"].items() if name in used}
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            nested = checkout / resource["Properties"]["TemplateURL"]
            resource["Properties"]["TemplateURL"] = os.path.relpath(nested, folder)
    return template


def main() -> None:
    """Write the copy."""
    checkout = Path.cwd()
    target = checkout / RENDERED
    target.parent.mkdir(parents=True, exist_ok=True)
    text = (checkout / "template.yaml").read_text()
    target.write_text(json.dumps(rendered(text, checkout=checkout, folder=target.parent), indent=1) + "\n")


if __name__ == "__main__":
    main()
