"""What Grafana keeps beside Live: dashboards by their uid, and the data sources that somebody put there.

As Grafana's dashboard API does: a dashboard without a title is refused, one whose uid is taken is refused unless it may
overwrite, every save counts a version up. Nothing is drawn, and nothing is asked of a data source.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class Shelf:
    """Dashboards and data sources of one server.

    Attributes:
        dashboards: by uid, as they were saved.
        sources: data sources by uid; put there by whoever made the server.
    """

    def __init__(self) -> None:
        self.dashboards: dict[str, Json] = {}
        self.sources: dict[str, Json] = {}

    def save(self, body: Json) -> tuple[int, Json]:
        """Answers ``POST /api/dashboards/db``: the status and the body."""
        model = body.get("dashboard")
        if not isinstance(model, dict):
            return 400, {"message": "bad request data"}
        if not model.get("title"):
            return 400, {"message": "Dashboard title cannot be empty", "status": "empty-name"}
        uid = str(model.get("uid") or f"made-{len(self.dashboards) + 1}")
        before = self.dashboards.get(uid)
        if before is not None and not body.get("overwrite"):
            return 412, {
                "message": "The dashboard has been changed by someone else",
                "status": "version-mismatch",
            }
        version = 1 if before is None else int(before["version"]) + 1
        self.dashboards[uid] = {**model, "uid": uid, "version": version}
        return 200, {"uid": uid, "status": "success", "version": version, "url": f"/d/{uid}/{uid}"}

    def dashboard(self, uid: str) -> tuple[int, Json]:
        """Answers ``GET /api/dashboards/uid/<uid>``."""
        if uid not in self.dashboards:
            return 404, {"message": "Dashboard not found"}
        return 200, {"meta": {"url": f"/d/{uid}/{uid}"}, "dashboard": self.dashboards[uid]}

    def source(self, uid: str) -> tuple[int, Json]:
        """Answers ``GET /api/datasources/uid/<uid>``."""
        if uid not in self.sources:
            return 404, {"message": "Data source not found"}
        return 200, {**self.sources[uid], "uid": uid}
