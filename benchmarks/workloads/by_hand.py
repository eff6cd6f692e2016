"""The same preparation as somebody would write it for this one table, in plain pandas."""

import numpy as np
import pandas as pd

MISSING = ["", "-", "?", "n/a", "na", "nan", "none", "null", "unknown"]
ALIASES = {
    "plan": {"starter": "basic", "std": "standard", "pro": "premium", "prem": "premium"},
    "payment_method": {
        "credit card": "credit_card",
        "card": "credit_card",
        "direct debit": "direct_debit",
        "sepa": "direct_debit",
        "e-wallet": "wallet",
        "bill": "invoice",
    },
    "region": {"n.": "north", "e.": "east", "s.": "south", "w.": "west"},
    "channel": {"website": "web", "search ads": "search", "reseller": "partner"},
}
AMOUNTS = {"monthly_fee": 500, "total_paid": 50_000, "usage_hours_30d": 720}
COUNTS = {
    "sessions_30d": 1000,
    "support_tickets_90d": 50,
    "days_since_login": 3650,
    "failed_payments_12m": 50,
}
TIMESTAMPS = ["snapshot_at", "signup_at"]
KEYS = ["customer_id", "snapshot_at", "signup_at", "churned"]
NUMERIC = [
    *AMOUNTS,
    *COUNTS,
    "tenure_days",
    "log_tenure_days",
    "log_usage_hours_30d",
    "log_sessions_30d",
    "log_days_since_login",
    "hours_per_session",
]


def _number(text: pd.Series) -> pd.Series:
    bare = text.str.lower().str.replace(r"[, €$£%]|[a-zµ°²³/]+$", "", regex=True)
    return pd.to_numeric(bare, errors="coerce")


def clean(raw: pd.DataFrame) -> pd.DataFrame:
    """Raw text to typed, unique rows."""
    text = raw.apply(lambda column: column.str.strip().str.replace(r"\s+", " ", regex=True))
    text = text.mask(text.apply(lambda column: column.str.lower().isin(MISSING)))
    table = pd.DataFrame({"customer_id": text["customer_id"]})
    for name in TIMESTAMPS:
        table[name] = pd.to_datetime(text[name], format="ISO8601", errors="coerce")
    for name, aliases in ALIASES.items():
        table[name] = text[name].str.lower().replace(aliases)
    for name, most in AMOUNTS.items():
        number = _number(text[name])
        table[name] = number.where(number.between(0, most))
    for name, most in COUNTS.items():
        number = _number(text[name])
        table[name] = number.where(number.between(0, most) & (number % 1 == 0))
    table["churned"] = _number(text["churned"])
    return (
        table.dropna(subset=KEYS)
        .sort_values(["snapshot_at", "signup_at"], kind="stable")
        .drop_duplicates("customer_id", keep="last")
        .sort_values("customer_id")
    )


def features(table: pd.DataFrame) -> pd.DataFrame:
    """Typed rows to model inputs beside the columns they come from."""
    result = table.copy()
    result["tenure_days"] = (result["snapshot_at"] - result["signup_at"]).dt.floor(
        "min"
    ).dt.total_seconds() / 86_400
    for name in ("tenure_days", "usage_hours_30d", "sessions_30d", "days_since_login"):
        result[f"log_{name}"] = np.log1p(result[name].where(result[name] >= 0))
    sessions = result["sessions_30d"]
    result["hours_per_session"] = result["usage_hours_30d"] / sessions.where(sessions != 0)
    categories = list(ALIASES)
    result[categories] = result[categories].fillna("missing")
    return result
