"""Assets and jobs for Dagster's page: dagster-webserver -f dagster_app.py"""

from __future__ import annotations

from dagster import Definitions, ScheduleDefinition, asset, define_asset_job


@asset
def harbours() -> int:
    """Every harbour, once a day."""
    return 4


@asset
def vessels(harbours: int) -> int:
    """The vessels of all harbours."""
    return harbours * 3


@asset
def invoices(vessels: int) -> int:
    """What each vessel owes."""
    return vessels * 2


daily = define_asset_job("daily_invoices", [invoices])
defs = Definitions([harbours, vessels, invoices], [ScheduleDefinition(job=daily, cron_schedule="0 6 * * *")], jobs=[daily])
