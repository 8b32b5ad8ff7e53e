"""The command line. Commands load what they need when they run, so that ``--help`` is quick."""

from __future__ import annotations

import typer

from millrace.commands import archive, craft, dead_letters, operate, replay, requests, stack, watch

app = typer.Typer(
    name="millrace",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Screen recordings and prompts in, validated web applications out.\n\n"
    "Start with 'millrace up' in one terminal; in another: millrace submit prompt --wait \"an inventory app with products (name, price, stock)\"",
    epilog="Exit codes: 0 all validated (or accepted), 1 some rejected, 2 a command line or id that cannot be used, 3 the stack cannot be reached, 4 time-out.",
)
app.command("up", rich_help_panel="The stack")(stack.up)
app.command("doctor", rich_help_panel="The stack")(stack.doctor)
app.command("worker", rich_help_panel="The stack")(operate.worker)
app.command("topics", rich_help_panel="The stack")(operate.topics)
app.command("lag", rich_help_panel="The stack")(watch.lag)
app.command("metrics", rich_help_panel="The stack")(watch.metrics)
app.add_typer(requests.submit, name="submit", rich_help_panel="Requests")
app.command("status", rich_help_panel="Requests")(requests.status)
app.command("artifact", rich_help_panel="Requests")(requests.artifact)
app.command("query", rich_help_panel="Operation and analysis")(operate.query)
app.command("windows", rich_help_panel="Operation and analysis")(watch.windows)
app.add_typer(dead_letters.app, name="dead-letters", rich_help_panel="Operation and analysis")
app.add_typer(replay.app, name="replay", rich_help_panel="Operation and analysis")
app.add_typer(archive.app, name="archive", rich_help_panel="Operation and analysis")
app.command("extract", rich_help_panel="The craft, without Kafka")(craft.extract)
app.command("reconstruct", rich_help_panel="The craft, without Kafka")(craft.reconstruct)
app.command("validate", rich_help_panel="The craft, without Kafka")(craft.validate)


def main() -> None:
    """The entry point of the script ``millrace``."""
    app()


if __name__ == "__main__":
    main()
