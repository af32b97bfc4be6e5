"""Status codes of the customer APIs and their texts (Capillary docs: Status codes - customer)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from devkit.sandbox.vendor import JSON

SALE_TEXTS: Mapping[int, str] = {
    601: "Transaction failed. Amount, quantity, rate or discount is invalid",
    602: "Transaction number is invalid",
    604: "Transaction number already exists",
    605: "Invalid transaction type passed",
    606: "Customer identifier is not passed",
    618: "Customer is marked as fraud",
    620: "Transaction id is invalid",
    621: "Transaction date is invalid",
    624: "A return needs a transaction that was added before",
    625: "Transaction number does not exist",
    626: "More items are returned than were purchased",
    627: "Quantity cannot be negative",
    628: "Invalid return type",
    629: "More items are returned than are available",
    630: "The return amount is more than the transaction amount",
    631: "Transaction amount cannot be negative",
    632: "Return type AMOUNT was used for this transaction, LINE_ITEM is not possible",
    633: "The entire transaction is already returned",
    634: "This transaction is already returned",
    635: "Return type LINE_ITEM was used for this transaction, AMOUNT is not possible",
    637: "Unable to revert the points of the return",
    639: "A part of the transaction is already returned, FULL is not possible",
    641: "No customer found",
    643: "The transaction date exceeds the accepted future limit",
    644: "The transaction date is below the accepted past limit",
    645: "Transaction addition failed for not interested",
    661: "Amount of a line cannot be negative",
    662: "Value of a line cannot be negative",
    663: "Rate of a line cannot be negative",
    664: "Discount of a line cannot be negative",
    665: "Gross amount cannot be negative",
    666: "Discount cannot be negative",
    668: "Transaction number is not found for this customer",
    671: "Invalid store or till code",
    673: "Returns are not allowed",
    674: "Line item returns are not allowed",
    675: "Amount returns are not allowed",
    676: "Full returns are not allowed",
    679: "No line items to be returned",
    682: "Currency conversion is disabled for the org",
    685: "Field length too long",
    688: "No matching line item found for return",
    9601: "Unable to add line item",
    9607: "Payment mode is not found",
    9610: "New bill event failed, points are not awarded",
    9611: "Transaction is marked as outlier",
}
TEXTS: Mapping[int, str] = {
    **SALE_TEXTS,
    400: "Invalid input",
    401: "Unauthorized",
    403: "Client doesn't have access to the requested resource",
    404: "Incorrect resource",
    405: "Method not supported",
    415: "Unsupported media type",
    429: "Request limit reached",
    500: "Internal error",
    521: "Multiple actions are being performed on this customer at the same time, retry later",
    1006: "Mobile is required",
    1039: "Email is required",
    1043: "External id is required",
    1061: "Attribution lookup type is missing",
    1302: "supplementary program expiry is before membership expiry",
    3217: "Org source addition failed, Invalid source account identifier passed",
    4000: "Not authorized. Access is denied!",
    4001: "Authorization status unavailable!",
    8003: "Invalid source",
    8004: "Add failed, no source passed",
    8005: "Add failed, no valid identifiers passed",
    8006: "Add failed, Customer already exists with id {id} for same source",
    8007: "Update failed, customer already exists in same source",
    8008: "Update failed, identifier belongs to another profile of the same source",
    8010: "Invalid communication channel",
    8011: "Lookup failed, invalid source account",
    8012: "Get failed, invalid source",
    8013: "Lookup,Invalid identifier passed",
    8014: "Invalid primary identifier",
    8015: "Customer not found for the given identifiers",
    8016: "Get failed, no source passed",
    8017: "Invalid registration date",
    8018: "Loyalty customer cannot be changed to non-loyalty",
    8020: "External id does not have the prefix or length of the organisation",
    8045: "Account id is missing for the source",
    8050: "Customer found in another source, combining",
    8051: "Merging with customer {id}",
    8052: "Conflicting customers found",
    8053: "Identifiers belong to conflicting customers",
    8055: "Invalid email passed",
    8056: "Invalid mobile passed",
    8057: "Invalid email passed in communication channel",
    8058: "Invalid mobile passed in communication channel",
    8065: "Customer not found in the given source",
    8066: "Cannot combine, identifier is already used in the source",
    8067: "Merge is already done with customer {id}",
    8069: "Merged customer found",
    8070: "No valid change identifiers passed",
    8071: "Mobile already belongs to this customer",
    8072: "Email already belongs to this customer",
    8073: "Identifier already belongs to this customer",
    8074: "Identifier change refused",
    8075: "Identifier to be removed was not found",
    8077: "associatedWith is invalid, attribution not updated",
    8086: "Status label is invalid",
    8089: "Customer is not in the loyalty program",
    8106: "Communication channel type is missing",
    8107: "Default customer status label not set",
    91021: "Invalid attribution till",
}
V11_TEXTS: Mapping[str, str] = {
    "521": TEXTS[521],
    "618": "Fraud status is invalid",
    "1000": "Success",
    "1001": "Invalid mobile",
    "1002": "Invalid email",
    "1003": "Invalid external id",
    "1007": "No valid identifier is passed",
    "1011": "Customer not found for the given id",
    "1012": "Customer not found",
    "1015": "No identifier is passed",
    "1017": "Provided Custom Field is invalid",
    "1034": "Registration date is not in the allowed window",
    "1040": "Customer Identity change request added successfully",
    "1041": "Customer identity change failed",
    "1042": "Customer identity change request is invalid",
    "1046": "Loyalty customer cannot be converted to non loyalty",
    "600": "Transaction retrieved successfully",
    "641": SALE_TEXTS[641],
    "668": SALE_TEXTS[668],
    "1626": "The transaction type cannot be changed",
    "1627": "The transaction is already marked as retro",
    "1628": "Transaction id is invalid",
    "1629": "Client signature is required",
    "1630": "Transaction retrospectively marked REGULAR",
    "1631": "Retro transaction is not enabled for the organisation",
    "1632": "Registration is too long after the transaction",
    "9610": SALE_TEXTS[9610],
    "9611": SALE_TEXTS[9611],
    "1060": "Batch limit exceeded",
    "91005": "Primary identifier cannot be updated",
    "91006": "Identifier update is not allowed",
    "91007": "Identifier belongs to another user",
    "91009": "Customer was merged, survivor returned",
    "91015": "Extended field update failed",
    "91020": "Registration till is invalid",
    "91021": "Attribution till is invalid",
    "91022": "Subscription update failed",
}


def issue(code: int, message: str | None = None, **values: object) -> dict[str, JSON]:
    """Return one item of ``errors`` or ``warnings``; its status is always false (Capillary docs: V2 samples)."""
    return {"status": False, "code": code, "message": message or TEXTS[code].format(**values)}


class ApiError(Exception):
    """The request fails with these items in ``errors``.

    ``http_status`` is set where the vendor documents one; otherwise the status mode decides.
    """

    def __init__(
        self,
        code: int,
        message: str | None = None,
        *,
        http_status: int | None = None,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message or TEXTS[code].format(**values)
        self.http_status = http_status
        self.headers = dict(headers or {})

    def body(self) -> dict[str, JSON]:
        """Return the V2 error envelope."""
        return {"errors": [issue(self.code, self.message)]}


def error_status(mode: str, errors: Sequence[ApiError], *, write: bool) -> int:
    """Return the HTTP status of a V2 ``errors`` body (not documented, so a switch decides).

    "documented" is the sandbox's assumption: 400 for a failed write, 200 for a failed read. The others are
    "all_200", "all_400", and "not_found_404", which is "documented" but 404 for an unknown customer.
    """
    error = errors[0]
    if error.http_status is not None:
        return error.http_status
    if mode == "all_200":
        return 200
    if mode == "all_400":
        return 400
    if mode == "not_found_404" and error.code in (8009, 8015):
        return 404
    return 400 if write else 200
