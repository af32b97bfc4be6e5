"""The bodies of a registration and of a CRM patch, with everything that is wrong reported at once.

Facts: Kangaroo API blueprint (Customers: create; customer CRM fields).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loyalty_relay.destinations.kangaroo.fields import (
    GENDERS,
    LANGUAGES,
    custom_text,
    email_problem,
    gender_word,
    is_date,
    language_code,
    national_phone,
    our_name,
    their_name,
)
from loyalty_relay.destinations.kangaroo.responses import CrmField, Listing, Tag, find_tag, same_value
from loyalty_relay.model.commands import CustomerCommand
from loyalty_relay.model.errors import FieldProblem
from loyalty_relay.model.outcomes import Notice

REGISTER_FIELDS = frozenset({"email", "phone", "first_name", "last_name", "language", "gender", "birthday"})
"""Our fields that ``POST /customers`` takes."""

REGISTER_GENDERS = ("male", "female")


@dataclass(slots=True)
class Registration:
    """The body of ``POST /customers``, the names of our fields in it, and what is wrong."""

    body: dict[str, Any] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    problems: list[FieldProblem] = field(default_factory=list)


def registration(command: CustomerCommand, fields: Mapping[str, Any], default_country: str | None) -> Registration:
    """Return the registration of a command; identifiers replace an e-mail or phone that ``fields`` lacks.

    Fields that a registration cannot carry are left out: a patch follows, or ``check`` has named them before.
    """
    made = Registration()
    contacts = {"email": command.customer.identifier("email"), "phone": command.customer.identifier("mobile")}
    given = {**{name: value for name, value in contacts.items() if value}, **_present(fields)}
    for name in ("email", "phone", "first_name", "last_name", "language", "gender", "birthday"):
        if name not in given:
            continue
        problem = _put(made.body, name, given[name], default_country)
        if problem is None:
            if name in fields:
                made.sent.append(name)
        elif name != "gender" or gender_word(str(given[name])) != "nonbinary":
            # The CRM fields have nonbinary, the registration does not (Kangaroo API blueprint): a patch carries it.
            made.problems.append(FieldProblem(name, problem))
    if not made.problems and not made.body.get("email") and not made.body.get("phone"):
        made.problems = [FieldProblem(name, "is required when the other is missing") for name in ("email", "phone")]
    return made


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def _put(body: dict[str, Any], name: str, value: Any, default_country: str | None) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    if name == "phone":
        found = national_phone(value, default_country)
        if found is None:
            return "must be a valid phone number with its country code"
        body["phone"], body["country_code"] = found
        return None
    sent: str | None = value
    if name == "email" and (problem := email_problem(value)):
        return problem
    if name == "birthday" and not is_date(value):
        return "must be a date such as 1990-12-31"
    if name == "language" and (sent := language_code(value)) is None:
        return f"must be one of {', '.join(LANGUAGES)}"
    if name == "gender":
        sent = gender_word(value)
        if sent not in REGISTER_GENDERS:
            return f"must be one of {', '.join(REGISTER_GENDERS)} at registration"
    body["birth_date" if name == "birthday" else name] = sent
    return None


def _choices(known: CrmField) -> tuple[str, ...]:
    """Return the values that a select takes, where they are known: as the business lists them, else as documented."""
    return known.options or (GENDERS if known.name == "gender" else ())


NOT_A_FIELD = "is not a CRM field of the destination"


@dataclass(slots=True)
class Patch:
    """What to send: ``body`` in the vendor's names, ``sent`` in ours, and what was found on the way."""

    body: dict[str, Any] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    """Our names of single tags, and the business's spelling of each."""
    problems: list[FieldProblem] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def our_name(self, theirs: str) -> str:
        """Return our name of a field that the vendor's refusal names; ``tags.N.tag_name`` is about one tag."""
        place = re.fullmatch(r"tags\.(\d{1,4})(?:\.tag_name)?", theirs)
        names = [tag["tag_name"] for tag in self.body.get("tags", ())]
        if place is not None and int(place[1]) < len(names):
            tag = names[int(place[1])]
            return next((ours for ours, spelled in self.tags.items() if spelled == tag), "tags")
        return our_name(theirs)

    def differing(self, shown: Listing) -> list[str]:
        """Return those of our fields in the patch that the vendor shows with another value afterwards."""
        return [name for name in self.sent if self._differs(name, shown)]

    def _differs(self, name: str, shown: Listing) -> bool:
        theirs = "tags" if name in self.tags else their_name(name) or name
        if theirs not in self.body or theirs not in shown.values:
            return False
        if theirs != "tags":
            return not same_value(theirs, self.body[theirs], shown.values[theirs])
        wanted = {tag["tag_name"] for tag in self.body["tags"]}
        if name == "tags":
            return wanted != set(shown.tags)
        return (self.tags[name] in wanted) != (self.tags[name] in shown.tags)


class Patcher:
    """Makes the patch of one command.

    ``current`` are the customer's tags now, needed when single tags are added or removed, because the vendor replaces
    the whole set. ``strict``: what the destination cannot take is a problem; else it is left out with a notice, since
    one bad value must not hold back the rest of a webhook, such as a withdrawal of consent.
    """

    def __init__(
        self,
        fields: Sequence[CrmField],
        tags: Sequence[Tag],
        current: Sequence[str],
        *,
        default_country: str | None,
        strict: bool,
    ) -> None:
        self._fields = {each.name: each for each in fields}
        self._tags = tags
        self._current = current
        self._country = default_country
        self._strict = strict
        self._patch = Patch()

    def make(self, fields: Mapping[str, Any], replace_tags: tuple[str, ...] | None) -> Patch:
        """Return the patch; nothing may be sent when it has problems."""
        for name, value in fields.items():
            if not name.startswith("tags."):
                self._field(name, value)
        wishes = {name.removeprefix("tags."): value for name, value in fields.items() if name.startswith("tags.")}
        if wishes or replace_tags is not None:
            self._set_tags(wishes, replace_tags)
        return self._patch

    # -- fields ---------------------------------------------------------------------------------------------------

    def _field(self, name: str, value: Any) -> None:
        theirs = their_name(name)
        if theirs is None:
            self._problem(name, "is not something this destination's CRM fields can carry")
            return
        known = self._place(name, theirs)
        if known is None:
            return
        if value is None or value == "":
            self._empty(name, known)
            return
        problem = self._put(name, known, value)
        if problem is None:
            self._patch.sent.append(name)
        else:
            self._problem(name, problem, "gender_not_known" if theirs == "gender" else "value_not_taken")

    def _place(self, name: str, theirs: str) -> CrmField | None:
        """Return the field that can be written; otherwise note the reason."""
        known = self._fields.get(theirs)
        why = NOT_A_FIELD
        if known is not None:
            why = "is hidden in the destination's CRM settings" if known.hidden else ""
            why = why or ("is read-only at the destination" if known.read_only else "")
            if not why:
                return known
        self._problem(name, why, "not_in_crm_fields")
        return None

    def _empty(self, name: str, known: CrmField) -> None:
        choices = _choices(known)
        if known.required and known.type != "checkbox":
            self._problem(name, "is required at the destination and cannot be emptied", "required_not_emptied")
            return
        if choices and "" not in choices:
            self._problem(name, f"cannot be emptied: must be one of {', '.join(choices)}", "choice_not_emptied")
            return
        self._patch.body[known.name] = False if known.type == "checkbox" else ""
        self._patch.sent.append(name)

    def _put(self, name: str, known: CrmField, value: Any) -> str | None:
        """Put a value into the body; the problem with it if there is one."""
        if known.name == "phone":
            return self._put_phone(value)
        if known.type == "checkbox":
            return self._put_checkbox(known, value)
        if known.custom:
            value = custom_text(value)
        if not isinstance(value, str):
            return "must be a string"
        if _choices(known):
            return self._put_choice(known, value)
        problem = self._checked(known, value)
        if problem is None:
            self._patch.body[known.name] = value
        return problem

    def _checked(self, known: CrmField, value: str) -> str | None:
        if known.name == "email":
            return email_problem(value)
        if known.name == "birth_date" and not is_date(value):
            return "must be a date such as 1990-12-31"
        return "cannot be set: the destination's field takes several values" if known.type == "multi_select" else None

    def _put_phone(self, value: Any) -> str | None:
        found = national_phone(value, self._country) if isinstance(value, str) else None
        if found is None:
            return "must be a valid phone number with its country code"
        self._patch.body["phone"] = found[0]
        country = self._fields.get("country_code")
        if country is None or not (country.hidden or country.read_only):
            self._patch.body["country_code"] = found[1]
        return None

    def _put_checkbox(self, known: CrmField, value: Any) -> str | None:
        words: Mapping[Any, bool] = {"true": True, "false": False}
        if isinstance(value, str):
            value = words.get(value.strip().lower(), value)
        if not isinstance(value, bool):
            return "must be true or false"
        self._patch.body[known.name] = value
        return None

    def _put_choice(self, known: CrmField, value: str) -> str | None:
        options = _choices(known)
        same: Callable[[str], str] = gender_word if known.name == "gender" else str.casefold
        chosen = next((o for o in options if o == value), None)
        chosen = chosen or next((o for o in options if same(o) == same(value)), None)
        if chosen is None:
            return f"must be one of {', '.join(options)}"
        self._patch.body[known.name] = chosen
        return None

    # -- tags -----------------------------------------------------------------------------------------------------

    def _set_tags(self, wishes: Mapping[str, Any], replace_tags: tuple[str, ...] | None) -> None:
        known = self._fields.get("tags")
        names = [f"tags.{name}" for name in wishes] + (["replace_tags"] if replace_tags is not None else [])
        if known is None or known.hidden or known.read_only:
            for name in names:
                self._place(name, "tags")
            return
        wanted = list(self._current)
        if replace_tags is not None:
            wanted = []
            for tag in replace_tags:
                self._add(wanted, tag, "replace_tags")
        taken = [f"tags.{tag}" for tag, value in wishes.items() if self._wish(wanted, tag, value)]
        if known.required and not wanted and not self._patch.problems:
            for name in names:
                self._problem(name, "is required at the destination: one tag must stay", "required_not_emptied")
            return
        self._patch.sent.extend(taken)
        if replace_tags is not None:
            self._patch.sent.append("tags")
        # The same set again would change nothing, and needs no request.
        if replace_tags is not None or set(wanted) != set(self._current):
            self._patch.body["tags"] = [{"tag_name": name} for name in wanted]

    def _wish(self, wanted: list[str], tag: str, value: Any) -> bool:
        """Apply one tag to the set; return whether the destination can take it."""
        if value is True:
            return self._add(wanted, tag, f"tags.{tag}")
        if value is False or value is None:
            name = self._patch.tags[f"tags.{tag}"] = find_tag(tag, self._tags) or tag
            if name in wanted:
                wanted.remove(name)
            return True
        self._problem(f"tags.{tag}", "must be true or false")
        return False

    def _add(self, wanted: list[str], tag: str, where: str) -> bool:
        name = find_tag(tag, self._tags)
        if name is None:
            alone = where != "replace_tags"
            message = "is not a tag of the destination" if alone else f"has no such tag: {tag[:60]}"
            self._problem(where, message, "unknown_tag")
            return False
        if where != "replace_tags":
            self._patch.tags[where] = name
        if name not in wanted:
            wanted.append(name)
        return True

    # -- what was found -------------------------------------------------------------------------------------------

    def _problem(self, name: str, message: str, code: str = "value_not_taken") -> None:
        """Record what cannot be sent: an error for a caller of the API, a notice for a webhook."""
        if self._strict:
            self._patch.problems.append(FieldProblem(name, message))
        else:
            self._notice(code, name)

    def _notice(self, code: str, name: str) -> None:
        self._patch.notices.append(Notice(code, "", name))
