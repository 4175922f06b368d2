/* SPDX-License-Identifier: Apache-2.0
 * What the demo tells people: where it is, who can sign in, what to try.
 * OWNS nothing. PROCESS sallyport-demo. TRUST none. SPEC demo/README.md.
 */
#include "demo/demo.h"

#include <stdio.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static void say_people(const json_t *people)
{
    demo_say("  %-8s%-36s%-36s%s", "name", "password", "TOTP secret", "roles");
    for (size_t i = 0; i < json_array_size(people); i++) {
        const json_t *one = json_array_get(people, i);
        const json_t *roles = json_object_get(one, "roles");
        char words[DEMO_TEXT_BYTES] = "";
        size_t len = 0;
        for (size_t k = 0; k < json_array_size(roles); k++) {
            int more = snprintf(words + len, sizeof(words) - len, "%s%s", k > 0 ? ", " : "",
                                json_string_value(json_array_get(roles, k)));
            len += more > 0 ? (size_t)more : 0;
        }
        demo_say("  %-8s%-36s%-36s%s", text_of(one, "name"), text_of(one, "password"),
                 text_of(one, "totp"), words);
    }
}

static void say_things_to_try(unsigned port, const char *base)
{
    demo_say("Six things to try\n"
             "  1. As leo, open https://lab." DEMO_DOMAIN ":%u and look at turnover.ipynb. Now "
             "download customers.csv\n"
             "     (File, Download): refused, because nobody knows this browser's device. The page "
             "shows a reference:\n"
             "     as audrey, search the Ledger for it and see its proof. On this machine:\n"
             "     %s/program/bin/sallyport ledger verify -c %s/sallyport.yaml\n"
             "  2. Make it a company device:  demo/enrol leo  and approve it as sam under Devices, "
             "as the company's. In\n"
             "     demo/browser leo  the same download works, and the notebook runs: WebSocket "
             "through the gate.\n"
             "     https://hr." DEMO_DOMAIN ":%u/salaries/ stays closed to leo.\n"
             "  3. As sam, look at Sessions and end leo's while his notebook is open: it stops at "
             "once.",
             port, base, base, port);
    demo_say(
        "  4. The orders database, as dan, its operator: the same with  demo/enrol dan , then  "
        "demo/psql dan  (that is\n"
        "     sallyport psql orders-db on his company laptop).\n"
        "       SELECT name, mobile, id_number FROM customers LIMIT 3;    masked\n"
        "       DELETE FROM order_items;    waits for two colleagues: wei and sam see it under "
        "Approvals\n"
        "     The whole story, alone, with two colleagues, and back again: make demo-drill");
    demo_say(
        "  5. Machines, over SSH. As leo, on his company laptop (2.):  demo/ssh leo workstation  "
        "and  "
        "demo/cli leo scp\n"
        "     workstation.sallyport:turnover.csv . ; on a laptop of his own the shell opens, the "
        "file stays. As dan:\n"
        "       demo/ssh dan orders-host df -h            is on the list and runs\n"
        "       demo/ssh dan orders-host                  a shell: waits until wei approves and "
        "watches it (Approvals)\n"
        "     Everything that was printed can be played again: My machines, Recordings; as sam "
        "under SSH.");
    demo_say("  6. In %s/office/policy.yaml let \"HR keeps the personnel files\" hold on: { owner: "
             "[company, personal] }\n"
             "     and, as sam, put it in force (Policy, or sallyport apply): the proof of the "
             "nevers stops you, and\n"
             "     names the rule and a counter-example.\n",
             base);
}

void demo_guide(const demo *d, const json_t *accounts)
{
    const char *at = d->base;
    demo_say("\n" DEMO_OFFICE " is open:  https://portal." DEMO_DOMAIN ":%u\n", d->port);
    demo_say("Open it with:           demo/browser      a Chromium that trusts this office's CA");
    demo_say("or trust the CA:        certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n lantern -i "
             "%s/ca.pem\n",
             at);
    say_people(json_object_get(accounts, "people"));
    demo_say(
        "\n  a code now:     demo/code NAME          (any authenticator app takes the secret)");
    demo_say("  a newcomer's own set-up, with a passkey: %s\n", text_of(accounts, "newcomer"));
    say_things_to_try(d->port, at);
    demo_say("Health: %s/program/bin/sallyport doctor -c %s/sallyport.yaml     Logs: %s/log\n"
             "Ctrl-C stops all of it; make run starts it again where it was.",
             at, at, at);
}
