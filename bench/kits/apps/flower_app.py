"""Tasks for Flower's page, with a broker in memory: celery -A flower_app flower"""

from __future__ import annotations

from celery import Celery

app = Celery("harbour", broker="memory://")


@app.task
def weigh(parcel: int) -> int:
    """Weigh one parcel."""
    return parcel * 2
