# SPDX-License-Identifier: Apache-2.0
"""What an application does through Django's ORM with a table that has masked columns; prints what it saw.
    masked_django.py CONNECTION.json"""

import json
import sys

import django
from django.conf import settings

with open(sys.argv[1], encoding="utf-8") as file:
    to = json.load(file)
settings.configure(USE_TZ=True, INSTALLED_APPS=["__main__"], DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
                   DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql", "HOST": to["host"], "PORT": to["port"], "NAME": to["dbname"],
    "USER": to["user"], "PASSWORD": to["password"], "OPTIONS": {"sslmode": "disable"}}})
django.setup()

from django.db import ProgrammingError, models, transaction  # noqa: E402
from django.db.models import Count, Exists, F, OuterRef, Q, Subquery  # noqa: E402


class Customer(models.Model):
    id = models.IntegerField(primary_key=True)
    name = models.TextField()
    phone = models.TextField(null=True)
    id_number = models.TextField(null=True)
    email = models.TextField(null=True)
    note = models.TextField(null=True)

    class Meta:
        app_label = "__main__"
        db_table = "customers"


class Order(models.Model):
    id = models.IntegerField(primary_key=True)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders")
    total = models.IntegerField()
    note = models.TextField(null=True)

    class Meta:
        app_label = "__main__"
        db_table = "orders"


def say(what, value):
    print(f"{what}: {value}", flush=True)


def phones(query):
    return [one.phone for one in query]


few = Customer.objects.filter(id__in=[7, 8]).order_by("id")
say("objects", phones(few))
say("joined", [order.customer.phone for order in Order.objects.select_related("customer").filter(id__lt=3).order_by("id")])
say("prefetched", [(one.phone, len(one.orders.all())) for one in few.prefetch_related("orders")])
say("annotated", [(one.phone, one.n) for one in few.annotate(n=Count("orders"))])
say("subquery", [(one.phone, one.last) for one in few.annotate(
    last=Subquery(Order.objects.filter(customer=OuterRef("pk")).order_by("-id").values("id")[:1]))])
say("exists", [one.phone for one in few.annotate(x=Exists(Order.objects.filter(customer=OuterRef("pk")))).filter(x=True)])
say("counted", (Customer.objects.count(), few.exists(), Customer.objects.values("name").distinct().count()))
say("sliced", phones(Customer.objects.order_by("name")[:2]))
say("iterated", phones(few.iterator(chunk_size=1)))
say("values", list(few.values_list("id", "phone")))
say("all of both", list(few.values_list("id", "phone").union(Order.objects.filter(id=9).values_list("id", "note"), all=True)))
Customer.objects.bulk_create([Customer(id=951, name="new", phone="13900139951")])
say("ignored", len(Customer.objects.bulk_create([Customer(id=951, name="new", phone="1")], ignore_conflicts=True)))
say("changed", Customer.objects.filter(id=951).update(phone="13900139952", note=F("name")))
with transaction.atomic():
    say("locked", phones(Customer.objects.select_for_update().filter(id=951)))
say("made", Customer.objects.update_or_create(id=952, defaults={"name": "made", "phone": "13900139953"})[1])
say("deleted", Customer.objects.filter(Q(id=951) | Q(id=952)).delete()[0])
for name, query in {"by phone": Customer.objects.filter(phone="13800130007"), "ordered": few.order_by("phone"),
                    "distinct": Customer.objects.values("phone").distinct(),
                    "set": few.values_list("id", "phone").union(Order.objects.values_list("id", "note"))}.items():
    try:
        say(name, list(query))
    except ProgrammingError as error:
        say(name, error.__cause__.pgcode)
