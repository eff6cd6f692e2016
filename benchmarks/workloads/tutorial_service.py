"""A prediction service as tutorials write it: FastAPI, a data frame per request, scikit-learn.

MODEL names the folder with the trained model and its metadata.
"""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Literal

import by_hand
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel, Field
from trained import load_model

FOLDER = Path(os.environ["MODEL"])
MODEL = load_model(FOLDER)
THRESHOLD = json.loads((FOLDER / "metadata.json").read_text())["decision"]["threshold"]

app = FastAPI()


class Record(BaseModel):
    """One customer."""

    customer_id: str
    snapshot_at: datetime
    signup_at: datetime
    plan: Literal["basic", "standard", "premium"] | None = None
    payment_method: Literal["credit_card", "direct_debit", "wallet", "invoice"] | None = None
    region: Literal["north", "east", "south", "west"] | None = None
    channel: Literal["web", "search", "referral", "partner"] | None = None
    monthly_fee: float | None = Field(None, ge=0, le=500)
    total_paid: float | None = Field(None, ge=0, le=50_000)
    usage_hours_30d: float | None = Field(None, ge=0, le=720)
    sessions_30d: int | None = Field(None, ge=0, le=1000)
    support_tickets_90d: int | None = Field(None, ge=0, le=50)
    days_since_login: int | None = Field(None, ge=0, le=3650)
    failed_payments_12m: int | None = Field(None, ge=0, le=50)


class Records(BaseModel):
    """Many customers."""

    records: list[Record]


class Prediction(BaseModel):
    """The answer for one customer."""

    customer_id: str
    probability: float
    decision: int


def predicted(records: list[Record]) -> list[Prediction]:
    """Predict records."""
    table = pd.DataFrame([record.model_dump() for record in records])
    # A column in which every value is missing would be of no type.
    numbers = [*by_hand.AMOUNTS, *by_hand.COUNTS]
    table[numbers] = table[numbers].astype(float)
    probabilities = MODEL.predict_proba(by_hand.features(table))[:, 1]
    return [
        Prediction(
            customer_id=record.customer_id,
            probability=probability,
            decision=int(probability >= THRESHOLD),
        )
        for record, probability in zip(records, probabilities, strict=True)
    ]


@app.post("/v1/predictions")
def predict(record: Record) -> Prediction:
    """Predict one record."""
    return predicted([record])[0]


@app.post("/v1/predictions/batch")
def predict_batch(records: Records) -> dict[str, list[Prediction]]:
    """Predict many records."""
    return {"predictions": predicted(records.records)}
