"""What Grafana keeps beside Live: dashboards and data sources, by their uid.

As Grafana's API does: a dashboard without a title is refused, one whose uid is taken is refused unless it may
overwrite, every save counts a version up; a data source's name is taken once, and its secrets are never shown again.
Nothing is drawn, and nothing is asked of a data source.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class Shelf:
    """Dashboards and data sources of one server.

    Attributes:
        dashboards: by uid, as they were saved.
        sources: data sources by uid, as they are shown.
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

    def remove_dashboard(self, uid: str) -> tuple[int, Json]:
        """Answers ``DELETE /api/dashboards/uid/<uid>``."""
        if self.dashboards.pop(uid, None) is None:
            return 404, {"message": "Dashboard not found"}
        return 200, {"message": "Dashboard deleted"}

    def add_source(self, body: Json) -> tuple[int, Json]:
        """Answers ``POST /api/datasources``."""
        name, kind = body.get("name"), body.get("type")
        if not (isinstance(name, str) and name and isinstance(kind, str) and kind):
            return 400, {"message": "bad request data"}
        uid = str(body.get("uid") or f"made-{len(self.sources) + 1}")
        if uid in self.sources or name in [source.get("name") for source in self.sources.values()]:
            return 409, {"message": "data source with the same name already exists"}
        secret = dict.fromkeys(body.get("secureJsonData", {}), True)
        shown = {key: value for key, value in body.items() if key != "secureJsonData"}
        self.sources[uid] = {**shown, "uid": uid, "secureJsonFields": secret}
        return 200, {"message": "Datasource added", "name": name, "datasource": self.sources[uid]}

    def source(self, uid: str) -> tuple[int, Json]:
        """Answers ``GET /api/datasources/uid/<uid>``."""
        if uid not in self.sources:
            return 404, {"message": "Data source not found"}
        return 200, {**self.sources[uid], "uid": uid}

    def remove_source(self, uid: str) -> tuple[int, Json]:
        """Answers ``DELETE /api/datasources/uid/<uid>``."""
        if self.sources.pop(uid, None) is None:
            return 404, {"message": "Data source not found"}
        return 200, {"message": "Data source deleted"}
