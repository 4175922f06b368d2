# SPDX-License-Identifier: Apache-2.0
"""What an application does through Django's ORM; prints what it saw.
    orm_django.py CONNECTION.json"""

import json
import sys

import django
from django.conf import settings

with open(sys.argv[1], encoding="utf-8") as file:
    to = json.load(file)
options = {"sslmode": "require" if to["tls"] else "disable"}
settings.configure(USE_TZ=True, INSTALLED_APPS=["__main__"], DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
                   DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql", "HOST": to["host"], "PORT": to["port"], "NAME": to["database"],
    "USER": to["user"], "PASSWORD": to["password"], "OPTIONS": options}})
django.setup()

from django.db import IntegrityError, connection, models, transaction  # noqa: E402
from django.db.models import Count, F, Sum  # noqa: E402


class Shelf(models.Model):
    name = models.CharField(max_length=40, unique=True)

    class Meta:
        app_label = "__main__"
        db_table = "django_shelf"


class Book(models.Model):
    shelf = models.ForeignKey(Shelf, models.CASCADE, related_name="books")
    title = models.TextField()
    price = models.DecimalField(max_digits=10, decimal_places=2)
    doc = models.JSONField(null=True)

    class Meta:
        app_label = "__main__"
        db_table = "django_book"


def say(what, *values):
    print(f"{what}:", *values)


with connection.schema_editor() as editor:
    editor.create_model(Shelf)
    editor.create_model(Book)
shelves = [Shelf.objects.create(name=f"架 {i}") for i in range(3)]
Book.objects.bulk_create([Book(shelf=s, title=f"{s.name} {k}", price=k, doc={"k": [k]}) for s in shelves for k in range(4)])
say("counted", list(Shelf.objects.annotate(n=Count("books"), s=Sum("books__price")).order_by("id").values_list("name", "n", "s")))
say("json", list(Book.objects.filter(doc__k__0=2).order_by("id").values_list("title", flat=True)))
say("updated", Book.objects.filter(price__gte=2).update(price=F("price") + 1))
try:
    with transaction.atomic():
        Shelf.objects.create(name="架 0")
except IntegrityError as error:
    say("unique", error.__cause__.pgcode)
try:
    with transaction.atomic():
        Book.objects.filter(shelf=shelves[0]).delete()
        raise RuntimeError("back")
except RuntimeError:
    say("rolled back", Book.objects.filter(shelf=shelves[0]).count())
with transaction.atomic():
    say("for update", [b.title for b in Book.objects.select_for_update().filter(shelf=shelves[1]).order_by("id")])
say("iterated", sum(b.price for b in Book.objects.order_by("id").iterator(chunk_size=3)))
say("deleted", shelves[2].delete())
say("tables", sorted(t for t in connection.introspection.table_names() if t.startswith("django_")))
with connection.cursor() as cursor:
    say("described", [c.name for c in connection.introspection.get_table_description(cursor, "orders")])
with connection.schema_editor() as editor:
    editor.delete_model(Book)
    editor.delete_model(Shelf)
