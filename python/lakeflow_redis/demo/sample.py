"""Sample data: furniture, sessions, a leaderboard, warehouses, events, tags."""

import json
from typing import Any

import redis

SESSION_SECONDS = 1800


def fill(client: redis.Redis) -> None:
    """Fill an empty database with keys of every type."""
    pipe = client.pipeline()
    for number, name in enumerate(("table", "chair", "bed"), start=1):
        pipe.hset(f"furniture:{number}", mapping={"id": str(number), "name": name})
    for number, email in enumerate(("ada@example.com", "grace@example.com"), start=1):
        pipe.set(f"session:s{number}", _session(number, email), ex=SESSION_SECONDS)
    pipe.zadd("leaderboard:chess", {"ada": 2150, "grace": 2085.5, "edsger": 1990})
    pipe.hset("inventory:vienna", mapping={"table": "12", "chair": "48", "bed": "7"})
    pipe.hset("inventory:graz", mapping={"table": "3", "chair": "20"})
    for page in ("/", "/furniture/1", "/checkout"):
        pipe.rpush("events:click", json.dumps({"event_type": "click", "page": page}))
    pipe.sadd("tags:furniture:1", "wood", "kitchen", "sale")
    pipe.sadd("tags:furniture:2", "wood", "kitchen")
    pipe.execute()
    add_events(client, "login", "ada", "grace")
    add_events(client, "purchase", "ada")


def add_events(client: redis.Redis, kind: str, *users: str) -> None:
    """Append an entry for each user to the stream of a kind of events."""
    for user in users:
        fields: dict[Any, Any] = {"user_id": user, "event_type": kind}
        client.xadd(f"stream:{kind}", fields)


def _session(number: int, email: str) -> str:
    permissions = {"roles": ["buyer"], "scopes": ["read", "order"]}
    return json.dumps({"user_id": number, "user_email": email, "permissions": permissions})
