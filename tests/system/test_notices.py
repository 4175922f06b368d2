# SPDX-License-Identifier: Apache-2.0
"""Notices over a whole office: mails through a real SMTP server, posts to endpoints that check as the vendors do.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/NOTICES.md, core/notices/README.md, courier/README.md.
"""
import json
import os
import re
import sqlite3
import time

import pytest

from noticelib import Hooks, Local, MailServer, add_people
from officelib import Office, wait_for

pytestmark = pytest.mark.shipped

STAFF = [f"staff{i:03}" for i in range(40)]
HOSTILE = "<b>x</b> *y* @all http://evil.example\u202e\r\nBcc: all@staff.example [z](http://evil.example)"

DOCUMENTS = """\
kind: Audience
name: staff
who: {{ any: true }}
minus: {{ people: [olga, sam, audrey] }}
---
kind: Audience
name: chats
post: [wecom, dingtalk, feishu, slack, teams, webhook]
---
kind: Audience
name: slow
post: [slow]
---
kind: Audience
name: sams
who: {{ people: [sam] }}
---
kind: Audience
name: nobody
who: {{ people: [sam] }}
minus: {{ people: [sam] }}
---
kind: Channel
name: mail
via: email
address: 127.0.0.1:{smtp}
tls: loopback
from: "门卫 <gate@office.example>"
retry: 1s
attempts: 3
---
kind: Notice
name: hello
title: {{ en: "Hello {{{{who}}}}", zh: "您好 {{{{who}}}}" }}
body: {{ en: "Text of {{{{who}}}} for {{{{reader}}}}: {{{{link}}}}", zh: "致 {{{{reader}}}}：{{{{who}}}} {{{{link}}}}" }}
variables: [{{ name: who, sample: Ann }}]
audience: staff
---
kind: Notice
name: urgent
title: {{ en: Urgent, zh: 紧急 }}
body: {{ en: "{{{{link}}}}", zh: "{{{{link}}}}" }}
audience: staff
acknowledge: {{ within: 2s, by: all, then: sams }}
---
kind: Channel
name: slow
via: webhook
address: "http://127.0.0.1:{hooks}/slow/"
signed: false
per_minute: 1
timeout: 1s
retry: 1s
attempts: 2
---
kind: Channel
name: gathered
via: email
address: 127.0.0.1:{smtp}
tls: loopback
from: gate@office.example
digest: 4s
---
kind: Channel
name: group
via: webhook
address: "http://127.0.0.1:{hooks}/slow/"
signed: false
digest: 4s
---
kind: Audience
name: few
who: {{ people: [staff000, staff001] }}
post: [group]
---
kind: Notice
name: news
title: {{ en: "News {{{{who}}}}", zh: "消息 {{{{who}}}}" }}
body: {{ en: "Read {{{{who}}}}: {{{{link}}}}", zh: "{{{{who}}}} {{{{link}}}}" }}
variables: [{{ name: who, sample: x }}]
audience: few
channels: [gathered]
---
kind: Notice
name: fire
title: {{ en: Fire, zh: 火警 }}
body: {{ en: Leave the house, zh: 请撤离 }}
severity: high
audience: few
channels: [gathered]
---
"""


class House:
    def __init__(self):
        self.refused = lambda address: None
        self.smtp = MailServer(refuse=lambda address: self.refused(address))
        self.hooks = Hooks()
        self.hooks._slow = lambda post: (204, {}, "")
        text = DOCUMENTS.format(smtp=self.smtp.port, hooks=self.hooks.port) + self.hooks.documents()
        self.office = Office(documents={"notices.yaml": text}).start()
        self.local = Local(self.office.run_dir)
        self.olga, self.sam, self.audrey = self.office.set_up_administrators()
        add_people(self.office, STAFF)
        self.hooks.give_secrets(self.local)

    def fresh(self):
        self.refused = lambda address: None
        self.smtp.mails.clear()
        self.hooks.posts.clear()
        self.hooks.scripted.clear()
        return self


@pytest.fixture(scope="module")
def whole():
    house = House()
    yield house
    house.smtp.close()
    house.hooks.close()
    house.office.close()


@pytest.fixture
def house(whole):
    return whole.fresh()


def sent_to(house):
    return sorted(mail.to.split("@")[0] for mail in house.smtp.mails)


# ---- mail

def test_everybody_gets_one_mail(house):
    number = house.local.send("hello", values={"who": "Ann"})
    done = house.local.finished(number)
    assert sent_to(house) == STAFF
    assert done["counts"] == {"people": 40, "waiting": 0, "handed_over": 40, "not_reached": 0, "acknowledged": 0}
    mail = house.smtp.mails[0]
    assert mail.subject == "Hello Ann / 您好 Ann"
    assert mail.message["From"].addresses[0].display_name == "门卫" and mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.part("plain").startswith(f"Text of Ann for {mail.to.split('@')[0].capitalize()}: https://portal.office.localhost")


def test_a_server_that_refuses_half_leaves_an_exact_list(house):
    house.refused = lambda address: "550 5.1.1 no such user" if int(address[5:8]) % 2 else None
    number = house.local.send("hello", values={"who": "Ann"})
    done = house.local.finished(number)
    odd = [name for name in STAFF if int(name[5:]) % 2]
    unreached = house.local.people(number, "not_reached")
    assert [one["person"] for one in unreached] == odd
    assert all("550 5.1.1 no such user" in one["why"] and one["attempts"] == 0 for one in unreached)
    assert sent_to(house) == [name for name in STAFF if name not in odd]
    assert done["counts"]["not_reached"] == 20 and done["counts"]["handed_over"] == 20


def test_what_is_refused_for_now_is_tried_again(house):
    seen = set()

    def once(address):
        if address in seen or address[5:8] != "007":
            return None
        seen.add(address)
        return "451 4.7.1 greylisted"

    house.refused = once
    number = house.local.send("hello", values={"who": "Ann"})
    house.local.finished(number)
    assert sent_to(house) == STAFF


def test_hostile_values_stay_text(house):
    number = house.local.send("hello", values={"who": HOSTILE})
    house.local.finished(number)
    mail = house.smtp.mails[0]
    assert sent_to(house) == STAFF  # nobody but these
    assert mail.message["Bcc"] is None and "\u202e" not in mail.subject
    assert "<b>" not in mail.part("html") and "&lt;b&gt;" in mail.part("html")
    assert 'href="http' not in mail.part("html").replace('href="https://portal.office.localhost', "")
    number = house.local.send("hello", "chats", values={"who": HOSTILE})
    house.local.finished(number)
    text = house.hooks.of("dingtalk")[0]["json"]["markdown"]["text"]
    assert "@all" not in text and "*y*" not in text and "](http:" not in text and "<b>" not in text
    text = house.hooks.of("slack")[0]["json"]["blocks"][0]["text"]["text"]
    assert "<b>" not in text and "*y*" not in text and "http://evil" not in text


# ---- chats and webhooks

def test_every_vendor_takes_its_post(house):
    number = house.local.send("hello", "chats", values={"who": "Ann"})
    house.local.finished(number)
    posts = house.local.people(number)
    assert {one["post"]: one["state"] for one in posts} == dict.fromkeys(
        ("wecom", "dingtalk", "feishu", "slack", "teams", "webhook"), "handed_over"), posts
    assert len(house.hooks.posts) == 6


def test_errors_in_the_body_of_a_200_are_errors(house):
    house.hooks.scripted = {
        "wecom": [(200, {}, '{"errcode":93000,"errmsg":"invalid"}')],
        "dingtalk": [(200, {}, '{"errcode":310000,"errmsg":"sign not match"}')],
        "feishu": [(200, {}, '{"code":19024,"msg":"Key Words Not Found"}')],
        "slack": [(404, {}, "no_service")],
        "teams": [(200, {}, "x" * 100000)] * 3,
        "webhook": [(500, {}, ""), (500, {}, ""), (302, {"Location": "http://127.0.0.1/"}, "")]}
    number = house.local.send("hello", "chats", values={"who": "Ann"})
    house.local.finished(number)
    why = {one["post"]: one["why"] for one in house.local.people(number, "not_reached")}
    assert "93000" in why["wecom"] and "310000" in why["dingtalk"] and "keyword" in why["feishu"]
    assert "no_service" in why["slack"] and "16 KiB" in why["teams"] and "302" in why["webhook"]
    assert len(house.hooks.of("webhook")) == 3 and len(house.hooks.of("wecom")) == 1


def test_a_vendor_that_wants_it_slower_is_obeyed(house):
    house.hooks.scripted = {"slack": [(429, {"Retry-After": "2"}, "")], "feishu": [(503, {"Retry-After": "1"}, "")]}
    number = house.local.send("hello", "chats", values={"who": "Ann"})
    channels = wait_for("the pause", 5, lambda: [c for c in house.local.get("/admin/channels")["items"]
                                                 if c["name"] == "slack" and c["paused_until"]])
    assert "429" in channels[0]["why"]
    house.local.finished(number)
    first, second = house.hooks.of("slack")
    assert 1.8 < second["at"] - first["at"] < 6


def test_one_that_hangs_is_given_up_and_what_waits_goes_out_as_one(house):
    house.hooks.scripted = {"slow": ["hang"]}
    numbers = [house.local.send("hello", "slow", values={"who": f"number {i}"}) for i in range(4)]
    wait_for("the time-out", 10, lambda: [c for c in house.local.get("/admin/channels")["items"]
                                          if c["name"] == "slow" and c["failing"]])
    assert len(house.hooks.of("slow")) == 1
    waiting = [house.local.people(number)[0] for number in numbers]
    assert "imed out" in waiting[0]["why"] or "timeout" in waiting[0]["why"].lower()


# ---- a person's own channels

def reach(house, name, *channels):
    number = house.office.store("SELECT id FROM person WHERE name = ?", name)[0][0]
    return house.local.call("PUT", f"/admin/people/{number}/reach",
                            {"channels": [{"channel": channel, "id": id_} for channel, id_ in channels]})


def hello_to(house, name):
    number = house.local.send("hello", f"person {name}", values={"who": "Ann"})
    house.local.finished(number)
    return house.local.people(number)[0]


MENTIONS = {"wecom": ("wen", lambda p: p["markdown"]["content"], "<@wen>"),
            "dingtalk": ("13800138000", lambda p: json.dumps(p["at"]), "13800138000"),
            "feishu": ("ou_7", lambda p: p["content"]["text"], '<at user_id="ou_7"></at>'),
            "slack": ("U777", lambda p: json.dumps(p), "<@U777>"),
            "webhook": ("staff-7", lambda p: json.dumps(p["mentions"]), "staff-7")}


@pytest.mark.parametrize("via", MENTIONS)
def test_a_person_is_told_on_the_channel_he_wants_and_mentioned_there(house, via):
    id_, where, mention = MENTIONS[via]
    assert reach(house, "staff007", (via, id_))[0] == 200
    one = hello_to(house, "staff007")
    assert (one["state"], one["channel"], one["address"]) == ("handed_over", via, id_)
    assert reach(house, "staff007")[0] == 200  # as before
    assert len(house.hooks.posts) == 1 and mention in where(house.hooks.of(via)[0]["json"]) and not house.smtp.mails


def test_channels_of_a_person_have_their_order_and_the_next_takes_what_one_refuses(house):
    assert reach(house, "staff008", ("slack", "U8"), ("feishu", "ou_8"))[0] == 200
    assert hello_to(house, "staff008")["channel"] == "slack" and not house.hooks.of("feishu")
    assert reach(house, "staff008", ("feishu", "ou_8"), ("slack", "U8"))[0] == 200
    assert hello_to(house, "staff008")["channel"] == "feishu" and len(house.hooks.of("slack")) == 1
    house.hooks.scripted = {"feishu": [(200, {}, '{"code":19024,"msg":"Key Words Not Found"}')]}
    one = hello_to(house, "staff008")
    assert (one["state"], one["channel"], one["address"]) == ("handed_over", "slack", "U8"), one
    assert [p["kind"] for p in house.hooks.posts][-2:] == ["feishu", "slack"]
    assert "<@U8>" in json.dumps(house.hooks.posts[-1]["json"]) and not house.smtp.mails
    house.hooks.scripted = {"feishu": [(503, {}, "later")] * 3, "slack": [(404, {}, "no_service")]}
    one = hello_to(house, "staff008")  # neither does: mail is what is left
    assert (one["state"], one["channel"]) == ("handed_over", "mail") and sent_to(house) == ["staff008"]
    house.refused = lambda address: "550 5.1.1 no such user"
    house.hooks.scripted = {"feishu": [(404, {}, "")], "slack": [(404, {}, "no_service")]}
    one = hello_to(house, "staff008")
    assert reach(house, "staff008")[0] == 200  # as before
    assert one["state"] == "not_reached" and "550" in one["why"]


def test_what_no_channel_could_mean_is_no_id(house):
    assert reach(house, "staff009", ("slack", "U9"))[0] == 200
    for channels in ([("slack", "all")], [("feishu", "ALL")], [("slack", "a b")], [("slack", "<!channel>")], [("slack", "x" * 65)],
                     [("wecom", "王")], [("nowhere", "x")], [("slack", "U1"), ("feishu", '"><at')], [("slack", "U")] * 9):
        status, said = reach(house, "staff009", *channels)
        assert status == 422, (channels, said)
    assert hello_to(house, "staff009")["address"] == "U9", "what was refused has changed nothing"
    assert reach(house, "staff009")[0] == 200 and hello_to(house, "staff009")["channel"] == "mail"


# ---- digests

def test_what_is_not_grave_is_gathered_into_one_message_an_interval(house):
    while not 0 <= time.time() % 4 < 0.5:  # all of it within one interval
        time.sleep(0.1)
    numbers = [house.local.send("news", values={"who": f"<b>{i}</b>"}) for i in range(3)]
    fire = house.local.send("fire")
    wait_for("the grave one, at once", 3, lambda: len(house.smtp.mails) == 2 and len(house.hooks.of("slow")) == 1)
    assert {mail.subject for mail in house.smtp.mails} == {"Fire / 火警"}
    for number in numbers + [fire]:
        house.local.finished(number)
    assert sent_to(house) == ["staff000", "staff000", "staff001", "staff001"]
    gathered = [mail for mail in house.smtp.mails if "Fire" not in mail.subject]
    assert [mail.subject for mail in gathered] == ["3 notices / 3 条通知"] * 2
    for mail in gathered:
        text = mail.part("plain")
        assert all(f"News <b>{i}</b>" in text for i in range(3)) and text.count("/acknowledge#") == 6
        assert mail.message.get_content_type() == "text/plain", "what somebody wrote is never markup"
    posts = [post["json"] for post in house.hooks.of("slow")]
    assert len(posts) == 2 and posts[1]["title"] == "3 notices / 3 条通知"
    assert all(house.local.get(f"/admin/notices/{number}")["counts"]["handed_over"] == 2 for number in numbers)


# ---- acknowledging

def test_the_link_of_a_mail_acknowledges_and_escalation_follows(house):
    number = house.local.send("urgent")
    house.local.finished(number)
    link = re.search(r"acknowledge#(\S+)", house.smtp.mails[0].part("plain")).group(1)
    who = house.smtp.mails[0].to.split("@")[0]
    portal = house.olga
    said = portal.call("POST", "/notices/acknowledge", {"token": link})
    assert said["acknowledged_at"]
    acked = [one["person"] for one in house.local.people(number) if one["acknowledged_at"]]
    assert acked == [who]
    forged = link[:-1] + ("A" if link[-1] != "A" else "B")
    with pytest.raises(Exception, match="404|not one of ours"):
        portal.call("POST", "/notices/acknowledge", {"token": forged})
    letters = wait_for("the escalation", 10, lambda: [one for one in house.sam.items("/me/notices")
                                                      if "Nobody has acknowledged" in one["texts"]["en"]["title"]])
    assert house.local.notice(number)["escalated"] and letters[0]["acknowledged_at"] is None
    house.sam.post(f"/me/notices/{letters[0]['id']}/acknowledge")
    again = [one for one in house.sam.items("/me/notices") if one["id"] == letters[0]["id"]]
    assert again[0]["acknowledged_at"]
    with pytest.raises(Exception, match="404|no such notice"):
        house.olga.post(f"/me/notices/{letters[0]['id']}/acknowledge")


def test_all_of_nobody_have_not_acknowledged(house):
    number = house.local.send("urgent", "nobody")
    wait_for("the escalation", 10, lambda: [one for one in house.sam.items("/me/notices")
                                            if "Nobody has acknowledged" in one["texts"]["en"]["title"] and not one["acknowledged_at"]])
    told = wait_for("the entry", 5, lambda: [e for e in house.audrey.get("/admin/ledger/events?kind=notice&limit=50")["items"]
                                             if e["method"] == "not acknowledged"])
    assert '"people":0' in str(told[0]["detail"]).replace(" ", "").replace("'", '"') and house.local.notice(number)["escalated"]


def test_what_the_courier_has_in_hand_is_not_told_as_not_reached(house):
    judged, house.hooks._slow = house.hooks._slow, lambda post: (time.sleep(3), (204, {}, ""))[1]
    number = house.local.send("fire")
    wait_for("the post", 5, lambda: house.hooks.of("slow"))
    stages = "SELECT COUNT(*) FROM delivery WHERE notice = ? AND stage = ?"
    wait_for("the mails", 5, lambda: house.office.store(stages, number, 1) == [(2,)])
    house.office.store("UPDATE notice SET expires = ? WHERE id = ?", int(time.time()) - 1, number)
    house.local.finished(number)
    assert house.office.store(stages, number, 1) == [(3,)], "the post was handed over as well"
    house.hooks._slow = judged


def test_what_went_out_as_one_is_due_again_when_the_courier_has_lost_it(house):
    number = house.local.send("fire")
    house.local.finished(number)
    for i in range(150):
        house.office.store(
            "INSERT INTO delivery (id, notice, person, person_name, channel, address, tried, why, stage, severity, attempts, next,"
            " ended, acked, digest) VALUES (?, ?, 0, ?, 'mail', 'x@y.z', '', '', 0, 1, 0, ?, 0, 0, ?)",
            10 ** 6 + i, number, f"number {i}", int(time.time()) + 3600, 10 ** 6 + i)
    pid = house.office.kill("courier")
    house.office.wait_role("courier", other_than=pid)
    wait_for("none of a digest that nobody carries", 10,
             lambda: house.office.store("SELECT COUNT(*) FROM delivery WHERE digest > 0") == [(0,)])
    house.office.store("DELETE FROM delivery WHERE id >= ?", 10 ** 6)


def test_what_waits_is_found_without_reading_what_went(house):
    with sqlite3.connect(os.path.join(house.office.state, "core", "core.db"), timeout=20) as store:
        plan = str(store.execute("EXPLAIN QUERY PLAN SELECT DISTINCT channel FROM delivery WHERE stage = 0").fetchall())
    assert "SEARCH" in plan and "SCAN" not in plan, plan


def test_values_are_checked(house):
    assert house.local.call("POST", "/admin/notices", {"notice": "hello", "values": {}})[0] == 422
    status, said = house.local.call("POST", "/admin/notices", {"notice": "hello", "values": {"who": "x", "what": "y"}})
    assert status == 422 and "no variable of this name" in said["detail"]
    assert house.local.call("POST", "/admin/notices", {"notice": "nothing"})[0] == 404
    assert house.local.call("POST", "/admin/notices", {"notice": "hello", "audience": "x", "values": {"who": "x"}})[0] == 404
    shown = house.local.post("/admin/notices/preview", {"notice": "hello", "values": {"who": "Ann"}, "drill": True})
    assert shown["en"]["title"] == "DRILL: Hello Ann" and "<p>" in shown["zh"]["html"]


def test_the_command_line(house):
    def cli(*words, **more):
        return house.office.cli("notice", *words, "-c", house.office.config, **more).stdout

    assert "under way to staff" in cli("send", "hello", "who=Ann")
    number = house.local.get("/admin/notices")["items"][0]["id"]
    house.refused = lambda address: "550 no" if address.startswith("staff001") else None
    said = cli("send", "hello", "who=Ann", "--json")
    number = re.search(r'"id": "(\d+)"', said).group(1)
    house.local.finished(number)
    unreached = cli("unreached", number)
    assert "staff001" in unreached and "550 no" in unreached and "staff002" not in unreached
    assert "staff002" in cli("people", number) and "finished" in cli("show", number) and "Hello Ann" in cli("list")
    assert "您好 Ben" in cli("preview", "hello", "who=Ben") and "slack" in cli("channels")
    assert "keeps it" in cli("secret", "set", "slack/token", input_text=house.hooks.TOKENS["slack"] + "\n")
    assert "under way" in cli("test-channel", "mail", "--to", "root@staff.example")
    wait_for("the test's mail", 10, lambda: [mail for mail in house.smtp.mails if mail.to == "root@staff.example"])
    wrong = house.office.cli("notice", "send", "hello", "who", "-c", house.office.config, check=False)
    assert wrong.returncode == 2 and "NAME=VALUE" in wrong.stderr


# ---- a channel that is taken out

def test_what_waits_on_a_channel_that_is_taken_out_is_not_stranded(house):
    numbers = [house.local.send("hello", "slow", values={"who": f"number {i}"}) for i in range(3)]
    wait_for("them to wait", 5, lambda: any(one["state"] == "waiting" for one in house.local.people(numbers[-1])))
    files = house.sam.get("/admin/policy/documents")["files"]
    for file in files:
        if file["path"] == "notices.yaml":
            kept = [one for one in file["text"].split("---\n") if "\nname: slow\n" not in f"\n{one}"]
            file["text"] = "---\n".join(kept)
    house.sam.fresh()
    house.sam.post("/admin/policy/apply", {"files": files, "comment": "slow is gone"})
    for number in numbers:
        assert house.local.finished(number)["counts"]["waiting"] == 0
    left = [one["why"] for number in numbers for one in house.local.people(number, "not_reached")]
    assert left and set(left) == {"its channel was taken out of the documents"}  # one may have gone out before


# ---- death

def test_nobody_twice_and_nobody_missed_when_core_and_courier_die(house):
    for role in ("core", "courier", "core"):
        house.smtp.mails.clear()
        house.refused = lambda address: time.sleep(0.01)
        number = house.local.send("hello", values={"who": role})
        wait_for("some mails", 20, lambda: len(house.smtp.mails) > 8)
        pid = house.office.kill(role)
        house.office.wait_role(role, other_than=pid)
        wait_for("the office", 20, lambda: house.local.get("/admin/channels")["courier"])
        house.local.finished(number)
        ids = {}
        for mail in house.smtp.mails:
            ids.setdefault(mail.to, []).append(mail.id)
        assert sorted(box.split("@")[0] for box in ids) == STAFF
        twice = [box for box, found in ids.items() if len(found) > 1]
        assert all(len(set(found)) == 1 for found in ids.values())
        assert not twice if role == "core" else len(twice) <= 8, twice  # a lost answer: the same Message-ID again
