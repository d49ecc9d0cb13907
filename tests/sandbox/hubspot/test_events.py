"""The sandbox's HubSpot: what people did, as counters, events, forms and e-mail events."""

from tests.support.sandbox_hubspot import only


def test_counts_on_the_contact_agree_with_what_they_did(ask, portal):
    names = [
        "hs_email_delivered",
        "hs_email_open",
        "hs_email_click",
        "hs_analytics_num_page_views",
        "num_conversion_events",
    ]
    names += ["recent_conversion_event_name", "hs_analytics_last_url", "num_notes", "hs_email_last_open_date"]
    found = ask.get(f"/crm/v3/objects/contacts/{only(portal, 'First1')}", properties=",".join(names))["properties"]
    assert [found[each] for each in names] == [
        "1",
        "1",
        "1",
        "2",
        "1",
        "Demo: Request a demo",
        "https://www.ours.example/docs",
        "6",
        "2026-11-20T18:00:00.000Z",
    ]


def test_event_occurrences_are_read_for_the_whole_portal_and_for_one_contact(ask, portal):
    path = "/events/event-occurrences/2026-09"
    assert "pe48000001_webinar_attended" in ask.get(f"{path}/event-types")["eventTypes"]
    first = ask.get(path, eventType="e_visited_page", limit=1)
    second = ask.get(path, eventType="e_visited_page", limit=1, after=first["paging"]["next"]["after"])
    assert "paging" not in second
    urls = [each["results"][0]["properties"]["hs_url"] for each in (first, second)]
    assert urls == ["https://www.ours.example/pricing?x=1", "https://www.ours.example/docs"]
    of_one = ask.get(path, objectType="contact", objectId=only(portal, "First1"), limit=100)["results"]
    assert len(of_one) == 4
    late = ask.get(path, eventType="e_visited_page", occurredAfter="2026-11-20T13:30:00Z", sort="-occurredAt")[
        "results"
    ]
    assert [each["properties"]["hs_url"] for each in late] == urls[1:]


def test_event_occurrences_need_an_enterprise_portal(ask, portal):
    portal.actions["set"]({"tier": "professional"})
    assert ask("GET", "/events/v3/events", eventType="e_visited_page").status_code == 403


def test_form_submissions_know_the_address_and_not_the_contact(ask):
    forms = {each["name"]: each["id"] for each in ask.get("/marketing/v3/forms?formTypes=all")["results"]}
    (found,) = ask.get(f"/form-integrations/v1/submissions/forms/{forms['Request a demo']}")["results"]
    assert {"name": "email", "value": "person1@umbra.example", "objectTypeId": "0-1"} in found["values"]
    assert found["pageUrl"] == "https://www.ours.example/demo"
    assert ask.get(f"/form-integrations/v1/submissions/forms/{forms['Newsletter']}") == {"results": []}


def test_forms_are_listed_by_type_and_only_hubspots_own_unless_asked(ask, portal):
    for kind in ("captured", "flow", "blog_comment"):
        attributes = {"form": f"A {kind}", "form_type": kind}
        portal.actions["add_activity"](
            {"id": only(portal, "First6"), "kind": "form_submitted", "attributes": attributes}
        )

    def listed(query=""):
        return {each["formType"] for each in ask.get(f"/marketing/v3/forms{query}")["results"]}

    assert listed() == {"hubspot"}
    assert listed("?formTypes=captured&formTypes=flow") == {"captured", "flow"}
    assert listed("?formTypes=all") == {"hubspot", "captured", "flow", "blog_comment"}
    assert ask("GET", "/marketing/v3/forms?formTypes=popup").status_code == 400


def test_a_blog_comment_form_has_no_submissions_to_read(ask):
    (comments,) = ask.get("/marketing/v3/forms?formTypes=blog_comment")["results"]
    assert ask("GET", f"/form-integrations/v1/submissions/forms/{comments['id']}").status_code == 400


def test_marketing_email_events_are_read_newest_first(ask):
    first = ask.get("/email/public/v1/events", limit=3)
    rest = ask.get("/email/public/v1/events", limit=3, offset=first["offset"])
    assert [each["type"] for each in first["events"] + rest["events"]] == ["CLICK", "OPEN", "DELIVERED", "SENT"]
    assert (first["hasMore"], rest["hasMore"]) == (True, False)
