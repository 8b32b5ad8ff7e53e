"""Administration of the made-up database: ``python models_app.py PORT THINGS.db sqladmin|starlette_admin|appbuilder``."""

from __future__ import annotations

import sys
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.ext.automap import automap_base

SECRET = "looks only"


def models(engine: Any) -> list[Any]:
    base = automap_base()
    base.prepare(autoload_with=engine)
    return list(base.classes)


def on_sqladmin(port: int, database: str) -> None:
    import uvicorn
    from sqladmin import Admin, ModelView
    from starlette.applications import Starlette

    engine = create_engine(f"sqlite:///{database}")
    app = Starlette()
    admin = Admin(app, engine, title="Harbour")
    for model in models(engine):
        name = model.__name__
        shown = {
            "column_list": ["id", "name", "city", "price"],
            "column_searchable_list": ["name"],
            "column_sortable_list": ["id", "price"],
        }
        admin.add_view(type(name.title(), (ModelView,), {"icon": "fa-solid fa-ship", **shown}, model=model))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


def on_starlette_admin(port: int, database: str) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette_admin.contrib.sqla import Admin, ModelView

    engine = create_engine(f"sqlite:///{database}")
    app = Starlette()
    admin = Admin(engine, title="Harbour")
    for model in models(engine):
        view = type(model.__name__.title(), (ModelView,), {"fields": ["id", "name", "city", "note", "open"], "searchable_fields": ["name"]})
        admin.add_view(view(model, icon="fa fa-ship"))
    admin.mount_to(app)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


def on_appbuilder(port: int, database: str) -> None:
    from flask import Flask
    from flask_appbuilder import AppBuilder, ModelView
    from flask_appbuilder.models.sqla.interface import SQLAInterface
    from flask_appbuilder.utils.legacy import get_sqla_class

    app = Flask(__name__)
    app.config.update(SQLALCHEMY_DATABASE_URI=f"sqlite:///{database}", SECRET_KEY=SECRET, AUTH_ROLE_PUBLIC="Admin", APP_NAME="Harbour")
    db = get_sqla_class()(app)
    with app.app_context():
        builder = AppBuilder(app, db.session)
        for n, model in enumerate(models(db.engine)):
            columns = ["name", "city", "price", "note"]
            view = type(model.__name__.title() + "View", (ModelView,), {"datamodel": SQLAInterface(model), "list_columns": columns})
            builder.add_view(view, model.__name__.title(), icon="fa-ship", category="Harbour" if n < 4 else "Office")
    app.run("127.0.0.1", port)


if __name__ == "__main__":
    globals()["on_" + sys.argv[3]](int(sys.argv[1]), sys.argv[2])
