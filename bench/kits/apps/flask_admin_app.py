"""Flask-Admin over the made-up database: python flask_admin_app.py PORT THINGS.db [SWATCH]"""

from __future__ import annotations

import sys

from flask import Flask, redirect
from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from flask_admin.theme import Bootstrap4Theme
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.ext.automap import automap_base

app = Flask(__name__)
app.config.update(SQLALCHEMY_DATABASE_URI=f"sqlite:///{sys.argv[2]}", SECRET_KEY="looks only")
db = SQLAlchemy(app)
admin = Admin(app, name="Harbour", theme=Bootstrap4Theme(swatch=sys.argv[3] if len(sys.argv) > 3 else "default"))


class View(ModelView):
    can_view_details = True
    column_searchable_list = ("name",)
    column_filters = ("city", "price")
    column_editable_list = ("note",)


with app.app_context():
    base = automap_base()
    base.prepare(autoload_with=db.engine)
    for n, model in enumerate(base.classes):
        admin.add_view(View(model, db.session, category="More" if n > 4 else None))


@app.get("/")
def home():
    return redirect("/admin/")


app.run("127.0.0.1", int(sys.argv[1]))
