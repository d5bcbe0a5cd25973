"""`connector_spec.yaml`, which tells the framework what a connection needs.

python -m lakeflow_redis.lakeflow.spec > connector_spec.yaml
"""

import json
import sys
from typing import TYPE_CHECKING

from lakeflow_redis._core import option_specs

if TYPE_CHECKING:  # The stub's own, for types only.
    from lakeflow_redis.shapes import OptionSpec

HEAD = """\
# Written by `python -m lakeflow_redis.lakeflow.spec`, out of the table of options.
display_name: Redis
connection:
  parameters:
"""


def connector_spec() -> str:
    """The file: the connection's options as parameters, and the names of all others.

    No parameter is required, since there are several ways to say where the server is.
    """
    specs = option_specs()
    parameters = [_parameter(spec) for spec in specs if spec["scope"] == "connection"]
    per_table = ",".join(spec["name"] for spec in specs if spec["scope"] == "table")
    return f"{HEAD}{''.join(parameters)}external_options_allowlist: {json.dumps(per_table)}\n"


def _parameter(spec: "OptionSpec") -> str:
    lines = [
        f"    - name: {spec['name']}",
        f"      type: {spec['type']}",
        "      required: false",
        *(["      secret: true"] if spec["secret"] else []),
        # A JSON string is one of YAML's, and needs no library.
        f"      description: {json.dumps(spec['doc'], ensure_ascii=False)}",
    ]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(connector_spec())
