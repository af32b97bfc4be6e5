"""Every code that Capillary documents for customers and for transactions, as an error and as a warning.

An error reports that the request was not carried out; a warning, that it was, and that something beside it was not
(Capillary docs: Status codes). The same number can come as either, and numbers are not unique over the APIs, so the
vendor's text is passed on with the code. The page docs/capillary.md shows the tables.

Sources: Capillary docs, Status codes - customer; Add customer; Update customer details; Customer update V1.1; Change
identifier; Authentication; Transaction, Response codes (V1.1 and V2); Retro transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum


class AsError(StrEnum):
    """What an error with a code leads to."""

    REFUSED = "the command is refused"
    MISSING = "there is no such member"
    EXISTS = "the member exists"
    MERGED = "the member was merged into another one, who is updated"
    ERASED = "the member was erased"
    PASSING = "tried again"
    TOKEN = "the token is renewed once; then the credentials are refused"
    DENIED = "the credentials are refused"
    LOOKED_UP = "the bill is looked up: booked, or refused"
    LOOKED_UP_AGAIN = "the bill is looked up: booked, or tried again"


@dataclass(frozen=True, slots=True)
class Code:
    """The meaning of one code.

    ``blames``: the field of the command or connection that an error is about. ``undone``: fields that were not changed
    although the request was carried out, when it comes as a warning; a name that ends with a dot is a family.
    ``again``: such a warning may pass by itself, so the undone fields are sent again until they are done.
    ``no_points``: a bill was booked and its points were not, when it comes as a warning.
    """

    text: str
    error: AsError = AsError.REFUSED
    blames: str = ""
    undone: tuple[str, ...] = ()
    again: bool = False
    no_points: bool = False


_EMAIL = ("email", "channels.email", "subscriptions.email.")
_MOBILE = ("phone", "channels.mobile", "subscriptions.sms.")
_CONTACTS = ("email", "phone", "channels.")
_IDENTIFIERS = ("identifiers.",)
_CONSENT = ("subscriptions.",)

CODES: dict[str, Code] = {
    # -- a request as a whole
    "400": Code("invalid input; as a warning: authentication by an administrator is not supported"),
    "401": Code("authentication failed", AsError.TOKEN),
    "402": Code("the version is not supported"),
    "403": Code("access denied, or V2 is not enabled; a mandatory field that is missing is refused", AsError.DENIED),
    "404": Code("incorrect resource"),
    "405": Code("incorrect method"),
    "406": Code("the operation is not supported"),
    "407": Code("unknown error"),
    "408": Code("the till's network address does not match"),
    "415": Code("incorrect media type"),
    "429": Code("the rate limit is used up", AsError.PASSING),
    "461": Code("the search engine is busy", AsError.PASSING),
    "498": Code("the token expired", AsError.TOKEN),
    "500": Code("internal error; of V1.1: all items failed", AsError.PASSING),
    "502": Code("bad gateway", AsError.PASSING),
    "503": Code("authorisation is unavailable", AsError.PASSING),
    "504": Code("no answer in time", AsError.PASSING),
    "521": Code("another action for the same customer is running", AsError.PASSING),
    "618": Code("the fraud status", blames="fraud_status"),
    "816": Code("the customer is not in the organisation", AsError.MISSING),
    "1060": Code("the batch is too large"),
    "1061": Code("the headers of a look-up are incomplete"),
    "1062": Code("the test or control status is not valid"),
    "1064": Code("the organisation's id is not valid"),
    "4000": Code("no access to the resource", AsError.DENIED),
    "4001": Code("authorisation is unavailable", AsError.PASSING),
    "320001": Code("client key or secret is not valid", AsError.DENIED),
    # -- source and organisation
    "3017": Code("the status label is not valid", blames="status_label"),
    "3213": Code("source of the organisation"),
    "3214": Code("source of the organisation: addition failed"),
    "3215": Code("source of the organisation"),
    "3216": Code("source of the organisation"),
    "3217": Code("the source is not valid, or the account where the text names one", blames="destination.source"),
    "3218": Code("source of the organisation"),
    "3219": Code("source of the organisation"),
    "3220": Code("source of the organisation"),
    "3221": Code("source of the organisation"),
    "3222": Code("source of the organisation"),
    # -- V1.1, one customer
    "1001": Code("the mobile is not valid", blames="phone", undone=_MOBILE),
    "1002": Code("the e-mail is not valid", blames="email", undone=_EMAIL),
    "1003": Code("the external id is not valid", blames="identifiers.external_id", undone=_IDENTIFIERS),
    "1004": Code("the store is not valid"),
    "1006": Code("a mobile is required", blames="phone"),
    "1007": Code("no valid identifier", blames="identifiers"),
    "1011": Code("no customer of this id", AsError.MISSING),
    "1012": Code("no customer of this identifier", AsError.MISSING),
    "1013": Code("the customer is not in the programme"),
    "1014": Code("the customer is registered already", AsError.EXISTS),
    "1015": Code("no identifier", blames="identifiers"),
    "1016": Code("the e-mail is another customer's", undone=("identifiers.email",)),
    "1017": Code("a custom field is not valid", undone=("custom_fields.",)),
    "1018": Code("the custom fields could not be written", undone=("custom_fields.",), again=True),
    "1020": Code("the customer is not in the programme"),
    "1024": Code("the profile could not be updated", undone=("first_name", "last_name"), again=True),
    "1032": Code("the mobile is another customer's", undone=("identifiers.mobile",)),
    "1033": Code("the external id is another customer's", undone=("identifiers.external_id",)),
    "1034": Code("the registration date is out of range", blames="registered_on", undone=("registered_on",)),
    "1039": Code("an e-mail is required", blames="email"),
    "1040": Code("the request to change an identity is filed"),
    "1041": Code("the identity could not be changed", undone=_IDENTIFIERS),
    "1042": Code("the new identity is not valid", undone=_IDENTIFIERS),
    "1043": Code("an external id is required", blames="identifiers.external_id"),
    "1044": Code("no permission"),
    "1045": Code("loyalty conversion", blames="loyalty_type", undone=("loyalty_type",)),
    "1046": Code("a loyalty member cannot become another", blames="loyalty_type", undone=("loyalty_type",)),
    "1047": Code("loyalty conversion", blames="loyalty_type", undone=("loyalty_type",)),
    "1048": Code("loyalty conversion", blames="loyalty_type", undone=("loyalty_type",)),
    "1049": Code("loyalty conversion", blames="loyalty_type", undone=("loyalty_type",)),
    "1053": Code("a remark without effect"),
    **{str(code): Code("the subscription", undone=_CONSENT, again=True) for code in range(1101, 1111)},
    "10001": Code("the customer could not be added"),
    "10002": Code("the customer could not be updated"),
    "91001": Code("an identifier that was given beside the address", undone=_IDENTIFIERS),
    "91002": Code("an identifier that was given beside the address", undone=_IDENTIFIERS),
    "91003": Code("an identifier that was given beside the address", undone=_IDENTIFIERS),
    "91004": Code("an identifier that was given beside the address", undone=_IDENTIFIERS),
    "91005": Code("the primary identifier cannot be updated", undone=_IDENTIFIERS),
    "91006": Code("the identifier may not be updated", undone=_IDENTIFIERS),
    "91007": Code("the identifier is another customer's", undone=_IDENTIFIERS),
    "91009": Code("the customer was merged; the survivor is shown"),
    "91015": Code("an extended field is too long or could not be written", undone=("extended_fields.",)),
    "91020": Code("the till of the registration is not valid", undone=("registered_till",)),
    "91021": Code("the till of the attribution is not valid", undone=("associated_with",)),
    "91022": Code("the subscription could not be written", undone=_CONSENT, again=True),
    # -- V2
    "1302": Code("a programme ends before its membership"),
    "8001": Code("look-up without source", blames="destination.source"),
    "8002": Code("look-up without identifiers", blames="identifiers"),
    "8003": Code("the source is not valid", blames="destination.source"),
    "8004": Code("registration without source", blames="destination.source"),
    "8005": Code("registration without a valid identifier", blames="identifiers"),
    "8006": Code("the customer exists in this source", AsError.EXISTS),
    "8007": Code("an identifier exists in this source"),
    "8008": Code("an identifier exists in this source, in another profile"),
    "8009": Code("update: no such customer", AsError.MISSING),
    "8010": Code("a channel is not valid", blames="channels", undone=("channels.",)),
    "8011": Code("the account is not valid", blames="destination.account_id"),
    "8012": Code("the source is not valid", blames="destination.source"),
    "8013": Code("look-up by an identifier that is not valid", blames="identifiers"),
    "8014": Code("the primary identifier or mobile is not valid", blames="identifiers"),
    "8015": Code("no such customer", AsError.MISSING),
    "8016": Code("no source", blames="destination.source"),
    "8017": Code("the registration date is not valid", blames="registered_on", undone=("registered_on",)),
    "8018": Code("a loyalty member cannot become another", blames="loyalty_type", undone=("loyalty_type",)),
    "8019": Code("inference attributes"),
    "8020": Code("prefix or length of the external id", blames="identifiers.external_id", undone=_IDENTIFIERS),
    "8021": Code("inference attributes"),
    "8022": Code("inference attributes"),
    "8023": Code("inference attributes"),
    "8024": Code("inference attributes"),
    "8025": Code("inference attributes"),
    "8026": Code("the customer's personal data was deleted", AsError.ERASED),
    "8027": Code("context of a child organisation"),
    "8028": Code("the customer seems to be registered", AsError.EXISTS),
    "8045": Code("the account id is missing", blames="destination.account_id"),
    "8050": Code("found in another source: the profile was added to that member"),
    "8051": Code("merging with another customer"),
    "8052": Code("conflicting customers"),
    "8053": Code("conflicting customers", undone=_CONTACTS),
    "8054": Code("no account id was given"),
    "8055": Code("the e-mail is not valid", blames="email", undone=_EMAIL),
    "8056": Code("the mobile is not valid", blames="phone", undone=_MOBILE),
    "8057": Code("the e-mail of a channel is not valid", blames="channels.email", undone=_EMAIL),
    "8058": Code("the mobile of a channel is not valid", blames="channels.mobile", undone=_MOBILE),
    "8059": Code("the search index follows later"),
    "8060": Code("the subscription could not be queued", undone=_CONSENT, again=True),
    "8061": Code("details could not be read"),
    "8062": Code("details could not be read"),
    "8063": Code("details could not be read"),
    "8064": Code("the external id is not valid", blames="identifiers.external_id", undone=_IDENTIFIERS),
    "8065": Code("the customer is not in this source", AsError.MISSING),
    "8066": Code("as an error: combining is impossible; as a warning: the merge is done"),
    "8067": Code("the merge is done already", AsError.MERGED),
    "8068": Code("a customer of campaigns"),
    "8069": Code("merged customer found", AsError.MERGED),
    "8070": Code("no valid identifier to change", undone=_IDENTIFIERS),
    "8071": Code("the identifier is this customer's already"),
    "8072": Code("the identifier is this customer's already"),
    "8073": Code("the identifier is this customer's already"),
    "8074": Code("the change of the identifier was refused", undone=_IDENTIFIERS),
    "8075": Code("the change of the identifier was refused", undone=_IDENTIFIERS),
    "8077": Code("associatedWith is not valid", blames="associated_with", undone=("associated_with",)),
    **{str(code): Code("an image") for code in range(8078, 8084)},
    "8084": Code("details were not sent"),
    "8085": Code("the organisation's entity is not valid"),
    "8086": Code("the status label is not valid", blames="status_label", undone=("status_label",)),
    "8087": Code("the card's status forbids it"),
    "8088": Code("the status could not be read"),
    "8089": Code("not in the loyalty programme"),
    "8090": Code("no INSTORE profile"),
    "8091": Code("read without account"),
    "8092": Code("read without type"),
    "8093": Code("read without value"),
    "8100": Code("offset or limit"),
    "8101": Code("offset or limit"),
    "8102": Code("offset or limit"),
    "8103": Code("type of source"),
    "8104": Code("promotion"),
    "8105": Code("promotion"),
    "8106": Code("a channel without type", blames="channels", undone=("channels.",)),
    "8107": Code("no default status label is set"),
    "8108": Code("no default status label is set"),
    "8110": Code("promotion"),
    "8111": Code("promotion"),
    "8112": Code("the start date is not valid"),
    "8113": Code("the end date is not valid"),
    "8114": Code("both dates are needed"),
    "8115": Code("the start date is after the end date"),
    "8117": Code("sorting"),
    "8118": Code("sorting"),
    "8119": Code("too many ids"),
    "8120": Code("too many ids"),
    "8121": Code("a non-loyalty customer"),
    "8122": Code("bar code"),
    "8123": Code("bar code"),
    "8124": Code("bar code"),
    "8125": Code("the promotion's status"),
    "8126": Code("context of a child organisation"),
    "8127": Code("source or account is not valid", blames="destination.account_id"),
}

_REGISTRATION = "a customer in a transaction cannot be registered"
_POINTS = Code("the points could not be processed", AsError.LOOKED_UP_AGAIN, no_points=True)
_SETTING = Code("the organisation's configuration is not valid", AsError.LOOKED_UP_AGAIN, no_points=True)

SALE_CODES: dict[str, Code] = {
    "500": Code("general error", AsError.PASSING),
    "517": Code("the rate limit is used up", AsError.PASSING),
    "600": Code("done"),
    "601": Code("amount, quantity, rate or discount is not valid"),
    "602": Code("the bill number is not valid"),
    "603": Code("the points are used already"),
    "604": Code("the bill number exists", AsError.LOOKED_UP),
    "605": Code("the type is not valid"),
    "606": Code("no identifier of the customer"),
    "607": Code("no transaction id"),
    "608": Code("the transaction could not be added", AsError.PASSING),
    "609": Code("the transaction could not be updated"),
    "610": Code(_REGISTRATION),
    "611": Code("no such customer", AsError.MISSING),
    "614": Code("the transaction is cancelled"),
    "615": Code("no details of the transaction"),
    "616": Code("the item code exists"),
    "617": Code("an attribute of an item is not valid"),
    "618": Code("the customer is marked as fraud"),
    "619": Code("no transaction id"),
    "620": Code("the transaction id is not valid"),
    "621": Code("the date is outside of the accepted range"),
    "622": Code("a line could not be added", AsError.PASSING),
    "623": Code("events of the transaction failed", AsError.PASSING, no_points=True),
    "624": Code("the sale of a return is not known", AsError.LOOKED_UP),
    "625": Code("the bill number is not known", AsError.LOOKED_UP),
    "626": Code("more is returned than was bought"),
    "627": Code("a quantity is negative"),
    "628": Code("the return type is not valid; in V1.1: all is returned already"),
    "629": Code("more is returned than is left"),
    "630": Code("the amount is more than the bill's or line's"),
    "631": Code("the amount is negative"),
    "632": Code("by line is impossible: the bill has a return by amount"),
    "633": Code("all is returned already", AsError.LOOKED_UP),
    "634": Code("the transaction is returned already", AsError.LOOKED_UP),
    "635": Code("by amount is impossible: the bill has a return by line"),
    "636": Code("the bill has a return by line, so only lines can follow"),
    "637": Code("the points were not taken back; the return may be booked", AsError.LOOKED_UP_AGAIN, no_points=True),
    "638": Code("by amount is impossible: the bill has a return by line"),
    "639": Code("the whole is impossible: a part is returned already", AsError.LOOKED_UP),
    "640": Code("nothing was redeemed"),
    "641": Code("no such customer", AsError.MISSING),
    "642": Code("a redemption failed"),
    "643": Code("the date is too far in the future"),
    "644": Code("the date is too far in the past"),
    "645": Code("a bill without customer could not be added"),
    **{str(code): Code(_REGISTRATION) for code in range(646, 661) if code != 656},
    "656": Code("no such customer", AsError.MISSING),
    "661": Code("an amount of a line is negative"),
    "662": Code("a value of a line is negative"),
    "663": Code("a rate of a line is negative"),
    "664": Code("a discount of a line is negative"),
    "665": Code("the gross amount is negative"),
    "666": Code("the discount is negative"),
    "667": Code("the customer has no such transaction id"),
    "668": Code("the customer has no such bill number"),
    "669": Code("a custom field could not be written"),
    "670": Code("neither id nor bill number"),
    "671": Code("the store or till is not valid", blames="sales.stores"),
    "672": Code("the batch is too large"),
    "673": Code("returns are not allowed"),
    "674": Code("returns by line are not allowed"),
    "675": Code("returns by amount are not allowed"),
    "676": Code("returns of the whole are not allowed"),
    "677": Code("a return without bill number"),
    "678": Code("the amount of a returned line is more than was bought"),
    "679": Code("no lines to return"),
    "680": Code("the customer has no transactions"),
    "681": Code("transactions of the customer are blocked"),
    "682": Code("currencies are not converted in the organisation"),
    "683": Code("the event of a new bill failed", no_points=True),
    "684": Code("the vouchers' event of a new bill failed", no_points=True),
    "685": Code("a text is too long"),
    "686": Code("the transaction could not be added; in V1.1: points", AsError.PASSING, no_points=True),
    "687": Code("the points follow later", AsError.LOOKED_UP_AGAIN, no_points=True),
    "688": Code("no line matches the return", no_points=True),
    **{str(code): _POINTS for code in (*range(689, 695), *range(696, 699))},
    "695": _SETTING,
    "699": _SETTING,
    "710": Code("the event of a return failed", no_points=True),
    "820": Code("the customer is marked as fraud"),
    "1101": Code("the loyalty programme is not valid"),
    "1102": Code("the ratio of currencies is not valid"),
    "1103": Code("the store of the shipping is not valid"),
    "1105": Code("the days in which a line can be returned"),
    "1623": Code("the type is not valid"),
    "1624": Code("too few parameters to find it"),
    "1625": Code("no type to convert to"),
    "1626": Code("this type cannot be converted"),
    "1627": Code("it is converted already", AsError.LOOKED_UP),
    "1628": Code("the transaction id is not valid"),
    "1629": Code("a conversion without the client's signature"),
    "1630": Code("converted"),
    "1631": Code("conversions are not enabled in the organisation"),
    "1632": Code("the registration is too long after the sale"),
    "1633": Code("the conversion is too long after the registration"),
    "1634": Code("the return type is not valid"),
    "1635": Code("no lines to return"),
    "1636": Code("the status is not valid"),
    "3045": Code("the customer is marked as fraud"),
    "8084": Code("no customer was sent"),
    "9601": Code("a line could not be added"),
    "9602": Code("a credit note could not be added"),
    "9603": Code("a payment could not be added"),
    "9604": Code("custom fields could not be added"),
    "9605": Code("the organisation has no base currency"),
    "9606": Code("no currency was sent"),
    "9607": Code("the payment mode is not known", blames="sales.payment_modes"),
    "9608": Code("a line is marked as outlier", no_points=True),
    "9609": Code("an attribute of a payment is not valid"),
    "9610": Code("the event of a new bill failed", no_points=True),
    "9611": Code("the transaction is marked as outlier", no_points=True),
    "9612": Code("a credit note could not be saved"),
    "9613": Code("an attribute of a payment is not valid"),
    "9614": Code("several bills could be meant"),
    "9615": Code("no days are set in which it can be returned"),
    "9616": Code("one bill is meant: an ordinary return"),
    "91016": Code("an extended field is not valid"),
}
"""Meanings of codes in the APIs of transactions; a code that is not here means what it means elsewhere."""

COMBINED = frozenset({"8050", "8051", "8052", "8066", "8069"})
"""Warnings of a registration after which ``createdId`` is the id of a member who existed before."""

_UNKNOWN = Code("")


def meaning(code: str, *, sale: bool = False) -> Code:
    """Return the meaning of a code. An unknown one refuses as an error and changes nothing as a warning.

    ``sale``: in an API of transactions.
    """
    return (SALE_CODES.get(code) if sale else None) or CODES.get(code, _UNKNOWN)


def undone(code: str, names: Collection[str]) -> list[str]:
    """Return which of these fields were not changed according to a warning."""
    families = meaning(code).undone
    return [n for n in names if any(n == f or (f.endswith(".") and n.startswith(f)) for f in families)]


def passing(given: Iterable[str], names: Collection[str]) -> str | None:
    """Return the first of these warnings after which fields are to be sent again at once, or None."""
    return next((code for code in given if meaning(code).again and undone(code, names)), None)
