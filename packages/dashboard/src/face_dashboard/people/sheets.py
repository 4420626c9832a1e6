"""CSV files for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence

FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula: https://owasp.org/www-community/attacks/CSV_Injection."""


def csv_file(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as a CSV file: UTF-8 with the mark by which spreadsheets know it, nothing that runs as a formula.

    None becomes an empty cell.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_MARKS) else text
