"""An S3-style object store on the loopback interface, in a process of its own.

Of its own, since deltalake keeps all other threads of a process waiting for an answer. The server
is moto's, which does what Amazon's does, conditional writes and all; `python -m tests.object_store`
is that process.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Self

import boto3
from botocore.config import Config
from lakeflow_redis.ingest import Lake
from lakeflow_redis.ingest.model import FileFormat
from moto.server import ThreadedMotoServer

from tests import canary

BUCKET = "lake"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": f"id-{canary.MARK}",
    "AWS_SECRET_ACCESS_KEY": f"secret-{canary.MARK}",
    "AWS_REGION": "us-east-1",
}
"""What the environment is to hold. Marked, so that `canary.assert_unseen` finds them."""


class ObjectStore:
    """A running store with a bucket.

    Args:
        unchecked: how many requests need no credentials that it knows, of which the first one makes
            `BUCKET`; all unless set.
    """

    def __init__(self, unchecked: int | None = None) -> None:
        checked = {} if unchecked is None else {"INITIAL_NO_AUTH_ACTION_COUNT": str(unchecked)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.object_store"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | checked,
        )
        assert self._process.stdout is not None
        self.endpoint = self._process.stdout.readline().strip()
        """Its URL."""
        self.client().create_bucket(Bucket=BUCKET)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def options(self) -> dict[str, str]:
        """Storage options by which it is reached."""
        return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_ALLOW_HTTP": "true"}

    def stop(self) -> None:
        """End it, and all that is in it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def add_user(self, name: str, *actions: str) -> dict[str, str]:
        """Make a user who may do these; gives storage options. Takes three requests."""
        users = self.client("iam")
        users.create_user(UserName=name)
        key = users.create_access_key(UserName=name)["AccessKey"]
        may = [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]
        policy = json.dumps({"Version": "2012-10-17", "Statement": may})
        users.put_user_policy(UserName=name, PolicyName="may", PolicyDocument=policy)
        return {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }

    def client(self, service: str = "s3") -> Any:
        """A client that is not ours."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=CREDENTIALS["AWS_REGION"],
            config=Config(retries={"max_attempts": 1}),
        )

    def lake(
        self, prefix: str, form: FileFormat = "delta", more: Mapping[str, str] | None = None
    ) -> Lake:
        """A lake in it, with more storage options than it needs."""
        return Lake(f"s3://{BUCKET}/{prefix}", form, {**self.options, **(more or {})})

    def objects(self, prefix: str) -> dict[str, bytes]:
        """All that is under a prefix, by its key after that."""
        pages = self.client().get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        keys = [each["Key"] for page in found for each in page.get("Contents", [])]
        return {
            str(PurePosixPath(key).relative_to(prefix)): self.client()
            .get_object(Bucket=BUCKET, Key=key)["Body"]
            .read()
            for key in keys
        }


def main() -> None:
    """Serve until whoever started this is gone."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
