"""Django's administration of a made-up shop, whoever comes being logged in: python django_admin.py PORT [THEME_APP]"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command

port, themes = sys.argv[1], sys.argv[2:]
settings.configure(
    DEBUG=True,
    SECRET_KEY="looks only",
    ROOT_URLCONF="__main__",
    ALLOWED_HOSTS=["*"],
    STATIC_URL="/static/",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=[
        *themes,
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "__main__.welcome",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"/tmp/django-{port}.db"}},
)
Path(f"/tmp/django-{port}.db").unlink(missing_ok=True)
django.setup()

from content import NOUNS, PLACES, sentence  # noqa: E402  the settings come first
from django.contrib import admin  # noqa: E402  the settings come first
from django.contrib.auth.models import Group, User  # noqa: E402  the settings come first
from django.contrib.staticfiles.urls import staticfiles_urlpatterns  # noqa: E402  the settings come first
from django.urls import path  # noqa: E402  the settings come first


def welcome(get_response):
    def answer(request):
        request.user = request._cached_user = User.objects.get(username="harbour")
        return get_response(request)

    return answer


class Users(admin.ModelAdmin):
    list_display = ("username", "email", "first_name", "is_staff", "date_joined")
    list_filter = ("is_staff", "is_active")
    search_fields = ("username",)
    date_hierarchy = "date_joined"


admin.site.unregister(User)
admin.site.register(User, Users)
urlpatterns = [path("admin/", admin.site.urls), *staticfiles_urlpatterns()]
if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    choose = random.Random(5)
    User.objects.create_superuser("harbour", "office@harbour.example", "x")
    for n in NOUNS:
        Group.objects.create(name=n)
        User.objects.create(
            username=f"{n}.{choose.randint(1, 99)}",
            email=f"{n}@harbour.example",
            first_name=choose.choice(PLACES),
            last_name=sentence(choose)[:20],
        )
    call_command("runserver", f"127.0.0.1:{port}", "--noreload")
